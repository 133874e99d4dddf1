//! How an org behaves under contention, and what is counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How an org with contention behaves. All times are simulated, but for `quiet`.
///
/// The defaults of `slots` and of the times are guesses: Salesforce documents the size of batches
/// and transactions, how long a lock is waited for, and when a batch is put back, but not how much
/// runs at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contention {
    /// How many internal batches run at once, of all jobs together.
    pub slots: usize,
    /// How long a closed job waits before its batches wait for slots: half of it to one and a
    /// half, drawn from the seed, unless processing keeps the order of the upload.
    pub job_time: Duration,
    /// How long a transaction of up to 200 rows takes, besides its rows.
    pub chunk_time: Duration,
    /// How long each row of a transaction takes.
    pub row_time: Duration,
    /// How long a transaction waits for records that others have locked.
    pub lock_wait: Duration,
    /// A batch with more rows than this that failed for locks is put back with the rest of its
    /// rows.
    pub lock_failures: usize,
    /// How long a batch that was put back waits before it waits for a slot again.
    pub put_back_time: Duration,
    /// A batch that takes longer is put back with the rest of its rows.
    pub batch_limit: Duration,
    /// How often a batch is tried. Then its job fails.
    pub tries: u32,
    /// Objects with a trigger. With one, a transaction with bad rows is saved again without them:
    /// ten of them at a time, up to three times. Are there more, its good rows fail too.
    pub triggers: Vec<String>,
    /// Lookups that lock their parent besides those that always do, as `Object.Field`.
    pub locking_lookups: Vec<String>,
    /// How long, in real time, a client must have made no request that acts on a job before the
    /// clock moves on. Polls do not act.
    pub quiet: Duration,
    /// The most simulated seconds in a real one. Without it, the clock jumps to the next end of a
    /// job.
    pub speed: Option<f64>,
    /// The clock never stands still for the client: while there is work, `speed` simulated seconds
    /// pass in each real one, 1 without `speed`.
    pub real_time: bool,
}

impl Default for Contention {
    fn default() -> Contention {
        Contention {
            slots: 10,
            job_time: Duration::from_secs(2),
            chunk_time: Duration::from_millis(500),
            row_time: Duration::from_millis(5),
            lock_wait: Duration::from_secs(10),
            lock_failures: 100,
            put_back_time: Duration::from_secs(10),
            batch_limit: Duration::from_secs(300),
            tries: 20,
            triggers: Vec::new(),
            locking_lookups: Vec::new(),
            quiet: Duration::from_millis(100),
            speed: None,
            real_time: false,
        }
    }
}

/// What happened in an org under contention so far. Seconds are simulated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContentionCounts {
    /// The org's clock: how long there was work.
    pub seconds: f64,
    /// How long slots were taken, in all.
    pub slot_seconds: f64,
    /// Transactions.
    pub chunks: u64,
    /// Transactions that waited for a lock.
    pub lock_waits: u64,
    /// How long they waited, in all.
    pub lock_wait_seconds: f64,
    /// Rows that failed because a record stayed locked.
    pub lock_failures: u64,
    /// How often a batch was put back.
    pub put_back: u64,
    /// Jobs that failed because the tries of a batch were used up.
    pub failed_jobs: u64,
}
