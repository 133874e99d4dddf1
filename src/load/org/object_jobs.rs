//! How many jobs into one object are in flight at once: fewer while they fight for locks.
//!
//! Additive increase, multiplicative decrease, as networks share a line: a job in which more than a
//! percent of the rows was refused for locks halves the number, a job without any lets one more go.
//! Jobs that began before the number was lowered say nothing of it as it is now.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::signal::Signal;

/// One row of so many that is refused for a lock is no reason to send fewer jobs at once.
const FEW: u64 = 100;

/// The jobs into each object of an org.
#[derive(Debug)]
pub(super) struct Objects {
    most: usize,
    changed: Signal,
    objects: Mutex<HashMap<String, Arc<ObjectJobs>>>,
}

/// The jobs into one object, of all loads.
#[derive(Debug)]
pub(crate) struct ObjectJobs {
    slots: Arc<Semaphore>,
    /// Chunks that wait for a slot.
    waiting: AtomicUsize,
    limit: Mutex<Limit>,
    changed: Signal,
}

#[derive(Debug)]
struct Limit {
    /// Jobs at once now, and at most.
    now: usize,
    most: usize,
    /// Slots in use that go when their jobs end.
    owed: usize,
    lowered: u64,
    lowest: usize,
}

/// What was done about locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lowered {
    /// How often the number of jobs at once was lowered.
    pub(crate) times: u64,
    /// The least it was.
    pub(crate) lowest: usize,
}

/// While it lives, a job into the object is in flight.
#[derive(Debug)]
pub(crate) struct ObjectSlot {
    jobs: Arc<ObjectJobs>,
    permit: Option<OwnedSemaphorePermit>,
    /// How often the number had been lowered when the job began.
    lowered: u64,
}

impl Objects {
    /// `most` jobs may be in flight over all objects.
    pub(super) fn new(most: usize, changed: Signal) -> Self {
        Self {
            most,
            changed,
            objects: Mutex::default(),
        }
    }

    /// The jobs into an object. One load that is `serial` makes them so for all.
    pub(super) fn of(&self, object: &str, serial: bool) -> Arc<ObjectJobs> {
        let mut objects = self.objects.lock();
        let jobs = objects
            .entry(object.to_ascii_lowercase())
            .or_insert_with(|| {
                Arc::new(ObjectJobs {
                    slots: Arc::new(Semaphore::new(self.most)),
                    waiting: AtomicUsize::new(0),
                    limit: Mutex::new(Limit {
                        now: self.most,
                        most: self.most,
                        owed: 0,
                        lowered: 0,
                        lowest: self.most,
                    }),
                    changed: self.changed.clone(),
                })
            });
        if serial {
            jobs.at_most(1);
        }
        Arc::clone(jobs)
    }
}

impl ObjectJobs {
    /// A slot for one job; `None` if `stop` comes first.
    pub(super) async fn slot(self: &Arc<Self>, stop: &CancellationToken) -> Option<ObjectSlot> {
        let _waiting = Waiting::new(self);
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            permit = Arc::clone(&self.slots).acquire_owned() => permit.ok()?,
        };
        Some(ObjectSlot {
            jobs: Arc::clone(self),
            permit: Some(permit),
            lowered: self.limit.lock().lowered,
        })
    }

    /// Whether a chunk waits for a slot.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// What was done about locks so far.
    pub(crate) fn lowered(&self) -> Lowered {
        let limit = self.limit.lock();
        Lowered {
            times: limit.lowered,
            lowest: limit.lowest,
        }
    }

    /// The most jobs that go at once.
    pub(crate) fn most(&self) -> usize {
        self.limit.lock().most
    }

    fn at_most(&self, most: usize) {
        let mut limit = self.limit.lock();
        limit.most = limit.most.min(most);
        let now = limit.now.min(most);
        limit.lowest = limit.lowest.min(now);
        self.set(&mut limit, now);
    }

    /// So many jobs at once from now on.
    fn set(&self, limit: &mut Limit, now: usize) {
        while limit.now < now {
            limit.now += 1;
            if limit.owed > 0 {
                limit.owed -= 1;
            } else {
                self.slots.add_permits(1);
            }
        }
        let fewer = limit.now - now;
        limit.now = now;
        limit.owed += fewer - self.slots.forget_permits(fewer);
    }
}

