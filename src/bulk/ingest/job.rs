//! The life of an ingest job, as types: staged, running, ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::Method;

use super::info::{JobInfo, JobState, can_be_one_record};
use super::results::{self, ResultKind, ResultStream};
use super::timings::{Progress, Work};
use super::{Ingest, Jobs};
use crate::bulk::error::{BulkError, Passing};
use crate::bulk::http::{Call, Patience, Payload, Policy, parse_json};

/// How long a closed job may still be shown as open before it is closed again.
const OPEN_AFTER_CLOSE: Duration = Duration::from_secs(15);

/// Time between two warnings about a job that does not end.
const WARN_AFTER: Duration = Duration::from_secs(30 * 60);

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
    read: Option<(JobState, JobInfo)>,
    /// Absent where only the id is known.
    work: Option<Work>,
}

/// A job that changes no more.
#[derive(Debug)]
pub struct EndedJob {
    ingest: Ingest,
    /// Absent where only the id is known.
    work: Option<Work>,
    /// Names of the result files that were asked for in vain for as long as that is believed.
    missing: Arc<Mutex<BTreeSet<&'static str>>>,
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
    /// See [`Client::job`](crate::bulk::Client::job).
    pub(in crate::bulk) async fn job(&self, id: &str) -> Result<RunningJob, BulkError> {
        let (state, info) = self.read_job(id, Policy::InFlight).await?;
        if state == JobState::Open {
            return Err(BulkError::WrongState {
                id: id.to_owned(),
                state: JobState::Open.as_str(),
                wanted: "waited for",
            });
        }
        Ok(RunningJob::new(self, id.to_owned(), None).read(state, info))
    }

    /// See [`Client::job_state`](crate::bulk::Client::job_state).
    pub(in crate::bulk) async fn job_state(&self, id: &str) -> Result<JobState, BulkError> {
        let (state, _) = self.read_job(id, Policy::InFlight).await?;
        Ok(state)
    }

    /// Sets the state of a job. That it is set is believed only if the answer shows it: a job that was
    /// closed may be in a later state already.
    pub(super) async fn patch(
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
        let understood = |body: &[u8]| {
            let (shown, _) = job_in(action, id, body)?;
            let is_done = match state {
                JobState::Aborted => shown == JobState::Aborted,
                _ => shown != JobState::Open,
            };
            is_done.then_some(()).ok_or_else(|| BulkError::Answer {
                action: action.to_owned(),
                reason: format!("it shows the job as {}", shown.as_str()),
            })
        };
        self.connection.read_as(&call, understood).await
    }

    /// What Salesforce says about a job. What cannot be understood is asked for again.
    pub(super) async fn read_job(
        &self,
        id: &str,
        policy: Policy,
    ) -> Result<(JobState, JobInfo), BulkError> {
        let action = format!("reading job {id}");
        let path = ["jobs", "ingest", id];
        let call = Call::get(&action, &path, policy);
        let understood = |body: &[u8]| job_in(&action, id, body);
        let read = self.connection.read_as(&call, understood).await;
        read.map_err(|error| error.of_job(id))
    }
}

/// A job whose close is not clear. If it stays so, for whatever reason, whoever ends the process aborts
/// it.
struct Unclear {
    jobs: Option<Arc<Jobs>>,
    id: String,
}

impl Drop for Unclear {
    fn drop(&mut self) {
        if let Some(jobs) = &self.jobs {
            jobs.open.lock().insert(std::mem::take(&mut self.id));
        }
    }
}

/// What an answer says about the job of this id.
fn job_in(action: &str, id: &str, body: &[u8]) -> Result<(JobState, JobInfo), BulkError> {
    let info: JobInfo = parse_json(action, body)?;
    if !can_be_one_record(Some(id), Some(&info.id)) {
        return Err(BulkError::Answer {
            action: action.to_owned(),
            reason: "it is about another job".to_owned(),
        });
    }
    Ok((JobState::parse(id, &info.state)?, info))
}

