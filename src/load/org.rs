//! One connection to an org, and what all its loads share: job slots and memory.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::execution::runtime_env::RuntimeEnv;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::bulk::{Client, Credentials};
use crate::error::{Error, Result};
use crate::options::OrgOptions;

use super::budget::{Budget, Reservation};
use super::loader::Load;
use super::rows::RowsError;

/// Uploads at once: more only share the same line and hold more memory.
const UPLOADS_AT_ONCE: usize = 2;

/// A Salesforce org to load into: the session, the job slots, the memory budget.
///
/// Cheap to clone; all loads of a process should share one, since limits are counted here.
#[derive(Debug, Clone)]
pub struct Org {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    options: OrgOptions,
    job_slots: Arc<Semaphore>,
    upload_slots: Arc<Semaphore>,
    settling: Arc<AsyncMutex<()>>,
    budget: Budget,
    runtime: Arc<RuntimeEnv>,
    loads: Mutex<Vec<Weak<Load>>>,
    /// Chunks that are closed, but whose job is not: they give memory back by themselves.
    staging: AtomicUsize,
    /// Chunks among them that wait for a job slot.
    waiting: AtomicUsize,
    spilled: AtomicU64,
    jobs: AtomicU64,
    batches: AtomicU64,
}

impl Org {
    /// Logs in with `credentials`.
    ///
    /// # Errors
    /// A config error if an option is out of range or Salesforce refuses the credentials, a
    /// transient one if it cannot be reached.
    pub async fn connect(credentials: Credentials, options: OrgOptions) -> Result<Self> {
        options.validate()?;
        let client = Client::connect(credentials).await?;
        Self::new(client, options)
    }

    /// An org reached through a client that is logged in.
    ///
    /// # Errors
    /// A config error if an option is out of range.
    pub fn new(client: Client, options: OrgOptions) -> Result<Self> {
        options.validate()?;
        let budget = Budget::new(options.memory_limit_bytes);
        let runtime = budget.runtime().map_err(|error| {
            Error::system(format!("DataFusion's runtime could not be made: {error}"))
        })?;
        let inner = Inner {
            client,
            job_slots: Arc::new(Semaphore::new(options.max_jobs_in_flight)),
            upload_slots: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            settling: Arc::default(),
            options,
            budget,
            runtime,
            loads: Mutex::default(),
            staging: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            spilled: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The HTTP client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The options of the process.
    pub fn options(&self) -> &OrgOptions {
        &self.inner.options
    }

    /// Bytes of waiting rows that went to disk so far, over all loads.
    pub fn spilled_bytes(&self) -> u64 {
        self.inner.spilled.load(Ordering::Relaxed)
    }

    /// Jobs that reached their end so far, and the internal batches of them, over all loads.
    pub fn ended_jobs(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.inner.jobs), read(&self.inner.batches))
    }

    pub(crate) fn job_ended(&self, batches: u64) {
        self.inner.jobs.fetch_add(1, Ordering::Relaxed);
        self.inner.batches.fetch_add(batches, Ordering::Relaxed);
    }

    /// Bytes that the loads hold of the memory budget now.
    pub fn held_bytes(&self) -> usize {
        self.inner.budget.used()
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    pub(crate) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.inner.runtime
    }

    /// A job slot for the next chunk; `None` if `stop` comes first.
    pub(crate) async fn job_slot(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        self.inner.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = slot(&self.inner.job_slots, stop).await;
        self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
        self.budget().freed().notify_waiters();
        slot
    }

    /// An upload slot for the next chunk; `None` if `stop` comes first.
    pub(crate) async fn upload_slot(
        &self,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        slot(&self.inner.upload_slots, stop).await
    }

    /// Whether a chunk waits for a job slot: reading further would only fill memory.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.waiting.load(Ordering::Relaxed) > 0
    }

    /// The turn to join a job's results back to its rows and to store those rejected: what that
    /// takes of memory is a share of the budget, not one for each job.
    pub(crate) async fn settling(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.inner.settling).lock_owned().await
    }

    /// Joins a load to those that memory pressure is spread over.
    pub(crate) fn register(&self, load: &Arc<Load>) {
        let mut loads = self
            .inner
            .loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loads.retain(|load| load.strong_count() > 0);
        loads.push(Arc::downgrade(load));
    }

    /// A chunk is closed: until the guard goes, it will give memory back by itself.
    pub(crate) fn staging(&self) -> Staging {
        self.inner.staging.fetch_add(1, Ordering::Relaxed);
        Staging { org: self.clone() }
    }

    /// Makes room when reading waits: rows of closed jobs go to disk; if there are none and no
    /// closed chunk is on its way, the largest open chunk is closed. Answers whether room was made.
    pub(crate) async fn relieve(&self) -> Result<bool> {
        let loads = self.loads();
        let org = self.clone();
        let spilled = tokio::task::spawn_blocking(move || {
            let mut spilled = 0;
            for load in &org.loads() {
                let bytes = load.rows.spill()?;
                load.spilled.fetch_add(bytes, Ordering::Relaxed);
                spilled += bytes;
            }
            Ok::<_, RowsError>(spilled)
        })
        .await
        .map_err(super::LoadError::from)??;
        if spilled > 0 {
            self.inner.spilled.fetch_add(spilled, Ordering::Relaxed);
            return Ok(true);
        }
        if self.inner.staging.load(Ordering::Relaxed) == 0 {
            let open = |load: &&Arc<Load>| load.open_bytes.load(Ordering::Relaxed);
            let largest = loads.iter().max_by_key(open);
            if let Some(load) = largest.filter(|load| open(load) > 0) {
                load.close_open.notify_one();
            }
        }
        Ok(false)
    }

    /// Waits for `bytes` of memory for rows, and makes room meanwhile.
    pub(crate) async fn memory(&self, bytes: usize) -> Result<Reservation> {
        let budget = self.budget();
        loop {
            let freed = budget.freed().notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(memory) = budget.try_reserve(bytes) {
                return Ok(memory);
            }
            if !self.relieve().await? {
                freed.await;
            }
        }
    }

    /// Waits while the memory budget is used up, and makes room meanwhile.
    pub(crate) async fn room(&self) -> Result<()> {
        let budget = self.budget();
        while budget.is_full() {
            let freed = budget.freed().notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if budget.is_full() && !self.relieve().await? {
                freed.await;
            }
        }
        Ok(())
    }

    fn loads(&self) -> Vec<Arc<Load>> {
        let loads = self
            .inner
            .loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loads.iter().filter_map(Weak::upgrade).collect()
    }
}

async fn slot(slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        slot = Arc::clone(slots).acquire_owned() => slot.ok(),
    }
}

/// While it lives, a closed chunk is on its way into a job.
#[derive(Debug)]
pub(crate) struct Staging {
    org: Org,
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.org.inner.staging.fetch_sub(1, Ordering::Relaxed);
        self.org.budget().freed().notify_waiters();
    }
}
