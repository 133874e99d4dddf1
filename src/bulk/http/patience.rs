//! How long and after which pauses a call is repeated.
//!
//! Patience is counted in time, not in attempts, and apart for each kind of error: what is heard
//! once among others is no proof. Only calls whose repetition changes nothing have more than one
//! attempt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::clock::{Clock, IDLE_TIMEOUT};
use crate::bulk::error::{BulkError, Passing};
use crate::pauses::{Pauses, Warnings};
use crate::waits::{LIMIT_PAUSES, Waits};

/// Longest pause that a `Retry-After` can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// How long is waited for the daily limit to roll while a job is in flight, if no wait is set.
const LIMIT_WAIT: Duration = Duration::from_secs(3_600);

/// How patient a kind of call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bulk) enum Policy {
    /// It is sent once: the caller decides what an error means.
    Once,
    /// A person waits: six attempts within half a minute.
    Start,
    /// As [`Policy::Start`] where nobody waits: nothing is lost by waiting.
    Unattended,
    /// What is good to know and not needed, such as limits: as [`Policy::Start`], whoever waits.
    Optional,
    /// Aborting what was never closed, at the end: Salesforce ends open jobs itself.
    Courtesy,
    /// A step before a job is closed: nothing is lost by waiting. As long as [`Waits::patience`].
    Load,
    /// Reading a job that may have been closed. Giving up leaves rows without a known end, so that
    /// all that is not Salesforce's own word is waited out. As long as [`Waits::patience`].
    InFlight,
    /// As [`Policy::InFlight`], for what was missing that long before: it is asked for once.
    MissingBefore,
    /// As [`Policy::InFlight`], where others have waited that long for the same, and in vain: a few
    /// times. Who waits one after the other would else wait as often as they are many.
    InVainBefore,
}

/// What is to be heard before an error is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    attempts: u32,
    /// From the first of them to the last.
    time: Duration,
}

/// What has been heard of one kind of error.
#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    attempts: u32,
    time: Duration,
}

impl Policy {
    /// What is to be heard before an error of this kind is believed; `None` if once is enough.
    fn bounds(self, kind: Passing, waits: &Waits) -> Option<Bounds> {
        let for_seconds = |attempts, seconds| Bounds {
            attempts,
            time: waits.patience.min(Duration::from_secs(seconds)),
        };
        let attempts = |attempts| Bounds {
            attempts,
            time: Duration::ZERO,
        };
        let whole = Bounds {
            attempts: 2,
            time: waits.patience,
        };
        let some = |time: Duration| (!time.is_zero()).then_some(time);
        Some(match (self, kind) {
            (Self::Once, _) | (Self::MissingBefore, Passing::Missing) => return None,
            (Self::MissingBefore, kind)
            | (
                Self::InVainBefore,
                kind @ (Passing::Missing | Passing::Calm | Passing::Unlisted | Passing::Session),
            ) => return Self::InFlight.bounds(kind, waits),
            (Self::InFlight, Passing::DailyLimit) => Bounds {
                attempts: 2,
                time: some(waits.limit_wait.unwrap_or(LIMIT_WAIT))?,
            },
            (Self::Unattended | Self::Load, Passing::DailyLimit) => Bounds {
                attempts: 2,
                time: some(waits.limit_wait?)?,
            },
            (Self::Start | Self::Optional | Self::Courtesy, Passing::DailyLimit) => return None,
            (Self::InFlight, Passing::Unlisted) => whole,
            (Self::Start | Self::Optional | Self::Courtesy, Passing::Unlisted) => return None,
            // What a person has named may not exist.
            (Self::Start | Self::Unattended | Self::Optional, Passing::Missing) => return None,
            (Self::Start | Self::Unattended, Passing::LoginMoved) => attempts(2),
            (Self::Start | Self::Optional, Passing::Odd) => return None,
            (Self::Start | Self::Optional | Self::Courtesy, Passing::Conflict) => return None,
            (Self::Start | Self::Optional, Passing::Moved | Passing::Calm) => attempts(2),
            (Self::Start | Self::Optional, Passing::Session) => attempts(3),
            (Self::Start | Self::Optional | Self::Courtesy | Self::InVainBefore, _) => attempts(6),
            (_, Passing::Missing | Passing::Calm | Passing::Unlisted) => for_seconds(5, 60),
            (_, Passing::Session) => for_seconds(3, 30),
            _ => whole,
        })
    }

