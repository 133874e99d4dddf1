//! Every setting of a load, with its default, its range and where the range comes from.

use std::time::Duration;

use chrono::FixedOffset;

use crate::error::{Error, Result};

/// Largest upload in bytes: Bulk API 2.0 takes 150 MB after base64, a third more than raw
/// (Bulk API 2.0 and Bulk API Developer Guide, "Limits").
pub const MAX_JOB_BYTES_LIMIT: u64 = 112_500_000;

/// Smallest bound of an upload that this loader takes: below it a job is mostly overhead.
pub const MIN_JOB_BYTES_LIMIT: u64 = 10_000;

/// Size Salesforce advises for an upload, in bytes (same guide, "Upload Job Data").
pub const DEFAULT_JOB_BYTES: u64 = 100_000_000;

/// Longest value of a field in characters that a job takes (same guide, "Limits").
pub const MAX_FIELD_CHARS: usize = 131_072;

/// Longest record in characters that a job takes (same guide, "Limits").
pub const MAX_RECORD_CHARS: usize = 400_000;

/// Records in one internal batch of a job, of which an org has 15,000 a day (same guide).
pub const BATCH_RECORDS: u64 = 10_000;

/// Least memory a load can run in, in bytes.
pub const MIN_MEMORY: u64 = 128 << 20;

/// What a null in the source does to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnTooLong {
    /// Its record is rejected: by Salesforce, or here with [`Validate::Strict`].
    #[default]
    Reject,
    /// It is cut to the length of the field. Never done to a key.
    Truncate,
}

/// How much is judged here, before Salesforce does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Validate {
    /// Only what no job can hold.
    #[default]
    Minimal,
    /// Also lengths of texts, required fields of inserts, and restricted picklists, as the object's
    /// describe states them.
    Strict,
}

/// A time zone: a name such as `Europe/Berlin`, or an offset such as `+05:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Default for Timezone {
    fn default() -> Self {
        Self::Named(chrono_tz::UTC)
    }
}

/// How a load runs. [`Settings::default`] suits full-size loads; [`Settings::validate`] says what
/// is out of range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes of one job's CSV, header included: 10,000 to 112,500,000; 100,000,000 by default.
    pub max_job_bytes: u64,
    /// Most records of one job; no bound of its own by default. A job of 10,000 is one batch.
    pub max_job_rows: Option<u64>,
    /// Jobs in flight at once over all streams: 1 to 100, 4 by default.
    pub max_jobs_in_flight: usize,
    /// Memory for the whole process in bytes, at least 128 MiB. By default 1 GiB, or half of what
    /// the container may use if that is less.
    pub memory_limit_bytes: u64,
    /// Longest time a record waits for its job to be closed, from the first record in the job:
    /// 1 to 86,400 seconds, 300 by default.
    pub flush_interval: Duration,
    /// What nulls do.
    pub null_handling: NullHandling,
    /// What is done with texts longer than their field.
    pub on_too_long: OnTooLong,
    /// How much is judged here.
    pub validate: Validate,
    /// Zone of dates made of timestamps, and of timestamps without an offset: UTC by default.
    pub timezone: Timezone,
    /// Id of the assignment rule that jobs for Lead and Case run.
    pub assignment_rule_id: Option<String>,
    /// Share of rejected rows in percent, 0 to 100, above which a load stops; none by default.
    pub max_rejected_percent: Option<u8>,
    /// Whether logs and summaries may hold values of records. False by default.
    pub log_values: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_job_bytes: DEFAULT_JOB_BYTES,
            max_job_rows: None,
            max_jobs_in_flight: 4,
            memory_limit_bytes: default_memory(container_limit()),
            flush_interval: Duration::from_secs(300),
            null_handling: NullHandling::Leave,
            on_too_long: OnTooLong::Reject,
            validate: Validate::Minimal,
            timezone: Timezone::default(),
            assignment_rule_id: None,
            max_rejected_percent: None,
            log_values: false,
        }
    }
}

impl Settings {
    /// Checks every range.
    ///
    /// # Errors
    /// A config error that names the setting, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        in_range(
            "max_job_bytes",
            self.max_job_bytes,
            MIN_JOB_BYTES_LIMIT,
            MAX_JOB_BYTES_LIMIT,
        )?;
        in_range(
            "max_job_rows",
            self.max_job_rows.unwrap_or(1),
            1,
            150_000_000,
        )?;
        in_range("max_jobs_in_flight", self.max_jobs_in_flight as u64, 1, 100)?;
        in_range(
            "memory_limit_bytes",
            self.memory_limit_bytes,
            MIN_MEMORY,
            1 << 50,
        )?;
        in_range(
            "flush_interval_seconds",
            self.flush_interval.as_secs(),
            1,
            86_400,
        )?;
        let percent = self.max_rejected_percent.unwrap_or_default();
        in_range("max_rejected_percent", percent.into(), 0, 100)?;
        match &self.assignment_rule_id {
            Some(id) if !is_id(id) => Err(Error::config(
                "assignment_rule_id is no Id; give the 15 or 18 letters and digits that the URL of \
                 the rule ends with",
            )),
            _ => Ok(()),
        }
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn in_range(name: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name} is {value}; it must be between {least} and {most}"
    )))
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
        Settings::default().validate().unwrap();
    }

    #[test]
    fn each_range_is_named() {
        let settings = Settings {
            max_job_bytes: 9_999,
            ..Settings::default()
        };
        let message = settings.validate().unwrap_err().to_string();
        assert_eq!(
            message,
            "max_job_bytes is 9999; it must be between 10000 and 112500000"
        );
        let settings = Settings {
            max_jobs_in_flight: 101,
            ..Settings::default()
        };
        assert!(
            settings
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("max_jobs_in_flight is 101")
        );
        let settings = Settings {
            flush_interval: Duration::ZERO,
            ..Settings::default()
        };
        assert!(
            settings
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("flush_interval_seconds")
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
