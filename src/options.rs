//! Every option, with its default, its range and where the range comes from.
//!
//! [`OrgOptions`] belong to the process; [`LoadOptions`] and [`ValueOptions`] to a load, so that
//! each load can have its own. All three read and write as flat maps whose keys are the same as the
//! fields; as their keys differ, one map can hold all three.

use std::fmt;
use std::time::Duration;

use chrono::FixedOffset;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::waits::{in_range, seconds};

pub use crate::waits::Waits;

/// Largest upload in bytes: Bulk API 2.0 takes 150 MB after base64, a third more than raw
/// (Bulk API 2.0 and Bulk API Developer Guide, "Limits").
pub const MAX_JOB_BYTES_LIMIT: u64 = 112_500_000;

/// Smallest bound of an upload that this loader takes: below it a job is mostly overhead.
pub const MIN_JOB_BYTES_LIMIT: u64 = 10_000;

/// Size Salesforce advises for an upload, in bytes (same guide, "Upload Job Data").
pub const DEFAULT_JOB_BYTES: u64 = 100_000_000;

/// Rows of a load that are held at once, by default.
pub const DEFAULT_HELD_ROWS: u64 = 100_000;

/// Longest value of a field in characters that a job takes (same guide, "Limits"). Salesforce counts
/// UTF-16 units: an emoji is two.
pub const MAX_FIELD_CHARS: usize = 131_072;

/// Longest record in characters that a job takes, counted alike (same guide, "Limits").
pub const MAX_RECORD_CHARS: usize = 400_000;

/// Records in one internal batch of a job (same guide).
pub const BATCH_RECORDS: u64 = 10_000;

/// Records that Salesforce saves in one transaction of a batch (same guide).
pub const TRANSACTION_RECORDS: u64 = 200;

/// Internal batches of an org in 24 hours, shared by all its Bulk API loads (same guide).
pub const BATCHES_A_DAY: u64 = 15_000;

/// Least memory a load can run in, in bytes.
pub const MIN_MEMORY: u64 = 128 << 20;

/// What a null in the source does to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NullHandling {
    /// The cell is empty, and Salesforce leaves the field as it is.
    #[default]
    Leave,
    /// The cell is `#N/A`, which clears the field. A key that is missing from a record still
    /// leaves the field as it is.
    Clear,
}

/// What is done with a text that is longer than its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnTooLong {
    /// Its record is rejected: by Salesforce, or here with [`Validate::Strict`].
    #[default]
    Reject,
    /// It is cut to the length of the field. Never done to a key.
    Truncate,
}

/// How much is judged here, before Salesforce does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Validate {
    /// Only what no job can hold.
    #[default]
    Minimal,
    /// Also lengths of texts, required fields of inserts, and restricted picklists, as the object's
    /// describe states them.
    Strict,
}

/// How many jobs into an object are in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Concurrency {
    /// As many as [`OrgOptions::max_jobs_in_flight`], and fewer while rows of the object are refused
    /// for locks.
    #[default]
    Adaptive,
    /// One, of at most [`BATCH_RECORDS`] rows.
    Serial,
}

/// A time zone: a name such as `Europe/Berlin`, or an offset such as `+05:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Timezone {
    /// A zone of the IANA database, with its daylight saving time.
    Named(chrono_tz::Tz),
    /// The same offset from UTC at all times.
    Offset(FixedOffset),
}

impl Timezone {
    /// Reads a name of the IANA database or an offset.
    ///
    /// # Errors
    /// A config error that names the setting.
    pub fn parse(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Ok(Self::default());
        }
        let named = text.parse().map(Self::Named);
        let zone = named.or_else(|_| text.parse().map(Self::Offset));
        zone.map_err(|_| {
            Error::config(
                "timezone is not known; give a name such as Europe/Berlin, or an offset such as \
                 +05:30",
            )
        })
    }
}

impl fmt::Display for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Offset(offset) => offset.fmt(f),
        }
    }
}

impl From<Timezone> for String {
    fn from(zone: Timezone) -> Self {
        zone.to_string()
    }
}

impl TryFrom<String> for Timezone {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self::Named(chrono_tz::UTC)
    }
}

/// What the loads of a process share: set once, for the [`Org`](crate::load::Org) that all of them
/// go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OrgOptions {
    /// Memory for the whole process in bytes, at least 128 MiB. By default 1 GiB, or half of what
    /// the container may use if that is less.
    pub memory_limit_bytes: u64,
    /// Jobs in flight at once over all loads: 1 to 100, 4 by default.
    pub max_jobs_in_flight: usize,
    /// Share of the org's daily limits, of API requests and of batches, that is left to others:
    /// 0 to 99 percent, none by default.
    pub limit_reserve_percent: u8,
    /// How long is waited for what passes.
    #[serde(flatten)]
    pub waits: Waits,
}

impl Default for OrgOptions {
    fn default() -> Self {
        Self {
            memory_limit_bytes: default_memory(container_limit()),
            max_jobs_in_flight: 4,
            limit_reserve_percent: 0,
            waits: Waits::default(),
        }
    }
}

