//! Small chunks of keyed operations: one call creates the job, uploads into it and closes it.
//!
//! The call is the point of no return, and until it is answered the job has no id. When the answer
//! is lost, Salesforce's list of jobs says which jobs may be the one. A job made a second time while
//! the first one is still to be processed could bring back older values. So each job that may be the
//! first one comes to its end before another is made, and the types make no other order possible:
//! only [`Unanswered::next_candidate`] gives the right to submit once more ([`NotMade`]), after all
//! candidates were looked at.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;

use super::Ingest;
use super::info::{JobInfo, JobState, JobTarget, can_be_one_record};
use super::job::{EndedJob, RunningJob};
use super::timings::Work;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Form, Patience, Payload, Policy, parse_json};
use crate::chunk::Chunk;

/// Characters of CSV that the call which creates a job can bring along (Bulk API 2.0 guide,
/// "Create a Job": multipart requests). Chunks are counted in bytes, which are never fewer, however
/// characters are counted.
pub const MULTIPART_CHARS: u64 = 100_000;

/// How much older than its call a job may look: clocks differ, and headers name whole seconds.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Pauses before each reading of the list of jobs: a gateway gives up on a call before Salesforce
/// does, so that a job can appear later.
const LIST_PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1_500),
    Duration::from_secs(3),
];

/// What came of the call that creates a job with its rows.
#[derive(Debug)]
#[must_use = "a job may have been made"]
pub enum Submitted {
    /// The job was made.
    Running(RunningJob),
    /// The answer was lost: a job may have been made, now or in a moment.
    Unanswered(Unanswered),
}

/// A call whose answer was lost: a job of its rows may have been made.
#[must_use = "a job may have been made"]
pub struct Unanswered {
    call: Box<Submission>,
    /// Why there is no answer.
    error: BulkError,
    /// How often the list of jobs was read.
    lists: usize,
    /// Jobs of the last list that were not looked at.
    listed: VecDeque<JobInfo>,
    /// Ids of those that were.
    seen: BTreeSet<String>,
}

/// The next step towards the job of an unanswered call.
#[derive(Debug)]
#[must_use = "a job may have been made"]
pub enum Search {
    /// A job that may be it.
    Candidate(Box<Candidate>),
    /// No other job can be it. If no candidate was, none was made.
    NotMade(NotMade),
}

/// A job that may be the one of an unanswered call, by its object, operation, user, time and number
/// of rows. It has come to its end; whether it holds the rows of the call is for the caller to say.
#[derive(Debug)]
#[must_use = "it is to be taken or passed over"]
pub struct Candidate {
    job: EndedJob,
    info: JobInfo,
    rest: Unanswered,
}

/// The right to submit the rows of an unanswered call once more.
#[derive(Debug)]
#[must_use = "the rows are not submitted"]
pub struct NotMade {
    call: Box<Submission>,
    error: BulkError,
}

/// The call, ready to be sent.
struct Submission {
    ingest: Ingest,
    target: JobTarget,
    work: Work,
    rows: u64,
    action: String,
    form: Form,
    patience: Patience,
    /// Salesforce's time before it was sent for the first time, less [`CLOCK_MARGIN`].
    since: DateTime<Utc>,
}

impl JobTarget {
    /// Whether [`Client::submit_small`](crate::bulk::Client::submit_small) takes the chunk: a keyed
    /// operation, and fewer bytes than [`MULTIPART_CHARS`].
    pub fn fits_one_call(&self, chunk: &Chunk) -> bool {
        self.operation.key_field().is_some() && chunk.bytes() < MULTIPART_CHARS
    }
}

impl Ingest {
    /// See [`Client::submit_small`](crate::bulk::Client::submit_small).
    pub(in crate::bulk) async fn submit_small(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
    ) -> Result<Submitted, BulkError> {
        let bytes = chunk.bytes();
        if !target.fits_one_call(chunk) {
            return Err(BulkError::NotSmall {
                object: target.object.clone(),
                operation: target.operation.as_str(),
                bytes,
            });
        }
        let action = format!(
            "creating a job for {} with its {bytes} bytes",
            target.object
        );
        let submission = Box::new(Submission {
            ingest: self.clone(),
            target: target.clone(),
            work: Work::new(target, chunk),
            rows: chunk.rows(),
            form: Form::new(&target.to_json(), csv(&action, chunk)?),
            action,
            patience: Patience::new(Policy::Load),
            since: self.connection.server_time() - CLOCK_MARGIN,
        });
        submission.send().await
    }
}

fn csv(action: &str, chunk: &Chunk) -> Result<Vec<u8>, BulkError> {
    let mut csv = Vec::new();
    for piece in chunk.csv() {
        csv.extend(piece.map_err(|error| BulkError::Serialize {
            action: action.to_owned(),
            reason: error.to_string(),
        })?);
    }
    Ok(csv)
}

impl Submission {
    /// Sends the call until it is answered, or its answer is lost.
    async fn send(mut self: Box<Self>) -> Result<Submitted, BulkError> {
        loop {
            let error = match self.send_once().await {
                Ok(job) => return Ok(Submitted::Running(job)),
                Err(error) => error,
            };
            if !error.not_done() {
                let object = &self.target.object;
                tracing::warn!(object, %error, "whether a job was created is unclear, looking");
                return Ok(Submitted::Unanswered(Unanswered {
                    call: self,
                    error,
                    lists: 0,
                    listed: VecDeque::new(),
                    seen: BTreeSet::new(),
                }));
            }
            self.wait(error).await?;
        }
    }