    /// The policy of a login that this call needs.
    pub(in crate::bulk) fn of_login(self) -> Self {
        match self {
            Self::Once | Self::Load | Self::InFlight | Self::MissingBefore | Self::InVainBefore => {
                Self::Load
            }
            Self::Unattended => Self::Unattended,
            Self::Start | Self::Optional | Self::Courtesy => Self::Start,
        }
    }
}

/// What is left of a call's patience while it is repeated.
#[derive(Debug)]
pub(in crate::bulk) struct Patience {
    policy: Policy,
    heard: BTreeMap<Passing, Heard>,
    /// Pauses so far.
    pauses: u32,
    /// When the last attempt began.
    asked: Instant,
    /// All pauses and the time in calls so far.
    waited: Duration,
    warnings: Warnings,
}

impl Patience {
    /// The patience of a call that begins now.
    pub(in crate::bulk) fn new(policy: Policy) -> Self {
        Self {
            policy,
            heard: BTreeMap::new(),
            pauses: 0,
            asked: Instant::now(),
            waited: Duration::ZERO,
            warnings: Warnings::default(),
        }
    }

    /// The pause before the next attempt after `error`; none if there is to be no other.
    fn after(&mut self, error: &BulkError, waits: &Waits) -> Option<Duration> {
        let kind = error.passing()?;
        let bounds = self.policy.bounds(kind, waits)?;
        // A long upload that fails at its end has not been waited for all that time.
        let in_call = self.asked.elapsed().min(IDLE_TIMEOUT);
        self.waited += in_call;
        let heard = self.heard.entry(kind).or_default();
        heard.attempts += 1;
        if heard.attempts > 1 {
            heard.time += in_call;
        }
        if heard.attempts >= bounds.attempts && heard.time >= bounds.time {
            return None;
        }
        let mut pause = match kind {
            Passing::DailyLimit => Pauses::between(LIMIT_PAUSES).after(heard.attempts - 1),
            _ => Pauses::ORDINARY.after(self.pauses),
        };
        let asked = error.retry_after().unwrap_or_default();
        pause = pause.max(asked.min(LONGEST_RETRY_AFTER));
        // The last attempt is at the end of the patience, not before it.
        let left = bounds.time.saturating_sub(heard.time);
        if !left.is_zero() {
            pause = pause.min(left);
        }
        heard.time += pause;
        self.waited += pause;
        self.pauses += 1;
        Some(pause)
    }

    /// Spends the pause before the next attempt of `action`.
    ///
    /// # Errors
    /// `error`, if there is to be no other attempt.
    pub(in crate::bulk) async fn wait(
        &mut self,
        clock: &Clock,
        action: &str,
        error: BulkError,
    ) -> Result<(), BulkError> {
        if self.again(clock, action, &error).await {
            Ok(())
        } else {
            Err(error)
        }
    }

