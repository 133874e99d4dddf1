//! The events of an org under contention, one after another in simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;
use std::time::Duration;

use super::locks::{Lock, Locks};
use super::{Contention, ContentionCounts};

/// Rows of a transaction.
const CHUNK_ROWS: usize = 200;
/// Bad rows that a save finds where a trigger runs, before it is done again without them.
const BAD_ROWS_A_SAVE: usize = 10;
/// How often a transaction is saved again without its bad rows.
const SAVES_AGAIN: usize = 3;

/// What a job does with its rows.
pub(crate) trait Work: Send + std::fmt::Debug {
    /// Whether the job was neither ended nor deleted meanwhile.
    fn goes_on(&self) -> bool;
    /// Whether the org allows the job another batch. If so, it is counted.
    fn may_begin_batch(&self) -> bool;
    /// Checks rows, and says of each what it asks for.
    fn check(&mut self, rows: Range<usize>) -> Vec<Asked>;
    /// Writes the rows that were checked from a first one on. A fate for each, in the order of
    /// [`check`](Work::check).
    fn save(&mut self, first: usize, fates: Vec<Fate>);
    /// A batch was put back.
    fn put_back(&mut self);
    /// Ends the job at a moment.
    fn end(&mut self, end: End, at: Duration);
}

/// What a row asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The Ids of the records that it locks.
    pub(crate) locks: Vec<String>,
    /// It fails in any case.
    pub(crate) is_bad: bool,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is written.
    Saved,
    /// It fails because the records of these Ids stayed locked.
    Locked(Vec<String>),
    /// It fails because others of its transaction do.
    FailsWithOthers,
}

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All of its rows were processed.
    Complete,
    /// A batch was put back too often, the last time for its locks.
    TooManyLockFailures,
    /// A batch was put back too often, the last time because it took too long.
    TooSlow,
    /// It had ended already, or was deleted.
    Gone,
}

/// A job that begins.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its number; those of two jobs differ.
    pub(crate) number: u32,
    pub(crate) work: Box<dyn Work>,
    /// The rows of its batches, in the order of processing.
    pub(crate) batches: Vec<Range<usize>>,
    /// Whether a trigger runs for its rows.
    pub(crate) has_trigger: bool,
    /// How long it waits before its batches.
    pub(crate) wait: Duration,
}

/// A batch: the number of its job, and its place in the job.
type BatchId = (u32, u32);

/// An event. Those of one moment are in the order of their batches.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Duration,
    batch: BatchId,
    what: What,
    /// The chunk of the batch that it is about.
    chunk: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A batch waits for a slot.
    Ready,
    /// A chunk has waited for its locks as long as it may.
    WaitOver,
    /// A chunk was saved.
    Saved,
}

/// A job in progress.
#[derive(Debug)]
struct Working {
    work: Box<dyn Work>,
    has_trigger: bool,
    /// Batches that are not at their end.
    left: usize,
}

/// A batch that is not at its end.
#[derive(Debug)]
struct Batch {
    /// Rows that no chunk has had yet.
    rest: Range<usize>,
    /// How often it was put back.
    tries: u32,
    /// When it began, if it has a slot.
    since: Option<Duration>,
    /// It was counted when it began first.
    is_counted: bool,
    /// Rows that failed for locks since it began.
    failures: usize,
    /// How many chunks it had.
    chunks: u64,
    chunk: Chunk,
}

/// A transaction.
#[derive(Debug, Default)]
struct Chunk {
    first: usize,
    rows: Vec<Row>,
    since: Duration,
    has: BTreeSet<Lock>,
    lacks: BTreeSet<Lock>,
    fates: Vec<Fate>,
}

#[derive(Debug)]
struct Row {
    locks: Vec<Lock>,
    is_bad: bool,
}

