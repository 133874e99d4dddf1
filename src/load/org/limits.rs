//! What the org allows in 24 hours, what is left of it, and what of that this process may use.
//!
//! API requests are said by a header of each answer. Batches, and requests where nothing else says
//! them, are read when the first load is built and then hourly; in between, the own are counted.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bulk::{ApiUsage, Client, Limit, Usage};
use crate::error::Result;
use crate::load::LoadError;
use crate::options::{BATCHES_A_DAY, OrgOptions};
use crate::waits::{LIMIT_PAUSES, Waits};

use super::flush::{OpenChunks, flush_interval};

/// Time between two readings of the limits: others use them up too, and what was used a day ago is
/// free again.
const READ_AGAIN: Duration = Duration::from_secs(3_600);

/// Requests of a job: created, uploaded, closed, and some polls.
const REQUESTS_A_JOB: u64 = 6;

/// What is left of something that the org allows in 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// What is left of it now.
    pub left: u64,
    /// The whole of it.
    pub max: u64,
    /// Used of it since the first load was built.
    pub used: u64,
    /// How long what is left lasts at the rate of use so far; `None` from 24 hours on.
    pub lasts: Option<Duration>,
}

/// What is left of the org's daily limits, as far as the org has said it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowances {
    /// API requests, used by this process and by others.
    pub api_requests: Option<Allowance>,
    /// Internal batches of Bulk API jobs; only those of this process are counted as used.
    pub batches: Option<Allowance>,
}

/// The limits of one org, as all loads of a process use them.
#[derive(Debug)]
pub(crate) struct DailyLimits {
    client: Client,
    reserve_percent: u8,
    waits: Waits,
    known: Mutex<Known>,
    first: OnceCell<()>,
    reading: AsyncMutex<()>,
    open: Arc<OpenChunks>,
}

#[derive(Debug, Default)]
struct Known {
    /// Since when what is used is counted.
    since: Option<Instant>,
    read_at: Option<Instant>,
    /// What all had used of the API requests when the counting began.
    requests_before: u64,
    /// API requests when they were last read, and the own calls until then.
    requests: Option<(Limit, u64)>,
    /// Batches when they were last read.
    batches: Option<Limit>,
    /// Batches of own jobs since then, and of those in flight then.
    claimed: u64,
    in_flight: u64,
    /// Batches of all own jobs.
    used: u64,
    /// What was warned of: the requests, the batches, the stretched interval.
    warned: [bool; 3],
}

/// While it lives, the batches of a job are in flight.
#[derive(Debug)]
pub(crate) struct JobBatches<'a> {
    limits: &'a DailyLimits,
    batches: u64,
}

impl Drop for JobBatches<'_> {
    fn drop(&mut self) {
        self.limits.known.lock().in_flight -= self.batches;
    }
}

impl DailyLimits {
    pub(crate) fn new(client: Client, options: &OrgOptions) -> Self {
        Self {
            client,
            reserve_percent: options.limit_reserve_percent,
            waits: options.waits,
            known: Mutex::default(),
            first: OnceCell::new(),
            reading: AsyncMutex::default(),
            open: Arc::default(),
        }
    }

    /// Reads the limits, unless that was done before. An org that does not say them is no error.
    pub(crate) async fn read_first(&self) {
        self.first.get_or_init(|| self.read(true)).await;
    }

    /// What is left now.
    pub(crate) fn allowances(&self) -> Allowances {
        let known = self.known.lock();
        known.allowances(&self.client.usage())
    }

