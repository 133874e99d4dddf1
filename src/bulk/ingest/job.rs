//! The life of an ingest job, as types: staged, running, ended.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;

use super::Ingest;
use super::info::{JobInfo, JobState, JobTarget};
use super::results::{self, ResultStream};
use super::timings::Work;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Payload, Policy, api_date, parse_json, poll_pause};
use crate::chunk::Chunk;

/// How long a closed job may still be shown as open, before this is an error.
const OPEN_AFTER_CLOSE: Duration = Duration::from_secs(60);

/// A job that holds its upload and is not closed: nothing is processed. It must be closed or
/// aborted; [`Client::abort_open_jobs`](crate::bulk::Client::abort_open_jobs) aborts those that were
/// dropped.
#[derive(Debug)]
#[must_use = "an open job is to be closed or aborted"]
pub struct StagedJob {
    ingest: Ingest,
    id: String,
    work: Work,
}

/// A closed job: nothing but reading it is left to do.
#[derive(Debug)]
#[must_use = "rows of a running job have no end yet"]
pub struct RunningJob {
    ingest: Ingest,
    id: String,
    read: Option<JobInfo>,
    /// Absent where only the id is known.
    work: Option<Work>,
}

/// A job that changes no more.
#[derive(Debug)]
pub struct EndedJob {
    ingest: Ingest,
    /// Id of the job.
    pub id: String,
    /// `JobComplete`, `Failed` or `Aborted`.
    pub state: JobState,
    /// Rows processed, failed ones included.
    pub processed: Option<u64>,
    /// Rows that failed.
    pub failed: Option<u64>,
    /// Why the job as a whole failed: `Code : text`.
    pub message: Option<String>,
    /// When it was created, by Salesforce's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// Id of the user who created it: the one who created its records.
    pub created_by: Option<String>,
    /// Time that Salesforce took in all, in milliseconds.
    pub total_processing_ms: Option<u64>,
    /// Of it, the time in triggers and other Apex code, in milliseconds.
    pub apex_processing_ms: Option<u64>,
}

impl Ingest {
    /// See [`Client::stage`](crate::bulk::Client::stage).
    pub(in crate::bulk) async fn stage(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
    ) -> Result<StagedJob, BulkError> {
        let mut pauses = Policy::STAGE.pauses();
        let mut open = None;
        loop {
            let error = match self.try_stage(target, chunk, &mut open).await {
                Ok(id) => {
                    return Ok(StagedJob {
                        ingest: self.clone(),
                        id,
                        work: Work::new(target, chunk.rows()),
                    });
                }
                Err(error) => error,
            };
            let pause = pauses.after(&error);
            if (pause.is_none() || !error.not_done())
                && let Some(id) = open.take()
            {
                self.abort_quietly(&id).await;
            }
            let Some(pause) = pause else {
                return Err(error);
            };
            let pause_ms = pause.as_millis();
            tracing::warn!(object = target.object, %error, pause_ms, "upload failed, repeating");
            let waited = self.connection.pause_before_new("uploading rows", pause);
            if let Err(stopped) = waited.await {
                if let Some(id) = open.take() {
                    self.abort_quietly(&id).await;
                }
                return Err(stopped);
            }
        }
    }

    /// Creates a job unless one is open, and uploads once.
    async fn try_stage(
        &self,
        target: &JobTarget,
        chunk: &Chunk,
        open: &mut Option<String>,
    ) -> Result<String, BulkError> {
        let id = match open {
            Some(id) => id,
            None => open.insert(self.create(target).await?),
        };
        let action = format!("uploading {} bytes to job {id}", chunk.bytes());
        let path = ["jobs", "ingest", id, "batches"];
        let call = Call::send(&action, Method::PUT, &path, Payload::Csv(chunk));
        self.connection.read(&call).await?;
        Ok(id.clone())
    }

    async fn create(&self, target: &JobTarget) -> Result<String, BulkError> {
        let action = format!("creating a job for {}", target.object);
        let job = target.to_json();
        let path = ["jobs", "ingest"];
        let call = Call::send(&action, Method::POST, &path, Payload::Json(&job));
        let answer = self.connection.read(&call).await?;
        let info: JobInfo = parse_json(&action, &answer)?;
        self.jobs.open.lock().insert(info.id.clone());
        self.jobs.known.lock().insert(info.id.clone());
        Ok(info.id)
    }

    /// See [`Client::job`](crate::bulk::Client::job).
    pub(in crate::bulk) async fn job(&self, id: &str) -> Result<RunningJob, BulkError> {
        let info = self.read_job(id).await?;
        if JobState::parse(id, &info.state)? == JobState::Open {
            return Err(BulkError::WrongState {
                id: id.to_owned(),
                state: JobState::Open.as_str(),
                wanted: "waited for",
            });
        }
        Ok(RunningJob::new(self, id.to_owned(), Some(info)))
    }