impl OrgOptions {
    /// Sets [`OrgOptions::memory_limit_bytes`].
    #[must_use]
    pub fn with_memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = bytes;
        self
    }

    /// Sets [`OrgOptions::max_jobs_in_flight`].
    #[must_use]
    pub fn with_max_jobs_in_flight(mut self, jobs: usize) -> Self {
        self.max_jobs_in_flight = jobs;
        self
    }

    /// Sets [`OrgOptions::limit_reserve_percent`].
    #[must_use]
    pub fn with_limit_reserve_percent(mut self, percent: u8) -> Self {
        self.limit_reserve_percent = percent;
        self
    }

    /// Sets [`OrgOptions::waits`].
    #[must_use]
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// Checks every range.
    ///
    /// # Errors
    /// A config error that names the option, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let jobs = self.max_jobs_in_flight as u64;
        in_range("max_jobs_in_flight", jobs, 1, 100)?;
        let reserve = self.limit_reserve_percent;
        in_range("limit_reserve_percent", reserve.into(), 0, 99)?;
        self.waits.validate()?;
        let memory = self.memory_limit_bytes;
        in_range("memory_limit_bytes", memory, MIN_MEMORY, 1 << 50)
    }
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
    /// Whether logs and summaries may hold values of records. False by default.
    pub log_values: bool,
    /// Columns of the source that receipts show, by name; the key by default.
    pub receipt_columns: Vec<String>,
    /// The ledger by which an insert can be repeated; none by default. No part of the text.
    #[serde(skip)]
    pub ledger: Option<LedgerOptions>,
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

/// How the values of one load are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ValueOptions {
    /// What nulls do; by default they leave the field alone.
    pub null_handling: NullHandling,
    /// What is done with a text longer than its field.
    pub on_too_long: OnTooLong,
    /// How much is judged before Salesforce does.
    pub validate: Validate,
    /// Zone of dates made of timestamps, and of timestamps without an offset: UTC by default.
    pub timezone: Timezone,
}

impl ValueOptions {
    /// Sets [`ValueOptions::null_handling`].
    #[must_use]
    pub fn with_null_handling(mut self, null_handling: NullHandling) -> Self {
        self.null_handling = null_handling;
        self
    }

    /// Sets [`ValueOptions::on_too_long`].
    #[must_use]
    pub fn with_on_too_long(mut self, on_too_long: OnTooLong) -> Self {
        self.on_too_long = on_too_long;
        self
    }

    /// Sets [`ValueOptions::validate`].
    #[must_use]
    pub fn with_validate(mut self, validate: Validate) -> Self {
        self.validate = validate;
        self
    }

    /// Sets [`ValueOptions::timezone`].
    #[must_use]
    pub fn with_timezone(mut self, timezone: Timezone) -> Self {
        self.timezone = timezone;
        self
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn default_memory(container: Option<u64>) -> u64 {
    const DEFAULT_MEMORY: u64 = 1 << 30;
    let half = container.map_or(DEFAULT_MEMORY, |limit| limit / 2);
    DEFAULT_MEMORY.min(half).max(MIN_MEMORY)
}

/// The memory limit of the control group this process runs in, in bytes, where there is one.
fn container_limit() -> Option<u64> {
    [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        OrgOptions::default().validate().unwrap();
        LoadOptions::default().validate().unwrap();
    }

    #[test]
    fn each_range_is_named() {
        let said = |valid: Result<()>| valid.unwrap_err().to_string();
        let load = LoadOptions::default().with_max_job_bytes(9_999);
        assert_eq!(
            said(load.validate()),
            "max_job_bytes is 9999; it must be between 10000 and 112500000"
        );
        let org = OrgOptions::default().with_max_jobs_in_flight(101);
        assert!(said(org.validate()).starts_with("max_jobs_in_flight is 101"));
        let load = LoadOptions::default().with_flush_interval(Duration::ZERO);
        assert!(said(load.validate()).starts_with("flush_interval_seconds"));
    }

    #[test]
    fn one_flat_map_holds_all_options() {
        let text = r#"{
            "max_jobs_in_flight": 2,
            "flush_interval_seconds": 60,
            "null_handling": "clear",
            "timezone": "+05:30"
        }"#;
        let org: OrgOptions = serde_json::from_str(text).unwrap();
        let load: LoadOptions = serde_json::from_str(text).unwrap();
        let values: ValueOptions = serde_json::from_str(text).unwrap();
        assert_eq!(org, OrgOptions::default().with_max_jobs_in_flight(2));
        let minute = Duration::from_secs(60);
        assert_eq!(load, LoadOptions::default().with_flush_interval(minute));
        let india = Timezone::parse("+05:30").unwrap();
        let expected = ValueOptions::default()
            .with_null_handling(NullHandling::Clear)
            .with_timezone(india);
        assert_eq!(values, expected);
        let written = serde_json::to_string(&values).unwrap();
        assert_eq!(
            written,
            r#"{"null_handling":"clear","on_too_long":"reject","validate":"minimal","timezone":"+05:30"}"#
        );
        let written = serde_json::to_value(load).unwrap();
        assert_eq!(written["flush_interval_seconds"], 60);
        let error = serde_json::from_str::<ValueOptions>(r#"{"timezone": "Mars"}"#).unwrap_err();
        assert!(
            error.to_string().starts_with("timezone is not known"),
            "{error}"
        );
    }

    #[test]
    fn half_of_a_small_container() {
        assert_eq!(default_memory(Some(512 << 20)), 256 << 20);
        assert_eq!(default_memory(Some(64 << 30)), 1 << 30);
        assert_eq!(default_memory(Some(100 << 20)), MIN_MEMORY);
        assert_eq!(default_memory(None), 1 << 30);
    }
}
