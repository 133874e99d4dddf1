//! The simulator over HTTP, as a client sees it.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Sim, SimOptions};

mod awkward;
mod calibration;
mod contention;
mod devices;
mod docs;
mod exports;
mod faults;
mod gate;
mod groups;
mod jobs;
mod layers;
mod logins;
mod metadata;
mod oauth;
mod org_file;
mod parents;
mod profiles;
mod queries;
mod records;
mod relations;
mod results;
mod rows;
mod state;
mod types;

/// A client with a session.
struct Client {
    sim: Sim,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn start(options: SimOptions) -> Client {
        let sim = Sim::start(options).await.unwrap();
        let mut client = Client {
            sim,
            http: reqwest::Client::new(),
            token: String::new(),
        };
        client.log_in().await;
        client
    }

    async fn log_in(&mut self) {
        let (status, body) = self
            .ask_token("sim-client-secret", "sim-refresh-token")
            .await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["instance_url"], self.sim.url());
        assert!(body.get("expires_in").is_none());
        self.token = body["access_token"].as_str().unwrap().to_owned();
    }

    async fn ask_token(&self, secret: &str, refresh_token: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "sim-client-id"),
            ("client_secret", secret),
            ("refresh_token", refresh_token),
        ];
        let url = format!("{}/services/oauth2/token", self.sim.url());
        let response = self.http.post(url).form(&form).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/services/data/v62.0{path}", self.sim.url());
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let response = self.call(method, path).json(body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn create(&self, settings: &Value) -> String {
        let (status, job) = self.json(Method::POST, "/jobs/ingest", settings).await;
        assert_eq!(
            (status, &job["state"]),
            (StatusCode::OK, &json!("Open")),
            "{job}"
        );
        assert!(job.get("numberRecordsProcessed").is_none());
        job["id"].as_str().unwrap().to_owned()
    }

    async fn upload(&self, id: &str, csv: &str) -> StatusCode {
        let put = self.call(Method::PUT, &format!("/jobs/ingest/{id}/batches"));
        let put = put.header("content-type", "text/csv").body(csv.to_owned());
        put.send().await.unwrap().status()
    }

    async fn enter(&self, id: &str, state: &str) -> (StatusCode, Value) {
        let path = format!("/jobs/ingest/{id}");
        self.json(Method::PATCH, &path, &json!({"state": state}))
            .await
    }

    async fn ended(&self, id: &str) -> Value {
        loop {
            let job = self.get(&format!("/jobs/ingest/{id}")).await;
            if ["JobComplete", "Failed", "Aborted"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn run(&self, settings: &Value, csv: &str) -> Value {
        let id = self.create(settings).await;
        assert_eq!(self.upload(&id, csv).await, StatusCode::CREATED);
        let (status, job) = self.enter(&id, "UploadComplete").await;
        assert_eq!(
            (status, &job["state"]),
            (StatusCode::OK, &json!("UploadComplete"))
        );
        self.ended(&id).await
    }

    async fn insert(&self, object: &str, csv: &str) -> Value {
        self.run(
            &json!({"object": object, "operation": "insert", "lineEnding": "LF"}),
            csv,
        )
        .await
    }

    /// A result as it comes.
    async fn result_text(&self, job: &Value, which: &str) -> String {
        let path = format!("/jobs/ingest/{}/{which}", job["id"].as_str().unwrap());
        let response = self.call(Method::GET, &path).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// The lines of a result, those after the header sorted.
    async fn result(&self, job: &Value, which: &str) -> Vec<String> {
        let text = self.result_text(job, which).await;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.get_mut(1..).unwrap_or_default().sort();
        lines
    }

    /// The errors of a job's failed rows, by the value of the row's last column.
    async fn errors(&self, job: &Value) -> BTreeMap<String, String> {
        let text = self.result_text(job, "failedResults").await;
        let mut errors = BTreeMap::new();
        let mut values = Vec::new();
        for line in text.lines().skip(1) {
            super::csv::split(line, b',', &mut values);
            let key = values.last().unwrap().to_string();
            errors.insert(key, values[1].to_string());
        }
        errors
    }

    async fn inspect(&self, path: &str) -> Value {
        let url = format!("{}/sim/{path}", self.sim.url());
        self.http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let url = format!("{}/sim/{path}", self.sim.url());
        let response = self.http.post(url).json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
}

fn counts(job: &Value) -> (String, u64, u64) {
    let count = |key: &str| job[key].as_u64().unwrap();
    let state = job["state"].as_str().unwrap().to_owned();
    (
        state,
        count("numberRecordsProcessed"),
        count("numberRecordsFailed"),
    )
}

fn ended(state: &str, processed: u64, failed: u64) -> (String, u64, u64) {
    (state.to_owned(), processed, failed)
}

fn many(rows: usize) -> String {
    (0..rows).fold("LastName,Ext_Id__c\n".to_owned(), |csv, row| {
        format!("{csv}N{row},{row}\n")
    })
}

#[test]
fn options_are_read_from_json() {
    let options: SimOptions = serde_json::from_str(
        r#"{"seed":7,"fail_rate":0.1,"listen":"127.0.0.1:8080","faults":[
            {"object":"Contact","do":{"pages":{"rows":2}}}]}"#,
    )
    .unwrap();
    assert_eq!(
        (options.seed, options.listen.port(), options.shuffle),
        (7, 8080, true)
    );
    assert!(serde_json::from_str::<SimOptions>(r#"{"sed":7}"#).is_err());
}

#[tokio::test]
async fn options_that_shape_the_org_stay() {
    let client = Client::start(SimOptions::default()).await;
    let changes = json!({"forget": true, "extra_objects": 9, "seed": 7});
    client.post("options", &changes).await;
    let options = client.inspect("options").await;
    let keys = ["forget", "extra_objects", "seed"];
    let found = keys.map(|key| options[key].clone());
    assert_eq!(found, [json!(false), json!(0), json!(7)]);
}

#[test]
fn objects_of_the_embedded_org_are_described_without_a_server() {
    let contact = crate::describe("contact").unwrap();
    assert_eq!(contact["name"], "Contact");
    assert!(crate::describe("Nope").is_none());
}
