//! What may run and what must wait: slots for jobs and uploads, memory, and the pressure for it.
//!
//! # Who waits for memory gets it
//!
//! Three ask for memory and wait: a feed for its next batch, an intake for rows whose key became
//! free or that it had set aside, a chunk under way for rows that are sent once more. None of them
//! holds a slot or a permit while it waits. They are granted in the order in which they came. All
//! others take what they need for what exists already.
//!
//! Memory is given back by three kinds of movers, none of which waits for memory:
//!
//! * a batch that was let in, until its intake has put it into a chunk ([`LetIn`]), unless that
//!   intake waits for memory itself, or for chunks of its own to end, which may;
//! * an open chunk: while no closed chunk is on its way into a job, who waits has the largest one
//!   closed, or set aside where it is too small to be worth a job, and an intake hears of that whatever
//!   it waits for;
//! * a closed chunk, until its rows have their end ([`UnderWay`]), but while it waits for memory, or for
//!   its turn behind chunks with the same parents: one of these may wait for memory itself. It
//!   waits for slots and for the permit to settle, which other movers hold; for Salesforce and the
//!   store of rejected records, whose patience ends; and for who reads the events.
//!
//! Each mover comes to its end, or becomes one who waits. New ones begin with a grant, or as one of
//! the others ends. So while nothing is granted, a moment comes at which nothing moves; its last
//! mover notifies all who wait, and the first to look is granted what it asks for, whatever that is:
//! one at a time, since that makes it a mover. Who is not the first waits for it as for a mover, which
//! it becomes. Memory that no mover holds (states, keys, rows packed where there is no disk) can delay
//! a grant, never prevent it. Rows set aside are on disk, or about to be.
//!
//! Who reads waits for room as well when the states that are kept take half of what rows may
//! ([`Admission::room`]). It sends on all rows first, so each state's rows are with a mover, or set
//! aside, and then those are sent, largest first; it goes when they have their end and who reads the
//! events takes it. Rows that are held until their parents are there are with no mover: when nothing
//! moves any more, nothing is there to be sent and there still is no room, they are let go, those of
//! the load that holds most first. Where there is no disk, who waits for memory has them let go too.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::error::Result;
use crate::load::LoadError;
use crate::options::OrgOptions;

use super::budget::{Budget, Reservation};
use super::member::{LetIn, Member, Pressure};
use super::object_jobs::{ObjectJobs, ObjectSlot, Objects};
use super::rows::{RowStore, RowsError};
use super::signal::Signal;
use super::spill::Spill;

/// Uploads at once: more only share the same line and hold more memory.
const UPLOADS_AT_ONCE: usize = 2;

/// Admits the chunks and rows of all loads of an org.
#[derive(Debug)]
pub(crate) struct Admission {
    budget: Budget,
    changed: Signal,
    job_slots: Arc<Semaphore>,
    objects: Objects,
    upload_slots: Arc<Semaphore>,
    settling: Arc<AsyncMutex<()>>,
    /// Closed chunks whose job is not closed: they give memory back by themselves.
    staging: AtomicUsize,
    /// Chunks among them that wait for a job slot.
    waiting: AtomicUsize,
    /// Closed chunks whose rows do not all have their end, those aside that wait for memory.
    under_way: AtomicUsize,
    members: Mutex<Vec<Weak<Member>>>,
    /// Held while a request for memory is weighed.
    granting: Mutex<()>,
    /// Held by the first of those who wait for memory: who came first is granted first, so that who
    /// asks for much is not overtaken for ever.
    first: AsyncMutex<()>,
    /// One at a time makes room.
    relieving: Arc<AsyncMutex<Spill>>,
    disk: Disk,
    spilled: Arc<AtomicU64>,
}

