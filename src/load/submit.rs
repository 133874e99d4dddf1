//! A closed chunk becomes a job; its rows come to their end.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use chrono::Utc;
use tokio::sync::mpsc;

use crate::bulk::EndedJob;
use crate::chunk::{Chunk, RowOrdinals};
use crate::coerce::Reason;
use crate::error::{Error, Result};
use crate::reject::{self, RejectedRow};
use crate::settings::BATCH_RECORDS;

use super::LoadError;
use super::budget::Grant;
use super::checkpoint::End;
use super::judge::{Outcome, judge};
use super::loader::{Event, Load, Rejects};
use super::ordinals::{Ordinals, gaps, ranges, span};
use super::org::Staging;
use super::pipeline::{Closed, rebuilt_bytes, skip_mask};

/// Jobs that a row may be in, when Salesforce leaves it unprocessed.
const ATTEMPTS: u32 = 3;

/// Part of the memory limit that rows sent again may take at once, as CSV.
const AGAIN_SHARE: u64 = 64;

/// What a chunk gives back when its job is closed.
struct Held {
    span: Range<u64>,
    cells: Grant,
    staging: Staging,
}

/// Submits the chunk, and what stays unprocessed again, until each of its rows has its end.
///
/// Answers early, leaving rows without an end, when the load was stopped.
pub(super) async fn submit(
    load: Arc<Load>,
    closed: Closed,
    events: mpsc::Sender<Result<Event>>,
) -> Result<()> {
    let Closed {
        chunk,
        span,
        mut rejects,
        cells,
        staging,
    } = closed;
    let held = Held {
        span,
        cells,
        staging,
    };
    let mut turn = None;
    if chunk.rows() == 0 {
        load.rows.close(held.span.clone());
        drop(held);
    } else {
        let row_bytes = chunk.bytes() / chunk.rows();
        let Some((id, outcome)) = attempt(&load, chunk, Some(held)).await? else {
            return Ok(());
        };
        rejects.extend(refused(outcome.rejected, &id));
        turn = outcome.turn;
        let mut waiting = pieces(&load, &outcome.again, row_bytes, 2);
        while let Some((rows, number)) = waiting.pop() {
            drop(turn.take());
            let (chunk, cells) = rebuild(&load, &rows)?;
            let Some((id, outcome)) = attempt(&load, chunk, None).await? else {
                return Ok(());
            };
            drop(cells);
            if number == ATTEMPTS && !outcome.again.is_empty() {
                let rows = outcome.again.len() as u64;
                return Err(LoadError::Unprocessed {
                    rows,
                    attempts: ATTEMPTS,
                    job: id,
                }
                .into());
            }
            rejects.extend(refused(outcome.rejected, &id));
            turn = outcome.turn;
            waiting.extend(pieces(&load, &outcome.again, row_bytes, number + 1));
        }
    }
    rejects.sort_unstable_by_key(|row| row.ordinal);
    reject(&load, &rejects, &events).await?;
    drop(turn);
    Ok(())
}

/// Rows that a job refused.
fn refused(rejected: Vec<(u64, Reason)>, job_id: &str) -> impl Iterator<Item = RejectedRow> {
    let job_id: Arc<str> = job_id.into();
    rejected
        .into_iter()
        .map(move |(ordinal, reason)| RejectedRow {
            ordinal,
            reason,
            job_id: Some(Arc::clone(&job_id)),
        })
}

/// One job from its creation to the end of those of its rows that Salesforce took.
async fn attempt(
    load: &Arc<Load>,
    chunk: Chunk,
    held: Option<Held>,
) -> Result<Option<(String, Outcome)>> {
    let sent: Ordinals = chunk.ordinals().collect();
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let Some(ended) = run(load, chunk, held).await? else {
        return Ok(None);
    };
    {
        let mut tally = load.tally();
        tally.jobs += 1;
        tally.batches += rows.div_ceil(BATCH_RECORDS);
        tally.uploaded += bytes;
    }
    let outcome = judge(load, &ended, &sent).await?;
    accept(load, &sent, &outcome);
    if !outcome.again.is_empty() {
        if load.stop.is_cancelled() {
            return Ok(None);
        }
        tracing::warn!(
            stream = %load.name, job = %ended.id, rows = outcome.again.len(),
            "rows stayed unprocessed and are sent again"
        );
    }
    Ok(Some((ended.id, outcome)))
}

/// Creates, uploads and closes a job and waits for its end, in a slot of the org. `None` if the load
/// was stopped before the job was closed: then nothing of it was processed.
async fn run(load: &Arc<Load>, chunk: Chunk, held: Option<Held>) -> Result<Option<EndedJob>> {
    let Some(slot) = load.org.job_slot(&load.stop).await else {
        return Ok(None);
    };
    let Some(uploading) = load.org.upload_slot(&load.stop).await else {
        return Ok(None);
    };
    let chunk = Arc::new(chunk);
    let staged = load.client.stage(&load.target, &chunk).await?;
    drop(uploading);
    if load.stop.is_cancelled() {
        staged.abort().await?;
        return Ok(None);
    }
    let running = staged.close().await?;
    drop(chunk);
    if let Some(Held {
        span,
        cells,
        staging,
    }) = held
    {
        load.rows.close(span);
        drop(cells);
        if load.org.budget().is_tight() {
            let load = Arc::clone(load);
            let packed = tokio::task::spawn_blocking(move || load.rows.pack());
            packed.await.map_err(LoadError::from)??;
        }
        drop(staging);
    }
    let ended = running.finished().await?;
    drop(slot);
    Ok(Some(ended))
}

