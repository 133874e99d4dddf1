//! One memory budget for the process: reading waits when it is used up.
//!
//! Rows, cells and the join back draw from one DataFusion memory pool: three quarters of the setting
//! once the program's own needs are taken off (the rest is allocator slack). A share of it is never given to
//! reading, or rows would fill the pool and the join that frees them could not run. The pool itself
//! wakes nobody, so this type adds the waiting.

use std::sync::Arc;

use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::sync::Notify;

/// What the program takes beside rows, in bytes, as measured: code, threads, builders, the pieces of
/// uploads, results and reject files on their way.
const PROGRAM: usize = 48 << 20;

/// Share of the pool that reading never gets, in bytes, or a quarter where that is less.
const KEPT_FOR_SETTLING: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Budget {
    pool: Arc<dyn MemoryPool>,
    rows: MemoryReservation,
    for_rows: usize,
    freed: Arc<Notify>,
}

impl Budget {
    /// A budget for a process that may use `memory_limit` bytes in all.
    pub(crate) fn new(memory_limit: u64) -> Self {
        let limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
        let total = limit.saturating_sub(PROGRAM) / 4 * 3;
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(total));
        let rows = MemoryConsumer::new("rows in flight").register(&pool);
        let for_rows = total - KEPT_FOR_SETTLING.min(total / 4);
        Self {
            pool,
            rows,
            for_rows,
            freed: Arc::new(Notify::new()),
        }
    }

    /// A DataFusion runtime whose operators draw from this budget.
    pub(crate) fn runtime(&self) -> datafusion::error::Result<Arc<RuntimeEnv>> {
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&self.pool))
            .build_arc()
    }

    /// `bytes` for rows, if they are there; always, if no rows are held, so that one batch larger
    /// than the budget still passes.
    pub(crate) fn try_grant(&self, bytes: usize) -> Option<Grant> {
        let used = self.used();
        let fits = used == 0 || used + bytes <= self.for_rows;
        fits.then(|| self.grant(bytes))
    }

    /// `bytes` for something that exists already, whether or not they are there.
    pub(crate) fn grant(&self, bytes: usize) -> Grant {
        let reservation = self.rows.new_empty();
        reservation.grow(bytes);
        Grant {
            reservation,
            freed: Arc::clone(&self.freed),
        }
    }

    /// Bytes granted now, to rows and to joins.
    pub(crate) fn used(&self) -> usize {
        self.pool.reserved()
    }

    /// Whether more is in use than rows may take.
    pub(crate) fn is_full(&self) -> bool {
        self.used() > self.for_rows
    }

    /// Whether more than half of what rows may take is in use.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.for_rows / 2
    }

    /// Told when something was given back.
    pub(crate) fn freed(&self) -> &Notify {
        &self.freed
    }
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub struct Grant {
    reservation: MemoryReservation,
    freed: Arc<Notify>,
}

impl Grant {
    /// Takes `bytes` more, for something that exists already.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.reservation.grow(bytes);
    }

    /// Holds `bytes` from now on, for something that exists already.
    pub(crate) fn resize(&mut self, bytes: usize) {
        if bytes > self.reservation.size() {
            self.reservation.resize(bytes);
        } else {
            self.shrink_to(bytes);
        }
    }

    /// Takes over what `other` holds.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.grow(other.reservation.size());
        drop(other);
    }

    /// Keeps `bytes` and gives the rest back; never grows.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let size = self.reservation.size();
        if bytes < size {
            self.reservation.shrink(size - bytes);
            self.freed.notify_waiters();
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.reservation.free();
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_for_settling() {
        let budget = Budget::new(1 << 30);
        let total = ((1_usize << 30) - PROGRAM) / 4 * 3;
        assert!(budget.try_grant(1).is_some());
        let held = budget.try_grant(total - KEPT_FOR_SETTLING).unwrap();
        assert!(budget.try_grant(1).is_none(), "reading stops at its share");
        assert!(
            budget.pool.reserved() + KEPT_FOR_SETTLING <= total,
            "the join still finds memory"
        );
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_batch_larger_than_the_budget_passes_alone() {
        let budget = Budget::new(128 << 20);
        let huge = budget.try_grant(1 << 30).unwrap();
        assert!(budget.try_grant(1).is_none());
        drop(huge);
        assert!(budget.try_grant(1).is_some());
    }

    #[tokio::test]
    async fn giving_back_wakes_who_waits() {
        let budget = Budget::new(128 << 20);
        let mut held = budget.try_grant(40 << 20).unwrap();
        let freed = budget.freed().notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        held.shrink_to(1 << 20);
        freed.await;
        assert_eq!(budget.used(), 1 << 20);
    }
}