impl ObjectSlot {
    /// The job is in flight no longer: another one may go, before it is known what became of the rows.
    pub(crate) fn free(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let mut limit = self.jobs.limit.lock();
        if limit.owed > 0 {
            limit.owed -= 1;
            permit.forget();
        }
    }

    /// So many of the `rows` of the job, which has ended, were refused for locks. Returns the number of
    /// jobs at once before and after, if that lowered it.
    pub(crate) fn ended(&self, rows: u64, locked: u64) -> Option<(usize, usize)> {
        let mut limit = self.jobs.limit.lock();
        let before = limit.now;
        if locked * FEW <= rows {
            if locked == 0 && before < limit.most {
                self.jobs.set(&mut limit, before + 1);
            }
            return None;
        }
        if before == 1 || self.lowered < limit.lowered {
            return None;
        }
        let now = before / 2;
        limit.lowered += 1;
        limit.lowest = limit.lowest.min(now);
        self.jobs.set(&mut limit, now);
        Some((before, now))
    }
}

impl Drop for ObjectSlot {
    fn drop(&mut self) {
        self.free();
    }
}

/// While it lives, a chunk waits for a slot of its object.
struct Waiting<'a>(&'a ObjectJobs);

impl<'a> Waiting<'a> {
    fn new(jobs: &'a ObjectJobs) -> Self {
        jobs.waiting.fetch_add(1, Ordering::Relaxed);
        Self(jobs)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn jobs(most: usize) -> Arc<ObjectJobs> {
        Objects::new(most, Signal::default()).of("Contact", false)
    }

    async fn slots(jobs: &Arc<ObjectJobs>, count: usize) -> Vec<ObjectSlot> {
        let stop = CancellationToken::new();
        let mut slots = Vec::new();
        for _ in 0..count {
            slots.push(jobs.slot(&stop).await.unwrap());
        }
        slots
    }

    fn is_full(jobs: &Arc<ObjectJobs>) -> bool {
        let stop = CancellationToken::new();
        let slot = jobs.slot(&stop).now_or_never();
        slot.is_none()
    }

    #[tokio::test]
    async fn locks_halve_the_jobs_at_once_and_quiet_jobs_let_one_more_go() {
        let jobs = jobs(8);
        let mut all = slots(&jobs, 8).await;
        assert_eq!(all[0].ended(10_000, 101), Some((8, 4)));
        assert_eq!(all[1].ended(10_000, 10_000), None, "it began before");
        all.truncate(4);
        assert!(is_full(&jobs), "four at once");
        all.pop();
        assert!(!is_full(&jobs));
        let new = slots(&jobs, 1).await.remove(0);
        assert_eq!(new.ended(200, 3), Some((4, 2)));
        assert_eq!(new.ended(200, 2), None, "few are no reason");
        assert_eq!(jobs.limit.lock().now, 2);
        assert_eq!(new.ended(200, 0), None);
        assert_eq!(jobs.limit.lock().now, 3);
        drop((all, new));
        let all = slots(&jobs, 3).await;
        assert!(is_full(&jobs));
        for _ in 0..20 {
            all[0].ended(1, 0);
        }
        assert_eq!(jobs.limit.lock().now, 8, "not above what it was");
        drop(all);
        drop(slots(&jobs, 8).await);
        assert_eq!(
            jobs.lowered(),
            Lowered {
                times: 2,
                lowest: 2
            }
        );
    }

    #[tokio::test]
    async fn one_job_goes_always_and_a_serial_load_lets_no_other() {
        let objects = Objects::new(4, Signal::default());
        let jobs = objects.of("Contact", false);
        let running = slots(&jobs, 3).await;
        let same = objects.of("contact", true);
        assert!(Arc::ptr_eq(&jobs, &same));
        assert!(is_full(&jobs));
        drop(running);
        let one = slots(&jobs, 1).await.remove(0);
        assert!(is_full(&jobs));
        assert_eq!(one.ended(10, 10), None);
        assert_eq!(one.ended(10, 0), None, "serial stays so");
        drop(one);
        assert!(!is_full(&jobs));
    }

    #[tokio::test]
    async fn who_waits_and_is_cancelled_crowds_no_longer() {
        let (jobs, stop) = (jobs(1), CancellationToken::new());
        let slot = jobs.slot(&stop).await;
        assert!(!jobs.is_crowded());
        let mut waiting = Box::pin(jobs.slot(&stop));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(jobs.is_crowded());
        drop(waiting);
        assert!(!jobs.is_crowded());
        drop(slot);
    }
}
