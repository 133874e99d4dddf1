//! A closed chunk becomes a job; its rows come to their end.

pub(super) mod deliver;
pub(super) mod judge;
mod resolve;
pub(super) mod retry;

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::bulk::EndedJob;
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
use super::org::Reservation;
use super::org::Staging;
use super::settle::Again;
use super::state::Load;
use deliver::reject;
use judge::{Outcome, judge};
use retry::{self as again, ATTEMPTS, Rebuilt, Round, rebuild};

/// What a chunk gives back when its job is closed.
struct Held {
    rows: RowSet,
    cells: Reservation,
    staging: Staging,
}

/// Rows of one job: those that are sent, and those that were merged into one of them.
struct JobRows {
    chunk: Chunk,
    merged: Vec<MergedRow>,
    /// Which of their jobs this is, counted from 1.
    number: u32,
}

/// What is known of a chunk's rows while they are sent.
struct Open {
    rejects: Vec<RejectedRow>,
    rounds: Vec<Round>,
    /// Kept until the rejected rows are stored.
    turn: Option<OwnedMutexGuard<()>>,
    /// Mean length of a row as CSV.
    row_bytes: u64,
}

/// Submits the chunk, and what goes again of it, until each of its rows has its end.
///
/// Answers early, leaving rows without an end, when the load was stopped.
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
    let held = Held {
        rows,
        cells,
        staging,
    };
    let mut open = Open {
        rejects,
        rounds: Vec::new(),
        turn: None,
        row_bytes: chunk.bytes() / chunk.rows().max(1),
    };
    if chunk.rows() == 0 {
        load.ledger.rows().close(&held.rows);
        drop(held);
    } else {
        let first = JobRows {
            chunk,
            merged,
            number: 1,
        };
        if !open.send(&load, first, Some(held)).await? {
            return Ok(());
        }
    }
    while let Some(round) = open.rounds.pop() {
        drop(open.turn.take());
        if !round.due(&load).await {
            return Ok(());
        }
        let Rebuilt {
            chunk,
            merged,
            cells,
        } = rebuild(&load, &round.rows)?;
        let rows = JobRows {
            chunk,
            merged,
            number: round.number,
        };
        if rows.chunk.rows() > 0 && !open.send(&load, rows, None).await? {
            return Ok(());
        }
        drop(cells);
    }
    open.rejects.sort_unstable_by_key(|row| row.ordinal);
    reject(&load, &open.rejects, &events).await?;
    drop(open.turn);
    // Rows that waited for these keys may go now.
    drop(keys);
    load.ledger
        .check_rejected(load.plan.options.max_rejected_percent)
}

