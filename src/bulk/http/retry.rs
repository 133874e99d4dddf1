//! How often and after which pauses a call is repeated.
//!
//! Only calls whose repetition changes nothing have a policy of more than one attempt. After which
//! errors they are repeated is for [`BulkError::is_retryable`] to say.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::date::http_date;
use crate::bulk::error::BulkError;
use crate::options::Waits;

/// Longest pause that a `Retry-After` can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Attempts of a call whose status is 420: deleted scratch orgs answer it too, for ever.
const ATTEMPTS_OF_420: usize = 2;

/// Pauses between the attempts of one kind of call: exponential, each with up to its own length of
/// jitter on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bulk) struct Policy {
    /// Repetitions at most.
    repeats: usize,
    /// First pause.
    first: Duration,
    /// Longest pause before jitter.
    longest: Duration,
    /// Sum of the pauses at most.
    total: Duration,
}

impl Policy {
    /// A call that is sent once: the caller decides what an error means.
    pub(in crate::bulk) const ONCE: Self = Self::new(0, 0, 0, 0);
    /// Logins, describes, limits: a person or a start-up waits for them. About half a minute.
    pub(in crate::bulk) const READ: Self = Self::new(5, 500, 15_000, 60_000);
    /// Create and upload, redone as a whole. Nothing is processed before the close.
    pub(in crate::bulk) const STAGE: Self = Self::new(4, 500, 30_000, 120_000);
    /// Closing: between two attempts the job is read.
    pub(in crate::bulk) const CLOSE: Self = Self::new(6, 500, 30_000, 180_000);
    /// Aborting what was never closed: a courtesy, Salesforce ends open jobs itself.
    pub(in crate::bulk) const ABORT: Self = Self::new(3, 500, 5_000, 15_000);
    /// Reading a job in flight or its results. Giving up leaves rows without a known end, so the
    /// retries go on for ten minutes.
    pub(in crate::bulk) const JOB: Self = Self::new(usize::MAX, 500, 30_000, 600_000);

    const fn new(repeats: usize, first_ms: u64, longest_ms: u64, total_ms: u64) -> Self {
        Self {
            repeats,
            first: Duration::from_millis(first_ms),
            longest: Duration::from_millis(longest_ms),
            total: Duration::from_millis(total_ms),
        }
    }

    /// The pauses of one call.
    pub(in crate::bulk) fn pauses(self) -> Pauses {
        let backoff = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.repeats)
            .with_total_delay(Some(self.total))
            .build();
        Pauses { backoff, taken: 0 }
    }
}

/// What is left of a policy while a call is repeated.
#[derive(Debug)]
pub(in crate::bulk) struct Pauses {
    backoff: ExponentialBackoff,
    taken: usize,
}

impl Pauses {
    /// The pause before the next attempt after `error`; none if there is to be no other.
    pub(in crate::bulk) fn after(&mut self, error: &BulkError) -> Option<Duration> {
        if !error.is_retryable() {
            return None;
        }
        self.taken += 1;
        if error.status() == Some(420) && self.taken >= ATTEMPTS_OF_420 {
            return None;
        }
        let pause = self.backoff.next()?;
        let asked = error.retry_after().unwrap_or_default();
        Some(pause.max(asked.min(LONGEST_RETRY_AFTER)))
    }

    /// Spends the pause before the next attempt, after `log` was called with the error and the
    /// milliseconds of the pause. Returns the error if there is to be no other attempt.
    pub(in crate::bulk) async fn wait(
        &mut self,
        clock: &Clock,
        error: BulkError,
        log: impl FnOnce(&BulkError, u128),
    ) -> Result<(), BulkError> {
        let Some(pause) = self.after(&error) else {
            return Err(error);
        };
        log(&error, pause.as_millis());
        clock.pause(pause).await;
        Ok(())
    }
}

/// Pause before a job of this age is read once more: an eighth of the age, from 200 ms to 30 s. If
/// `expected` says how long it may take, the pause is as long as the age until shortly before that
/// end. With up to a quarter of jitter on top.
pub(in crate::bulk) fn poll_pause(age: Duration, expected: Option<Duration>) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);
    const SHORTLY_BEFORE: f64 = 0.8;
    let expected = expected.unwrap_or_default().mul_f64(SHORTLY_BEFORE);
    (age / 8)
        .clamp(SHORTEST, LONGEST)
        .max(expected.saturating_sub(age).min(age))
        .mul_f64(1.0 + fastrand::f64() / 4.0)
}

/// Reads a `Retry-After` header: seconds, or an HTTP date.
pub(super) fn parse_retry_after(
    text: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (http_date(text)? - now).to_std().ok()
}

