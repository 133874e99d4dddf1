//! A small loader: this test program, started once more by the referee. It takes Airbyte's messages,
//! makes a job of the rows before each state, and cheats if it is asked to.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Map, Value, json};

/// The variable that says how it works.
pub(crate) const MODE: &str = "LOADER_MODE";

/// The rows before a state, and the state.
type Batch = (Vec<Map<String, Value>>, String);

/// Not a test by itself: the referee runs it as a loader.
#[tokio::test]
#[ignore = "a loader that the referee starts"]
async fn load() {
    let mode = env::var(MODE).unwrap();
    let upsert = variable("OPERATION") == "upsert";
    let mut batches = read();
    if mode == "wrong-order" {
        batches.reverse();
    }
    let org = Org::new();
    for (number, (rows, state)) in batches.into_iter().enumerate() {
        if mode == "early-states" {
            println!("{state}");
        }
        let mut rows = if upsert { last_of_each_key(rows) } else { rows };
        if mode == "drops-rows" {
            let mut at = 0;
            rows.retain(|_| {
                at += 1;
                at % 50 != 0
            });
        }
        let text = csv(&rows);
        let failed = org.load(&text).await;
        if mode == "doubles-rows" && number == 0 {
            org.load(&text).await;
        }
        if failed.lines().count() > 1 && mode != "hides-rejects" {
            let path = Path::new(&variable("REJECTS")).join(format!("failed-{number}.csv"));
            fs::write(path, failed).unwrap();
        }
        if !["early-states", "no-states"].contains(&mode.as_str()) {
            println!("{state}");
        }
    }
}

fn variable(name: &str) -> String {
    env::var(format!("BENCH_{name}")).unwrap()
}

fn read() -> Vec<Batch> {
    let (mut batches, mut rows) = (Vec::new(), Vec::new());
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut message: Value = serde_json::from_str(&line).unwrap();
        match message["type"].as_str() {
            Some("RECORD") => {
                let Value::Object(row) = message["record"]["data"].take() else {
                    unreachable!("a record is an object");
                };
                rows.push(row);
            }
            Some("STATE") => batches.push((std::mem::take(&mut rows), line)),
            _ => {}
        }
    }
    batches
}

fn last_of_each_key(rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let key = variable("KEY");
    let of_key = |row: Map<String, Value>| (row[&key].to_string(), row);
    let by_key: BTreeMap<String, Map<String, Value>> = rows.into_iter().map(of_key).collect();
    by_key.into_values().collect()
}

fn csv(rows: &[Map<String, Value>]) -> String {
    let names: Vec<&String> = rows[0].keys().collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&names).unwrap();
    for row in rows {
        let cells = names.iter().map(|name| match &row[*name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        writer.write_record(cells).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

struct Org {
    http: Client,
    jobs: String,
    token: String,
}

impl Org {
    fn new() -> Self {
        let client = Client::builder().no_proxy().tls_built_in_root_certs(false);
        let (url, version) = (variable("INSTANCE_URL"), variable("API_VERSION"));
        Self {
            http: client.build().unwrap(),
            jobs: format!("{url}/services/data/v{version}/jobs/ingest"),
            token: variable("ACCESS_TOKEN"),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.jobs));
        request.bearer_auth(&self.token)
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Response {
        request.send().await.unwrap().error_for_status().unwrap()
    }

    /// One job. Returns its file of failed rows.
    async fn load(&self, csv: &str) -> String {
        let mut job = json!({"object": variable("OBJECT"), "operation": variable("OPERATION")});
        if let Ok(field) = env::var("BENCH_EXTERNAL_ID") {
            job["externalIdFieldName"] = json!(field);
        }
        let created = self.request(Method::POST, "").json(&job);
        let created: Value = self.send(created).await.json().await.unwrap();
        let id = created["id"].as_str().unwrap();
        let upload = self.request(Method::PUT, &format!("/{id}/batches"));
        let upload = upload
            .header("Content-Type", "text/csv")
            .body(csv.to_owned());
        self.send(upload).await;
        let close = self.request(Method::PATCH, &format!("/{id}"));
        self.send(close.json(&json!({"state": "UploadComplete"})))
            .await;
        loop {
            let poll = self.request(Method::GET, &format!("/{id}"));
            let job: Value = self.send(poll).await.json().await.unwrap();
            match job["state"].as_str() {
                Some("JobComplete") => break,
                Some("Failed" | "Aborted") => panic!("{job}"),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let failed = self.request(Method::GET, &format!("/{id}/failedResults/"));
        self.send(failed).await.text().await.unwrap()
    }
}