impl Open {
    /// One job, from its creation to what became of its rows. False if the load was stopped.
    async fn send(&mut self, load: &Arc<Load>, rows: JobRows, held: Option<Held>) -> Result<bool> {
        let JobRows {
            chunk,
            merged,
            number,
        } = rows;
        let sent = chunk.sent();
        let Some(ended) = run(load, chunk, held).await? else {
            return Ok(false);
        };
        let mut outcome = judge(load, &ended, &sent).await?;
        sort_out(load, &mut outcome, number);
        accept(load, &sent, &merged, &outcome);
        warn(load, &ended, &outcome, number);
        let rounds = again::rounds(load, &mut outcome, &merged, number, self.row_bytes);
        if !rounds.is_empty() && load.stop.is_cancelled() {
            return Ok(false);
        }
        self.rounds.extend(rounds);
        without_end(load, &outcome, &ended.id)?;
        self.rejects
            .extend(refused(outcome.rejected, &merged, &ended.id));
        self.turn = outcome.turn;
        Ok(true)
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

/// Takes the rows out of the refused ones that are sent again, or that are as they should be.
fn sort_out(load: &Load, outcome: &mut Outcome, number: u32) {
    let passing = &mut outcome.passing;
    outcome.rejected.retain(|(ordinal, reason)| {
        match Again::of(reason, &load.plan.target.operation) {
            Again::Never => true,
            Again::Done => false,
            _ if number == ATTEMPTS => true,
            again => {
                passing.push((*ordinal, again));
                false
            }
        }
    });
}

fn warn(load: &Load, ended: &EndedJob, outcome: &Outcome, number: u32) {
    let unprocessed = outcome.unprocessed.len() + outcome.indeterminate.len();
    let passing = outcome.passing.len();
    if unprocessed + passing > 0 {
        tracing::warn!(
            stream = %load.plan.name, job = %ended.id, attempt = number, unprocessed, passing,
            "rows stayed unprocessed, or were refused for a reason that may pass"
        );
    }
}

/// Fails if rows were in as many jobs as they may be in, and still have no end.
fn without_end(load: &Load, outcome: &Outcome, job: &str) -> Result<()> {
    let job = job.to_owned();
    if !outcome.unprocessed.is_empty() {
        return Err(LoadError::Unprocessed {
            rows: outcome.unprocessed.len() as u64,
            attempts: ATTEMPTS,
            job,
        }
        .into());
    }
    if !outcome.indeterminate.is_empty() {
        return Err(LoadError::NoResult {
            job,
            object: load.plan.target.object.clone(),
            rows: outcome.indeterminate.len() as u64,
            attempts: ATTEMPTS,
        }
        .into());
    }
    Ok(())
}

/// Runs a job in a slot of the org. `None` if the load was stopped before the job was closed: then
/// nothing of it was processed.
async fn run(load: &Arc<Load>, chunk: Chunk, held: Option<Held>) -> Result<Option<EndedJob>> {
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let Some(slot) = load.org.admission().job_slot(&load.stop).await else {
        return Ok(None);
    };
    let Some(uploading) = load.org.admission().upload_slot(&load.stop).await else {
        return Ok(None);
    };
    let chunk = Arc::new(chunk);
    let running = if load.plan.target.fits_one_call(&chunk) {
        let plan = &load.plan;
        let running =
            resolve::submit_small(&load.client, &plan.target, &plan.coercion, &chunk).await?;
        drop(uploading);
        running
    } else {
        let staged = load.client.stage(&load.plan.target, &chunk).await?;
        drop(uploading);
        if load.stop.is_cancelled() {
            staged.abort().await?;
            return Ok(None);
        }
        staged.close().await?
    };
    drop(chunk);
    if let Some(held) = held {
        give_back(load, held).await?;
    }
    let ended = running.finished().await?;
    drop(slot);
    let batches = rows.div_ceil(BATCH_RECORDS);
    load.org.job_ended(batches);
    load.ledger.job_ended(batches, bytes);
    Ok(Some(ended))
}

/// The job of a chunk is closed: its cells go, and its source rows may be packed.
async fn give_back(load: &Arc<Load>, held: Held) -> Result<()> {
    load.ledger.rows().close(&held.rows);
    drop(held.cells);
    if load.org.budget().is_tight() {
        let load = Arc::clone(load);
        let packed = tokio::task::spawn_blocking(move || load.ledger.rows().pack());
        packed.await.map_err(LoadError::from)??;
    }
    drop(held.staging);
    Ok(())
}

/// The rows that are neither rejected nor sent again are in Salesforce, and those merged into them.
fn accept(load: &Load, sent: &RowSet, merged: &[MergedRow], outcome: &Outcome) {
    let rejected = outcome.rejected.iter().map(|(ordinal, _)| *ordinal);
    let passing = outcome.passing.iter().map(|(ordinal, _)| *ordinal);
    let mut others: Vec<u64> = rejected.chain(passing).collect();
    others.extend(&outcome.unprocessed);
    others.extend(&outcome.indeterminate);
    others.sort_unstable();
    let parts = merged
        .iter()
        .filter(|merged| others.binary_search(&merged.into).is_err());
    let parts: RowSet = parts.map(|merged| merged.row).collect();
    load.ledger.end(parts.ranges(), End::Merged);
    let mut others = others.into_iter().peekable();
    for range in sent.ranges() {
        let mut from = range.start;
        while let Some(other) = others.next_if(|other| *other < range.end) {
            load.ledger.end([from..other], End::Accepted);
            from = other + 1;
        }
        load.ledger.end([from..range.end], End::Accepted);
    }
}