/// An org at a moment of its own time.
#[derive(Debug, Default)]
pub(super) struct Engine {
    pub(super) settings: Contention,
    now: Duration,
    events: BinaryHeap<Reverse<Event>>,
    jobs: BTreeMap<u32, Working>,
    batches: BTreeMap<BatchId, Batch>,
    /// Batches that wait for a slot, in the order of their turn.
    ready: BTreeSet<(Duration, BatchId)>,
    taken_slots: usize,
    locks: Locks<BatchId>,
    counts: ContentionCounts,
    /// Jobs that ended in this step.
    ended: Vec<u32>,
}

impl Engine {
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// The moment of the next event.
    pub(super) fn next(&self) -> Option<Duration> {
        self.events.peek().map(|Reverse(event)| event.at)
    }

    /// Lets time pass in which nothing happens.
    pub(super) fn wait_until(&mut self, moment: Duration) {
        self.now = self.now.max(moment);
    }

    pub(super) fn counts(&self) -> ContentionCounts {
        let seconds = self.now.as_secs_f64();
        ContentionCounts {
            seconds,
            ..self.counts.clone()
        }
    }

    /// A job begins.
    pub(super) fn begin(&mut self, job: Job) {
        let mut working = Working {
            work: job.work,
            has_trigger: job.has_trigger,
            left: job.batches.len(),
        };
        if job.batches.is_empty() {
            working.work.end(End::Complete, self.now);
            return;
        }
        self.jobs.insert(job.number, working);
        for (place, rest) in (0..).zip(job.batches) {
            let batch = (job.number, place);
            self.batches.insert(
                batch,
                Batch {
                    rest,
                    tries: 0,
                    since: None,
                    is_counted: false,
                    failures: 0,
                    chunks: 0,
                    chunk: Chunk::default(),
                },
            );
            self.plan(self.now + job.wait, batch, What::Ready, 0);
        }
    }

    /// The next event. Returns the jobs that ended with it.
    pub(super) fn step(&mut self) -> Vec<u32> {
        let Some(Reverse(event)) = self.events.pop() else {
            return Vec::new();
        };
        self.now = self.now.max(event.at);
        let id = event.batch;
        let is_current = |batch: &Batch| batch.since.is_some() && batch.chunks == event.chunk;
        let is_current = self.batches.get(&id).is_some_and(is_current);
        match event.what {
            What::Ready => {
                self.ready.insert((event.at, id));
            }
            What::WaitOver if is_current && self.waits(id) => self.run_chunk(id),
            What::Saved if is_current => self.end_chunk(id),
            What::WaitOver | What::Saved => {}
        }
        while self.taken_slots < self.settings.slots.max(1)
            && let Some((_, id)) = self.ready.pop_first()
        {
            self.begin_batch(id);
        }
        std::mem::take(&mut self.ended)
    }

    fn plan(&mut self, at: Duration, batch: BatchId, what: What, chunk: u64) {
        self.events.push(Reverse(Event {
            at,
            batch,
            what,
            chunk,
        }));
    }

    /// Whether the chunk of a batch waits for locks.
    fn waits(&self, id: BatchId) -> bool {
        let batch = self.batches.get(&id);
        batch.is_some_and(|batch| !batch.chunk.lacks.is_empty() && batch.chunk.fates.is_empty())
    }

    /// A batch gets a slot.
    fn begin_batch(&mut self, id: BatchId) {
        let (Some(batch), Some(job)) = (self.batches.get_mut(&id), self.jobs.get(&id.0)) else {
            return;
        };
        if !batch.is_counted && !job.work.may_begin_batch() {
            self.ended.push(id.0);
            self.drop_job(id.0);
            return;
        }
        batch.is_counted = true;
        batch.since = Some(self.now);
        batch.failures = 0;
        self.taken_slots += 1;
        self.begin_chunk(id);
    }

