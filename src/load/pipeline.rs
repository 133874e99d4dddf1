//! The flow of one load: batches in, chunks closed, a task per chunk, checkpoints told.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use arrow::array::{Array, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::chunk::{Chunk, Chunker, RowOrdinals};
use crate::error::Result;
use crate::reject::RejectedRow;

use super::LoadError;
use super::budget::Grant;
use super::checkpoint::{Checkpoints, End};
use super::error::is_stopped;
use super::loader::{Event, Fed, Load, Mark, Tally};
use super::org::Staging;
use super::report::LoadReport;
use super::submit::submit;

/// Rows of one turn through coerce: keeps the memory asked for at once small.
const ROWS_AT_ONCE: usize = 8_192;

/// Chunks of one load between their closing and the end of their rows: what each takes beside its
/// rows is not counted against the memory budget.
const TASKS: usize = 256;

/// Rejected rows that close a chunk, so that reasons waiting to be stored are bounded.
const LOCAL_REJECTS: usize = 100_000;

/// A load from its first row to its last event.
pub(super) async fn run(
    load: Arc<Load>,
    rows: mpsc::Receiver<Fed>,
    events: mpsc::Sender<Result<Event>>,
) {
    let drained = CancellationToken::new();
    let telling = tokio::spawn(tell(Arc::clone(&load), events.clone(), drained.clone()));
    let outcome = match Intake::new(Arc::clone(&load), events.clone()) {
        Ok(intake) => intake.run(rows).await,
        Err(error) => Err(error),
    };
    drained.cancel();
    load.ended.notify_one();
    let told = telling.await.map_err(|error| LoadError::from(error).into());
    let last = outcome
        .and(told)
        .and_then(|()| load.report())
        .map(|report| Event::Finished(Box::new(report)))
        .map_err(|error| error.with_stream(&load.name));
    // Nobody may be listening any more; then nobody needs the outcome.
    let _ = events.send(last).await;
}

/// Tells checkpoints as they become due, in order, until the load is drained.
async fn tell(load: Arc<Load>, events: mpsc::Sender<Result<Event>>, drained: CancellationToken) {
    loop {
        let last_turn = drained.is_cancelled();
        loop {
            let due = load.checkpoints().pop_due();
            let Some(due) = due else { break };
            let event = Event::Durable {
                checkpoint: due.id,
                counts: due.counts,
            };
            if events.send(Ok(event)).await.is_err() {
                load.stop.cancel();
                return;
            }
        }
        if last_turn {
            return;
        }
        load.ended.notified().await;
    }
}

impl Load {
    pub(super) fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunker of this load's cells.
    pub(super) fn chunker(&self) -> Result<Chunker> {
        let settings = self.org.settings();
        let cells = self.coercion.cells_schema();
        Ok(Chunker::new(
            cells,
            settings.max_job_bytes,
            settings.max_job_rows,
        )?)
    }

    /// Rows of `range` have their end; those rejected are stored.
    pub(super) fn end(&self, range: Range<u64>, end: End) {
        self.checkpoints().end(range.clone(), end);
        self.rows.end(range);
    }

    fn report(&self) -> Result<LoadReport> {
        let (read, accepted, rejected) = self.checkpoints().totals();
        if read != accepted + rejected {
            return Err(LoadError::Accounting {
                read,
                accepted,
                rejected,
            }
            .into());
        }
        let usage = self.client.usage();
        let tally = self.tally();
        Ok(LoadReport {
            name: self.name.clone(),
            object: self.target.object.clone(),
            read,
            accepted,
            rejected,
            bytes: self.checkpoints().bytes(),
            jobs: tally.jobs,
            batches: tally.batches,
            uploaded: tally.uploaded,
            api_calls: usage.api_calls,
            polls: usage.polls,
            spilled: self.spilled.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
            rejects: tally.rejects.ranked(),
            reject_files: tally.reject_files.clone(),
        })
    }
}

/// A closed chunk on its way into a job, with what hangs on it.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) chunk: Chunk,
    /// All ordinals that the chunk stands for, those of rows rejected here included.
    pub(super) span: Range<u64>,
    pub(super) rejects: Vec<RejectedRow>,
    /// Memory of the cells.
    pub(super) cells: Grant,
    pub(super) staging: Staging,
}

