//! What may run and what must wait: slots for jobs and uploads, memory, and the pressure for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::load::LoadError;
use crate::options::OrgOptions;

use super::budget::{Budget, Reservation};
use super::rows::{RowStore, RowsError};
use super::signal::Signal;

/// Uploads at once: more only share the same line and hold more memory.
const UPLOADS_AT_ONCE: usize = 2;

/// Admits the chunks and rows of all loads of an org.
#[derive(Debug)]
pub(crate) struct Admission {
    budget: Budget,
    changed: Signal,
    job_slots: Arc<Semaphore>,
    upload_slots: Arc<Semaphore>,
    settling: Arc<AsyncMutex<()>>,
    /// Closed chunks whose job is not closed: they give memory back by themselves.
    staging: AtomicUsize,
    /// Chunks among them that wait for a job slot.
    waiting: AtomicUsize,
    members: Mutex<Vec<Member>>,
    /// One at a time makes room.
    relieving: Arc<AsyncMutex<()>>,
    spilled: Arc<AtomicU64>,
}

/// What a load can give when memory is short.
#[derive(Debug)]
struct Member {
    rows: Weak<RowStore>,
    open: Weak<OpenChunk>,
}

/// The largest open chunk of a load, as memory pressure sees it.
#[derive(Debug)]
pub(crate) struct OpenChunk {
    bytes: AtomicU64,
    close: Notify,
    changed: Signal,
}

impl OpenChunk {
    /// It has so many bytes of CSV now; none if nothing is open.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        // Who waits for memory may have found nothing to close before.
        self.changed.notify();
    }

    /// Waits until it should be closed, since memory is short.
    pub(crate) async fn should_close(&self) {
        self.close.notified().await;
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Admission {
    pub(crate) fn new(options: &OrgOptions) -> Self {
        let changed = Signal::default();
        Self {
            budget: Budget::new(options.memory_limit_bytes, changed.clone()),
            changed,
            job_slots: Arc::new(Semaphore::new(options.max_jobs_in_flight)),
            upload_slots: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            settling: Arc::default(),
            staging: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            members: Mutex::default(),
            relieving: Arc::default(),
            spilled: Arc::default(),
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The one signal of whatever may be waited for.
    pub(crate) fn changed(&self) -> &Signal {
        &self.changed
    }

    /// Bytes of rows that went to disk so far.
    pub(crate) fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Joins a load to those that memory pressure is spread over.
    pub(crate) fn register(&self, rows: &Arc<RowStore>) -> Arc<OpenChunk> {
        let open = Arc::new(OpenChunk {
            bytes: AtomicU64::new(0),
            close: Notify::new(),
            changed: self.changed.clone(),
        });
        let mut members = self.members.lock();
        members.retain(|member| member.rows.strong_count() > 0);
        members.push(Member {
            rows: Arc::downgrade(rows),
            open: Arc::downgrade(&open),
        });
        open
    }

    /// A permit for one job; `None` if `stop` comes first.
    pub(crate) async fn job_slot(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::new(self);
        permit(&self.job_slots, stop).await
    }

    /// A permit for one upload; `None` if `stop` comes first.
    pub(crate) async fn upload_slot(
        &self,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        permit(&self.upload_slots, stop).await
    }

    /// Whether a chunk waits for a job slot: reading further would only fill memory.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The permit to join a job's results back to its rows and to store those rejected: what that
    /// takes of memory is a share of the budget, not one for each job.
    pub(crate) async fn settle_permit(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.settling).lock_owned().await
    }

    /// A chunk is closed: until the guard goes, it will give memory back by itself.
    pub(crate) fn staging(self: &Arc<Self>) -> Staging {
        self.staging.fetch_add(1, Ordering::Relaxed);
        Staging(Arc::clone(self))
    }

    /// Waits for `bytes` of memory for rows, and makes room meanwhile. Cancelled, it takes nothing.
    pub(crate) async fn memory(&self, bytes: usize) -> Result<Reservation> {
        self.relieved(|| self.budget.try_reserve(bytes)).await
    }

    /// Waits while the memory budget is used up, and makes room meanwhile.
    pub(crate) async fn room(&self) -> Result<()> {
        self.relieved(|| (!self.budget.is_full()).then_some(()))
            .await
    }

    /// Waits for what `wanted` finds once there is memory, and makes room meanwhile.
    async fn relieved<T>(&self, wanted: impl Fn() -> Option<T>) -> Result<T> {
        loop {
            let changed = self.changed.changed();
            if let Some(found) = wanted() {
                return Ok(found);
            }
            if !self.relieve().await? {
                changed.await;
            }
        }
    }

    /// Makes room: rows of closed jobs go to disk; if there are none and no closed chunk is on its
    /// way, the largest open chunk is closed. True if room was made already.
    async fn relieve(&self) -> Result<bool> {
        let one_at_a_time = Arc::clone(&self.relieving).lock_owned().await;
        let (rows, open) = self.members();
        let total = Arc::clone(&self.spilled);
        let spilling = tokio::task::spawn_blocking(move || {
            // Kept here, since this goes on when who waits is cancelled.
            let _one_at_a_time = one_at_a_time;
            let mut spilled = 0;
            for rows in rows {
                let bytes = rows.spill()?;
                total.fetch_add(bytes, Ordering::Relaxed);
                spilled += bytes;
            }
            Ok::<_, RowsError>(spilled)
        });
        if spilling.await.map_err(LoadError::from)?? > 0 {
            return Ok(true);
        }
        if self.staging.load(Ordering::Relaxed) == 0 {
            let largest = open.iter().max_by_key(|open| open.bytes());
            if let Some(open) = largest.filter(|open| open.bytes() > 0) {
                open.close.notify_one();
            }
        }
        Ok(false)
    }

    fn members(&self) -> (Vec<Arc<RowStore>>, Vec<Arc<OpenChunk>>) {
        let members = self.members.lock();
        let rows = members.iter().filter_map(|member| member.rows.upgrade());
        let open = members.iter().filter_map(|member| member.open.upgrade());
        (rows.collect(), open.collect())
    }
}

async fn permit(slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permit = Arc::clone(slots).acquire_owned() => permit.ok(),
    }
}

/// While it lives, a chunk waits for a job slot.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn new(admission: &'a Admission) -> Self {
        admission.waiting.fetch_add(1, Ordering::Relaxed);
        Self(admission)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify();
    }
}