    /// A batch asks for the locks of its next rows.
    fn begin_chunk(&mut self, id: BatchId) {
        if self.is_gone(id.0) {
            return;
        }
        let (Some(batch), Some(job)) = (self.batches.get_mut(&id), self.jobs.get_mut(&id.0)) else {
            return;
        };
        let first = batch.rest.start;
        let rows = first..batch.rest.end.min(first + CHUNK_ROWS);
        batch.rest.start = rows.end;
        batch.chunks += 1;
        self.counts.chunks += 1;
        let mut chunk = Chunk {
            first,
            since: self.now,
            ..Chunk::default()
        };
        for Asked { locks, is_bad } in job.work.check(rows) {
            let locks = locks.into_iter().map(|id| self.locks.of(id)).collect();
            chunk.rows.push(Row { locks, is_bad });
        }
        let wanted: BTreeSet<Lock> = chunk
            .rows
            .iter()
            .flat_map(|row| &row.locks)
            .copied()
            .collect();
        for lock in wanted {
            if self.locks.take(lock, id) {
                chunk.has.insert(lock);
            } else {
                chunk.lacks.insert(lock);
            }
        }
        let (waits, number) = (!chunk.lacks.is_empty(), batch.chunks);
        batch.chunk = chunk;
        if waits {
            self.counts.lock_waits += 1;
            self.plan(
                self.now + self.settings.lock_wait,
                id,
                What::WaitOver,
                number,
            );
        } else {
            self.run_chunk(id);
        }
    }

    /// A chunk has its locks, or waits for them no longer.
    fn run_chunk(&mut self, id: BatchId) {
        let (Some(batch), Some(job)) = (self.batches.get_mut(&id), self.jobs.get(&id.0)) else {
            return;
        };
        let chunk = &mut batch.chunk;
        self.counts.lock_wait_seconds += (self.now - chunk.since).as_secs_f64();
        for lock in &chunk.lacks {
            self.locks.give_up(*lock, id);
        }
        let locks = &self.locks;
        let fates = chunk.rows.iter().map(|row| {
            let missed = row.locks.iter().filter(|lock| chunk.lacks.contains(lock));
            let missed: Vec<String> = missed.map(|lock| locks.id(*lock).to_owned()).collect();
            if missed.is_empty() {
                Fate::Saved
            } else {
                Fate::Locked(missed)
            }
        });
        chunk.fates = fates.collect();
        let locked = chunk.locked();
        batch.failures += locked;
        self.counts.lock_failures += locked as u64;
        let again = if job.has_trigger {
            chunk.save_again()
        } else {
            0
        };
        let settings = &self.settings;
        let rows = u32::try_from(chunk.rows.len() - locked).unwrap_or(u32::MAX);
        let once = match rows {
            0 => Duration::ZERO,
            rows => settings.chunk_time + settings.row_time * rows,
        };
        let number = batch.chunks;
        self.plan(self.now + once * (again + 1), id, What::Saved, number);
    }

    /// A chunk is saved; its batch goes on, is put back or is at its end.
    fn end_chunk(&mut self, id: BatchId) {
        if self.is_gone(id.0) {
            return;
        }
        let (Some(batch), Some(job)) = (self.batches.get_mut(&id), self.jobs.get_mut(&id.0)) else {
            return;
        };
        let chunk = std::mem::take(&mut batch.chunk);
        job.work.save(chunk.first, chunk.fates);
        let took = self.now - batch.since.unwrap_or(self.now);
        let too_many = batch.failures > self.settings.lock_failures;
        let is_put_back = too_many || took > self.settings.batch_limit;
        let is_empty = batch.rest.is_empty();
        self.release(id, &chunk.has);
        if is_empty {
            self.end_batch(id);
        } else if is_put_back {
            self.leave_slot_for_later(id, too_many);
        } else {
            self.begin_chunk(id);
        }
    }

    /// Releases locks; chunks that have all of theirs now go on.
    fn release(&mut self, id: BatchId, locks: &BTreeSet<Lock>) {
        for lock in locks {
            let Some(next) = self.locks.release(*lock) else {
                continue;
            };
            debug_assert_ne!(next, id, "a batch waits for its own lock");
            let Some(batch) = self.batches.get_mut(&next) else {
                continue;
            };
            batch.chunk.lacks.remove(lock);
            batch.chunk.has.insert(*lock);
            if batch.chunk.lacks.is_empty() {
                self.run_chunk(next);
            }
        }
    }

