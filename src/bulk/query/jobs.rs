//! The life of a query job: created, waited for, aborted or deleted. It changes nothing in the org.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::json;

use crate::bulk::connection::Connection;
use crate::bulk::error::{BulkError, Passing};
use crate::bulk::http::{Call, Patience, Payload, Policy, parse_json};
use crate::bulk::ingest::{JobInfo, JobState, can_be_one_record, poll_pause};

/// Time between two warnings about a job that does not end.
const WARN_AFTER: Duration = Duration::from_secs(30 * 60);

/// The query jobs of one login. Clones know the same jobs.
#[derive(Debug, Clone)]
pub(in crate::bulk) struct Queries {
    pub(super) connection: Connection,
    /// Ids of those that may run, and that nobody reads to the end yet.
    pub(super) open: Arc<Mutex<BTreeSet<String>>>,
}

impl Queries {
    /// The jobs of a login that has just been made.
    pub(in crate::bulk) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            open: Arc::default(),
        }
    }

    /// The same jobs, by the calls of another connection of the login.
    pub(in crate::bulk) fn over(&self, connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            open: Arc::clone(&self.open),
        }
    }

    /// Creates a job of this query. It runs at once.
    pub(super) async fn create(&self, soql: &str, deleted: bool) -> Result<String, BulkError> {
        let body = json!({
            "operation": if deleted { "queryAll" } else { "query" },
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        });
        let action = "creating a query job";
        let body = body.to_string();
        let mut patience = Patience::new(Policy::Load);
        loop {
            let call = Call::send(
                action,
                Method::POST,
                &["jobs", "query"],
                Payload::Json(&body),
            );
            let created = self.connection.read(&call).await;
            let created = created.and_then(|answer| parse_json::<JobInfo>(action, &answer));
            let error = match created {
                Ok(info) => {
                    self.open.lock().insert(info.id.clone());
                    return Ok(info.id);
                }
                Err(error) => error.of_query(),
            };
            let waited = self
                .connection
                .wait_before_new(&mut patience, action, error);
            waited.await?;
        }
    }

    /// Waits for the end of a job.
    pub(super) async fn ended(
        &self,
        id: &str,
        seen: impl Fn(&JobInfo),
    ) -> Result<(JobState, JobInfo), BulkError> {
        let clock = self.connection.clock();
        let waits = *clock.waits();
        let (mut age, mut warn_at) = (Duration::ZERO, WARN_AFTER);
        loop {
            let pause = poll_pause(age).min(waits.job_timeout.saturating_sub(age));
            clock.pause(pause).await;
            self.connection.count_poll();
            let asked = Instant::now();
            let (state, info) = self.read_job(id).await?;
            age += pause + asked.elapsed();
            seen(&info);
            if state.is_terminal() {
                return Ok((state, info));
            }
            if age >= waits.job_timeout {
                return Err(BulkError::QueryTimeout {
                    id: id.to_owned(),
                    state: state.as_str(),
                    age,
                });
            }
            if age >= warn_at {
                warn_at += WARN_AFTER;
                let (state, minutes) = (state.as_str(), age.as_secs() / 60);
                tracing::warn!(job_id = id, state, minutes, "the query has not ended yet");
            }
        }
    }

    /// What Salesforce says about a job. What cannot be understood is asked for again.
    pub(super) async fn read_job(&self, id: &str) -> Result<(JobState, JobInfo), BulkError> {
        let action = format!("reading query job {id}");
        let path = ["jobs", "query", id];
        let call = Call::get(&action, &path, Policy::InFlight);
        let understood = |body: &[u8]| {
            let info: JobInfo = parse_json(&action, body)?;
            if !can_be_one_record(Some(id), Some(&info.id)) {
                return Err(BulkError::Answer {
                    action: action.clone(),
                    reason: "it is about another job".to_owned(),
                });
            }
            Ok((JobState::parse(id, &info.state)?, info))
        };
        let read = self.connection.read_as(&call, understood).await;
        read.map_err(|error| error.of_query_job(id))
    }

    /// Aborts a job that may run. One that has ended, or is gone, is left alone.
    pub(super) async fn abort(&self, id: &str) -> Result<(), BulkError> {
        let action = format!("aborting query job {id}");
        let body = json!({ "state": JobState::Aborted.as_str() }).to_string();
        let path = ["jobs", "query", id];
        let mut call = Call::send(&action, Method::PATCH, &path, Payload::Json(&body));
        call.policy = Policy::Courtesy;
        let aborted = self.connection.read(&call).await;
        match aborted {
            Err(error) if error.is_state_conflict() => {}
            Err(error) if error.passing() == Some(Passing::Missing) => {}
            other => drop(other?),
        }
        self.open.lock().remove(id);
        Ok(())
    }

    /// Aborts the jobs that may run.
    pub(in crate::bulk) async fn abort_open_jobs(&self) {
        let open: Vec<String> = self.open.lock().iter().cloned().collect();
        for id in open {
            self.abort_quietly(&id).await;
        }
    }

    pub(super) async fn abort_quietly(&self, id: &str) {
        if let Err(error) = self.abort(id).await {
            tracing::debug!(job_id = id, %error, "a query job could not be aborted");
        }
    }

    /// Deletes a job that has ended, with its results.
    pub(super) async fn delete(&self, id: &str) -> Result<(), BulkError> {
        let action = format!("deleting query job {id}");
        let path = ["jobs", "query", id];
        let mut call = Call::send(&action, Method::DELETE, &path, Payload::None);
        call.policy = Policy::Courtesy;
        match self.connection.read(&call).await {
            Err(error) if error.passing() == Some(Passing::Missing) => {}
            other => drop(other?),
        }
        Ok(())
    }
}

impl BulkError {
    /// The error of a query job that ended in this state, with this message.
    pub(super) fn query_failed(id: &str, state: JobState, message: Option<&str>) -> Self {
        let said = message.map(str::trim).filter(|message| !message.is_empty());
        Self::QueryFailed {
            id: id.to_owned(),
            detail: said.unwrap_or(state.as_str()).to_owned(),
            cure: "ask the query again",
            kind: crate::error::ErrorKind::Transient,
        }
    }
}