    /// Waits until the org has room for a job of so many batches beside what is left to others.
    /// `None` if `stop` comes first.
    ///
    /// # Errors
    /// [`LoadError::Reserved`] if there is none, and none is to be waited for.
    pub(crate) async fn room_for(
        &self,
        batches: u64,
        stop: &CancellationToken,
    ) -> Result<Option<JobBatches<'_>>> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            room = self.room(batches) => room.map(Some),
        }
    }

    async fn room(&self, batches: u64) -> Result<JobBatches<'_>> {
        self.read_again(READ_AGAIN).await;
        if let Ok(claimed) = self.claim(batches) {
            return Ok(claimed);
        }
        let wait = self.waits.limit_wait.unwrap_or_default();
        let end = Instant::now() + self.waits.scaled(wait);
        let [mut pause, longest] = LIMIT_PAUSES;
        loop {
            // What was used may have become free, and what is in flight may be counted twice.
            self.read_again(Duration::ZERO).await;
            let short = match self.claim(batches) {
                Ok(claimed) => return Ok(claimed),
                Err(short) => short,
            };
            if end <= Instant::now() {
                return Err(short.error(self.reserve_percent).into());
            }
            tracing::warn!(
                limit = short.name,
                left = short.left,
                max = short.max,
                pause_s = pause.as_secs(),
                "no job is created until more of the limit is free: limit_reserve_percent keeps \
                 the rest for others"
            );
            tokio::time::sleep(self.waits.scaled(pause)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Takes the batches of a job, unless a limit has no room for it.
    fn claim(&self, batches: u64) -> Result<JobBatches<'_>, Short> {
        let mut known = self.known.lock();
        let left = known.allowances(&self.client.usage());
        if let Some(short) = left.short_for(batches, self.reserve_percent) {
            return Err(short);
        }
        known.claimed += batches;
        known.in_flight += batches;
        known.used += batches;
        let left = known.allowances(&self.client.usage());
        known.warn(&left);
        Ok(JobBatches {
            limits: self,
            batches,
        })
    }

    /// Reads the limits once more if they are older than this.
    async fn read_again(&self, age: Duration) {
        let read_at = self.known.lock().read_at;
        if read_at.is_none_or(|read_at| read_at.elapsed() < age) {
            return;
        }
        let _one_reads = self.reading.lock().await;
        if self.known.lock().read_at == read_at {
            self.read(false).await;
        }
    }

    async fn read(&self, first: bool) {
        let read = self.client.limits().await;
        let usage = self.client.usage();
        let mut known = self.known.lock();
        if first {
            known.since = Some(Instant::now());
        }
        let limits = match read {
            Ok(limits) => limits,
            Err(error) => {
                known.begin(first, &usage);
                tracing::debug!(%error, "the limits of the org are not known");
                if first && self.reserve_percent > 0 {
                    tracing::warn!(
                        %error,
                        "the batches that the org has left are not known: limit_reserve_percent holds \
                         for its API requests alone"
                    );
                }
                return;
            }
        };
        known.read_at = Some(Instant::now());
        known.requests = limits
            .daily_api_requests()
            .map(|limit| (limit, usage.api_calls));
        known.batches = limits.daily_bulk_batches().filter(|limit| limit.max > 0);
        known.claimed = known.in_flight;
        known.begin(first, &usage);
        if first {
            let left = known.allowances(&usage);
            drop(known);
            log_first(&left, limits.get("DataStorageMB"));
        }
    }

    /// The open chunks of all loads.
    pub(crate) fn open_chunks(&self) -> &Arc<OpenChunks> {
        &self.open
    }

    /// The longest time that a chunk stays open, where `set` is what the setting says.
    pub(crate) fn flush_interval(&self, set: Duration) -> Duration {
        let mut known = self.known.lock();
        let left = known.allowances(&self.client.usage());
        let batches = match left.batches {
            Some(batches) => batches.left,
            None => BATCHES_A_DAY.saturating_sub(known.used),
        };
        let jobs = match left.api_requests {
            Some(requests) => batches.min(requests.left / REQUESTS_A_JOB),
            None => batches,
        };
        let interval = flush_interval(set, self.open.count(), known.used, jobs);
        if interval > set && !std::mem::replace(&mut known.warned[2], true) {
            tracing::warn!(
                open_chunks = self.open.count(),
                flush_interval_s = set.as_secs(),
                stretched_to_s = interval.as_secs(),
                batches_left = batches,
                "so many streams would use up the org's batches of the day: jobs are started less \
                 often"
            );
        }
        interval
    }
}

impl Known {
    /// What was used until now is not counted, at the first reading.
    fn begin(&mut self, first: bool, usage: &Usage) {
        if first {
            self.requests_before = self.requests(usage).map_or(0, |requests| requests.used);
        }
    }

