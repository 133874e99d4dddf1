//! Batches in, closed chunks out: what one load reads, coerces, and holds back.

mod again;
mod aside;
mod held;
mod lane;
mod lane_id;
mod put;
mod ready;
mod spread;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures::{FutureExt, poll};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::rows::RowSet;

use super::LoadError;
use super::closed::Closed;
use super::event::EventSender;
use super::family::Standing;
use super::feed::{FeedBatch, FeedMessage};
use super::held::Held;
use super::memory::batch_bytes;
use super::org::{IntakeWaits, Reservation, UnderWay};
use super::state::Load;
use super::submit::submit;
use super::turns::Turns;
use again::Again;
use lane::{Departing, Lane, Lanes};
use lane_id::LaneId;

/// Rows that are coerced at once: keeps the memory asked for at once small, and gives the worker
/// back to others in between.
const ROWS_AT_ONCE: usize = 8_192;

/// Chunks of one load between their closing and the end of their rows: what each takes beside its
/// rows is not counted against the memory budget.
const TASKS: usize = 256;

/// Rows waiting for a key in flight beyond which reading stops: most of what is read would join them.
const WAITING_ROWS: usize = 1_000_000;

/// Reads batches, coerces them and closes chunks.
pub(super) struct Intake {
    load: Arc<Load>,
    events: EventSender,
    lanes: Lanes,
    /// The line of its chunks, where no parent may stand in two jobs at once and jobs go side by side.
    turns: Option<Arc<Turns>>,
    /// Rows before this ordinal are submitted as soon as their keys allow.
    flushed: u64,
    /// No more rows come.
    complete: bool,
    /// How the family learns how far the load is.
    standing: Option<Standing>,
    /// Rows of older attempts that may come again.
    again: Option<Again>,
    jobs: JoinSet<Result<()>>,
}

impl Intake {
    pub(super) fn new(load: Arc<Load>, events: EventSender) -> Result<Self> {
        // First, so that others do not wait for a load that cannot begin.
        let standing = load.held.as_ref().map(Held::standing);
        let lane = Lane::new(
            LaneId::ALL,
            &load.plan,
            &load.org,
            load.org.budget().reserve(0),
        )?;
        let many = load.plan.grouping.is_some() && load.jobs.most() > 1;
        let changed = load.org.admission().changed().clone();
        let turns = many.then(|| Arc::new(Turns::new(changed)));
        let lanes = Lanes::new(lane, Arc::clone(&load.member));
        Ok(Self {
            standing,
            turns,
            complete: false,
            again: Again::of(&load),
            load,
            events,
            lanes,
            flushed: 0,
            jobs: JoinSet::new(),
        })
    }

    /// Takes rows until the feed ends, then waits for every job. After an error nothing new is
    /// submitted, but jobs in flight still come to their end.
    pub(super) async fn run(mut self, messages: mpsc::Receiver<FeedMessage>) -> Result<()> {
        // Jobs in flight come to their end even if taking rows panics.
        let taken = AssertUnwindSafe(self.take(messages)).catch_unwind().await;
        let mut outcome =
            taken.unwrap_or_else(|_| Err(LoadError::Panicked("taking rows in panicked").into()));
        if outcome.is_err() {
            self.load.stop.cancel();
            // Other loads need the memory while the jobs of this one come to their end.
            let unsent = self.lanes.give_up();
            self.load.books.rows().give_up(&unsent);
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
        if self.load.stop.is_cancelled() && self.load.books.is_open() {
            // Jobs that were to go on were given up.
            outcome = outcome.and(Err(LoadError::Stopped.into()));
        }
        outcome
    }

    async fn take(&mut self, mut messages: mpsc::Receiver<FeedMessage>) -> Result<()> {
        loop {
            match self.next(&mut messages).await? {
                Some(FeedMessage::Rows {
                    batch,
                    memory,
                    let_in,
                }) => {
                    self.batch(batch, memory).await?;
                    drop(let_in);
                }
                Some(FeedMessage::Flush) => {
                    self.flushed = self.load.books.next_ordinal();
                    self.close_all().await?;
                    self.lanes.unite();
                }
                Some(FeedMessage::Complete) => {
                    self.flushed = self.load.books.next_ordinal();
                    self.complete = true;
                    self.close_all().await?;
                    self.lanes.unite();
                }
                Some(FeedMessage::End) => {
                    self.complete = true;
                    return self.finish().await;
                }
                None => return Err(LoadError::Stopped.into()),
            }
        }
    }

    /// The next message of the feed; closes open chunks when their time comes.
    async fn next(
        &mut self,
        messages: &mut mpsc::Receiver<FeedMessage>,
    ) -> Result<Option<FeedMessage>> {
        // While the chunks of this load are too many, they may all wait for memory: what is in the
        // channel waits with them.
        let mut waits: Option<IntakeWaits> = None;
        loop {
            self.let_go_due()?;
            self.release().await?;
            self.load.member.has_let_go();
            let load = Arc::clone(&self.load);
            let changed = load.org.admission().changed().changed();
            let many_wait = load.keys.waiting_rows() >= WAITING_ROWS;
            if many_wait && self.jobs.is_empty() && load.keys.held_rows() > 0 {
                // Most of them wait for the keys of rows that are held.
                self.give_up_held();
                continue;
            }
            let crowded = load.org.admission().is_crowded(&load.jobs)
                || self.turns.as_ref().is_some_and(|turns| turns.is_crowded())
                || self.jobs.len() >= TASKS
                || many_wait;
            if crowded {
                waits.get_or_insert_with(|| load.member.wait());
            } else {
                waits = None;
            }
            let deadline = self.lanes.deadline();
            tokio::select! {
                biased;
                () = load.stop.cancelled() => return Ok(None),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
                pressure = load.member.pressure() => self.give_way(pressure).await?,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.close_overdue().await?;
                }
                message = messages.recv(), if !crowded => return Ok(message),
                () = changed, if crowded => {}
                () = Standing::changed(&mut self.standing) => {}
            }
        }
    }