/// Reads batches, coerces them and closes chunks.
struct Intake {
    load: Arc<Load>,
    events: mpsc::Sender<Result<Event>>,
    chunker: Chunker,
    /// Ordinal of the first row of the open chunk.
    open_from: u64,
    /// Rows of the open chunk that are rejected already.
    rejects: Vec<RejectedRow>,
    /// Memory of the open chunk's cells.
    cells: Grant,
    /// When the open chunk is closed at the latest.
    deadline: Option<Instant>,
    jobs: JoinSet<Result<()>>,
}

impl Intake {
    fn new(load: Arc<Load>, events: mpsc::Sender<Result<Event>>) -> Result<Self> {
        let chunker = load.chunker()?;
        let cells = load.org.budget().grant(0);
        Ok(Self {
            load,
            events,
            chunker,
            open_from: 0,
            rejects: Vec::new(),
            cells,
            deadline: None,
            jobs: JoinSet::new(),
        })
    }

    /// Takes rows until the feed ends, then waits for every job. After an error nothing new is
    /// submitted, but jobs in flight still come to their end.
    async fn run(mut self, rows: mpsc::Receiver<Fed>) -> Result<()> {
        let mut outcome = self.take(rows).await;
        if outcome.is_err() {
            self.load.stop.cancel();
        }
        while let Some(ended) = self.jobs.join_next().await {
            let ended = job_outcome(ended);
            if ended.is_err() {
                self.load.stop.cancel();
                // A job's own failure says more than that the load was stopped.
                if outcome.as_ref().map_or_else(is_stopped, |()| true) {
                    outcome = ended;
                }
            }
        }
        outcome
    }

    async fn take(&mut self, mut rows: mpsc::Receiver<Fed>) -> Result<()> {
        loop {
            match self.next(&mut rows).await? {
                Some(Fed::Rows {
                    batch,
                    bytes,
                    marks,
                }) => self.batch(&batch, bytes, &marks).await?,
                Some(Fed::Flush) => self.close(),
                Some(Fed::End) => {
                    self.close();
                    return Ok(());
                }
                None => return Err(LoadError::Stopped.into()),
            }
        }
    }