/// While it lives, a closed chunk is on its way into a job.
#[derive(Debug)]
pub(crate) struct Staging(Arc<Admission>);

impl Drop for Staging {
    fn drop(&mut self) {
        self.0.staging.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::options::MIN_MEMORY;

    fn admission(jobs: usize) -> Arc<Admission> {
        let options = OrgOptions::default()
            .with_max_jobs_in_flight(jobs)
            .with_memory_limit_bytes(MIN_MEMORY);
        Arc::new(Admission::new(&options))
    }

    #[tokio::test]
    async fn who_waits_for_a_slot_and_is_cancelled_crowds_no_longer() {
        let (admission, stop) = (admission(1), CancellationToken::new());
        let slot = admission.job_slot(&stop).await;
        assert!(!admission.is_crowded());
        let mut waiting = Box::pin(admission.job_slot(&stop));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(admission.is_crowded());
        let changed = admission.changed().changed();
        drop(waiting);
        assert!(!admission.is_crowded());
        changed.await;
        drop(slot);
    }

    #[tokio::test]
    async fn an_open_chunk_that_grows_after_the_pressure_is_closed_all_the_same() {
        let admission = admission(1);
        let rows = Arc::new(RowStore::default());
        let open = admission.register(&rows);
        let all = admission
            .budget()
            .reserve(usize::try_from(MIN_MEMORY).unwrap());
        let waiting = Arc::clone(&admission);
        let waiting = tokio::spawn(async move { waiting.memory(1).await.map(drop) });
        // It finds nothing to close at first.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        open.set_bytes(100);
        open.should_close().await;
        drop(all);
        waiting.await.unwrap().unwrap();
    }
}
