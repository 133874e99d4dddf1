//! A simulated org in this process, asked over HTTP what it holds.

use std::time::Duration;

use salesforce_sim::{Sim, SimOptions};
use serde_json::{Value, json};

use crate::PATIENCE;

/// Client id of the app that [`TestSim::options`] accept.
pub const CLIENT_ID: &str = "3MVG9.consumer+key";
/// Client secret of that app.
pub const CLIENT_SECRET: &str = "consumer-secret&with=signs+";
/// Refresh token of that app.
pub const REFRESH_TOKEN: &str = "5Aep861refresh!token&more";

/// A running org, which stops with the test.
#[derive(Debug)]
pub struct TestSim {
    _sim: Sim,
    url: String,
    http: reqwest::Client,
}

impl TestSim {
    /// An org that works as fast as it can.
    pub async fn start() -> Self {
        Self::with_job_time(Duration::ZERO).await
    }

    /// An org whose jobs take a while after their close.
    pub async fn with_job_time(job_time: Duration) -> Self {
        Self::with_options(Self::options(job_time)).await
    }

    /// The options of an org that [`CLIENT_ID`], [`CLIENT_SECRET`] and [`REFRESH_TOKEN`] log in to.
    pub fn options(job_time: Duration) -> SimOptions {
        SimOptions {
            job_time,
            client_id: CLIENT_ID.into(),
            client_secret: CLIENT_SECRET.into(),
            refresh_token: REFRESH_TOKEN.into(),
            ..SimOptions::default()
        }
    }

    /// An org with options of its own.
    pub async fn with_options(options: SimOptions) -> Self {
        let sim = Sim::start(options).await.unwrap();
        let url = sim.url();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            _sim: sim,
            url,
            http,
        }
    }

    /// Where it listens, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn get(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.send().await.unwrap().error_for_status().unwrap();
        response.text().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Records of an object, field by field.
    pub async fn rows(&self, object: &str) -> Vec<Value> {
        let rows = self
            .get(&format!("/sim/objects/{object}/rows?limit=1000000"))
            .await;
        serde_json::from_str(&rows).unwrap()
    }

    /// Values of one field in all records of an object.
    pub async fn column(&self, object: &str, field: &str) -> Vec<String> {
        let values = self
            .get(&format!("/sim/objects/{object}/column/{field}"))
            .await;
        values
            .lines()
            .map(|value| serde_json::from_str(value).unwrap())
            .collect()
    }

    /// Jobs and counters.
    pub async fn state(&self) -> Value {
        serde_json::from_str(&self.get("/sim/state").await).unwrap()
    }

    /// All ingest jobs that were ever created.
    pub async fn jobs(&self) -> Vec<Value> {
        self.state().await["jobs"].as_array().unwrap().clone()
    }

    /// How many jobs were in flight at once, at most.
    pub async fn most_jobs_at_once(&self) -> u64 {
        self.state().await["max_in_flight"].as_u64().unwrap()
    }

    /// Access tokens that were given out.
    pub async fn logins(&self) -> u64 {
        self.state().await["tokens_issued"].as_u64().unwrap()
    }

    /// Requests for an access token, refused ones included.
    pub async fn token_requests(&self) -> u64 {
        self.state().await["token_requests"].as_u64().unwrap()
    }

    /// From now on closed jobs write nothing.
    pub async fn hold(&self) {
        self.post("/sim/hold", &json!({"hold": true})).await;
    }

    /// Closed jobs go on.
    pub async fn release(&self) {
        self.post("/sim/hold", &json!({"hold": false})).await;
    }

    /// Adds a fault.
    pub async fn fault(&self, fault: &Value) {
        self.post("/sim/faults", &json!([fault])).await;
    }

    /// All faults, each with how many matches it had and how many it hit.
    pub async fn faults(&self) -> Vec<Value> {
        serde_json::from_str(&self.get("/sim/faults").await).unwrap()
    }

    /// Changes some of the options of the org.
    pub async fn set(&self, options: &Value) {
        self.post("/sim/options", options).await;
    }

    /// Waits until the org is in a state that is asked for.
    pub async fn wait_for(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let waiting = async {
            while !holds(&self.state().await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "waited in vain for {what}");
    }
}

/// How many jobs are in a state.
pub fn jobs_in_state(org: &Value, state: &str) -> usize {
    org["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["state"] == state)
        .count()
}

/// How many jobs were created and have not ended.
pub fn jobs_in_flight(org: &Value) -> usize {
    ["Open", "UploadComplete", "InProgress"]
        .map(|state| jobs_in_state(org, state))
        .iter()
        .sum()
}