    /// The next that was fed; closes the open chunk when its time comes.
    async fn next(&mut self, rows: &mut mpsc::Receiver<Fed>) -> Result<Option<Fed>> {
        loop {
            let load = Arc::clone(&self.load);
            let freed = load.org.budget().freed().notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let crowded = load.org.is_crowded() || self.jobs.len() >= TASKS;
            let due = self.deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = load.stop.cancelled() => return Ok(None),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
                () = load.close_open.notified() => self.close(),
                () = sleep_until(due), if self.deadline.is_some() => self.close(),
                fed = rows.recv(), if !crowded => return Ok(fed),
                () = freed, if crowded => {}
            }
        }
    }

    async fn batch(&mut self, batch: &RecordBatch, bytes: u64, marks: &[Mark]) -> Result<()> {
        self.account(batch.num_rows(), bytes, marks);
        let first = self.load.checkpoints().next_ordinal() - batch.num_rows() as u64;
        for from in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
            let rows = ROWS_AT_ONCE.min(batch.num_rows() - from);
            self.rows(first + from as u64, batch.slice(from, rows))
                .await?;
        }
        Ok(())
    }

    /// Counts rows into the intervals between checkpoints.
    fn account(&self, rows: usize, bytes: u64, marks: &[Mark]) {
        let mut checkpoints = self.load.checkpoints();
        let (mut counted, mut counted_bytes) = (0, 0);
        for mark in marks {
            checkpoints.read((mark.row - counted) as u64, mark.bytes - counted_bytes);
            checkpoints.mark(mark.id);
            (counted, counted_bytes) = (mark.row, mark.bytes);
        }
        checkpoints.read((rows - counted) as u64, bytes - counted_bytes);
        drop(checkpoints);
        self.load.ended.notify_one();
    }

    /// Takes rows into the open chunk, closing chunks as they fill.
    async fn rows(&mut self, first: u64, batch: RecordBatch) -> Result<()> {
        let grant = self.memory(batch_bytes(&batch)).await?;
        let coerced = self.load.coercion.apply(&batch)?;
        let rows = batch.num_rows();
        let new_bytes = rebuilt_bytes(&batch, &coerced.batch);
        self.load.rows.push(first, batch, grant);
        let skip = skip_mask(rows, coerced.rejects.iter().map(|(row, _)| *row));
        let pushed = self
            .chunker
            .push(&coerced.batch, RowOrdinals::From(first), skip)?;
        let oversized = pushed.oversized;
        let mut rejects: Vec<RejectedRow> = coerced
            .rejects
            .into_iter()
            .chain(oversized)
            .map(|(row, reason)| RejectedRow {
                ordinal: first + row as u64,
                reason,
                job_id: None,
            })
            .collect();
        rejects.sort_by_key(|row| row.ordinal);
        self.rejects.append(&mut rejects);
        for chunk in pushed.closed {
            self.submit(chunk);
        }
        self.cells.grow(new_bytes);
        if self.deadline.is_none() && !self.chunker.is_empty() {
            self.deadline = Some(Instant::now() + self.load.org.settings().flush_interval);
        }
        let open_bytes = if self.chunker.is_empty() {
            0
        } else {
            self.chunker.open_bytes()
        };
        self.load.open_bytes.store(open_bytes, Ordering::Relaxed);
        let full = Some(self.chunker.open_rows()) == self.load.org.settings().max_job_rows;
        if full || self.rejects.len() >= LOCAL_REJECTS {
            self.close();
        }
        Ok(())
    }

    /// Waits for memory; meanwhile closes the open chunk if that is what makes room.
    async fn memory(&mut self, bytes: usize) -> Result<Grant> {
        let load = Arc::clone(&self.load);
        let budget = load.org.budget();
        loop {
            let freed = budget.freed().notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(grant) = budget.try_grant(bytes) {
                return Ok(grant);
            }
            if load.org.relieve().await? {
                continue;
            }
            tokio::select! {
                () = load.stop.cancelled() => return Err(LoadError::Stopped.into()),
                () = &mut freed => {}
                () = load.close_open.notified() => self.close(),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
            }
        }
    }

    /// Closes the open chunk, if there is one.
    fn close(&mut self) {
        self.deadline = None;
        self.load.open_bytes.store(0, Ordering::Relaxed);
        if let Some(chunk) = self.chunker.close() {
            self.submit(chunk);
        }
    }

    fn submit(&mut self, chunk: Chunk) {
        let span = self.open_from..chunk.span().end;
        self.open_from = span.end;
        let later = self.rejects.partition_point(|row| row.ordinal < span.end);
        let later = self.rejects.split_off(later);
        let closed = Closed {
            chunk,
            span,
            rejects: std::mem::replace(&mut self.rejects, later),
            cells: std::mem::replace(&mut self.cells, self.load.org.budget().grant(0)),
            staging: self.load.org.staging(),
        };
        self.deadline = None;
        self.jobs
            .spawn(submit(Arc::clone(&self.load), closed, self.events.clone()));
    }
}

fn job_outcome(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(LoadError::from(error).into()))
}

/// Memory that a batch holds. A slice of something much larger counts as what it shows.
fn batch_bytes(batch: &RecordBatch) -> usize {
    let whole = batch.get_array_memory_size();
    let shown: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum();
    if whole > 2 * shown { shown } else { whole }
}

/// Memory of the cells that are not the source's own columns.
pub(super) fn rebuilt_bytes(source: &RecordBatch, cells: &RecordBatch) -> usize {
    cells
        .columns()
        .iter()
        .filter(|cell| {
            !source
                .columns()
                .iter()
                .any(|column| Arc::ptr_eq(column, cell))
        })
        .map(Array::get_array_memory_size)
        .sum()
}

/// True for the rows that are not sent; `None` if all are.
pub(super) fn skip_mask(
    rows: usize,
    skipped: impl Iterator<Item = usize>,
) -> Option<BooleanBuffer> {
    let mut skipped = skipped.peekable();
    skipped.peek()?;
    let mut mask = BooleanBufferBuilder::new(rows);
    mask.append_n(rows, false);
    for row in skipped {
        mask.set_bit(row, true);
    }
    Some(mask.finish())
}
