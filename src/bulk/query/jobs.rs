//! The life of a query job: created, waited for, aborted or deleted. It changes nothing in the org.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::json;

use super::plan::Plan;
use crate::bulk::connection::Connection;
use crate::bulk::error::{BulkError, Passing};
use crate::bulk::http::{Call, Patience, Payload, Policy, parse_json};
use crate::bulk::ingest::{JobInfo, JobState, JobType, can_be_one_record, list, poll_pause};
use crate::object::RecordId;

/// How much older than its call a job may look: headers name whole seconds.
const CLOCK_MARGIN: TimeDelta = TimeDelta::seconds(2);

/// Time between two warnings about a job that does not end.
const WARN_AFTER: Duration = Duration::from_secs(30 * 60);

/// The query jobs of one login. Clones know the same jobs.
#[derive(Debug, Clone)]
pub(in crate::bulk) struct Queries {
    pub(super) connection: Connection,
    /// Ids of those that may run, and that nobody reads to the end yet.
    open: Arc<Mutex<BTreeSet<String>>>,
    /// Ids of those that this login is known to have created.
    known: Arc<Mutex<BTreeSet<String>>>,
    /// The org does not list the pages of results.
    pub(super) no_page_lists: Arc<AtomicBool>,
}

impl Queries {
    /// The jobs of a login that has just been made.
    pub(in crate::bulk) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            open: Arc::default(),
            known: Arc::default(),
            no_page_lists: Arc::default(),
        }
    }

    /// The same jobs, by the calls of another connection of the login.
    pub(in crate::bulk) fn over(&self, connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            ..self.clone()
        }
    }

    /// Creates a job of this text, by a task of its own: who waits for the answer may be dropped, and
    /// nobody would know the job.
    pub(super) async fn create(&self, text: String, plan: &Plan) -> Result<Job, BulkError> {
        let (queries, object, keep) = (self.clone(), plan.object.clone(), plan.keep_jobs);
        let operation = if plan.deleted { "queryAll" } else { "query" };
        let creating = async move { queries.create_here(&text, &object, operation, keep).await };
        let created = tokio::spawn(creating).await;
        created.unwrap_or_else(|error| {
            Err(BulkError::Setup {
                reason: format!("the task that creates a query job ended early: {error}"),
            })
        })
    }

    async fn create_here(
        &self,
        text: &str,
        object: &str,
        operation: &'static str,
        keep: bool,
    ) -> Result<Job, BulkError> {
        let action = format!("creating a query job for {object}");
        let body = json!({
            "operation": operation,
            "query": text,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        });
        let body = body.to_string();
        let path = ["jobs", "query"];
        let mut patience = Patience::new(Policy::Load);
        loop {
            let call = Call::send(&action, Method::POST, &path, Payload::Json(&body));
            let since = self.connection.server_time();
            let created = self.connection.read(&call).await;
            let created = created.and_then(|answer| parse_json::<JobInfo>(&action, &answer));
            let error = match created {
                Ok(info) => return Ok(self.job(info.id, keep)),
                Err(error) => error.of_query(),
            };
            if !error.not_done() {
                self.abort_double(object, operation, since).await;
            }
            let waited = self
                .connection
                .wait_before_new(&mut patience, &action, error);
            waited.await?;
        }
    }

    /// The job of this Id, which may run.
    pub(super) fn job(&self, id: String, keep: bool) -> Job {
        if !keep {
            self.open.lock().insert(id.clone());
        }
        self.known.lock().insert(id.clone());
        Job {
            queries: self.clone(),
            id,
            is_kept: keep,
            ended: false,
        }
    }

    /// Aborts the job that a call whose answer was lost has made, if it can be found. A query changes
    /// nothing, so that one which cannot be found does no harm.
    async fn abort_double(&self, object: &str, operation: &str, since: DateTime<Utc>) {
        let user = self.connection.user_id();
        let Some(user) = user.as_deref().and_then(RecordId::parse) else {
            return;
        };
        let made = |job: &JobInfo| {
            let by = job.created_by_id.as_deref().and_then(RecordId::parse);
            job.object.eq_ignore_ascii_case(object)
                && job.operation == operation
                && by == Some(user)
                && job
                    .created_at()
                    .is_some_and(|created| created >= since - CLOCK_MARGIN)
                && !self.known.lock().contains(&job.id)
        };
        match list(&self.connection, JobType::Query, Policy::Optional, made).await {
            Ok(jobs) => {
                // Several may be of other processes of this user.
                if let [job] = &jobs[..] {
                    tracing::info!(
                        job_id = job.id,
                        "a lost call has made this job: it is aborted"
                    );
                    self.known.lock().insert(job.id.clone());
                    self.abort_quietly(&job.id).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "whether a lost call has made a query job is not known");
            }
        }
    }

    /// Spends a pause, unless the process is stopped.
    pub(super) async fn pause(&self, action: &str, length: Duration) -> Result<(), BulkError> {
        let pause = async {
            self.connection.clock().pause(length).await;
            Ok(())
        };
        self.connection.unless_stopped(action, pause).await
    }

    /// Waits for the end of a job.
    pub(super) async fn ended(
        &self,
        id: &str,
        seen: impl Fn(&JobInfo),
    ) -> Result<(JobState, JobInfo), BulkError> {
        let waits = *self.connection.clock().waits();
        let (mut age, mut warn_at) = (Duration::ZERO, WARN_AFTER);
        loop {
            let pause = poll_pause(age).min(waits.job_timeout.saturating_sub(age));
            self.pause("waiting for a query job", pause).await?;
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

    /// See [`Client::delete_query`](crate::bulk::Client::delete_query).
    pub(in crate::bulk) async fn abort_and_delete(&self, id: &str) -> Result<(), BulkError> {
        self.abort(id).await?;
        self.delete(id).await
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

/// A job that is aborted when it is dropped before its end, unless it is kept.
#[derive(Debug)]
pub(super) struct Job {
    queries: Queries,
    id: String,
    /// It goes on whoever drops it.
    is_kept: bool,
    ended: bool,
}

impl Job {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// There is nothing left to abort.
    pub(super) fn has_ended(&mut self) {
        self.ended = true;
        self.queries.open.lock().remove(&self.id);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.ended || self.is_kept {
            return;
        }
        let (queries, id) = (self.queries.clone(), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { queries.abort_quietly(&id).await });
        }
    }
}
