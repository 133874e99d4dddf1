//! One connection to an org, and what all its loads share: job slots and memory.

mod admission;
mod budget;
mod flush;
mod in_flight;
mod limits;
mod member;
mod object_jobs;
mod packed;
mod rows;
mod signal;
mod spill;

pub(super) use admission::{Staging, UnderWay};
pub(super) use budget::Budget;
pub use budget::Reservation;
pub(super) use flush::OpenChunk;
pub(super) use in_flight::{JobInFlight, LoadId};
pub(super) use limits::DailyLimits;
pub use limits::{Allowance, Allowances};
pub(super) use member::{IntakeWaits, LetIn, Member, Pressure};
pub(super) use object_jobs::{Lowered, ObjectJobs, ObjectSlot};
pub(super) use packed::Unpacker;
pub(super) use rows::RowStore;
pub use rows::RowsError;
pub(super) use signal::Signal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::runtime_env::RuntimeEnv;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::bulk::{Client, Credentials};
use crate::error::{Error, Result};
use crate::object::ObjectSchema;
use crate::options::OrgOptions;

use admission::Admission;
use in_flight::InFlight;

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
    admission: Arc<Admission>,
    runtime: Arc<RuntimeEnv>,
    stop: CancellationToken,
    in_flight: InFlight,
    limits: DailyLimits,
    jobs: AtomicU64,
    batches: AtomicU64,
    bisecting: Arc<AsyncMutex<u32>>,
}

impl Org {
    /// Logs in with `credentials`.
    ///
    /// # Errors
    /// A config error if an option is out of range or Salesforce refuses the credentials, a
    /// transient one if it cannot be reached.
    pub async fn connect(credentials: Credentials, options: OrgOptions) -> Result<Self> {
        options.validate()?;
        let client = Client::builder(credentials).waits(options.waits);
        let client = client.connect().await?;
        Self::new(client, options)
    }

    /// An org reached through a client that is logged in.
    ///
    /// # Errors
    /// A config error if an option is out of range.
    pub fn new(client: Client, options: OrgOptions) -> Result<Self> {
        options.validate()?;
        let admission = Admission::new(&options);
        let runtime = admission.budget().runtime().map_err(|error| {
            Error::system(format!("DataFusion's runtime could not be made: {error}"))
        })?;
        let limits = DailyLimits::new(client.clone(), &options);
        let inner = Inner {
            client,
            options,
            admission: Arc::new(admission),
            runtime,
            stop: CancellationToken::new(),
            in_flight: InFlight::default(),
            limits,
            jobs: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            bisecting: Arc::default(),
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
        self.inner.admission.spilled()
    }

    /// Jobs that reached their end so far, and the internal batches of them, over all loads.
    pub fn ended_jobs(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.inner.jobs), read(&self.inner.batches))
    }

    /// What the org says of an object, by its name in any letter case.
    ///
    /// # Errors
    /// A config error for one that is not there or that the user may not see, with the names most like
    /// it; any of a request.
    pub async fn object(&self, name: &str) -> Result<ObjectSchema> {
        super::describe::object(&self.inner.client, name).await
    }

    /// What is left of the org's daily limits: of API requests as the last answer said, of batches as
    /// they were read when the first loader was built, and then hourly, less those used since.
    pub fn allowances(&self) -> Allowances {
        self.inner.limits.allowances()
    }

    /// Bytes that the loads have reserved of the memory budget now.
    pub fn reserved_bytes(&self) -> usize {
        self.budget().used()
    }

    /// Stops all loads, for a process that ends: from now on no job is created, uploads are cut and
    /// their jobs aborted, and nothing is waited for but jobs in flight. These have
    /// [`Waits::stop_grace`](crate::options::Waits::stop_grace) to come to their end, less a part of
    /// it (a quarter, at most 3 seconds) that is kept for the checkpoints and errors of the loads.
    /// Loads that are started later stop at once.
    pub fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Whether [`Org::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// The jobs that may be processed and whose rows have no end yet, those of failed loads included: by
    /// their Ids, or as `one without an answer`. Their rows may be in Salesforce, now or later.
    pub fn jobs_in_flight(&self) -> Vec<String> {
        self.inner.in_flight.all()
    }

    /// Cancelled by [`Org::stop`].
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// The jobs in flight of all loads.
    pub(super) fn in_flight(&self) -> &InFlight {
        &self.inner.in_flight
    }

    pub(super) fn job_ended(&self, batches: u64) {
        self.inner.jobs.fetch_add(1, Ordering::Relaxed);
        self.inner.batches.fetch_add(batches, Ordering::Relaxed);
    }

    /// What the org allows in 24 hours.
    pub(super) fn limits(&self) -> &DailyLimits {
        &self.inner.limits
    }

    /// The permit to look for the rows at fault of a refused job, with the jobs that were made for
    /// that so far; `None` if `stop` comes first.
    pub(super) async fn bisecting(&self, stop: &CancellationToken) -> Option<OwnedMutexGuard<u32>> {
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            jobs = Arc::clone(&self.inner.bisecting).lock_owned() => Some(jobs),
        }
    }

    /// What must wait, and for what.
    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.inner.admission
    }

    pub(super) fn budget(&self) -> &Budget {
        self.inner.admission.budget()
    }

    /// A DataFusion runtime whose operators draw from the memory budget.
    pub(super) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.inner.runtime
    }
}