    /// Submits what is open, and what waits for keys in flight as they become free.
    async fn finish(&mut self) -> Result<()> {
        self.close_all().await?;
        loop {
            self.let_go_due()?;
            self.release().await?;
            self.load.member.has_let_go();
            let load = Arc::clone(&self.load);
            if self.jobs.is_empty() || load.keys.waiting_rows() == 0 {
                self.close_all().await?;
            }
            let more_held = self.standing.is_some() && !self.jobs.is_empty();
            let waits = load.keys.waiting_rows() + load.keys.held_rows() > 0;
            if self.lanes.is_empty() && !waits && !more_held {
                return Ok(());
            }
            let deadline = self.lanes.deadline();
            tokio::select! {
                biased;
                () = load.stop.cancelled() => return Err(LoadError::Stopped.into()),
                Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
                pressure = load.member.pressure() => self.give_way(pressure).await?,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.close_overdue().await?;
                }
                () = Standing::changed(&mut self.standing) => {}
            }
        }
    }

    /// Takes a batch, whose rows and cells may take `memory`.
    async fn batch(&mut self, batch: FeedBatch, mut memory: Reservation) -> Result<()> {
        let (batch, bytes, checkpoints) = batch.into_parts();
        let rows = batch.num_rows();
        self.complete &= rows == 0;
        let first = self.load.books.read(rows, bytes, &checkpoints);
        let mut rows_memory = memory.split(batch_bytes(&batch));
        if rows > 0 && self.lane(LaneId::ALL)?.has_aside() {
            if self.load.org.admission().can_set_aside() {
                drop(memory);
                let id = LaneId::ALL;
                return self.set_aside(id, first, batch, rows_memory).await;
            }
            self.bring_back(LaneId::ALL).await?;
        }
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
            let bytes = if from < rows {
                batch_bytes(&slice)
            } else {
                usize::MAX
            };
            let of_slice = rows_memory.split(bytes);
            self.rows(ordinal, slice, of_slice, &mut memory).await?;
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    fn lane(&mut self, id: LaneId) -> Result<&mut Lane> {
        let lane = self.lanes.get_mut(id);
        lane.ok_or_else(|| Error::system("a lane of the load is gone; please report this"))
    }

    async fn close_all(&mut self) -> Result<()> {
        self.bring_back(LaneId::ALL).await?;
        self.close_all_open().await
    }

    /// Closes all open chunks, in as few jobs as take them.
    async fn close_all_open(&mut self) -> Result<()> {
        let under_way = self.load.org.admission().under_way();
        for departing in self.lanes.close_all()? {
            let under_way = under_way.one_more();
            self.submit(departing, under_way).await?;
        }
        Ok(())
    }

    /// Closes what is open too long. Rows that come so slowly need one lane, which they have from then
    /// on.
    async fn close_overdue(&mut self) -> Result<()> {
        if self.lanes.overdue(Instant::now()) {
            self.close_all().await?;
            self.lanes.unite();
        }
        Ok(())
    }

    /// Closes the chunk of a lane, with the rows that are set aside, if there are any.
    async fn close(&mut self, id: LaneId) -> Result<()> {
        self.bring_back(id).await?;
        self.close_open(id).await
    }

    /// Closes the open chunk of a lane, if there is one.
    async fn close_open(&mut self, id: LaneId) -> Result<()> {
        let under_way = self.load.org.admission().under_way();
        let departing = self.lane(id)?.close();
        self.lanes.closed(id)?;
        self.lanes.report();
        match departing {
            Some(departing) => self.submit(departing, under_way).await,
            None => Ok(()),
        }
    }

    async fn submit(&mut self, departing: Departing, under_way: UnderWay) -> Result<()> {
        // Said before the long work: it will give memory back by itself.
        let staging = self.load.org.admission().staging();
        let Departing {
            chunk,
            rows,
            rejects,
            cells,
            parents,
        } = departing;
        let turn = self.turns.as_ref().map(|turns| turns.take(parents));
        let closed = Closed {
            chunk,
            merged: Vec::new(),
            keys: None,
            rows,
            rejects,
            cells,
            staging: Some(staging),
            turn,
            under_way,
        };
        let closed = prepare(&self.load, closed).await?;
        let (load, events) = (Arc::clone(&self.load), self.events.clone());
        let mut sending = Box::pin(in_turn(load, closed, events));
        // Chunks stand in line for a job in the order of their rows, whichever task runs first: the
        // oldest checkpoint becomes due first.
        let in_line = poll!(&mut sending);
        self.jobs.spawn(async move {
            match in_line {
                Poll::Ready(sent) => sent,
                Poll::Pending => sending.await,
            }
        });
        Ok(())
    }
}