    /// See [`Client::abort_open_jobs`](crate::bulk::Client::abort_open_jobs).
    pub(in crate::bulk) async fn abort_open_jobs(&self) {
        loop {
            // Taken out first: a job is either closed or aborted, by whoever takes it.
            let next = self.jobs.open.lock().pop_first();
            let Some(id) = next else { return };
            self.abort_quietly(&id).await;
        }
    }

    async fn abort_quietly(&self, id: &str) {
        if let Err(error) = self.abort(id).await {
            tracing::warn!(job_id = id, %error, "an open job could not be aborted");
        }
    }

    async fn abort(&self, id: &str) -> Result<(), BulkError> {
        let action = format!("aborting job {id}");
        let aborted = self
            .patch(&action, id, JobState::Aborted, Policy::ABORT)
            .await;
        match aborted {
            // An earlier attempt has aborted it, and only its answer was lost.
            Err(error) if error.is_state_conflict() => {
                let info = self.read_job(id).await?;
                if info.state != JobState::Aborted.as_str() {
                    return Err(error);
                }
            }
            other => other?,
        }
        self.jobs.open.lock().remove(id);
        Ok(())
    }

    async fn patch(
        &self,
        action: &str,
        id: &str,
        state: JobState,
        policy: Policy,
    ) -> Result<(), BulkError> {
        let body = serde_json::json!({ "state": state.as_str() }).to_string();
        let path = ["jobs", "ingest", id];
        let mut call = Call::send(action, Method::PATCH, &path, Payload::Json(&body));
        call.policy = policy;
        self.connection.read(&call).await?;
        Ok(())
    }

    async fn read_job(&self, id: &str) -> Result<JobInfo, BulkError> {
        let action = format!("reading job {id}");
        let path = ["jobs", "ingest", id];
        let call = Call::get(&action, &path, Policy::JOB);
        let read = self.connection.read_json(&call).await;
        read.map_err(|error| error.of_job(id))
    }
}

impl StagedJob {
    /// Id of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Hands the job to Salesforce for processing: the point of no return.
    ///
    /// A close whose answer was lost is resolved by reading the job: if it is still open, the close is
    /// retried.
    ///
    /// # Errors
    /// [`BulkError::CloseUnclear`] if the job may have been closed: its rows must not be sent
    /// again. After every other error none of its rows was processed, and the job has been
    /// aborted where that was possible.
    pub async fn close(self) -> Result<RunningJob, BulkError> {
        // From here on, a stop must not abort the job: it may already be running.
        if !self.ingest.jobs.open.lock().remove(&self.id) {
            return Err(self.aborted_by_others());
        }
        let action = format!("closing job {}", self.id);
        let mut pauses = Policy::CLOSE.pauses();
        let mut maybe_closed = false;
        loop {
            let closing = JobState::UploadComplete;
            let patched = self.ingest.patch(&action, &self.id, closing, Policy::ONCE);
            let Err(error) = patched.await else {
                return Ok(self.running());
            };
            maybe_closed |= !error.not_done() || error.is_state_conflict();
            tracing::warn!(job_id = self.id, %error, "the close is unclear, reading the job");
            match self.state().await {
                Ok(JobState::Open) => {}
                Ok(JobState::Aborted) => return Err(self.aborted_by_others()),
                Ok(_) => return Ok(self.running()),
                Err(read) if maybe_closed => return Err(self.unclear(read)),
                Err(_) => {
                    self.ingest.jobs.open.lock().insert(self.id);
                    return Err(error);
                }
            }
            let Some(pause) = pauses.after(&error) else {
                return Err(self.give_up(error, maybe_closed).await);
            };
            self.ingest.connection.clock().pause(pause).await;
        }
    }

    fn running(self) -> RunningJob {
        RunningJob {
            work: Some(self.work),
            ..RunningJob::new(&self.ingest, self.id, None)
        }
    }

    async fn state(&self) -> Result<JobState, BulkError> {
        let info = self.ingest.read_job(&self.id).await?;
        JobState::parse(&self.id, &info.state)
    }

    /// Aborts a job that cannot be closed, and finds out whether a close arrived late.
    async fn give_up(&self, error: BulkError, maybe_closed: bool) -> BulkError {
        if !maybe_closed {
            self.ingest.abort_quietly(&self.id).await;
            return error;
        }
        let aborted = async {
            self.ingest.abort(&self.id).await?;
            self.ingest.read_job(&self.id).await
        };
        match aborted.await {
            Ok(info) if info.number_records_processed.unwrap_or(0) == 0 => error,
            Ok(_) => self.unclear(error),
            Err(abort) => self.unclear(abort),
        }
    }