    /// A batch with rows left waits for its next try, or fails its job after the last.
    fn leave_slot_for_later(&mut self, id: BatchId, for_locks: bool) {
        self.free_slot(id);
        let (Some(batch), Some(job)) = (self.batches.get_mut(&id), self.jobs.get_mut(&id.0)) else {
            return;
        };
        self.counts.put_back += 1;
        job.work.put_back();
        batch.tries += 1;
        if batch.tries < self.settings.tries {
            self.plan(self.now + self.settings.put_back_time, id, What::Ready, 0);
            return;
        }
        let end = if for_locks {
            End::TooManyLockFailures
        } else {
            End::TooSlow
        };
        self.counts.failed_jobs += 1;
        job.work.end(end, self.now);
        self.ended.push(id.0);
        self.drop_job(id.0);
    }

    /// Frees the slot of a batch.
    fn free_slot(&mut self, id: BatchId) {
        let since = self
            .batches
            .get_mut(&id)
            .and_then(|batch| batch.since.take());
        if let Some(since) = since {
            self.taken_slots -= 1;
            self.counts.slot_seconds += (self.now - since).as_secs_f64();
        }
    }

    /// A batch is at its end; with the last one, so is its job.
    fn end_batch(&mut self, id: BatchId) {
        self.free_slot(id);
        self.batches.remove(&id);
        let number = id.0;
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        job.left -= 1;
        if job.left == 0 {
            job.work.end(End::Complete, self.now);
            self.ended.push(number);
            self.jobs.remove(&number);
        }
    }

    /// Whether a job was ended or deleted by others. If so, it is forgotten.
    fn is_gone(&mut self, number: u32) -> bool {
        let Some(job) = self.jobs.get_mut(&number) else {
            return true;
        };
        if job.work.goes_on() {
            return false;
        }
        job.work.end(End::Gone, self.now);
        self.drop_job(number);
        true
    }

    /// Forgets a job that has ended, its batches and their locks. What a chunk of it was about to
    /// save is not written.
    fn drop_job(&mut self, number: u32) {
        self.jobs.remove(&number);
        let batches = self.batches.range((number, 0)..=(number, u32::MAX));
        let batches: Vec<BatchId> = batches.map(|(id, _)| *id).collect();
        let mut freed = Vec::new();
        for id in batches {
            self.free_slot(id);
            if let Some(batch) = self.batches.remove(&id) {
                for lock in &batch.chunk.lacks {
                    self.locks.give_up(*lock, id);
                }
                freed.push((id, batch.chunk.has));
            }
        }
        self.ready.retain(|(_, (job, _))| *job != number);
        for (id, locks) in freed {
            self.release(id, &locks);
        }
    }
}

impl Chunk {
    /// Rows that fail for locks.
    fn locked(&self) -> usize {
        let locked = self
            .fates
            .iter()
            .filter(|fate| matches!(fate, Fate::Locked(_)));
        locked.count()
    }

    /// How often it is saved again without its bad rows where a trigger runs. Are there too many
    /// of them, the good rows fail too.
    fn save_again(&mut self) -> u32 {
        let fails = |(row, fate): (&Row, &Fate)| row.is_bad || *fate != Fate::Saved;
        let bad = self
            .rows
            .iter()
            .zip(&self.fates)
            .filter(|pair| fails(*pair));
        let again = bad.count().div_ceil(BAD_ROWS_A_SAVE);
        if again > SAVES_AGAIN {
            for fate in &mut self.fates {
                if *fate == Fate::Saved {
                    *fate = Fate::FailsWithOthers;
                }
            }
        }
        u32::try_from(again.min(SAVES_AGAIN)).unwrap_or(u32::MAX)
    }
}