/// Rows to send again, in jobs small enough that the memory they take is small as well.
fn pieces(load: &Load, again: &[u64], row_bytes: u64, number: u32) -> Vec<(Ordinals, u32)> {
    let bytes = load.org.settings().memory_limit_bytes / AGAIN_SHARE;
    let rows = usize::try_from(bytes / row_bytes.max(1))
        .unwrap_or(usize::MAX)
        .max(1);
    again
        .chunks(rows)
        .map(|rows| (ranges(rows), number))
        .collect()
}

/// Coerces rows once more into a chunk of their own.
fn rebuild(load: &Load, rows: &Ordinals) -> Result<(Chunk, Grant)> {
    let mut chunker = load.chunker()?;
    let mut cells = load.org.budget().grant(0);
    let span = span(rows);
    for read in load.rows.read(span) {
        let (first, batch) = read?;
        let end = first + batch.num_rows() as u64;
        let coerced = load.coercion.apply(&batch)?;
        let outside = gaps(rows, first..end).map(|ordinal| (ordinal - first) as usize);
        let skip = skip_mask(batch.num_rows(), outside);
        cells.grow(batch.get_array_memory_size() + rebuilt_bytes(&batch, &coerced.batch));
        let pushed = chunker.push(&coerced.batch, RowOrdinals::From(first), skip)?;
        if !pushed.closed.is_empty() || !pushed.oversized.is_empty() {
            return Err(Error::system("rows of one job do not fit in one job again"));
        }
    }
    let chunk = chunker
        .close()
        .ok_or_else(|| Error::system("rows to send again are gone"))?;
    Ok((chunk, cells))
}

/// The rows that are neither rejected nor sent again are in Salesforce.
fn accept(load: &Load, sent: &Ordinals, outcome: &Outcome) {
    let mut others: Vec<u64> = outcome
        .rejected
        .iter()
        .map(|(ordinal, _)| *ordinal)
        .collect();
    others.extend(&outcome.again);
    others.sort_unstable();
    let mut others = others.into_iter().peekable();
    for range in sent {
        let mut from = range.start;
        while let Some(other) = others.next_if(|other| *other < range.end) {
            load.end(from..other, End::Accepted);
            from = other + 1;
        }
        load.end(from..range.end, End::Accepted);
    }
    load.ended.notify_one();
}

/// Hands rejected rows on with the columns they came with, then counts them as ended.
async fn reject(
    load: &Load,
    rejects: &[RejectedRow],
    events: &mpsc::Sender<Result<Event>>,
) -> Result<()> {
    let (Some(first), Some(last)) = (rejects.first(), rejects.last()) else {
        return Ok(());
    };
    let mut records = Vec::new();
    let mut rest = rejects;
    for read in load.rows.read(first.ordinal..last.ordinal + 1) {
        let (first, batch) = read?;
        let end = first + batch.num_rows() as u64;
        let (here, later) = rest.split_at(rest.partition_point(|row| row.ordinal < end));
        rest = later;
        if !here.is_empty() && !matches!(load.rejects, Rejects::Count) {
            records.push(rejected_records(first, &batch, here)?);
        }
    }
    let bytes = records.iter().map(RecordBatch::get_array_memory_size).sum();
    let held = load.org.budget().grant(bytes);
    deliver(load, records, events).await?;
    drop(held);
    let mut tally = load.tally();
    for row in rejects {
        tally.rejects.add(&row.reason);
    }
    drop(tally);
    let ordinals: Vec<u64> = rejects.iter().map(|row| row.ordinal).collect();
    for range in ranges(&ordinals) {
        load.end(range, End::Rejected);
    }
    load.ended.notify_one();
    Ok(())
}

fn rejected_records(
    first: u64,
    batch: &RecordBatch,
    rejects: &[RejectedRow],
) -> Result<RecordBatch> {
    let rows: UInt64Array = rejects.iter().map(|row| row.ordinal - first).collect();
    let rows = take_record_batch(batch, &rows).map_err(LoadError::from)?;
    Ok(reject::rejected(rows, rejects, Utc::now())?)
}

async fn deliver(
    load: &Load,
    records: Vec<RecordBatch>,
    events: &mpsc::Sender<Result<Event>>,
) -> Result<()> {
    match &load.rejects {
        Rejects::Count => Ok(()),
        Rejects::Events => {
            for batch in records {
                let sent = events.send(Ok(Event::Rejected(batch))).await;
                sent.map_err(|_| LoadError::Stopped)?;
            }
            Ok(())
        }
        Rejects::Store { store, stream } => {
            let path = store.write(stream, &records).await?;
            load.tally().reject_files.push(path);
            Ok(())
        }
    }
}