impl Admission {
    pub(crate) fn new(options: &OrgOptions) -> Self {
        let changed = Signal::default();
        let disk = Disk::shared();
        Self {
            budget: Budget::new(options.memory_limit_bytes, changed.clone()),
            job_slots: Arc::new(Semaphore::new(options.max_jobs_in_flight)),
            objects: Objects::new(options.max_jobs_in_flight, changed.clone()),
            upload_slots: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            settling: Arc::default(),
            staging: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            members: Mutex::default(),
            granting: Mutex::default(),
            first: AsyncMutex::default(),
            relieving: Arc::new(AsyncMutex::new(Spill::new(disk.clone()))),
            disk,
            spilled: Arc::default(),
            changed,
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

    /// Joins a load to those that share the memory.
    pub(crate) fn register(&self, rows: &Arc<RowStore>) -> Arc<Member> {
        let member = Arc::new(Member::new(Arc::clone(rows), self.changed.clone()));
        let mut members = self.members.lock();
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(&member));
        member
    }

    /// The jobs into an object, which all loads into it share; one that is `serial` makes them so.
    pub(crate) fn jobs_into(&self, object: &str, serial: bool) -> Arc<ObjectJobs> {
        self.objects.of(object, serial)
    }

    /// A permit for one job into an object; `None` if `stop` comes first.
    pub(crate) async fn job_slot(
        &self,
        jobs: &Arc<ObjectJobs>,
        stop: &CancellationToken,
    ) -> Option<JobSlot> {
        let object = jobs.slot(stop).await?;
        let _waiting = Waiting::new(self);
        let org = permit(&self.job_slots, stop).await?;
        Some(JobSlot { org, object })
    }

    /// A permit for one upload; `None` if `stop` comes first.
    pub(crate) async fn upload_slot(
        &self,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        permit(&self.upload_slots, stop).await
    }

    /// Whether a chunk waits for a slot of the org, or for one of this object: reading further would
    /// only fill memory.
    pub(crate) fn is_crowded(&self, jobs: &ObjectJobs) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || jobs.is_crowded()
    }

    /// The permit to join a job's results back to its rows and to store those rejected: what that
    /// takes of memory is a share of the budget, not one for each job.
    pub(crate) async fn settle_permit(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.settling).lock_owned().await
    }

    /// A chunk is closed: until the guard goes, it will give memory back by itself.
    pub(crate) fn staging(self: &Arc<Self>) -> Staging {
        self.staging.fetch_add(1, Ordering::SeqCst);
        Staging(Arc::clone(self))
    }

    /// The rows of a closed chunk are on their way to their end, as long as the guard lives.
    pub(crate) fn under_way(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(self))
    }

    /// Waits for `bytes` of memory for a batch of `member`, and makes room meanwhile; at once for
    /// none. Cancelled, it takes nothing.
    pub(crate) async fn memory(
        &self,
        bytes: usize,
        member: &Arc<Member>,
    ) -> Result<(Reservation, LetIn)> {
        self.granted(bytes, || member.let_in()).await
    }

    async fn granted<T>(&self, bytes: usize, begin: impl Fn() -> T) -> Result<(Reservation, T)> {
        let _first = match bytes {
            0 => None,
            _ => Some(self.first.lock().await),
        };
        self.relieved(Pressure::Memory, || self.grant(bytes, &begin))
            .await
    }

    /// `bytes`, if they are there or nothing else would free them, for what begins to move by that.
    fn grant<T>(&self, bytes: usize, begin: impl Fn() -> T) -> Option<(Reservation, T)> {
        let _granting = self.granting.lock();
        let budget = &self.budget;
        let there = match bytes {
            0 => Some(budget.reserve(0)),
            bytes => budget.try_reserve(bytes),
        };
        let beyond = || {
            if !self.nothing_moves() {
                return None;
            }
            if !self.disk.is_there() {
                self.press(Pressure::Held, &self.members());
            }
            Some(budget.reserve(bytes))
        };
        let memory = there.or_else(beyond)?;
        Some((memory, begin()))
    }

    /// Whether nothing gives memory back by itself.
    fn nothing_moves(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0
            && !self.members().iter().any(|member| member.moves())
    }

    /// Waits while the memory budget is used up, and makes room meanwhile.
    pub(crate) async fn room(&self) -> Result<()> {
        self.relieved(Pressure::States, || (!self.budget.is_full()).then_some(()))
            .await
    }

    /// Waits for what `wanted` finds once there is memory, and makes room meanwhile.
    async fn relieved<T>(&self, pressure: Pressure, wanted: impl Fn() -> Option<T>) -> Result<T> {
        loop {
            let changed = self.changed.changed();
            if let Some(found) = wanted() {
                return Ok(found);
            }
            if !self.relieve(pressure).await? {
                changed.await;
            }
        }
    }

    /// Makes room: rows of closed jobs, and those set aside, go to disk; if there are none and no
    /// closed chunk is on its way, the load with the largest open chunk is pressed for it. True if
    /// room was made already.
    async fn relieve(&self, pressure: Pressure) -> Result<bool> {
        let mut spill = Arc::clone(&self.relieving).lock_owned().await;
        let members = self.members();
        let stores: Vec<_> = members.iter().map(|load| Arc::clone(load.rows())).collect();
        let total = Arc::clone(&self.spilled);
        let spilling = tokio::task::spawn_blocking(move || {
            // The lock is kept here, since this goes on when who waits is cancelled.
            let mut spilled = 0;
            for rows in stores {
                let bytes = rows.spill(&mut spill)?;
                total.fetch_add(bytes, Ordering::Relaxed);
                spilled += bytes;
            }
            Ok::<_, RowsError>(spilled)
        });
        if spilling.await.map_err(LoadError::from)?? > 0 {
            return Ok(true);
        }
        if self.staging.load(Ordering::SeqCst) == 0
            && !self.press(pressure, &members)
            && pressure == Pressure::States
            && self.nothing_moves()
        {
            self.press(Pressure::Held, &members);
        }
        Ok(false)
    }

    /// Presses the load that can give most; false if none can give anything.
    fn press(&self, pressure: Pressure, members: &[Arc<Member>]) -> bool {
        let largest = members
            .iter()
            .max_by_key(|load| load.pressed_bytes(pressure));
        let largest = largest.filter(|load| load.pressed_bytes(pressure) > 0);
        largest.inspect(|load| load.press(pressure)).is_some()
    }

    /// How many rows of so many bytes each may be held beside those that are, over all loads.
    pub(crate) fn room_to_hold(&self, bytes: usize) -> u64 {
        let held: usize = self.members().iter().map(|load| load.held()).sum();
        let most = self.budget.held_for_parents() / bytes.max(1);
        most.saturating_sub(held) as u64
    }

    /// Whether rows can be set aside: on disk, they take no memory.
    pub(crate) fn can_set_aside(&self) -> bool {
        self.disk.is_there()
    }

    fn members(&self) -> Vec<Arc<Member>> {
        let members = self.members.lock();
        members.iter().filter_map(Weak::upgrade).collect()
    }
}

