//! A closed chunk becomes a job; its rows come to their end.

mod deliver;
mod judge;
mod outcomes;
mod resolve;
mod retry;

use std::sync::Arc;

use tokio::time::Instant;

use crate::bulk::{EndedJob, JobState};
use crate::chunk::Chunk;
use crate::coerce::Reason;
use crate::error::Result;
use crate::options::BATCH_RECORDS;
use crate::reject::RejectedRow;
use crate::rows::{MergedRow, RowSet};

use super::LoadError;
use super::checkpoint::End;
use super::closed::Closed;
use super::event::EventSender;
use super::org::{Reservation, Staging};
use super::settle::{Blame, JobFault};
use super::state::Load;
use deliver::Rejected;
use judge::{SettlePermit, Verdict, judge};
use outcomes::RowOutcomes;
use retry::{Attempt, Rebuilt, Retry, rebuild, retries};

/// What a chunk keeps until its job is closed.
struct UntilClosed {
    rows: RowSet,
    cells: Reservation,
    staging: Staging,
}

/// Rows of one job: those that are sent, and those that were merged into one of them.
struct JobRows {
    chunk: Chunk,
    merged: Vec<MergedRow>,
    attempt: Attempt,
}

/// What became of a job that was to be sent.
enum Sent {
    /// Each of its rows has its end or is to be retried.
    Settled,
    /// The load was stopped before that.
    Stopped,
}

/// The rows of a chunk while they are sent.
struct Submission {
    load: Arc<Load>,
    rejected: Rejected,
    retries: Vec<Retry>,
    /// Kept until the rejected rows are stored.
    settle_permit: Option<SettlePermit>,
    /// Mean length of a row as CSV.
    row_bytes: u64,
    /// When waiting for an allocation of the day ends, once one was used up.
    quota_deadline: Option<Instant>,
}

/// Submits the chunk, and what is retried of it, until each of its rows has its end.
///
/// Returns early, leaving rows without an end, when the load was stopped.
pub(super) async fn submit(load: Arc<Load>, closed: Closed, events: EventSender) -> Result<()> {
    let Closed {
        chunk,
        merged,
        keys,
        rows,
        rejects,
        cells,
        staging,
    } = closed;
    let until_closed = UntilClosed {
        rows,
        cells,
        staging,
    };
    let mut submission = Submission {
        rejected: Rejected::new(&load, rejects, events),
        load,
        retries: Vec::new(),
        settle_permit: None,
        row_bytes: chunk.bytes() / chunk.rows().max(1),
        quota_deadline: None,
    };
    let first = JobRows {
        chunk,
        merged,
        attempt: Attempt::first(submission.load.plan.options.max_attempts),
    };
    if let Sent::Stopped = submission.send_all(first, until_closed).await? {
        return Ok(());
    }
    submission.rejected.deliver(&submission.load).await?;
    let Submission {
        load,
        settle_permit,
        ..
    } = submission;
    drop(settle_permit);
    // Rows that waited for these keys may go now.
    drop(keys);
    load.ledger
        .check_rejected(load.plan.options.max_rejected_percent)
}

impl Submission {
    /// All jobs of the chunk's rows.
    async fn send_all(&mut self, first: JobRows, until_closed: UntilClosed) -> Result<Sent> {
        if first.chunk.rows() == 0 {
            self.load.ledger.rows().close(&until_closed.rows);
            drop(until_closed);
        } else if let Sent::Stopped = self.send(first, Some(until_closed)).await? {
            return Ok(Sent::Stopped);
        }
        while let Some(retry) = self.next_retry() {
            // Reasons are not kept through a pause where they are many.
            self.rejected.deliver_many(&self.load).await?;
            self.settle_permit = None;
            if !retry.due(&self.load).await {
                return Ok(Sent::Stopped);
            }
            if let Sent::Stopped = self.send_again(retry.rows, retry.attempt).await? {
                return Ok(Sent::Stopped);
            }
        }
        Ok(Sent::Settled)
    }

    /// Takes the rows out that may be sent first.
    fn next_retry(&mut self) -> Option<Retry> {
        let retries = self.retries.iter().enumerate();
        let (next, _) = retries.min_by_key(|(_, retry)| retry.not_before)?;
        Some(self.retries.swap_remove(next))
    }