/// How long is waited, and where pauses are spent: in tokio's time, or in a list that a test reads.
#[derive(Debug, Default)]
pub(in crate::bulk) struct Clock {
    waits: Waits,
    /// Where it is there, no pause is spent, and each is noted.
    #[cfg(test)]
    recorded: Option<parking_lot::Mutex<Vec<Duration>>>,
}

impl Clock {
    /// Real pauses.
    pub(in crate::bulk) fn new(waits: Waits) -> Self {
        Self {
            waits,
            ..Self::default()
        }
    }

    /// Notes pauses and spends none.
    #[cfg(test)]
    pub(in crate::bulk) fn recorded(waits: Waits) -> Self {
        Self {
            waits,
            recorded: Some(parking_lot::Mutex::default()),
        }
    }

    /// The pauses that were noted.
    #[cfg(test)]
    pub(in crate::bulk) fn pauses(&self) -> Vec<Duration> {
        let recorded = self.recorded.as_ref();
        recorded.map_or_else(Vec::new, |pauses| pauses.lock().clone())
    }

    /// Waits, in the scale of the waits.
    pub(in crate::bulk) async fn pause(&self, length: Duration) {
        #[cfg(test)]
        if let Some(pauses) = &self.recorded {
            pauses.lock().push(length);
            return tokio::task::yield_now().await;
        }
        tokio::time::sleep(self.waits.scaled(length)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(status: u16, retry_after: Option<u64>) -> BulkError {
        BulkError::Unavailable {
            action: "test".to_owned(),
            status,
            detail: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut pauses = Policy::READ.pauses();
        let error = unavailable(503, None);
        let mut lengths = Vec::new();
        while let Some(pause) = pauses.after(&error) {
            lengths.push(pause);
        }
        assert_eq!(lengths.len(), 5);
        for (index, pause) in lengths.iter().enumerate() {
            let base = Duration::from_millis(500) * (1 << index);
            assert!((base..=base * 2).contains(pause), "{index}: {pause:?}");
        }
        assert_eq!(Policy::ONCE.pauses().after(&error), None);
    }

    #[test]
    fn a_job_in_flight_is_asked_for_about_ten_minutes() {
        let mut pauses = Policy::JOB.pauses();
        let error = unavailable(502, None);
        let mut total = Duration::ZERO;
        while let Some(pause) = pauses.after(&error) {
            total += pause;
        }
        assert!(total >= Duration::from_secs(540), "{total:?}");
        assert!(total <= Duration::from_secs(600), "{total:?}");
    }

    #[test]
    fn retry_after_stretches_the_pause_within_reason() {
        let pause = |seconds| {
            Policy::READ
                .pauses()
                .after(&unavailable(503, Some(seconds)))
        };
        assert_eq!(pause(7), Some(Duration::from_secs(7)));
        assert_eq!(pause(86_400), Some(LONGEST_RETRY_AFTER));
    }

    #[test]
    fn a_420_has_two_attempts() {
        let mut pauses = Policy::JOB.pauses();
        assert!(pauses.after(&unavailable(420, None)).is_some());
        assert_eq!(pauses.after(&unavailable(420, None)), None);
    }

    #[test]
    fn lasting_errors_end_at_once() {
        let error = BulkError::ObjectNotFound {
            object: "X".to_owned(),
        };
        assert_eq!(Policy::JOB.pauses().after(&error), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = chrono::DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z")
            .unwrap()
            .to_utc();
        let read = |text| parse_retry_after(text, now);
        assert_eq!(read(" 12 "), Some(Duration::from_secs(12)));
        assert_eq!(
            read("Sun, 01 Mar 2026 12:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(read("Sun, 01 Mar 2026 11:00:00 GMT"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn polls_follow_the_age_of_the_job() {
        let within = |age: u64, least: u64, most: u64| {
            let pause = poll_pause(Duration::from_secs(age), None);
            assert!(pause >= Duration::from_millis(least), "{age}: {pause:?}");
            assert!(pause <= Duration::from_millis(most), "{age}: {pause:?}");
        };
        within(0, 200, 250);
        within(8, 1_000, 1_250);
        within(80, 10_000, 12_500);
        within(36_000, 30_000, 37_500);
    }

    #[test]
    fn polls_are_few_until_a_job_may_have_ended() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let polls = |expected, ends: Duration| {
            let (mut age, mut polls) = (Duration::ZERO, 0);
            while age < ends {
                age += poll_pause(age, expected);
                polls += 1;
            }
            assert!(
                age <= (ends * 9 / 4).max(Duration::from_millis(250)),
                "{age:?}"
            );
            polls
        };
        assert!(polls(None, minutes(10)) > 40);
        assert!(polls(Some(minutes(10)), minutes(10)) < 20);
        polls(Some(minutes(10)), Duration::from_secs(3));
        polls(Some(Duration::from_millis(100)), minutes(10));
    }
}