    fn unclear(&self, source: BulkError) -> BulkError {
        BulkError::CloseUnclear {
            id: self.id.clone(),
            source: Box::new(source),
        }
    }

    fn aborted_by_others(&self) -> BulkError {
        BulkError::WrongState {
            id: self.id.clone(),
            state: JobState::Aborted.as_str(),
            wanted: "closed",
        }
    }

    /// Aborts the job: none of its rows is processed.
    ///
    /// # Errors
    /// Any of a call's. The job stays open then, which does no harm but to the org's lists.
    pub async fn abort(self) -> Result<(), BulkError> {
        self.ingest.abort(&self.id).await
    }
}

impl RunningJob {
    /// The job of this id; `read` is what has just been read of it.
    pub(super) fn new(ingest: &Ingest, id: String, read: Option<JobInfo>) -> Self {
        Self {
            ingest: ingest.clone(),
            id,
            read,
            work: None,
        }
    }

    /// Id of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the job's end. Its state is read after pauses that grow with its age from 200 ms to
    /// 30 s, and seldom before the last job of its kind would have ended. While Salesforce is not
    /// there, the reads are retried for ten minutes.
    ///
    /// # Errors
    /// [`BulkError::JobGone`] if the job was deleted; any of a call's. The job goes on then, and
    /// [`Client::job`](crate::bulk::Client::job) takes its id.
    pub async fn finished(mut self) -> Result<EndedJob, BulkError> {
        let (state, info) = self.wait().await?;
        Ok(EndedJob::new(&self.ingest, state, info))
    }

    pub(super) async fn wait(&mut self) -> Result<(JobState, JobInfo), BulkError> {
        let timings = &self.ingest.jobs.timings;
        let expected = self.work.as_ref().and_then(|work| timings.expected(work));
        let mut age = Duration::ZERO;
        loop {
            let info = match self.read.take() {
                Some(info) => info,
                None => {
                    let pause = poll_pause(age, expected);
                    self.ingest.connection.clock().pause(pause).await;
                    age += pause;
                    self.ingest.connection.count_poll();
                    self.ingest.read_job(&self.id).await?
                }
            };
            let state = JobState::parse(&self.id, &info.state)?;
            if state.is_terminal() {
                if let (JobState::JobComplete, Some(work)) = (state, &self.work) {
                    timings.ended(work, age);
                }
                return Ok((state, info));
            }
            if state == JobState::Open && age > OPEN_AFTER_CLOSE {
                return Err(BulkError::WrongState {
                    id: self.id.clone(),
                    state: state.as_str(),
                    wanted: "waited for",
                });
            }
        }
    }
}

impl EndedJob {
    pub(super) fn new(ingest: &Ingest, state: JobState, info: JobInfo) -> Self {
        Self {
            ingest: ingest.clone(),
            id: info.id,
            state,
            processed: info.number_records_processed,
            failed: info.number_records_failed,
            message: info.error_message,
            created_at: info.created_date.as_deref().and_then(api_date),
            created_by: info.created_by_id.or_else(|| ingest.connection.user_id()),
            total_processing_ms: info.total_processing_time,
            apex_processing_ms: info.apex_processing_time,
        }
    }

    /// The job as it is now: its counts may have lagged behind its end.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn read_again(&self) -> Result<Self, BulkError> {
        let info = self.ingest.read_job(&self.id).await?;
        let state = JobState::parse(&self.id, &info.state)?;
        Ok(Self::new(&self.ingest, state, info))
    }

    /// Rows that were loaded: the columns `sf__Id`, `sf__Created` and those uploaded.
    ///
    /// # Errors
    /// Any of a call's; the stream can fail as well.
    pub async fn successful_results(&self) -> Result<ResultStream, BulkError> {
        results::read(&self.ingest, &self.id, "successfulResults").await
    }

    /// Rows that failed: the columns `sf__Id`, `sf__Error` and those uploaded.
    ///
    /// # Errors
    /// Any of a call's; the stream can fail as well.
    pub async fn failed_results(&self) -> Result<ResultStream, BulkError> {
        results::read(&self.ingest, &self.id, "failedResults").await
    }

    /// Rows that the job did not get to: the columns uploaded.
    ///
    /// # Errors
    /// Any of a call's; the stream can fail as well.
    pub async fn unprocessed(&self) -> Result<ResultStream, BulkError> {
        results::read(&self.ingest, &self.id, "unprocessedrecords").await
    }
}