impl StagedJob {
    /// The job of this id, which holds its upload.
    pub(super) fn new(ingest: &Ingest, id: String, work: Work) -> Self {
        Self {
            ingest: ingest.clone(),
            id,
            work,
        }
    }

    /// Id of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Hands the job to Salesforce for processing: the point of no return.
    ///
    /// A close whose answer was lost is resolved by reading the job: if it is still open, the close is
    /// retried, as long as [`Waits::patience`](crate::options::Waits::patience).
    ///
    /// # Errors
    /// [`BulkError::CloseUnclear`] if the job may have been closed: its rows must not be sent
    /// again. After every other error none of its rows was processed, and the job has been
    /// aborted where that was possible. [`BulkError::Stopped`] if the load was stopped while the job
    /// was still open.
    pub async fn close(self) -> Result<RunningJob, BulkError> {
        // From here on, a stop must not abort the job: it may already be running.
        if !self.ingest.jobs.open.lock().remove(&self.id) {
            return Err(self.not_closed("Aborted"));
        }
        let mut unclear = Unclear {
            jobs: Some(Arc::clone(&self.ingest.jobs)),
            id: self.id.clone(),
        };
        let closed = self.try_close().await;
        if !matches!(closed, Err(BulkError::CloseUnclear { .. })) {
            unclear.jobs = None;
        }
        closed
    }

    async fn try_close(self) -> Result<RunningJob, BulkError> {
        let action = format!("closing job {}", self.id);
        let mut patience = Patience::new(Policy::Load);
        let mut maybe_closed = false;
        loop {
            let closing = JobState::UploadComplete;
            let patched = self.ingest.patch(&action, &self.id, closing, Policy::Once);
            let Err(error) = patched.await else {
                return Ok(self.running());
            };
            let was_closed = maybe_closed || !error.not_done();
            if was_closed || error.is_state_conflict() {
                tracing::debug!(job_id = self.id, %error, "the close is unclear, reading the job");
                maybe_closed = true;
            }
            // Once a close may have arrived, no later refusal says that it did not.
            if maybe_closed {
                match self.ingest.read_job(&self.id, Policy::InFlight).await {
                    Ok((JobState::Open, _)) => {}
                    // Between a close of ours and the abort, rows may have been processed.
                    Ok((JobState::Aborted, _)) if was_closed => return Err(self.unclear(error)),
                    Ok((JobState::Aborted, _)) => return Err(self.not_closed("Aborted")),
                    Ok((state, info)) => return Ok(self.running().read(state, info)),
                    Err(read) => return Err(self.unclear(read)),
                }
            }
            let connection = &self.ingest.connection;
            let waited = connection.wait_before_new(&mut patience, &action, error);
            if let Err(error) = waited.await {
                return Err(self.give_up(error, maybe_closed).await);
            }
        }
    }

    fn running(self) -> RunningJob {
        RunningJob::new(&self.ingest, self.id, Some(self.work))
    }