    /// API requests of all, as the last answer said, or else as they were read.
    fn requests(&self, usage: &Usage) -> Option<ApiUsage> {
        let read = self.requests.map(|(limit, calls)| ApiUsage {
            used: number(limit.max.saturating_sub(limit.remaining))
                + usage.api_calls.saturating_sub(calls),
            allowed: number(limit.max),
        });
        usage.org.or(read)
    }

    fn allowances(&self, usage: &Usage) -> Allowances {
        let elapsed = self.since.map(|since| since.elapsed());
        let of = |left: u64, max: u64, used: u64| Allowance {
            left,
            max,
            used,
            lasts: elapsed.and_then(|elapsed| lasts(left, used, elapsed)),
        };
        Allowances {
            api_requests: self.requests(usage).map(|ApiUsage { used, allowed, .. }| {
                // What was used a day ago is free again.
                let since = used.saturating_sub(self.requests_before);
                of(allowed.saturating_sub(used), allowed, since)
            }),
            batches: self.batches.map(|limit| {
                let left = number(limit.remaining).saturating_sub(self.claimed);
                of(left, number(limit.max), self.used)
            }),
        }
    }

    /// Warns once of what will not suffice for as long again.
    fn warn(&mut self, allowances: &Allowances) {
        let all = [
            (API_REQUESTS, allowances.api_requests),
            (BATCHES, allowances.batches),
        ];
        for ((limit, allowance), warned) in all.into_iter().zip(&mut self.warned) {
            let Some(allowance) = allowance.filter(|_| !*warned) else {
                continue;
            };
            if allowance.left < allowance.used {
                *warned = true;
                tracing::warn!(
                    limit,
                    used = allowance.used,
                    left = allowance.left,
                    max = allowance.max,
                    lasts_s = allowance.lasts.map(|lasts| lasts.as_secs()),
                    "a daily limit of the org may be reached in this sync: it has less left than \
                     was used since the start"
                );
            }
        }
    }
}

/// The names of the limits, in words and as the org lists them.
const API_REQUESTS: &str = "API requests of 24 hours (DailyApiRequests)";
const BATCHES: &str = "Bulk API batches of 24 hours (DailyBulkApiBatches)";

/// A limit that has no room for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    name: &'static str,
    left: u64,
    max: u64,
}

impl Short {
    fn error(self, percent: u8) -> LoadError {
        LoadError::Reserved {
            limit: self.name,
            percent,
            left: self.left,
            max: self.max,
        }
    }
}

impl Allowances {
    /// The limit that has no room for a job of so many batches beside the reserve. Nothing is
    /// reserved at 0 percent: then Salesforce says when it takes no more.
    fn short_for(&self, batches: u64, percent: u8) -> Option<Short> {
        let short = |name, allowance: Option<Allowance>, job: u64| {
            let Allowance { left, max, .. } = allowance.filter(|_| percent > 0)?;
            let reserve = max.saturating_mul(percent.into()) / 100;
            // A job that is larger than all that may be used goes while there is anything.
            let job = if job > max - reserve { 1 } else { job };
            (left < reserve.saturating_add(job)).then_some(Short { name, left, max })
        };
        short(API_REQUESTS, self.api_requests, 1).or_else(|| short(BATCHES, self.batches, batches))
    }
}

/// A number that is not below 0.
fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// How long what is left lasts; `None` from 24 hours on.
fn lasts(left: u64, used: u64, elapsed: Duration) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    #[allow(clippy::cast_precision_loss, reason = "a forecast for people")]
    let seconds = elapsed.as_secs_f64() * left as f64 / used as f64;
    let lasts = Duration::try_from_secs_f64(seconds).ok()?;
    (lasts < DAY).then_some(lasts)
}

/// What is left when the first load is built, and a warning where the storage is nearly full.
fn log_first(left: &Allowances, storage: Option<Limit>) {
    let number = |allowance: Option<Allowance>| allowance.map(|allowance| allowance.left);
    tracing::info!(
        api_requests_left = number(left.api_requests),
        batches_left = number(left.batches),
        "what is left of the org's limits of 24 hours"
    );
    if let Some(Limit { max, remaining }) = storage
        && remaining.saturating_mul(20) < max
    {
        tracing::warn!(
            remaining_mb = remaining,
            max_mb = max,
            "the org's data storage is nearly full: Salesforce may refuse new records"
        );
    }
}

#[cfg(test)]
mod tests;