    /// As [`Patience::wait`]: whether there is to be another attempt.
    pub(in crate::bulk) async fn again(
        &mut self,
        clock: &Clock,
        action: &str,
        error: &BulkError,
    ) -> bool {
        if self.policy == Policy::Start && clock.is_unattended() {
            self.policy = Policy::Unattended;
        }
        let Some(pause) = self.after(error, clock.waits()) else {
            return false;
        };
        let (pause_ms, waited_s) = (pause.as_millis(), self.waited.as_secs());
        if self.warnings.is_due(self.waited) {
            tracing::warn!(action, %error, pause_ms, waited_s, "call failed, repeating");
        } else {
            tracing::debug!(action, %error, pause_ms, waited_s, "call failed, repeating");
        }
        clock.pause(pause).await;
        self.asked = Instant::now();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn unavailable(retry_after: Option<u64>) -> BulkError {
        BulkError::Unavailable {
            action: "test".to_owned(),
            status: 503,
            detail: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn throttled(status: u16) -> BulkError {
        BulkError::Throttled {
            action: "test".to_owned(),
            status,
            detail: String::new(),
            retry_after: None,
        }
    }

    fn refused(status: u16, code: &str) -> BulkError {
        BulkError::Refused {
            action: "test".to_owned(),
            status,
            code: code.to_owned(),
            detail: String::new(),
            cure: "",
            kind: ErrorKind::System,
        }
    }

    fn session() -> BulkError {
        BulkError::Session {
            action: "test".to_owned(),
        }
    }

    fn daily() -> BulkError {
        BulkError::DailyLimit {
            action: "test".to_owned(),
            allocation: "",
            detail: String::new(),
        }
    }

    /// Attempts until the error is believed, and the pauses between them.
    fn until_believed(policy: Policy, waits: &Waits, error: &BulkError) -> (u32, Duration) {
        let mut patience = Patience::new(policy);
        let (mut attempts, mut time) = (1, Duration::ZERO);
        while let Some(pause) = patience.after(error, waits) {
            assert!(pause <= LONGEST_RETRY_AFTER, "{pause:?}");
            attempts += 1;
            time += pause;
        }
        (attempts, time)
    }

    #[test]
    fn what_passes_is_waited_for_as_long_as_is_set() {
        let waits = Waits::default();
        let passing = [
            unavailable(None),
            throttled(429),
            refused(403, ""),
            refused(409, "X"),
        ];
        for error in &passing {
            for policy in [Policy::Load, Policy::InFlight] {
                let (attempts, time) = until_believed(policy, &waits, error);
                let bounds = 10 * MINUTE - SECOND..11 * MINUTE;
                assert!(bounds.contains(&time), "{error}: {time:?}");
                assert!((20..80).contains(&attempts), "{error}: {attempts}");
            }
            let short = Waits::default().with_patience(Duration::from_secs(2));
            let (_, time) = until_believed(Policy::Load, &short, error);
            assert!(time < Duration::from_secs(4), "{error}: {time:?}");
        }
    }

    #[test]
    fn what_is_salesforces_lasting_word_ends_at_once() {
        let waits = Waits::default();
        let lasting = [
            refused(400, "INVALIDJOB"),
            refused(403, "API_DISABLED_FOR_ORG"),
            refused(403, "INSUFFICIENT_ACCESS"),
            BulkError::ObjectNotFound {
                object: "X".to_owned(),
            },
        ];
        for error in lasting {
            for policy in [Policy::Start, Policy::Load, Policy::InFlight] {
                let (attempts, _) = until_believed(policy, &waits, &error);
                assert_eq!(attempts, 1, "{policy:?} {error}");
            }
        }
        assert_eq!(
            until_believed(Policy::Once, &waits, &unavailable(None)).0,
            1
        );
    }

    #[test]
    fn a_code_that_is_not_known_is_waited_out_only_in_flight() {
        let (waits, error) = (Waits::default(), refused(400, "SOMETHING_NEW"));
        assert!(until_believed(Policy::Load, &waits, &error).1 <= 2 * MINUTE);
        assert!(until_believed(Policy::InFlight, &waits, &error).1 >= 9 * MINUTE);
        assert_eq!(until_believed(Policy::Start, &waits, &error).0, 1);
    }

    #[test]
    fn a_page_is_waited_out_whatever_its_status() {
        let waits = Waits::default();
        for status in 400..600 {
            let error = refused(status, "");
            for policy in [Policy::Load, Policy::InFlight] {
                let (_, time) = until_believed(policy, &waits, &error);
                assert!(time >= 9 * MINUTE, "{policy:?} {status}: {time:?}");
            }
        }
    }

    #[test]
    fn missing_calm_and_sessions_are_believed_after_a_while() {
        let waits = Waits::default();
        for (error, least, seconds) in [
            (refused(404, "NOT_FOUND"), 5, 60),
            (throttled(420), 5, 60),
            (session(), 3, 30),
        ] {
            for policy in [Policy::Load, Policy::InFlight] {
                let (attempts, time) = until_believed(policy, &waits, &error);
                assert!((least..12).contains(&attempts), "{error}: {attempts}");
                let seconds = Duration::from_secs(seconds);
                assert!(time + SECOND >= seconds, "{time:?}");
                assert!(time <= seconds + MINUTE / 2, "{time:?}");
            }
        }
    }

    #[test]
    fn what_was_missing_before_is_asked_for_once() {
        let (waits, policy) = (Waits::default(), Policy::MissingBefore);
        let missing = refused(404, "NOT_FOUND");
        assert_eq!(until_believed(policy, &waits, &missing).0, 1);
        let outage = until_believed(policy, &waits, &unavailable(None));
        assert!(outage.1 > 9 * MINUTE);
    }

    #[test]
    fn each_kind_is_counted_apart() {
        let waits = Waits::default();
        let mut patience = Patience::new(Policy::InFlight);
        while patience.waited < 9 * MINUTE {
            patience.after(&unavailable(None), &waits).unwrap();
        }
        for error in [
            throttled(420),
            refused(404, "NOT_FOUND"),
            session(),
            throttled(429),
        ] {
            assert!(patience.after(&error, &waits).is_some(), "{error}");
        }
    }

    #[test]
    fn the_daily_limit_is_waited_for_in_flight_or_if_that_is_set() {
        let waits = Waits::default();
        assert_eq!(until_believed(Policy::Load, &waits, &daily()).0, 1);
        assert_eq!(until_believed(Policy::Start, &waits, &daily()).0, 1);
        let (attempts, time) = until_believed(Policy::InFlight, &waits, &daily());
        assert!((10..40).contains(&attempts), "{attempts}");
        assert!(
            time + SECOND >= 60 * MINUTE && time < 66 * MINUTE,
            "{time:?}"
        );
        let set = waits.with_limit_wait(240 * MINUTE);
        for policy in [Policy::Load, Policy::InFlight] {
            let (_, time) = until_believed(policy, &set, &daily());
            assert!(time >= 239 * MINUTE && time < 246 * MINUTE, "{time:?}");
        }
        let none = waits.with_limit_wait(Duration::ZERO);
        assert_eq!(until_believed(Policy::InFlight, &none, &daily()).0, 1);
    }

    #[test]
    fn a_start_is_short() {
        let waits = Waits::default();
        let (attempts, time) = until_believed(Policy::Start, &waits, &unavailable(None));
        assert_eq!(attempts, 6);
        assert!(time < MINUTE / 2, "{time:?}");
        assert_eq!(
            until_believed(Policy::Courtesy, &waits, &unavailable(None)).0,
            6
        );
    }

    #[test]
    fn a_start_that_nobody_waits_for_is_as_patient_as_a_load() {
        let waits = Waits::default();
        let of = |error| until_believed(Policy::Unattended, &waits, &error);
        for error in [unavailable(None), refused(403, ""), throttled(429)] {
            assert!(of(error).1 > 9 * MINUTE);
        }
        assert!(of(throttled(420)).0 >= 5);
        assert_eq!(of(refused(404, "NOT_FOUND")).0, 1);
        assert_eq!(of(daily()).0, 1);
        let moved = BulkError::LoginRedirect {
            url: String::new(),
            target: None,
        };
        assert_eq!(of(moved).0, 2);
    }

    #[test]
    fn retry_after_stretches_the_pause_within_reason() {
        let pause = |seconds| {
            let waits = Waits::default().with_patience(Duration::from_secs(3_600));
            Patience::new(Policy::Load).after(&unavailable(Some(seconds)), &waits)
        };
        assert_eq!(pause(7), Some(Duration::from_secs(7)));
        assert_eq!(pause(86_400), Some(LONGEST_RETRY_AFTER));
    }
}