    /// Sends rows in one more job.
    async fn send_again(&mut self, rows: RowSet, attempt: Attempt) -> Result<Sent> {
        let Rebuilt {
            chunk,
            merged,
            cells,
        } = rebuild(&self.load, rows).await?;
        if chunk.rows() == 0 {
            return Ok(Sent::Settled);
        }
        let rows = JobRows {
            chunk,
            merged,
            attempt,
        };
        let sent = self.send(rows, None).await;
        drop(cells);
        sent
    }

    /// One job, from its creation to what became of its rows.
    async fn send(&mut self, rows: JobRows, until_closed: Option<UntilClosed>) -> Result<Sent> {
        let JobRows {
            chunk,
            merged,
            attempt,
        } = rows;
        let sent = chunk.sent();
        let Some(ended) = run(&self.load, chunk, until_closed).await? else {
            return Ok(Sent::Stopped);
        };
        let job = Job::of(&self.load, &ended);
        if job.fault == JobFault::Quota {
            self.wait_for_quota(&job, &ended, sent.len())?;
        }
        let ends = match judge(&self.load, ended, job.fault, &sent).await? {
            Verdict::Stopped => return Ok(Sent::Stopped),
            Verdict::Refused => return Err(job.refused()),
            Verdict::Ends(ends, permit) => {
                self.settle_permit = permit;
                ends
            }
        };
        let load = &self.load;
        let outcomes = RowOutcomes::of(ends, &load.plan.target.operation, attempt);
        outcomes.check(&sent)?;
        accept(load, &outcomes.accepted, &merged);
        warn(load, &job, &outcomes, attempt);
        without_end(load, &outcomes, &job, attempt)?;
        let retries = retries(load, &outcomes, &merged, attempt, job.fault, self.row_bytes);
        if !retries.is_empty() && load.stop.is_cancelled() {
            return Ok(Sent::Stopped);
        }
        self.retries.extend(retries);
        self.rejected
            .extend(refused(outcomes.rejected, &merged, &job.id));
        Ok(Sent::Settled)
    }

    /// Fails if rows of a job that an allocation of the day was used up for are to wait no longer.
    fn wait_for_quota(&mut self, job: &Job, ended: &EndedJob, sent: u64) -> Result<()> {
        let waits = self.load.org.options().waits;
        let now = Instant::now();
        if let Some(wait) = waits.limit_wait {
            let first = || now + waits.scaled(wait);
            if now < *self.quota_deadline.get_or_insert_with(first) {
                return Ok(());
            }
        }
        Err(LoadError::Quota {
            job: job.id.clone(),
            allocation: allocation(job.message()),
            message: job.message().to_owned(),
            processed: ended.processed.unwrap_or(0).min(sent),
            rows: sent,
        }
        .into())
    }
}

/// What is to be said of a job that ended.
struct Job {
    id: String,
    fault: JobFault,
    message: Option<String>,
}

impl Job {
    fn of(load: &Load, ended: &EndedJob) -> Self {
        let message = ended.message.clone();
        let message = message.filter(|_| ended.state != JobState::JobComplete);
        let columns = load.plan.coercion.cells_schema().fields().iter();
        let columns: Vec<String> = columns.map(|field| field.name().clone()).collect();
        Self {
            id: ended.id.clone(),
            fault: JobFault::of(message.as_deref(), &columns),
            message,
        }
    }

    /// Why it failed, in the words of Salesforce.
    fn message(&self) -> &str {
        let message = self.message.as_deref().map(str::trim);
        message
            .filter(|text| !text.is_empty())
            .unwrap_or("Salesforce gave no reason")
    }

    fn refused(&self) -> crate::error::Error {
        LoadError::JobRefused {
            job: self.id.clone(),
            message: self.message().to_owned(),
            cure: match self.fault {
                JobFault::Refused(Blame::Setting) => {
                    "check the object, the operation and the permissions of the integration user"
                }
                _ => {
                    "correct the columns of the stream, or the integration user's access to these \
                     fields"
                }
            },
        }
        .into()
    }
}

/// The allocation of the day that a message is about.
fn allocation(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("batch") {
        "batches of jobs (15,000 in 24 hours, shared by all users)"
    } else if message.contains("job") {
        "jobs"
    } else {
        "bulk loads"
    }
}

