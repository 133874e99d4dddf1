//! A closed chunk becomes a job; its rows come to their end.

mod deliver;
mod ended;
mod judge;
mod outcomes;
mod resolve;
mod retry;
mod run;

use std::sync::Arc;

use tokio::time::Instant;

use crate::bulk::EndedJob;
use crate::chunk::Chunk;
use crate::error::Result;
use crate::rows::{MergedRow, RowSet};

use super::checkpoint::End;
use super::closed::Closed;
use super::event::EventSender;
use super::settle::JobFault;
use super::state::Load;
use deliver::{Rejected, refused};
use ended::Job;
use judge::{SettlePermit, Verdict, judge};
use outcomes::RowOutcomes;
use retry::{Attempt, Rebuilt, Retry, rebuild, retries};
use run::{UntilClosed, run};

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
    // After a failure, or a panic, no row that waits for these keys may go.
    let stop = load.stop.clone().drop_guard();
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
    stop.disarm();
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
        let load = Arc::clone(&self.load);
        let in_flight = load.org.in_flight().begin(load.id);
        let Some(ended) = run(&load, chunk, until_closed, &in_flight).await? else {
            return Ok(Sent::Stopped);
        };
        let job = Job::of(&load, &ended);
        if job.fault == JobFault::Quota {
            self.wait_for_quota(&job, &ended, sent.len())?;
        }
        let ends = match judge(&load, ended, job.fault, &sent).await? {
            Verdict::Stopped => return Ok(Sent::Stopped),
            Verdict::Refused => return Err(job.refused()),
            Verdict::Ends(ends, permit) => {
                self.settle_permit = permit;
                ends
            }
        };
        let outcomes = RowOutcomes::of(ends, &load.plan.target.operation, attempt);
        outcomes.check(&sent)?;
        accept(&load, &outcomes.accepted, &merged);
        drop(in_flight);
        job.warn(&outcomes, attempt);
        job.check_ends(&outcomes, attempt)?;
        let retries = retries(
            &load,
            &outcomes,
            &merged,
            attempt,
            job.fault,
            self.row_bytes,
        );
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
        Err(job.quota(ended, sent))
    }
}

/// These rows are in Salesforce, and with them those that were merged into them.
fn accept(load: &Load, accepted: &RowSet, merged: &[MergedRow]) {
    let parts = merged.iter().filter(|row| accepted.contains(row.into));
    let parts: RowSet = parts.map(|merged| merged.row).collect();
    load.ledger.end(parts.ranges(), End::Merged);
    load.ledger.end(accepted.ranges(), End::Accepted);
}
