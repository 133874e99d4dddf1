//! A simulated org in this process, asked over HTTP what it holds.

use serde_json::Value;

/// A running org.
pub(crate) struct TestSim {
    url: String,
    http: reqwest::Client,
}

impl TestSim {
    pub(crate) async fn start() -> Self {
        Self::with_job_time(0.0).await
    }

    pub(crate) async fn with_job_time(_seconds: f64) -> Self {
        unimplemented!()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        let answer = answer.error_for_status().unwrap();
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Records of an object, field by field.
    pub(crate) async fn rows(&self, object: &str) -> Vec<Value> {
        let rows = self.get(&format!("/sim/objects/{object}/rows")).await;
        rows.as_array().unwrap().clone()
    }

    /// Values of one field of an object.
    pub(crate) async fn column(&self, object: &str, field: &str) -> Vec<String> {
        let values = self
            .get(&format!("/sim/objects/{object}/column/{field}"))
            .await;
        let values = values.as_array().unwrap().iter();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn state(&self) -> Value {
        self.get("/sim/state").await
    }

    /// All ingest jobs that were ever created.
    pub(crate) async fn jobs(&self) -> Vec<Value> {
        self.state().await["jobs"].as_array().unwrap().clone()
    }

    pub(crate) async fn most_jobs_at_once(&self) -> u64 {
        self.state().await["max_jobs_in_flight"].as_u64().unwrap()
    }

    /// From now on no job goes on.
    pub(crate) async fn hold(&self) {
        self.post("/sim/hold", &Value::Null).await;
    }

    pub(crate) async fn release(&self) {
        self.post("/sim/release", &Value::Null).await;
    }

    pub(crate) async fn wait_for(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let waiting = async {
            while !holds(&self.state().await) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(super::process::PATIENCE, waiting).await;
        assert!(waited.is_ok(), "waited in vain for {what}");
    }
}

/// How many jobs are in a state.
pub(crate) fn jobs_in_state(org: &Value, state: &str) -> usize {
    org["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["state"] == state)
        .count()
}

/// How many jobs were created and have not ended.
pub(crate) fn jobs_in_flight(org: &Value) -> usize {
    ["Open", "UploadComplete", "InProgress"]
        .map(|state| jobs_in_state(org, state))
        .iter()
        .sum()
}
