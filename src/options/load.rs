//! Options of one load: how its rows are cut into jobs, and when it gives up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    BATCH_RECORDS, DEFAULT_HELD_ROWS, DEFAULT_JOB_BYTES, MAX_JOB_BYTES_LIMIT, MIN_JOB_BYTES_LIMIT,
};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::waits::{in_range, seconds};

/// How many jobs into an object are in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Concurrency {
    /// As many as [`OrgOptions::max_jobs_in_flight`](super::OrgOptions::max_jobs_in_flight), and fewer while rows of the object are refused
    /// for locks.
    #[default]
    Adaptive,
    /// One, of at most [`BATCH_RECORDS`] rows.
    Serial,
}

/// How one load cuts its rows into jobs, and when it gives up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Most bytes of one job's CSV, header included: 10,000 to 112,500,000; 100,000,000 by default.
    pub max_job_bytes: u64,
    /// Most records of one job; no bound of its own by default. A job of 10,000 is one batch.
    pub max_job_rows: Option<u64>,
    /// Longest time a record waits for its job to be closed, from the first record in the job:
    /// 1 to 86,400 seconds, 300 by default. As text it is `flush_interval_seconds`, whole seconds.
    #[serde(rename = "flush_interval_seconds", with = "seconds")]
    pub flush_interval: Duration,
    /// Id of the assignment rule that jobs for Lead and Case run.
    pub assignment_rule_id: Option<String>,
    /// Jobs that a row may be in while it is refused for reasons that pass: 1 to 20, 5 by default.
    pub max_attempts: u32,
    /// The lookup field whose rows stand together in a job, since they lock one parent: a field, also
    /// as `Contact.AccountId` for loads of that object alone, or `none`; several with commas between
    /// them. By default the field that locks most, if the load has one.
    pub group_by: Option<String>,
    /// How many jobs into the object are in flight at once; [`Concurrency::Adaptive`] by default.
    pub concurrency: Concurrency,
    /// Share of rejected rows in percent, 0 to 100, above which the load stops; none by default.
    pub max_rejected_percent: Option<u8>,
    /// Most rows of a load that are held at once since Salesforce refused them for a parent that is not
    /// there and that another load of the [`Family`](crate::load::Family), or the same, may still bring:
    /// 0 to 10,000,000, 100,000 by default; 0 rejects such rows at once. Each takes some 72 bytes of
    /// memory, and all together at most a quarter of what rows may take; their columns are on disk.
    pub held_rows: u64,
    /// Whether an earlier load, which ended early, may have loaded the same rows: deletes of what is gone
    /// already then count as done. False by default. Inserts have the ledger for that.
    pub may_be_done: bool,
    /// Whether logs and summaries may hold values of records. False by default.
    pub log_values: bool,
    /// Columns of the source that receipts show, by name; the key by default.
    pub receipt_columns: Vec<String>,
    /// The ledger by which an insert can be repeated; none by default. No part of the text.
    #[serde(skip)]
    pub ledger: Option<LedgerOptions>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            max_job_bytes: DEFAULT_JOB_BYTES,
            max_job_rows: None,
            flush_interval: Duration::from_secs(300),
            assignment_rule_id: None,
            max_attempts: 5,
            group_by: None,
            concurrency: Concurrency::default(),
            max_rejected_percent: None,
            held_rows: DEFAULT_HELD_ROWS,
            may_be_done: false,
            log_values: false,
            receipt_columns: Vec::new(),
            ledger: None,
        }
    }
}

impl LoadOptions {
    /// Sets [`LoadOptions::max_job_bytes`].
    #[must_use]
    pub fn with_max_job_bytes(mut self, bytes: u64) -> Self {
        self.max_job_bytes = bytes;
        self
    }

    /// Sets [`LoadOptions::max_job_rows`].
    #[must_use]
    pub fn with_max_job_rows(mut self, rows: impl Into<Option<u64>>) -> Self {
        self.max_job_rows = rows.into();
        self
    }

    /// Sets [`LoadOptions::flush_interval`].
    #[must_use]
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets [`LoadOptions::assignment_rule_id`].
    #[must_use]
    pub fn with_assignment_rule_id(mut self, id: impl Into<String>) -> Self {
        self.assignment_rule_id = Some(id.into());
        self
    }

    /// Sets [`LoadOptions::max_attempts`].
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets [`LoadOptions::group_by`].
    #[must_use]
    pub fn with_group_by(mut self, field: impl Into<Option<String>>) -> Self {
        self.group_by = field.into();
        self
    }

