//! Every option, with its default, its range and where the range comes from.
//!
//! [`OrgOptions`] belong to the process; [`LoadOptions`] and [`ValueOptions`] to a load, so that
//! each load can have its own. All three read and write as flat maps whose keys are the same as the
//! fields; as their keys differ, one map can hold all three.

use serde::{Deserialize, Serialize};

mod load;
mod values;

use crate::error::Result;
use crate::waits::in_range;

pub use crate::waits::Waits;
pub use load::{Concurrency, LedgerOptions, LoadOptions, Older};
pub use values::{NullHandling, OnTooLong, Timezone, Validate, ValueOptions};

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
    use std::time::Duration;

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
