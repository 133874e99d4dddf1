//! A closed chunk becomes a job; its rows come to their end.

mod deliver;
mod judge;
mod outcomes;
mod resolve;
mod retry;

use std::sync::Arc;

use crate::bulk::{BulkError, EndedJob};
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
use super::org::{JobInFlight, Reservation, Staging};
use super::settle::Ends;
use super::state::Load;
use deliver::deliver;
use judge::SettlePermit;
use outcomes::RowOutcomes;
use retry::{ATTEMPTS, Rebuilt, Retry, rebuild, retries};

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
    /// Which of their jobs this is, counted from 1.
    attempt: u32,
}

/// The rows of a chunk while they are sent.
struct Submission {
    load: Arc<Load>,
    rejects: Vec<RejectedRow>,
    retries: Vec<Retry>,
    /// Kept until the rejected rows are stored.
    settle_permit: Option<SettlePermit>,
    /// Mean length of a row as CSV.
    row_bytes: u64,
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
        under_way,
    } = closed;
    let until_closed = UntilClosed {
        rows,
        cells,
        staging,
    };
    // After a failure, or a panic, no row that waits for these keys may go.
    let stop = load.stop.clone().drop_guard();
    let mut submission = Submission {
        load,
        rejects,
        retries: Vec::new(),
        settle_permit: None,
        row_bytes: chunk.bytes() / chunk.rows().max(1),
    };
    let first = JobRows {
        chunk,
        merged,
        attempt: 1,
    };
    if !submission.send_all(first, until_closed).await? {
        return Ok(());
    }
    let Submission {
        load,
        mut rejects,
        settle_permit,
        ..
    } = submission;
    rejects.sort_unstable_by_key(|row| row.ordinal);
    deliver(&load, rejects, &events).await?;
    drop(settle_permit);
    stop.disarm();
    // Rows that waited for these keys may go now.
    drop(keys);
    drop(under_way);
    load.ledger
        .check_rejected(load.plan.options.max_rejected_percent)
}

impl Submission {
    /// All jobs of the chunk's rows. False if the load was stopped.
    async fn send_all(&mut self, first: JobRows, until_closed: UntilClosed) -> Result<bool> {
        if first.chunk.rows() == 0 {
            self.load.ledger.rows().close(&until_closed.rows);
            drop(until_closed);
        } else if !self.send(first, Some(until_closed)).await? {
            return Ok(false);
        }
        while let Some(retry) = self.retries.pop() {
            self.settle_permit = None;
            if !retry.due(&self.load).await {
                return Ok(false);
            }
            let attempt = retry.attempt;
            let Rebuilt {
                chunk,
                merged,
                cells,
            } = rebuild(&self.load, retry.rows).await?;
            let rows = JobRows {
                chunk,
                merged,
                attempt,
            };
            if rows.chunk.rows() > 0 && !self.send(rows, None).await? {
                return Ok(false);
            }
            drop(cells);
        }
        Ok(true)
    }

    /// One job, from its creation to what became of its rows. False if the load was stopped.
    async fn send(&mut self, rows: JobRows, until_closed: Option<UntilClosed>) -> Result<bool> {
        let JobRows {
            chunk,
            merged,
            attempt,
        } = rows;
        let sent = chunk.sent();
        let load = Arc::clone(&self.load);
        let in_flight = load.org.in_flight().begin(load.id);
        let Some(ended) = run(&load, chunk, until_closed, &in_flight).await? else {
            return Ok(false);
        };
        let ends = self.ends(&ended, &sent).await?;
        let last = attempt == ATTEMPTS;
        let outcomes = RowOutcomes::of(ends, &load.plan.target.operation, last);
        outcomes.check(&sent)?;
        accept(&load, &outcomes.accepted, &merged);
        drop(in_flight);
        warn(&load, &ended, &outcomes, attempt);
        if last {
            without_end(&load, &outcomes, &ended.id)?;
        } else {
            let retries = retries(&load, &outcomes, &merged, attempt, self.row_bytes);
            if !retries.is_empty() && load.stop.is_cancelled() {
                return Ok(false);
            }
            self.retries.extend(retries);
        }
        self.rejects
            .extend(refused(outcomes.rejected, &merged, &ended.id));
        Ok(true)
    }

    /// What became of the rows `sent` in a job.
    async fn ends(&mut self, ended: &EndedJob, sent: &RowSet) -> Result<Ends> {
        if let Some(ends) = judge::by_counts(ended, sent)? {
            return Ok(ends);
        }
        let permit = self.load.org.admission().settle_permit().await;
        let ends = judge::by_results(&self.load, ended, sent, &permit).await?;
        self.settle_permit = Some(permit);
        Ok(ends)
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

fn warn(load: &Load, ended: &EndedJob, outcomes: &RowOutcomes, attempt: u32) {
    let unprocessed = outcomes.unprocessed() + outcomes.unknown.len();
    let passing = outcomes.retryable();
    if unprocessed + passing > 0 {
        tracing::warn!(
            stream = %load.plan.name, job = %ended.id, attempt, unprocessed, passing,
            "rows stayed unprocessed, or were refused for a reason that may pass"
        );
    }
}

/// Fails if rows have no end after their last attempt.
fn without_end(load: &Load, outcomes: &RowOutcomes, job: &str) -> Result<()> {
    let job = job.to_owned();
    let (unprocessed, unknown) = (outcomes.unprocessed(), outcomes.unknown.len());
    if unprocessed > 0 {
        return Err(LoadError::Unprocessed {
            rows: unprocessed,
            attempts: ATTEMPTS,
            job,
        }
        .into());
    }
    if unknown > 0 {
        return Err(LoadError::NoResult {
            job,
            object: load.plan.target.object.clone(),
            rows: unknown,
            attempts: ATTEMPTS,
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
    in_flight: &JobInFlight<'_>,
) -> Result<Option<EndedJob>> {
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let admission = load.org.admission();
    let Some(job_permit) = admission.job_slot(&load.stop).await else {
        return Ok(None);
    };
    let batches = rows.div_ceil(BATCH_RECORDS);
    let limits = load.org.limits();
    let Some(job_batches) = limits.room_for(batches, &load.stop).await? else {
        return Ok(None);
    };
    let Some(upload_permit) = admission.upload_slot(&load.stop).await else {
        return Ok(None);
    };
    let chunk = Arc::new(chunk);
    let plan = &load.plan;
    let running = if plan.target.fits_one_call(&chunk) {
        let submitted =
            resolve::submit_small(&load.client, &plan.target, &plan.coercion, &chunk).await;
        match submitted {
            Err(error) if error.is_stopped() => return Ok(None),
            submitted => submitted?,
        }
    } else {
        let staged = match load.client.stage(&plan.target, &chunk).await {
            Err(BulkError::Stopped { .. }) => return Ok(None),
            staged => staged?,
        };
        if load.stop.is_cancelled() {
            let id = staged.id().to_owned();
            if let Err(error) = staged.abort().await {
                tracing::warn!(job = id, %error, "a job that was not closed could not be aborted");
            }
            return Ok(None);
        }
        in_flight.is(staged.id());
        drop(upload_permit);
        staged.close().await?
    };
    in_flight.is(running.id());
    drop(chunk);
    if let Some(until_closed) = until_closed {
        release(load, until_closed).await?;
    }
    let ended = running.finished().await?;
    drop((job_permit, job_batches));
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
