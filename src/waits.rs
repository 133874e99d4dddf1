//! How long is waited for what passes.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// First pause while a daily limit of the org is used up, and the longest: to ask for it is a request.
pub(crate) const LIMIT_PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(300)];

/// How long the loads of a process wait for what passes by itself, and for their own end. As text
/// each is a whole number of seconds, under its name with `_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Waits {
    /// How long a call to Salesforce or to the store of rejected records is retried while it fails
    /// for a reason that passes: 1 second to a day, 10 minutes by default.
    #[serde(rename = "patience_seconds", alias = "patience", with = "seconds")]
    pub patience: Duration,
    /// How long is waited for a daily limit of the org to roll, up to a week. Not set, it is an hour
    /// for jobs in flight, and no time before new ones.
    #[serde(
        rename = "limit_wait_seconds",
        alias = "limit_wait",
        with = "optional_seconds"
    )]
    pub limit_wait: Option<Duration>,
    /// Longest time in which a closed job must end: 1 minute to a week, 24 hours by default.
    #[serde(
        rename = "job_timeout_seconds",
        alias = "job_timeout",
        with = "seconds"
    )]
    pub job_timeout: Duration,
    /// How long jobs in flight may go on after a stop: up to an hour, 20 seconds by default.
    #[serde(rename = "stop_grace_seconds", alias = "stop_grace", with = "seconds")]
    pub stop_grace: Duration,
    /// Length of every pause in thousandths, for tests: 1,000 by default.
    #[doc(hidden)]
    pub wait_permille: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(600),
            limit_wait: None,
            job_timeout: Duration::from_secs(24 * 3600),
            stop_grace: Duration::from_secs(20),
            wait_permille: 1_000,
        }
    }
}

impl Waits {
    /// Sets [`Waits::patience`].
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets [`Waits::limit_wait`].
    #[must_use]
    pub fn with_limit_wait(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.limit_wait = wait.into();
        self
    }

    /// Sets [`Waits::job_timeout`].
    #[must_use]
    pub fn with_job_timeout(mut self, timeout: Duration) -> Self {
        self.job_timeout = timeout;
        self
    }

    /// Sets [`Waits::stop_grace`].
    #[must_use]
    pub fn with_stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// A pause of this length, as long as it is to be here.
    pub(crate) fn scaled(&self, length: Duration) -> Duration {
        length.saturating_mul(self.wait_permille) / 1_000
    }

    /// How long after a stop jobs in flight are waited for. What is left of the grace then is for
    /// what was found out until then: checkpoints, errors, aborts.
    pub(crate) fn grace_of_jobs(&self) -> Duration {
        const REST: Duration = Duration::from_secs(3);
        self.stop_grace - (self.stop_grace / 4).min(REST)
    }

    pub(super) fn validate(&self) -> Result<()> {
        const DAY: u64 = 24 * 3600;
        let limit = self.limit_wait.unwrap_or_default();
        in_range("patience_seconds", self.patience.as_secs(), 1, DAY)?;
        in_range("limit_wait_seconds", limit.as_secs(), 0, 7 * DAY)?;
        in_range(
            "job_timeout_seconds",
            self.job_timeout.as_secs(),
            60,
            7 * DAY,
        )?;
        in_range("stop_grace_seconds", self.stop_grace.as_secs(), 0, 3_600)
    }
}

/// A duration as whole seconds.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        interval: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(interval.as_secs())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// As [`seconds`], where there may be none.
mod optional_seconds {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        interval: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        interval
            .map(|interval| interval.as_secs())
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

/// Checks the range of an option.
///
/// # Errors
/// A config error that names it, its value and what is allowed.
pub(crate) fn in_range(name: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name} is {value}; it must be between {least} and {most}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_of_a_flat_map() {
        let text = r#"{"patience_seconds": 5, "limit_wait": 60, "job_timeout_seconds": 90}"#;
        let waits: Waits = serde_json::from_str(text).unwrap();
        let expected = Waits::default()
            .with_patience(Duration::from_secs(5))
            .with_limit_wait(Duration::from_secs(60))
            .with_job_timeout(Duration::from_secs(90));
        assert_eq!(waits, expected);
        let written = serde_json::to_value(waits).unwrap();
        assert_eq!(written["limit_wait_seconds"], 60);
        assert_eq!(written["stop_grace_seconds"], 20);
    }

    #[test]
    fn each_range_is_named() {
        let waits = Waits::default().with_job_timeout(Duration::from_secs(59));
        let error = waits.validate().unwrap_err().to_string();
        assert!(error.starts_with("job_timeout_seconds is 59"), "{error}");
    }

    #[test]
    fn some_of_the_grace_is_kept_for_the_end() {
        let of = |seconds| {
            let waits = Waits::default().with_stop_grace(Duration::from_secs(seconds));
            waits.grace_of_jobs().as_millis()
        };
        assert_eq!(
            [of(0), of(2), of(20), of(3600)],
            [0, 1_500, 17_000, 3_597_000]
        );
    }

    #[test]
    fn a_pause_is_scaled() {
        let mut waits = Waits::default();
        assert_eq!(waits.scaled(waits.patience), Duration::from_secs(600));
        waits.wait_permille = 10;
        assert_eq!(waits.scaled(waits.patience), Duration::from_secs(6));
    }
}
