//! Batches in, closed chunks out: what one load reads, coerces, and holds back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::chunk::{Chunk, Chunker, RowOrdinals, row_sizes};
use crate::error::{Error, Result};
use crate::object::Operation;
use crate::options::NullHandling;
use crate::reject::RejectedRow;
use crate::rows::{MergedRow, RowSet, WaitingRow};

use super::LoadError;
use super::budget::Reservation;
use super::feed::{Checkpoint, FeedBatch, FeedMessage};
use super::keys::InFlight;
use super::loader::{Event, Load};
use super::memory::{batch_bytes, rebuilt_bytes};
use super::org::Staging;
use super::submit::retry::{Recoerced, recoerced};
use super::submit::submit;

/// Rows of one turn through coerce: keeps the memory asked for at once small.
const ROWS_AT_ONCE: usize = 8_192;

/// Chunks of one load between their closing and the end of their rows: what each takes beside its
/// rows is not counted against the memory budget.
const TASKS: usize = 256;

/// Rejected rows that close a chunk, so that reasons waiting to be stored are bounded.
const LOCAL_REJECTS: usize = 100_000;

/// Rows waiting for a key in flight beyond which reading stops: most of what is read would join them.
const WAITING_ROWS: usize = 1_000_000;

/// A closed chunk on its way into a job, with what hangs on it.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) chunk: Chunk,
    /// Rows that are not sent, each with the row of the chunk that it was merged into.
    pub(super) merged: Vec<MergedRow>,
    /// The keys of its rows.
    pub(super) keys: Option<InFlight>,
    /// Rows that the row store is told of when the job is closed, those rejected here included.
    pub(super) rows: RowSet,
    pub(super) rejects: Vec<RejectedRow>,
    /// Memory of the cells.
    pub(super) cells: Reservation,
    pub(super) staging: Staging,
}

/// Reads batches, coerces them and closes chunks.
pub(super) struct Intake {
    load: Arc<Load>,
    events: mpsc::Sender<Result<Event>>,
    chunker: Chunker,
    /// Ordinal of the first row of the open chunk.
    open_from: u64,
    /// Rows of the open chunk that are rejected already.
    rejects: Vec<RejectedRow>,
    /// Memory of the open chunk's cells.
    cells: Reservation,
    /// When the open chunk is closed at the latest.
    deadline: Option<Instant>,
    /// Rows before this ordinal are submitted as soon as their keys allow.
    flushed: u64,
    jobs: JoinSet<Result<()>>,
}

impl Intake {
    pub(super) fn new(load: Arc<Load>, events: mpsc::Sender<Result<Event>>) -> Result<Self> {
        let chunker = load.chunker()?;
        let cells = load.org.budget().reserve(0);
        Ok(Self {
            load,
            events,
            chunker,
            open_from: 0,
            rejects: Vec::new(),
            cells,
            deadline: None,
            flushed: 0,
            jobs: JoinSet::new(),
        })
    }

    /// Takes rows until the feed ends, then waits for every job. After an error nothing new is
    /// submitted, but jobs in flight still come to their end.
    pub(super) async fn run(mut self, rows: mpsc::Receiver<FeedMessage>) -> Result<()> {
        let mut outcome = self.take(rows).await;
        if outcome.is_err() {
            self.load.stop.cancel();
        }
        while let Some(ended) = self.jobs.join_next().await {
            let ended = job_outcome(ended);
            if ended.is_err() {
                self.load.stop.cancel();
                // A job's own failure says more than that the load was stopped.
                if outcome.as_ref().map_or_else(Error::is_stopped, |()| true) {
                    outcome = ended;
                }
            }
        }
        let totals = self.load.checkpoints().totals();
        if self.load.stop.is_cancelled() && totals.read > totals.ended() {
            // Jobs that were to go on were given up.
            outcome = outcome.and(Err(LoadError::Stopped.into()));
        }
        outcome
    }

    async fn take(&mut self, mut rows: mpsc::Receiver<FeedMessage>) -> Result<()> {
        loop {
            match self.next(&mut rows).await? {
                Some(FeedMessage::Rows { batch, memory }) => self.batch(batch, memory).await?,
                Some(FeedMessage::Flush) => {
                    self.flushed = self.load.checkpoints().next_ordinal();
                    self.close()?;
                }
                Some(FeedMessage::End) => return self.finish().await,
                None => return Err(LoadError::Stopped.into()),
            }
        }
    }