async fn permit(slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permit = Arc::clone(slots).acquire_owned() => permit.ok(),
    }
}

/// A permit for one job, of the org and of the object.
#[derive(Debug)]
pub(crate) struct JobSlot {
    org: OwnedSemaphorePermit,
    object: ObjectSlot,
}

impl JobSlot {
    /// The job has ended: what is left can say what became of its rows.
    pub(crate) fn free(self) -> ObjectSlot {
        let Self { org, mut object } = self;
        object.free();
        drop(org);
        object
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

/// While it lives, rows of a closed chunk are on their way to their end.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Admission>);

impl UnderWay {
    /// For one more chunk.
    pub(crate) fn one_more(&self) -> Self {
        self.0.under_way()
    }

    /// Waits for other chunks, which do not wait for this one; meanwhile it gives no memory back by
    /// itself.
    pub(crate) async fn idle<T>(&self, others: impl Future<Output = T>) -> T {
        let waits = ChunkWaits::new(&self.0);
        let done = others.await;
        waits.end();
        done
    }

    /// Waits for `bytes` of memory for rows that are sent once more, and makes room meanwhile.
    pub(crate) async fn memory(&self, bytes: usize) -> Result<Reservation> {
        let waits = ChunkWaits::new(&self.0);
        let (memory, ()) = self.0.granted(bytes, || waits.end()).await?;
        Ok(memory)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify();
    }
}

/// While it lives, a chunk that is under way waits for memory.
struct ChunkWaits<'a> {
    admission: &'a Admission,
    ended: AtomicBool,
}

impl<'a> ChunkWaits<'a> {
    fn new(admission: &'a Admission) -> Self {
        admission.under_way.fetch_sub(1, Ordering::SeqCst);
        admission.changed.notify();
        let ended = AtomicBool::new(false);
        Self { admission, ended }
    }

    fn end(&self) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            self.admission.under_way.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for ChunkWaits<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// While it lives, a closed chunk is on its way into a job.
#[derive(Debug)]
pub(crate) struct Staging(Arc<Admission>);

impl Drop for Staging {
    fn drop(&mut self) {
        self.0.staging.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify();
    }
}

#[cfg(test)]
mod tests;