    /// Sets [`LoadOptions::concurrency`].
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Most rows of a job: its own bound, and that of [`Concurrency::Serial`].
    pub(crate) fn most_rows(&self) -> Option<u64> {
        match (self.concurrency, self.max_job_rows) {
            (Concurrency::Serial, rows) => Some(rows.unwrap_or(BATCH_RECORDS).min(BATCH_RECORDS)),
            (Concurrency::Adaptive, rows) => rows,
        }
    }

    /// Sets [`LoadOptions::max_rejected_percent`].
    #[must_use]
    pub fn with_max_rejected_percent(mut self, percent: impl Into<Option<u8>>) -> Self {
        self.max_rejected_percent = percent.into();
        self
    }

    /// Sets [`LoadOptions::held_rows`].
    #[must_use]
    pub fn with_held_rows(mut self, rows: u64) -> Self {
        self.held_rows = rows;
        self
    }

    /// Sets [`LoadOptions::may_be_done`].
    #[must_use]
    pub fn with_may_be_done(mut self, may_be_done: bool) -> Self {
        self.may_be_done = may_be_done;
        self
    }

    /// Sets [`LoadOptions::log_values`].
    #[must_use]
    pub fn with_log_values(mut self, log_values: bool) -> Self {
        self.log_values = log_values;
        self
    }

    /// Sets [`LoadOptions::receipt_columns`].
    #[must_use]
    pub fn with_receipt_columns(mut self, columns: Vec<String>) -> Self {
        self.receipt_columns = columns;
        self
    }

    /// Sets [`LoadOptions::ledger`]: rows that an earlier attempt with the same `id` has inserted, and
    /// whose end nobody heard of, are not inserted again when they come again.
    /// [`Loader::load`](crate::load::Loader::load) then does all that is needed;
    /// [`Loader::begin`](crate::load::Loader::begin) is for who reads events.
    #[must_use]
    pub fn with_ledger(mut self, store: Storage, id: impl Into<String>) -> Self {
        self.ledger = Some(LedgerOptions {
            store,
            id: id.into(),
            older: Older::default(),
        });
        self
    }

    /// Sets [`LedgerOptions::older`], where there is a ledger.
    #[must_use]
    pub fn with_older(mut self, older: Older) -> Self {
        if let Some(ledger) = &mut self.ledger {
            ledger.older = older;
        }
        self
    }

    /// Checks every range.
    ///
    /// # Errors
    /// A config error that names the option, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        in_range(
            "max_job_bytes",
            self.max_job_bytes,
            MIN_JOB_BYTES_LIMIT,
            MAX_JOB_BYTES_LIMIT,
        )?;
        let rows = self.max_job_rows.unwrap_or(1);
        in_range("max_job_rows", rows, 1, 150_000_000)?;
        let seconds = self.flush_interval.as_secs();
        in_range("flush_interval_seconds", seconds, 1, 86_400)?;
        in_range("max_attempts", self.max_attempts.into(), 1, 20)?;
        let percent = self.max_rejected_percent.unwrap_or_default();
        in_range("max_rejected_percent", percent.into(), 0, 100)?;
        in_range("held_rows", self.held_rows, 0, 10_000_000)?;
        match &self.assignment_rule_id {
            Some(id) if !is_id(id) => Err(Error::config(
                "assignment_rule_id is no Id; give the 15 or 18 letters and digits that the URL of \
                 the rule ends with",
            )),
            _ => Ok(()),
        }
    }
}

/// What is done about earlier attempts of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Older {
    /// Their rows are not sent again, if a sample of their records is still in the org.
    #[default]
    Expect,
    /// The same without the sample.
    Trust,
    /// Nothing is known of them any more: all rows are sent again.
    Forget,
}

/// Where the rows of a load are entered, so that it can be repeated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerOptions {
    /// The store; the objects are below its prefix.
    pub store: Storage,
    /// What distinguishes the load from others into the same object: the same for each attempt, and
    /// another one for other rows, such as the name and the day of a nightly load.
    pub id: String,
    /// What is done about earlier attempts.
    pub older: Older,
}

/// The same id at the same place.
impl PartialEq for LedgerOptions {
    fn eq(&self, other: &Self) -> bool {
        let place = |options: &Self| options.store.url(options.store.prefix());
        self.id == other.id && self.older == other.older && place(self) == place(other)
    }
}

impl Eq for LedgerOptions {}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
