//! A simulated org in this process, asked over HTTP what it holds.

use std::time::{Duration, Instant};

use salesforce_sim::Sim;
pub use salesforce_sim::SimOptions;
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
        // To read the system's certificates takes a debug build longer than a small load.
        let client = reqwest::Client::builder().tls_built_in_root_certs(false);
        let client = client.redirect(reqwest::redirect::Policy::none());
        let http = client.no_proxy().build().unwrap();
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
        let started = Instant::now();
        loop {
            let request = self.http.get(format!("{}{path}", self.url)).send();
            match request.await {
                Ok(response) => {
                    let response = response.error_for_status().unwrap();
                    return response.text().await.unwrap();
                }
                // A fault may refuse all connections for a while.
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// A person opens the address of a login in a browser, and allows or denies it (`Allow`, `Deny`). The
    /// address that the browser is sent back to, or the page of an error.
    pub async fn person(&self, address: &str, decision: &str) -> String {
        let (page, query) = address.split_once('?').unwrap_or((address, ""));
        let form = format!("{query}&{}&decision={decision}", Self::PERSON);
        let sent = self.http.post(page).body(form);
        let sent = sent.header("content-type", "application/x-www-form-urlencoded");
        let answer = sent.send().await.unwrap();
        match answer.headers().get("location") {
            Some(location) => location.to_str().unwrap().to_owned(),
            None => answer.text().await.unwrap(),
        }
    }

    /// What a browser shows of an address.
    pub async fn page(&self, address: &str) -> String {
        let page = self.http.get(address).send().await.unwrap();
        page.text().await.unwrap()
    }

    /// The fields of the user's name and password.
    const PERSON: &str = "username=loader%40sim.example&password=sim-password";

    /// Ends a token with its sessions.
    pub async fn revoke(&self, token: &str) {
        let url = format!("{}/services/oauth2/revoke", self.url);
        let sent = self.http.post(url).form(&[("token", token)]);
        sent.send().await.unwrap().error_for_status().unwrap();
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

    /// Adds some faults.
    pub async fn faults(&self, faults: &[Value]) {
        self.post("/sim/faults", &json!(faults)).await;
    }

    /// Removes all faults.
    pub async fn clear_faults(&self) {
        let request = self.http.delete(format!("{}/sim/faults", self.url));
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// How often each fault that has a name hit.
    pub async fn fault_hits(&self) -> Vec<(String, u64)> {
        let faults: Vec<Value> = serde_json::from_str(&self.get("/sim/faults").await).unwrap();
        let hits = faults.iter().filter_map(|fault| {
            let name = fault["fault"]["name"].as_str()?;
            Some((name.to_owned(), fault["hit"].as_u64()?))
        });
        hits.collect()
    }

    /// The access token of a new session.
    pub async fn session(&self) -> String {
        let login = [
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("refresh_token", REFRESH_TOKEN),
        ];
        let url = format!("{}/services/oauth2/token", self.url);
        let login = self.http.post(url).form(&login).send().await.unwrap();
        let login: Value = login.json().await.unwrap();
        login["access_token"].as_str().unwrap().to_owned()
    }

    /// Inserts the rows of a CSV file, as a client of its own.
    pub async fn insert(&self, object: &str, csv: &str) {
        let token = &self.session().await;
        let jobs = format!("{}/services/data/v62.0/jobs/ingest", self.url);
        let create = self.http.post(&jobs).bearer_auth(token);
        let create = create.json(&json!({"object": object, "operation": "insert"}));
        let job: Value = create.send().await.unwrap().json().await.unwrap();
        let id = job["id"].as_str().unwrap();
        let upload = self.http.put(format!("{jobs}/{id}/batches"));
        let upload = upload.header("Content-Type", "text/csv").bearer_auth(token);
        let upload = upload.body(csv.to_owned()).send().await.unwrap();
        upload.error_for_status().unwrap();
        let close = self.http.patch(format!("{jobs}/{id}")).bearer_auth(token);
        let close = close.json(&json!({"state": "UploadComplete"}));
        close.send().await.unwrap().error_for_status().unwrap();
        self.wait_for("the end of the insert", |state| jobs_in_flight(state) == 0)
            .await;
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