    async fn send_once(&self) -> Result<RunningJob, BulkError> {
        let path = ["jobs", "ingest"];
        let form = Payload::Form(&self.form);
        let call = Call::send(&self.action, Method::POST, &path, form);
        let answer = self.ingest.connection.read(&call).await?;
        let info: JobInfo = parse_json(&self.action, &answer)?;
        self.ingest.jobs.known.lock().insert(info.id.clone());
        let work = Some(self.work.clone());
        Ok(RunningJob::new(&self.ingest, info.id, work))
    }

    /// Spends the pause before the call is sent once more.
    async fn wait(&mut self, error: BulkError) -> Result<(), BulkError> {
        let connection = &self.ingest.connection;
        connection
            .wait_before_new(&mut self.patience, &self.action, error)
            .await
    }

    /// Whether the call can have made this job. One that is open was made in another way.
    fn can_have_made(&self, job: &JobInfo) -> bool {
        let user = self.ingest.connection.user_id();
        let by_us = can_be_one_record(user.as_deref(), job.created_by_id.as_deref());
        job.is_for(&self.target)
            && job.state != JobState::Open.as_str()
            && by_us
            && job.created_at().is_none_or(|created| created >= self.since)
            && !self.ingest.jobs.known.lock().contains(&job.id)
    }

    /// Whether an ended job can be of as many rows.
    fn is_as_large_as(&self, job: &EndedJob) -> bool {
        match job.state {
            JobState::JobComplete => job.processed.is_none_or(|rows| rows == self.rows),
            _ => (1..=self.rows).contains(&job.processed.unwrap_or(0)),
        }
    }

    fn unclear(&self, source: BulkError) -> BulkError {
        BulkError::SubmitUnclear {
            object: self.target.object.clone(),
            source: Box::new(source),
        }
    }
}

impl Unanswered {
    /// The next job that may be the one of the call, after it has come to its end.
    ///
    /// The list of jobs is read three times in five seconds: a job can appear late.
    ///
    /// # Errors
    /// [`BulkError::SubmitUnclear`] if the list or a job cannot be read: the rows may have been sent.
    pub async fn next_candidate(mut self) -> Result<Search, BulkError> {
        loop {
            while let Some(job) = self.listed.pop_front() {
                if !self.seen.insert(job.id.clone()) {
                    continue;
                }
                let ended = self.ended(job).await;
                if let Some((job, info)) = ended.map_err(|error| self.call.unclear(error))? {
                    return Ok(Search::Candidate(Box::new(Candidate {
                        job,
                        info,
                        rest: self,
                    })));
                }
            }
            let Some(pause) = LIST_PAUSES.get(self.lists) else {
                return Ok(Search::NotMade(NotMade {
                    call: self.call,
                    error: self.error,
                }));
            };
            self.lists += 1;
            let ingest = &self.call.ingest;
            ingest.connection.clock().pause(*pause).await;
            let jobs = ingest
                .list(Policy::InFlight, |job| self.call.can_have_made(job))
                .await;
            self.listed = jobs.map_err(|error| self.call.unclear(error))?.into();
        }
    }

    /// Waits for the job's end. `None` if it cannot be the one: it is gone, or of other rows.
    async fn ended(&self, job: JobInfo) -> Result<Option<(EndedJob, JobInfo)>, BulkError> {
        let (ingest, work) = (&self.call.ingest, &self.call.work);
        let state = JobState::parse(&job.id, &job.state)?;
        let running = RunningJob::new(ingest, job.id.clone(), Some(work.clone()));
        let (state, info) = match running.read(state, job).wait().await {
            Ok(ended) => ended,
            Err(BulkError::JobGone { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let job = EndedJob::new(ingest, state, info.clone(), Some(work.clone()));
        Ok(self.call.is_as_large_as(&job).then_some((job, info)))
    }
}

impl Candidate {
    /// The job, which has come to its end.
    pub fn job(&self) -> &EndedJob {
        &self.job
    }

    /// Takes it for the job of the call, whose end is known.
    pub fn take(self) -> RunningJob {
        let id = self.info.id.clone();
        tracing::info!(job_id = id, "the job has been found by its rows");
        let Submission { ingest, work, .. } = *self.rest.call;
        ingest.jobs.known.lock().insert(id.clone());
        RunningJob::new(&ingest, id, Some(work)).read(self.job.state, self.info)
    }

    /// It holds other rows: the search goes on.
    pub fn pass_over(self) -> Unanswered {
        self.rest
    }
}

impl NotMade {
    /// Submits the rows once more, after the pause that the call's retries ask for.
    ///
    /// # Errors
    /// The error that the answer was lost by, when patience runs out; otherwise as
    /// [`Client::submit_small`](crate::bulk::Client::submit_small).
    pub async fn submit(self) -> Result<Submitted, BulkError> {
        let mut call = self.call;
        call.wait(self.error).await?;
        call.send().await
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("target", &self.target)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unanswered")
            .field("call", &self.call)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
