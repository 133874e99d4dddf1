//! One memory budget for the process: reading waits when it is used up.
//!
//! Rows, cells and the join back draw from one DataFusion memory pool: three quarters of the setting
//! once the program's own needs are taken off (the rest is allocator slack). A share of it is never
//! given to reading, or rows would fill the pool and the join that frees them could not run. The pool
//! itself wakes nobody, so this type signals the change.
//!
//! What exists already is reserved whether or not it fits; what does not exist yet is asked for, and
//! waits ([`Admission`](super::admission::Admission) says for what, and why not for ever).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::Mutex;

use super::signal::Signal;

/// What the program takes beside rows, in bytes, as measured: code, threads, builders, the pieces of
/// uploads, results and reject files on their way.
const PROGRAM: usize = 48 << 20;

/// Share of the pool that reading never gets, in bytes, or a quarter where that is less.
const KEPT_FOR_SETTLING: usize = 64 << 20;

/// Part of what rows may take that the rows still held by who reads them may take.
const HELD_BY_READERS: usize = 8;

/// The same in bytes, at most: larger batches are not faster.
const MOST_HELD_BY_READERS: usize = 64 << 20;

/// Part of what rows may take that the numbers and keys of held rows may take.
const HELD_FOR_PARENTS: usize = 4;

/// Part of what rows may take that those of one job should have where memory is short.
const WORTH_A_JOB: usize = 4;

#[derive(Debug)]
pub(crate) struct Budget {
    pool: Arc<dyn MemoryPool>,
    rows: MemoryReservation,
    for_rows: usize,
    /// Bytes reserved beside rows, for what goes only after rows have their end.
    beside: Arc<AtomicUsize>,
    /// Held while a request is weighed, so that two do not take the same bytes.
    asking: Mutex<()>,
    changed: Signal,
}

impl Budget {
    /// A budget for a process that may use `memory_limit` bytes in all; what is given back is a
    /// change.
    pub(crate) fn new(memory_limit: u64, changed: Signal) -> Self {
        let limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
        let total = limit.saturating_sub(PROGRAM) / 4 * 3;
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(total));
        let rows = MemoryConsumer::new("rows in flight").register(&pool);
        let for_rows = total - KEPT_FOR_SETTLING.min(total / 4);
        Self {
            pool,
            rows,
            for_rows,
            beside: Arc::default(),
            asking: Mutex::default(),
            changed,
        }
    }

    /// A DataFusion runtime whose operators draw from this budget.
    pub(crate) fn runtime(&self) -> datafusion::error::Result<Arc<RuntimeEnv>> {
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&self.pool))
            .build_arc()
    }

    /// `bytes` for rows, if they are there.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let _asking = self.asking.lock();
        (self.used() + bytes <= self.for_rows).then(|| self.reserve(bytes))
    }

    /// `bytes` for something that exists already, whether or not they are there.
    pub(crate) fn reserve(&self, bytes: usize) -> Reservation {
        let reservation = self.rows.new_empty();
        reservation.grow(bytes);
        Reservation {
            reservation,
            beside: None,
            changed: self.changed.clone(),
        }
    }

    /// As [`Budget::reserve`], for what is kept until rows have their end.
    pub(crate) fn reserve_beside(&self, bytes: usize) -> Reservation {
        self.beside.fetch_add(bytes, Ordering::Relaxed);
        let mut reservation = self.reserve(bytes);
        reservation.beside = Some(Arc::clone(&self.beside));
        reservation
    }

    /// Bytes reserved now, for rows and for joins.
    pub(crate) fn used(&self) -> usize {
        self.pool.reserved()
    }

    /// Whether more is in use than rows may take, or more than half of it beside rows: the rows
    /// that this waits for need the rest.
    pub(crate) fn is_full(&self) -> bool {
        let beside = self.beside.load(Ordering::Relaxed);
        self.used() > self.for_rows || beside > self.for_rows / 2
    }

    /// Bytes of rows that all who read them may hold before they send them on.
    pub(crate) fn held_by_readers(&self) -> usize {
        (self.for_rows / HELD_BY_READERS).min(MOST_HELD_BY_READERS)
    }

    /// Bytes that the numbers and keys of rows may take that are held until their parents are there.
    pub(crate) fn held_for_parents(&self) -> usize {
        self.for_rows / HELD_FOR_PARENTS
    }

    /// Memory that rows may take.
    pub(crate) fn for_rows(&self) -> usize {
        self.for_rows
    }

    /// Memory of rows, as they came, that are worth a job of their own where memory is short: rows of
    /// as many again may be on their way into jobs beside them.
    pub(crate) fn worth_a_job(&self) -> usize {
        self.for_rows / WORTH_A_JOB
    }

    /// Whether more than half of what rows may take is in use.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.for_rows / 2
    }
}