/// Merges the rows of each key into one, holds those back whose key is in flight, and orders the rows
/// that are sent. The work is done aside, as it takes long for a full chunk, and no lock is held
/// meanwhile: only this load sends keys, and a key that becomes free frees the rows that wait for it.
async fn prepare(load: &Arc<Load>, closed: Closed) -> Result<Closed> {
    if load.plan.coercion.key().is_none() && load.plan.grouping.is_none() {
        return Ok(closed);
    }
    let load = Arc::clone(load);
    let preparing = spawn_blocking(move || {
        let mut closed = merged(&load, closed)?;
        let bytes = load.plan.ordering_bytes(closed.chunk.rows());
        let _memory = load.org.budget().reserve(bytes);
        closed.chunk = load.plan.ordered(closed.chunk)?;
        closed.cells.grow(closed.chunk.order_memory());
        Ok(closed)
    });
    preparing.await.map_err(LoadError::from)?
}

fn merged(load: &Load, mut closed: Closed) -> Result<Closed> {
    let Some(key) = load.plan.coercion.key() else {
        return Ok(closed);
    };
    let keyed = closed.chunk.by_key(key)?;
    let blocked = load.keys.blocked(&keyed);
    let merged = keyed.merge(&blocked)?;
    let waiting = merged.waiting.iter().map(|waiting| waiting.row);
    // Each row is said to be closed once.
    let waiting: RowSet = waiting.filter(|row| closed.rows.contains(*row)).collect();
    load.books.rows().close(&waiting);
    closed.rows.remove_all(&waiting);
    // Rows too long to be merged into one wait for a row that is sent now.
    closed.keys = Some(load.keys.send(merged.keys));
    load.keys.wait(merged.waiting);
    closed.chunk = merged.chunk;
    closed.merged = merged.merged;
    Ok(closed)
}

/// Submits a chunk once none that may share a parent with it is on its way.
async fn in_turn(load: Arc<Load>, mut closed: Closed, events: EventSender) -> Result<()> {
    if let Some(turn) = closed.turn.as_ref().filter(|turn| !turn.has_come()) {
        // That may take long, and others may need what it can give before.
        closed.staging = None;
        load.books.rows().close(&std::mem::take(&mut closed.rows));
        tokio::select! {
            biased;
            () = load.stop.cancelled() => {}
            () = closed.under_way.idle(turn.come()) => {}
        }
        closed.staging = Some(load.org.admission().staging());
    }
    submit(load, closed, events).await
}

fn job_outcome(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(LoadError::from(error).into()))
}