    /// The next message of the feed; closes the open chunk when its time comes.
    async fn next(
        &mut self,
        rows: &mut mpsc::Receiver<FeedMessage>,
    ) -> Result<Option<FeedMessage>> {
        loop {
            self.release().await?;
            let load = Arc::clone(&self.load);
            let freed = load.org.budget().freed().notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let crowded = load.org.is_crowded()
                || self.jobs.len() >= TASKS
                || load.keys().waiting_rows() >= WAITING_ROWS;
            let due = self.deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = load.stop.cancelled() => return Ok(None),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
                () = load.close_open.notified() => self.close()?,
                () = sleep_until(due), if self.deadline.is_some() => self.close()?,
                message = rows.recv(), if !crowded => return Ok(message),
                () = freed, if crowded => {}
            }
        }
    }

    /// Submits what is open, and what waits for keys in flight as they become free.
    async fn finish(&mut self) -> Result<()> {
        self.close()?;
        loop {
            self.release().await?;
            let load = Arc::clone(&self.load);
            if self.jobs.is_empty() || load.keys().waiting_rows() == 0 {
                self.close()?;
            }
            if self.chunker.is_empty() && load.keys().waiting_rows() == 0 {
                return Ok(());
            }
            let due = self.deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = load.stop.cancelled() => return Err(LoadError::Stopped.into()),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
                () = load.close_open.notified() => self.close()?,
                () = sleep_until(due), if self.deadline.is_some() => self.close()?,
            }
        }
    }

    async fn batch(&mut self, batch: FeedBatch, mut memory: Reservation) -> Result<()> {
        let (batch, bytes, checkpoints) = batch.into_parts();
        let rows = batch.num_rows();
        self.account(rows, bytes, &checkpoints);
        let first = self.load.checkpoints().next_ordinal() - rows as u64;
        let mut from = 0;
        while from < rows {
            // Rows that waited for a key are older.
            self.release().await?;
            if self.load.stop.is_cancelled() {
                return Err(LoadError::Stopped.into());
            }
            let slice = batch.slice(from, ROWS_AT_ONCE.min(rows - from));
            let ordinal = first + from as u64;
            from += slice.num_rows();
            let memory = if from < rows {
                memory.split(batch_bytes(&slice))
            } else {
                memory.split(usize::MAX)
            };
            self.rows(ordinal, slice, memory)?;
        }
        Ok(())
    }

    /// Counts rows into the intervals between checkpoints.
    fn account(&self, rows: usize, bytes: u64, within: &[Checkpoint]) {
        let mut checkpoints = self.load.checkpoints();
        let (mut counted, mut counted_bytes) = (0, 0);
        for checkpoint in within {
            let (rows, bytes) = (checkpoint.row - counted, checkpoint.bytes - counted_bytes);
            checkpoints.read(rows as u64, bytes);
            checkpoints.mark(checkpoint.id);
            (counted, counted_bytes) = (checkpoint.row, checkpoint.bytes);
        }
        checkpoints.read((rows - counted) as u64, bytes - counted_bytes);
        drop(checkpoints);
        self.load.ended.notify_one();
    }

    /// Takes rows into the open chunk, closing chunks as they fill.
    fn rows(&mut self, first: u64, batch: RecordBatch, memory: Reservation) -> Result<()> {
        let coerced = self.load.coercion.apply(&batch)?;
        let rows = batch.num_rows();
        let new_bytes = rebuilt_bytes(&batch, &coerced.batch);
        self.load.rows.push(first, batch, memory);
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
                reason: Arc::new(reason),
                job_id: None,
            })
            .collect();
        rejects.sort_by_key(|row| row.ordinal);
        self.load.tally().nulls_left += self.nulls_left(&coerced.batch, first, &rejects);
        self.rejects.append(&mut rejects);
        let cells = self.load.org.budget().reserve(new_bytes);
        self.pushed(pushed.closed, cells)
    }

    /// Submits the chunks that rows closed as they came; `cells` is
    /// the memory of those rows' cells.
    fn pushed(&mut self, closed: Vec<Chunk>, cells: Reservation) -> Result<()> {
        for chunk in closed {
            self.submit(chunk)?;
        }
        self.cells.absorb(cells);
        if self.deadline.is_none() && !self.chunker.is_empty() {
            self.deadline = Some(Instant::now() + self.load.options.flush_interval);
        }
        let open_bytes = if self.chunker.is_empty() {
            0
        } else {
            self.chunker.open_bytes()
        };
        self.load.open_bytes.store(open_bytes, Ordering::Relaxed);
        // Who waits for memory may have found nothing to close yet.
        self.load.org.budget().freed().notify_waiters();
        let full = Some(self.chunker.open_rows()) == self.load.options.max_job_rows;
        if full || self.rejects.len() >= LOCAL_REJECTS {
            self.close()?;
        }
        Ok(())
    }

    /// Puts waiting rows whose key is free into the open chunk.
    async fn release(&mut self) -> Result<()> {
        let load = Arc::clone(&self.load);
        loop {
            let ready = load.keys().ready(ROWS_AT_ONCE);
            let Some(oldest) = ready.first() else {
                return Ok(());
            };
            let (first, rest) = ready.split_at(ROWS_AT_ONCE.min(ready.len()));
            let cells = coerced_again(&load, first)?;
            let fits = rest.is_empty() && self.fits(&cells)?;
            if !fits && !self.chunker.is_empty() {
                // If it filled up in the middle of them, newer rows of a key could go before older
                // ones. Closed now, it holds its rows of these keys back.
                self.close()?;
                continue;
            }
            let Some(memory) = self.memory_again(memory_of(&cells)).await? else {
                continue;
            };
            load.keys().take(&ready);
            let cut = self.push_again(cells, memory)?;
            self.push_rest(rest, cut)?;
            if oldest.row < self.flushed {
                self.close()?;
            }
            load.account_waiting();
        }
    }

    /// Puts the rest of the rows of one key into the open chunk, as far as there is room. What is
    /// left waits once more, for the job that takes the first of them.
    fn push_rest(&mut self, mut rows: &[WaitingRow], mut cut: bool) -> Result<()> {
        let load = Arc::clone(&self.load);
        while !rows.is_empty() && !cut {
            let (next, later) = rows.split_at(ROWS_AT_ONCE.min(rows.len()));
            let cells = coerced_again(&load, next)?;
            let Some(memory) = load.org.budget().try_reserve(memory_of(&cells)) else {
                break;
            };
            cut = self.push_again(cells, memory)?;
            rows = later;
        }
        if !rows.is_empty() {
            self.close()?;
            load.keys().hold(rows.iter().copied());
        }
        Ok(())
    }

    /// Puts rows into the open chunk that were in one before; answers whether a chunk was closed.
    fn push_again(&mut self, rows: Vec<Recoerced>, memory: Reservation) -> Result<bool> {
        let mut closed = Vec::new();
        for rows in rows {
            let pushed = self.chunker.push(&rows.cells, rows.ordinals, None)?;
            if !pushed.oversized.is_empty() {
                return Err(Error::system(
                    "rows that fitted into a job do not fit again",
                ));
            }
            closed.extend(pushed.closed);
        }
        let cut = !closed.is_empty();
        self.pushed(closed, memory)?;
        Ok(cut || self.chunker.is_empty())
    }

    /// Whether the open chunk has room for these rows.
    fn fits(&self, rows: &[Recoerced]) -> Result<bool> {
        let options = &self.load.options;
        let (mut bytes, mut count) = (self.chunker.open_bytes(), self.chunker.open_rows());
        let mut sizes = Vec::new();
        for rows in rows {
            row_sizes(&rows.cells, &mut sizes)?;
            bytes += sizes.iter().copied().map(u64::from).sum::<u64>();
            count += sizes.len() as u64;
        }
        let few = options.max_job_rows.is_none_or(|most| count <= most);
        Ok(few && bytes <= options.max_job_bytes)
    }

    /// Memory for waiting rows, as [`Intake::try_memory`]. Where nothing of this load would give
    /// memory back, they get it at once: the keys they wait for take some as well.
    async fn memory_again(&mut self, bytes: usize) -> Result<Option<Reservation>> {
        if self.jobs.is_empty() && self.chunker.is_empty() {
            return Ok(Some(self.load.org.budget().reserve(bytes)));
        }
        self.try_memory(bytes).await
    }

    /// Nulls of the rows that are sent, where they leave what a record has.
    fn nulls_left(&self, cells: &RecordBatch, first: u64, rejects: &[RejectedRow]) -> u64 {
        let changes = matches!(
            self.load.target.operation,
            Operation::Update | Operation::Upsert { .. }
        );
        if !changes || self.load.values.null_handling != NullHandling::Leave {
            return 0;
        }
        let rejected = rejects.iter().map(|row| (row.ordinal - first) as usize);
        let nulls = cells.columns().iter().map(|column| {
            let rejected = rejected.clone().filter(|row| column.is_null(*row));
            column.null_count() - rejected.count()
        });
        nulls.sum::<usize>() as u64
    }

    /// Memory if it is there. If not, waits for something that may make room; meanwhile closes the
    /// open chunk if that is what does.
    async fn try_memory(&mut self, bytes: usize) -> Result<Option<Reservation>> {
        let load = Arc::clone(&self.load);
        let budget = load.org.budget();
        let freed = budget.freed().notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if let Some(memory) = budget.try_reserve(bytes) {
            return Ok(Some(memory));
        }
        if load.org.relieve().await? {
            return Ok(None);
        }
        tokio::select! {
            () = load.stop.cancelled() => return Err(LoadError::Stopped.into()),
            () = &mut freed => {}
            () = load.close_open.notified() => self.close()?,
            Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
        }
        Ok(None)
    }

    /// Closes the open chunk, if there is one.
    fn close(&mut self) -> Result<()> {
        self.deadline = None;
        self.load.open_bytes.store(0, Ordering::Relaxed);
        match self.chunker.close() {
            Some(chunk) => self.submit(chunk),
            None => Ok(()),
        }
    }

    fn submit(&mut self, chunk: Chunk) -> Result<()> {
        let end = chunk.span().end.max(self.open_from);
        let fresh = std::mem::replace(&mut self.open_from, end)..end;
        let later = self.rejects.partition_point(|row| row.ordinal < end);
        let later = self.rejects.split_off(later);
        let closed = Closed {
            chunk,
            merged: Vec::new(),
            keys: None,
            rows: RowSet::new(),
            rejects: std::mem::replace(&mut self.rejects, later),
            cells: std::mem::replace(&mut self.cells, self.load.org.budget().reserve(0)),
            staging: self.load.org.staging(),
        };
        let closed = closed.merge(&self.load, fresh)?;
        self.deadline = None;
        self.jobs
            .spawn(submit(Arc::clone(&self.load), closed, self.events.clone()));
        Ok(())
    }
}

