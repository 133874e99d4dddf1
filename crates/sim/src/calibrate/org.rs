//! The requests of calibration.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{CalibrationError, Limits};

/// The longest that a request may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The shortest pause between two polls of a job.
const POLL: Duration = Duration::from_millis(100);
/// How much longer than its age the pause before a job's next poll is not: a twentieth of it.
const POLLS_A_DOUBLING: u32 = 20;
/// The longest that a job may take.
const JOB: Duration = Duration::from_secs(3_600);
/// How often a request is tried when rows are deleted.
const TRIES: u32 = 5;
/// Ids of a job that deletes.
const DELETED_AT_ONCE: usize = 10_000;

/// An org, and the jobs that inserted rows into it.
#[derive(Debug)]
pub(super) struct Org {
    http: reqwest::Client,
    url: String,
    base: String,
    token: String,
    inserts: Mutex<Vec<String>>,
}

impl Org {
    pub(super) fn new(url: &str, token: &str, api_version: &str) -> Org {
        let url = url.trim_end_matches('/').to_owned();
        let version = api_version.trim_start_matches('v');
        Org {
            http: reqwest::Client::new(),
            base: format!("{url}/services/data/v{version}"),
            url,
            token: token.to_owned(),
            inserts: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn request(&self, method: Method, path: &str) -> (String, RequestBuilder) {
        let name = format!("{method} {path}");
        let request = self.http.request(method, format!("{}{path}", self.base));
        (name, request.timeout(PATIENCE).bearer_auth(&self.token))
    }

    async fn text(
        &self,
        name: String,
        request: RequestBuilder,
    ) -> Result<String, CalibrationError> {
        let failed = |cause: reqwest::Error| CalibrationError::Http {
            request: name.clone(),
            // Its URL is in `request`.
            cause: cause.without_url(),
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let body = response.text().await.map_err(failed)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(CalibrationError::Refused {
            request: name,
            status: status.as_u16(),
            body: body.chars().take(500).collect(),
        })
    }

    async fn json(&self, name: String, request: RequestBuilder) -> Result<Value, CalibrationError> {
        let text = self.text(name.clone(), request).await?;
        serde_json::from_str(&text).map_err(|_| CalibrationError::Answer {
            request: name,
            what: "JSON",
        })
    }

    async fn get(&self, path: &str) -> Result<Value, CalibrationError> {
        let (name, request) = self.request(Method::GET, path);
        self.json(name, request).await
    }

    /// The name of the org.
    ///
    /// # Errors
    /// If it does not say that it is a sandbox.
    pub(super) async fn sandbox_name(&self) -> Result<String, CalibrationError> {
        let (name, request) = self.request(Method::GET, "/query");
        let soql = [("q", "SELECT Name, IsSandbox FROM Organization")];
        let answer = self.json(name, request.query(&soql)).await?;
        let org = &answer["records"][0];
        if org["IsSandbox"] != Value::Bool(true) {
            return Err(CalibrationError::NoSandbox(self.url.clone()));
        }
        Ok(org["Name"].as_str().unwrap_or("without a name").to_owned())
    }

    pub(super) async fn limits(&self) -> Result<Limits, CalibrationError> {
        let answer = self.get("/limits").await?;
        let limit = |key: &str| {
            let max = answer[key]["Max"].as_u64()?;
            let left = answer[key]["Remaining"].as_u64()?;
            Some((max, max.saturating_sub(left)))
        };
        let missing = |what| CalibrationError::Answer {
            request: "GET /limits".to_owned(),
            what,
        };
        Ok(Limits {
            calls: limit("DailyApiRequests").ok_or_else(|| missing("DailyApiRequests"))?,
            batches: limit("DailyBulkApiBatches").ok_or_else(|| missing("DailyBulkApiBatches"))?,
        })
    }

    pub(super) async fn describe(&self, object: &str) -> Result<Value, CalibrationError> {
        self.get(&format!("/sobjects/{object}/describe")).await
    }

    /// Creates a job that inserts.
    pub(super) async fn create(&self, object: &str) -> Result<String, CalibrationError> {
        let job = self.create_job(object, "insert").await?;
        self.inserts.lock().push(job.clone());
        Ok(job)
    }

    async fn create_job(&self, object: &str, operation: &str) -> Result<String, CalibrationError> {
        let (name, request) = self.request(Method::POST, "/jobs/ingest");
        let job = json!({"object": object, "operation": operation, "lineEnding": "LF"});
        let answer = self.json(name.clone(), request.json(&job)).await?;
        let id = answer["id"].as_str().map(str::to_owned);
        id.ok_or(CalibrationError::Answer {
            request: name,
            what: "id",
        })
    }

    pub(super) async fn upload(&self, job: &str, csv: String) -> Result<(), CalibrationError> {
        let (name, request) = self.request(Method::PUT, &format!("/jobs/ingest/{job}/batches"));
        let request = request.header("Content-Type", "text/csv").body(csv);
        self.text(name, request).await.map(|_| ())
    }

    pub(super) async fn close(&self, job: &str) -> Result<(), CalibrationError> {
        self.enter(job, "UploadComplete").await
    }

    async fn enter(&self, job: &str, state: &str) -> Result<(), CalibrationError> {
        let (name, request) = self.request(Method::PATCH, &format!("/jobs/ingest/{job}"));
        let request = request.json(&json!({"state": state}));
        self.text(name, request).await.map(|_| ())
    }

    /// Waits for the end of a job that was just closed. Returns the seconds that it took.
    ///
    /// # Errors
    /// If some of its rows failed or were not processed.
    pub(super) async fn ended(&self, job: &str, rows: usize) -> Result<f64, CalibrationError> {
        let (info, took) = self.terminal(job).await?;
        let failed = info["numberRecordsFailed"].as_u64().unwrap_or(0);
        if info["state"] == "JobComplete" && failed == 0 {
            return Ok(took);
        }
        let error = match info["errorMessage"].as_str() {
            Some(message) => message.to_owned(),
            None => self.first_error(job).await?,
        };
        Err(CalibrationError::Job {
            job: job.to_owned(),
            state: info["state"].as_str().unwrap_or_default().to_owned(),
            failed,
            rows,
            error,
        })
    }

    async fn first_error(&self, job: &str) -> Result<String, CalibrationError> {
        let path = format!("/jobs/ingest/{job}/failedResults");
        let (name, request) = self.request(Method::GET, &path);
        let text = self.text(name, request).await?;
        Ok(text.lines().nth(1).unwrap_or("none").to_owned())
    }

    /// Waits for the last state of a job.
    async fn terminal(&self, job: &str) -> Result<(Value, f64), CalibrationError> {
        let begun = Instant::now();
        loop {
            let asked = begun.elapsed();
            let info = self.get(&format!("/jobs/ingest/{job}")).await?;
            let state = info["state"].as_str().unwrap_or_default();
            if asked > JOB {
                return Err(CalibrationError::TooSlow {
                    job: job.to_owned(),
                    seconds: JOB.as_secs(),
                });
            }
            if ["JobComplete", "Failed", "Aborted"].contains(&state) {
                // It ended between this poll and the one before.
                let pause = pause(asked).min(asked);
                return Ok((info, (asked - pause / 2).as_secs_f64()));
            }
            tokio::time::sleep(pause(asked)).await;
        }
    }

    /// Deletes the rows of all jobs. Returns how many they were.
    pub(super) async fn delete_all(&self, object: &str) -> Result<usize, CalibrationError> {
        let jobs = self.inserts.lock().clone();
        let mut ids = Vec::new();
        let left = |left: usize, cause: CalibrationError| CalibrationError::Left {
            left,
            object: object.to_owned(),
            jobs: jobs.join(", "),
            cause: cause.to_string(),
        };
        for job in &jobs {
            let inserted = retry(|| self.inserted(job)).await;
            ids.extend(inserted.map_err(|error| left(super::ROWS, error))?);
        }
        let mut deleted = 0;
        for ids in ids.chunks(DELETED_AT_ONCE) {
            let count = retry(|| self.delete(object, ids)).await;
            count.map_err(|error| left(super::ROWS - deleted, error))?;
            deleted += ids.len();
        }
        Ok(deleted)
    }

    /// The Ids of the records that a job inserted. A job that has not ended is ended first.
    async fn inserted(&self, job: &str) -> Result<Vec<String>, CalibrationError> {
        let info = self.get(&format!("/jobs/ingest/{job}")).await?;
        match info["state"].as_str().unwrap_or_default() {
            "Open" => {
                self.enter(job, "Aborted").await?;
                return Ok(Vec::new());
            }
            "UploadComplete" | "InProgress" => {
                self.terminal(job).await?;
            }
            _ => {}
        }
        let path = format!("/jobs/ingest/{job}/successfulResults");
        let (name, request) = self.request(Method::GET, &path);
        let text = self.text(name, request).await?;
        // The Id is the first column, and no value of ours has a line break.
        let ids = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next());
        Ok(ids.map(|id| id.trim_matches('"').to_owned()).collect())
    }

    /// Deletes records by their Ids. Those that are gone already are no error.
    async fn delete(&self, object: &str, ids: &[String]) -> Result<(), CalibrationError> {
        let job = self.create_job(object, "delete").await?;
        self.upload(&job, format!("Id\n{}\n", ids.join("\n")))
            .await?;
        self.close(&job).await?;
        let (info, _) = self.terminal(&job).await?;
        let failed = info["numberRecordsFailed"].as_u64().unwrap_or(0);
        let path = format!("/jobs/ingest/{job}/failedResults");
        let (name, request) = self.request(Method::GET, &path);
        let failures = self.text(name, request).await?;
        let mut lines = failures.lines().skip(1);
        let is_gone =
            |line: &str| line.contains("ENTITY_IS_DELETED") || line.contains("INVALID_CROSS_REF");
        let remaining = lines.find(|line| !is_gone(line));
        if info["state"] == "JobComplete" && remaining.is_none() {
            return Ok(());
        }
        Err(CalibrationError::Job {
            job,
            state: info["state"].as_str().unwrap_or_default().to_owned(),
            failed,
            rows: ids.len(),
            error: remaining.unwrap_or("none").to_owned(),
        })
    }
}

/// The pause before the next poll of a job of an age.
fn pause(age: Duration) -> Duration {
    POLL.max(age / POLLS_A_DOUBLING)
}

/// Tries something a few times, with longer and longer pauses.
async fn retry<T, F: Future<Output = Result<T, CalibrationError>>>(
    mut action: impl FnMut() -> F,
) -> Result<T, CalibrationError> {
    let mut tries = 1;
    loop {
        match action().await {
            Err(_) if tries < TRIES => {
                tokio::time::sleep(POLL * 2_u32.pow(tries)).await;
                tries += 1;
            }
            result => return result,
        }
    }
}