/// Rows that a job refused, and with them those that were merged into them.
fn refused(
    rejected: Vec<(u64, Arc<Reason>)>,
    merged: &[MergedRow],
    job_id: &str,
) -> impl Iterator<Item = RejectedRow> {
    let job_id: Arc<str> = job_id.into();
    let parts: Vec<(u64, Arc<Reason>)> = merged
        .iter()
        .filter_map(|MergedRow { row, into }| {
            let found = rejected.binary_search_by_key(into, |(ordinal, _)| *ordinal);
            Some((*row, Arc::clone(&rejected[found.ok()?].1)))
        })
        .collect();
    let all = rejected.into_iter().chain(parts);
    all.map(move |(ordinal, reason)| RejectedRow {
        ordinal,
        reason,
        job_id: Some(Arc::clone(&job_id)),
    })
}

fn warn(load: &Load, job: &Job, outcomes: &RowOutcomes, attempt: Attempt) {
    let unprocessed = outcomes.unprocessed() + outcomes.unknown.len();
    let passing = outcomes.retryable();
    if unprocessed + passing > 0 {
        tracing::warn!(
            stream = %load.plan.name, job = %job.id, attempt = attempt.number, unprocessed, passing,
            message = job.message.as_deref().unwrap_or_default(),
            "rows stayed unprocessed, or were refused for a reason that may pass"
        );
    }
}

/// Fails if rows have no end after their last attempt, or if it is unknown and they must not be sent
/// again.
fn without_end(load: &Load, outcomes: &RowOutcomes, job: &Job, attempt: Attempt) -> Result<()> {
    let (unprocessed, unknown) = (outcomes.unprocessed(), outcomes.unknown.len());
    let id = job.id.clone();
    let object = load.plan.target.object.clone();
    if unknown > 0 && load.plan.coercion.key().is_none() {
        return Err(LoadError::Indeterminate {
            job: id,
            object,
            rows: unknown,
        }
        .into());
    }
    if !attempt.is_last() || job.fault == JobFault::Quota {
        return Ok(());
    }
    if unprocessed > 0 {
        return Err(LoadError::Unprocessed {
            rows: unprocessed,
            attempts: attempt.number,
            job: id,
            message: job.message().to_owned(),
        }
        .into());
    }
    if unknown > 0 {
        return Err(LoadError::NoResult {
            job: id,
            object,
            rows: unknown,
            attempts: attempt.number,
        }
        .into());
    }
    Ok(())
}

/// Runs a job in a slot of the org. `None` if the load was stopped before the job was closed: then
/// nothing of it was processed.
async fn run(
    load: &Arc<Load>,
    chunk: Chunk,
    until_closed: Option<UntilClosed>,
) -> Result<Option<EndedJob>> {
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let admission = load.org.admission();
    let Some(job_permit) = admission.job_slot(&load.stop).await else {
        return Ok(None);
    };
    let Some(upload_permit) = admission.upload_slot(&load.stop).await else {
        return Ok(None);
    };
    let chunk = Arc::new(chunk);
    let plan = &load.plan;
    let running = if plan.target.fits_one_call(&chunk) {
        let running =
            resolve::submit_small(&load.client, &plan.target, &plan.coercion, &chunk).await?;
        drop(upload_permit);
        running
    } else {
        let staged = load.client.stage(&plan.target, &chunk).await?;
        drop(upload_permit);
        if load.stop.is_cancelled() {
            staged.abort().await?;
            return Ok(None);
        }
        staged.close().await?
    };
    drop(chunk);
    if let Some(until_closed) = until_closed {
        release(load, until_closed).await?;
    }
    let ended = running.finished().await?;
    drop(job_permit);
    let batches = rows.div_ceil(BATCH_RECORDS);
    load.org.job_ended(batches);
    load.ledger.job_ended(batches, bytes);
    Ok(Some(ended))
}

/// The job of a chunk is closed: its cells go, and its source rows may be packed.
async fn release(load: &Arc<Load>, until_closed: UntilClosed) -> Result<()> {
    load.ledger.rows().close(&until_closed.rows);
    drop(until_closed.cells);
    if load.org.budget().is_tight() {
        let load = Arc::clone(load);
        let packed = tokio::task::spawn_blocking(move || load.ledger.rows().pack());
        packed.await.map_err(LoadError::from)??;
    }
    drop(until_closed.staging);
    Ok(())
}

/// These rows are in Salesforce, and with them those that were merged into them.
fn accept(load: &Load, accepted: &RowSet, merged: &[MergedRow]) {
    let parts = merged.iter().filter(|row| accepted.contains(row.into));
    let parts: RowSet = parts.map(|merged| merged.row).collect();
    load.ledger.end(parts.ranges(), End::Merged);
    load.ledger.end(accepted.ranges(), End::Accepted);
}