impl Closed {
    /// Merges the rows of each key into one, and holds those back whose key is in flight. Rows of
    /// `fresh` were in no chunk before: the row store is told of each once.
    fn merge(mut self, load: &Arc<Load>, fresh: Range<u64>) -> Result<Self> {
        let Some(key) = load.coercion.key() else {
            self.rows.insert_range(fresh);
            return Ok(self);
        };
        let keyed = self.chunk.by_key(key)?;
        let keys = load.keys();
        let blocked = keyed.blocked(|key| keys.is_blocked(key));
        drop(keys);
        let merged = keyed.merge(&blocked)?;
        let waiting = merged.waiting.iter().map(|waiting| waiting.row);
        let waiting: RowSet = waiting.filter(|row| fresh.contains(row)).collect();
        load.rows.close(&waiting);
        self.rows.insert_range(fresh);
        self.rows.remove_all(&waiting);
        // Rows too long to be merged into one wait for a row that is sent now.
        self.keys = Some(load.send_keys(merged.keys));
        load.keys().hold(merged.waiting);
        load.account_waiting();
        self.chunk = merged.chunk;
        self.merged = merged.merged;
        Ok(self)
    }
}

/// Waiting rows as cells.
fn coerced_again(load: &Load, rows: &[WaitingRow]) -> Result<Vec<Recoerced>> {
    let rows: RowSet = rows.iter().map(|waiting| waiting.row).collect();
    recoerced(load, &rows).collect()
}

fn memory_of(rows: &[Recoerced]) -> usize {
    rows.iter().map(|rows| rows.bytes).sum()
}

fn job_outcome(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(LoadError::from(error).into()))
}

/// True for the rows that are not sent; `None` if all are.
fn skip_mask(rows: usize, skipped: impl Iterator<Item = usize>) -> Option<BooleanBuffer> {
    let mut skipped = skipped.peekable();
    skipped.peek()?;
    let mut mask = BooleanBufferBuilder::new(rows);
    mask.append_n(rows, false);
    for row in skipped {
        mask.set_bit(row, true);
    }
    Some(mask.finish())
}
