//! The simulator over HTTP, as a client sees it.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Sim, SimOptions};

mod faults;
mod jobs;
mod relations;

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
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/services/data/v62.0{path}", self.sim.url());
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.call(method, path).json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
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
        let answer = self.call(Method::GET, &path).send().await.unwrap();
        answer.text().await.unwrap()
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
        let answer = self.http.post(url).json(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
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

#[tokio::test]
async fn sessions_are_given_refused_and_expire() {
    let client = Client::start(SimOptions::default()).await;
    let (status, body) = client.ask_token("sim-client-secret", "other").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body,
        json!({"error": "invalid_grant", "error_description": "expired access/refresh token"})
    );
    assert_eq!(
        client.ask_token("x", "sim-refresh-token").await.1["error"],
        "invalid_client"
    );
    let limits = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(limits.headers()["Sforce-Limit-Info"], "api-usage=1/100000");
    client
        .post("faults", &json!([{"do": {"expire_tokens": {}}}]))
        .await;
    let answer = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body,
        json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    );
    client.sim.shutdown().await;
}

#[tokio::test]
async fn refresh_tokens_can_rotate() {
    let options = SimOptions {
        rotate_refresh_token: true,
        ..SimOptions::default()
    };
    let sim = Sim::start(options).await.unwrap();
    let mut client = Client {
        sim,
        http: reqwest::Client::new(),
        token: String::new(),
    };
    let (_, first) = client
        .ask_token("sim-client-secret", "sim-refresh-token")
        .await;
    let rotated = first["refresh_token"].as_str().unwrap();
    let (status, second) = client.ask_token("sim-client-secret", rotated).await;
    assert_eq!(status, StatusCode::OK);
    client.token = second["access_token"].as_str().unwrap().to_owned();
    assert!(client.get("/limits").await["DailyApiRequests"].is_object());
    let (_, dead) = client.ask_token("sim-client-secret", rotated).await;
    assert_eq!(dead["error"], "invalid_grant");
    assert_eq!(
        client.get("/limits").await[0]["errorCode"],
        "INVALID_SESSION_ID"
    );
    let last = second["refresh_token"].as_str().unwrap();
    assert_eq!(
        client.ask_token("sim-client-secret", last).await.1["error"],
        "invalid_grant"
    );
}

#[tokio::test]
async fn objects_are_described_alone_and_together() {
    let client = Client::start(SimOptions::default()).await;
    assert_eq!(
        client.get("/sobjects").await["sobjects"]
            .as_array()
            .unwrap()
            .len(),
        11
    );
    let contact = client.get("/sobjects/Contact/describe").await;
    let fields = contact["fields"].as_array().unwrap();
    assert!(
        fields
            .iter()
            .any(|field| field["name"] == "Ext_Id__c" && field["externalId"] == true)
    );
    let missing = client
        .call(Method::GET, "/sobjects/Nope/describe")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json::<Value>().await.unwrap()[0]["errorCode"],
        "NOT_FOUND"
    );
    let describe = |name: &str| {
        json!({"method": "GET", "referenceId": name,
            "url": format!("/services/data/v62.0/sobjects/{name}/describe")})
    };
    let both = json!({"compositeRequest": [describe("Lead"), describe("Nope")]});
    let before = client.inspect("state").await["api_calls"].as_u64().unwrap();
    let (_, answer) = client.json(Method::POST, "/composite", &both).await;
    assert_eq!(answer["compositeResponse"][0]["body"]["name"], "Lead");
    assert_eq!(answer["compositeResponse"][1]["httpStatusCode"], 404);
    let batch = json!({"batchRequests": [describe("Lead"), describe("Account")]});
    let (_, answer) = client.json(Method::POST, "/composite/batch", &batch).await;
    assert_eq!(answer["results"][1]["result"]["name"], "Account");
    let after = client.inspect("state").await["api_calls"].as_u64().unwrap();
    assert_eq!(after - before, 3);
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