    /// Aborts a job that cannot be closed, and finds out whether a close arrived late.
    async fn give_up(&self, error: BulkError, maybe_closed: bool) -> BulkError {
        // Until the abort is done, it is for whoever ends the process too.
        self.ingest.jobs.open.lock().insert(self.id.clone());
        if !maybe_closed {
            self.ingest.abort_quietly(&self.id).await;
            return match error.passing() {
                Some(Passing::Missing) => self.not_closed("gone"),
                _ => error,
            };
        }
        let aborted = async {
            self.ingest.abort(&self.id).await?;
            self.ingest.read_job(&self.id, Policy::InFlight).await
        };
        match aborted.await {
            Ok((_, info)) if info.number_records_processed.unwrap_or(0) == 0 => error,
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

    /// Someone else has aborted or deleted it before it was closed.
    fn not_closed(&self, state: &'static str) -> BulkError {
        BulkError::WrongState {
            id: self.id.clone(),
            state,
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
    /// The job of this id.
    pub(super) fn new(ingest: &Ingest, id: String, work: Option<Work>) -> Self {
        Self {
            ingest: ingest.clone(),
            id,
            read: None,
            work,
        }
    }

    /// With what has just been read of it.
    pub(super) fn read(mut self, state: JobState, info: JobInfo) -> Self {
        self.read = Some((state, info));
        self
    }

    /// Id of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the job's end. Its state is read after pauses that grow with its age up to 30 s, seldom
    /// before a job of its size and kind can have ended, and soon after its counts let it end. What passes is waited for as long as
    /// [`Waits::patience`](crate::options::Waits::patience), a daily limit as long as
    /// [`Waits::limit_wait`](crate::options::Waits::limit_wait), an hour if that is not set.
    ///
    /// # Errors
    /// [`BulkError::JobGone`] if the job was deleted, [`BulkError::JobTimeout`] if it does not end,
    /// [`BulkError::StayedOpen`] if it is not closed whatever Salesforce answers,
    /// [`BulkError::JobGoesOn`] if it cannot be watched any longer. The job goes on then, and
    /// [`Client::job`](crate::bulk::Client::job) takes its id.
    pub async fn finished(mut self) -> Result<EndedJob, BulkError> {
        match self.wait().await {
            Ok((state, info)) => Ok(EndedJob::new(&self.ingest, state, info, self.work)),
            Err(
                error @ (BulkError::JobGone { .. }
                | BulkError::JobTimeout { .. }
                | BulkError::StayedOpen { .. }),
            ) => Err(error),
            Err(error) => Err(BulkError::JobGoesOn {
                id: self.id,
                source: Box::new(error),
            }),
        }
    }

    /// As [`RunningJob::finished`], with the error of the call that failed.
    pub(super) async fn wait(&mut self) -> Result<(JobState, JobInfo), BulkError> {
        let timings = &self.ingest.jobs.timings;
        let waits = *self.ingest.connection.clock().waits();
        let (mut age, mut paused) = (Duration::ZERO, Duration::ZERO);
        let (mut warn_at, mut progress) = (WARN_AFTER, Progress::default());
        loop {
            let (state, info) = match self.read.take() {
                Some(read) => read,
                None => {
                    let pause = timings.poll_pause(age, self.work.as_ref(), &progress);
                    let pause = pause.min(waits.job_timeout.saturating_sub(age));
                    self.ingest.connection.clock().pause(pause).await;
                    self.ingest.connection.count_poll();
                    let asked = Instant::now();
                    let read = self.ingest.read_job(&self.id, Policy::InFlight).await?;
                    paused += pause;
                    age += pause + asked.elapsed();
                    read
                }
            };
            if state.is_terminal() {
                if let (JobState::JobComplete, Some(work)) = (state, &self.work) {
                    timings.ended(work, paused);
                }
                return Ok((state, info));
            }
            progress.note(age, info.number_records_processed.unwrap_or_default());
            if state == JobState::Open && age >= OPEN_AFTER_CLOSE {
                if age >= waits.patience {
                    return Err(self.stayed_open(age).await);
                }
                self.close_again().await;
            }
            if age >= waits.job_timeout {
                return Err(BulkError::JobTimeout {
                    id: self.id.clone(),
                    state: state.as_str(),
                    age,
                });
            }
            if age >= warn_at {
                warn_at += WARN_AFTER;
                let (state, minutes) = (state.as_str(), age.as_secs() / 60);
                tracing::warn!(
                    job_id = self.id,
                    state,
                    minutes,
                    "the job has not ended yet"
                );
            }
        }
    }

    /// Salesforce has confirmed the close and not done it. To close a job twice is to close it once,
    /// so that whatever comes of it shows in the state of the job.
    async fn close_again(&self) {
        let action = format!("closing job {} again", self.id);
        let closing = JobState::UploadComplete;
        let closed = self.ingest.patch(&action, &self.id, closing, Policy::Once);
        let error = closed.await.err();
        let error = error.as_ref().map(tracing::field::display);
        tracing::warn!(
            job_id = self.id,
            error,
            "the job is still Open although its close was confirmed: it was closed again"
        );
    }

    /// Gives a job up that is never closed.
    async fn stayed_open(&self, age: Duration) -> BulkError {
        let aborted = async {
            self.ingest.abort(&self.id).await?;
            self.ingest.read_job(&self.id, Policy::Courtesy).await
        };
        let aborted = matches!(aborted.await, Ok((JobState::Aborted, info))
            if info.number_records_processed.unwrap_or(0) == 0);
        BulkError::StayedOpen {
            id: self.id.clone(),
            age,
            aborted,
        }
    }
}

impl EndedJob {
    pub(super) fn new(ingest: &Ingest, state: JobState, info: JobInfo, work: Option<Work>) -> Self {
        Self {
            ingest: ingest.clone(),
            created_at: info.created_at(),
            work,
            missing: Arc::default(),
            id: info.id,
            state,
            processed: info.number_records_processed,
            failed: info.number_records_failed,
            message: info.error_message,
            created_by: info.created_by_id.or_else(|| ingest.connection.user_id()),
            total_processing_ms: info.total_processing_time,
            apex_processing_ms: info.apex_processing_time,
        }
    }

    /// The same job as Salesforce shows it now: its counts may lag behind its end.
    ///
    /// # Errors
    /// [`BulkError::JobGone`] if the job was deleted; any of a call's.
    pub async fn read_again(&self) -> Result<Self, BulkError> {
        let (state, info) = self.ingest.read_job(&self.id, Policy::InFlight).await?;
        let job = Self::new(&self.ingest, state, info, self.work.clone());
        Ok(Self {
            missing: Arc::clone(&self.missing),
            ..job
        })
    }

    /// Opens a result file. One that was missing once, and that for long, may come yet, but is asked
    /// for once each time; and jobs do not wait for the same outage one after the other.
    async fn file(&self, kind: ResultKind) -> Result<ResultStream, BulkError> {
        let name = kind.name();
        let files_unread = &self.ingest.jobs.files_unread;
        let policy = if self.missing.lock().contains(name) {
            Policy::MissingBefore
        } else if files_unread.load(Ordering::Relaxed) {
            Policy::InVainBefore
        } else {
            Policy::InFlight
        };
        let rows = self.work.as_ref().map(Work::rows);
        let file = results::read(&self.ingest, &self.id, kind, rows, policy).await;
        match &file {
            Ok(_) => files_unread.store(false, Ordering::Relaxed),
            Err(BulkError::JobGone { .. }) => {
                self.missing.lock().insert(name);
            }
            Err(BulkError::ResultsUnread { source, .. }) if source.passing().is_some() => {
                files_unread.store(true, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        file
    }

    /// Rows that were loaded: the columns `sf__Id`, `sf__Created` and those uploaded.
    ///
    /// # Errors
    /// [`BulkError::ResultsUnread`], [`BulkError::JobGone`]; the stream can fail as well.
    pub async fn successful_results(&self) -> Result<ResultStream, BulkError> {
        self.file(ResultKind::Successful).await
    }

    /// Rows that failed: the columns `sf__Id`, `sf__Error` and those uploaded.
    ///
    /// # Errors
    /// [`BulkError::ResultsUnread`], [`BulkError::JobGone`]; the stream can fail as well.
    pub async fn failed_results(&self) -> Result<ResultStream, BulkError> {
        self.file(ResultKind::Failed).await
    }

    /// Rows that the job did not get to: the columns uploaded.
    ///
    /// # Errors
    /// [`BulkError::ResultsUnread`], [`BulkError::JobGone`]; the stream can fail as well.
    pub async fn unprocessed(&self) -> Result<ResultStream, BulkError> {
        let columns = self.work.as_ref().map(|work| Arc::clone(&work.columns));
        self.file(ResultKind::Unprocessed(columns)).await
    }
}