/// Bytes of the memory budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    reservation: MemoryReservation,
    /// Where it is counted too, if it is for something beside rows.
    beside: Option<Arc<AtomicUsize>>,
    changed: Signal,
}

impl Reservation {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.reservation.size()
    }

    /// Takes `bytes` more, for something that exists already.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.reservation.grow(bytes);
        if let Some(beside) = &self.beside {
            beside.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Takes `bytes` from now on, for something that exists already.
    pub fn resize(&mut self, bytes: usize) {
        let size = self.bytes();
        if bytes > size {
            self.grow(bytes - size);
        } else {
            self.shrink_to(bytes);
        }
    }

    /// Takes over what `other` has.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        let bytes = other.bytes();
        self.grow(bytes);
        other.shrink_to(0);
    }

    /// Parts with `bytes`, or with all if it has less.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes());
        self.no_longer_beside(bytes);
        Self {
            reservation: self.reservation.split(bytes),
            beside: None,
            changed: self.changed.clone(),
        }
    }

    /// Keeps `bytes` and gives the rest back; never grows.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let size = self.bytes();
        if bytes < size {
            self.reservation.shrink(size - bytes);
            self.no_longer_beside(size - bytes);
            self.changed.notify();
        }
    }

    fn no_longer_beside(&self, bytes: usize) {
        if let Some(beside) = &self.beside {
            beside.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let bytes = self.reservation.free();
        self.no_longer_beside(bytes);
        self.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_for_settling() {
        let budget = Budget::new(1 << 30, Signal::default());
        let total = ((1_usize << 30) - PROGRAM) / 4 * 3;
        assert!(budget.try_reserve(1).is_some());
        let all = budget.try_reserve(total - KEPT_FOR_SETTLING).unwrap();
        assert!(
            budget.try_reserve(1).is_none(),
            "reading stops at its share"
        );
        assert!(
            budget.pool.reserved() + KEPT_FOR_SETTLING <= total,
            "the join still finds memory"
        );
        drop(all);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_kept_beside_rows_leaves_them_half() {
        let budget = Budget::new(128 << 20, Signal::default());
        let state = budget.reserve_beside(20 << 20);
        assert!(!budget.is_full());
        let rows = budget.try_reserve(20 << 20).unwrap();
        let more = budget.reserve_beside(10 << 20);
        drop(rows);
        assert!(budget.is_full(), "whatever rows take");
        assert!(budget.try_reserve(10 << 20).is_some());
        drop((state, more));
        assert!(!budget.is_full());
        assert_eq!(
            (budget.used(), budget.beside.load(Ordering::Relaxed)),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn giving_back_wakes_who_waits() {
        let budget = Budget::new(128 << 20, Signal::default());
        let mut some = budget.try_reserve(40 << 20).unwrap();
        let changed = budget.changed.changed();
        some.shrink_to(1 << 20);
        changed.await;
        assert_eq!(budget.used(), 1 << 20);
    }
}
