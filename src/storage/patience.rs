//! How a request to a store is repeated while it fails for a reason that passes: nothing is lost by
//! waiting, and the rows that cannot be stored would be lost by giving up.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cause::{Cause, is_bare_redirect, passes};
use crate::pauses::{Pauses, Warnings};
use crate::waits::Waits;

/// How long a location is tried at first, while somebody waits for the answer.
const OF_PROOF: Duration = Duration::from_secs(10);

/// How long requests to a store are repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    waits: Waits,
    total: Duration,
    /// Nobody waits for the proof of the location.
    is_unattended: bool,
    /// The location was not reached before.
    is_proof: bool,
}

impl Patience {
    /// That of the process.
    pub(super) fn new(waits: Waits) -> Self {
        Self {
            waits,
            total: waits.patience,
            is_unattended: false,
            is_proof: false,
        }
    }

    /// The same where nobody waits for a proof.
    pub(super) fn unattended(self) -> Self {
        Self {
            is_unattended: true,
            ..self
        }
    }

    /// That of a proof: short while somebody waits for it.
    pub(super) fn of_proof(self) -> Self {
        let most = if self.is_unattended {
            self.total
        } else {
            OF_PROOF
        };
        Self {
            total: self.total.min(most),
            is_proof: true,
            ..self
        }
    }

    /// Whether what failed is to be waited for. Who offers credentials may be away for a while, but
    /// not before it has offered some.
    fn is_for(&self, error: &object_store::Error) -> bool {
        let passes_later = || Cause::of(error) == Cause::NoCredentials || is_bare_redirect(error);
        passes(error) || (!self.is_proof && passes_later())
    }

    /// Repeats `once`, which does `action` to an object, until it is done, fails for good, or
    /// patience runs out.
    pub(super) async fn repeat<T, F>(
        &self,
        action: &str,
        object: &str,
        once: impl Fn() -> F,
    ) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut trying = Trying::new(*self);
        loop {
            let began = Instant::now();
            let error = match once().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            trying.spent += began.elapsed();
            let Some(pause) = trying.pause().filter(|_| self.is_for(&error)) else {
                return Err(error);
            };
            if trying.warns() {
                let (cause, seconds) = (Cause::of(&error), self.total.as_secs());
                tracing::warn!(
                    action, object, %cause, seconds,
                    "a request to the store failed, and is repeated until its patience runs out"
                );
            }
            sleep(self.waits.scaled(pause)).await;
        }
    }
}

/// A request that is repeated.
#[derive(Debug)]
struct Trying {
    patience: Patience,
    failures: u32,
    /// Time so far; pauses count as long as they would be unscaled.
    spent: Duration,
    warnings: Warnings,
}

impl Trying {
    fn new(patience: Patience) -> Self {
        Self {
            patience,
            failures: 0,
            spent: Duration::ZERO,
            warnings: Warnings::default(),
        }
    }

    /// The pause after one more failure, up to the end of patience; none behind it.
    fn pause(&mut self) -> Option<Duration> {
        let left = self.patience.total.checked_sub(self.spent)?;
        if left.is_zero() {
            return None;
        }
        let pause = Pauses::ORDINARY.after(self.failures).min(left);
        self.failures += 1;
        self.spent += pause;
        Some(pause)
    }

    /// Whether this failure is to be logged: the second, since one alone is common, and one a minute.
    fn warns(&mut self) -> bool {
        self.failures > 1 && self.warnings.is_due(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_no_place_passes_once_the_bucket_was_reached() {
        let error = object_store::Error::Generic {
            store: "S3",
            source: "Received redirect without LOCATION, this normally indicates an incorrectly \
                     configured region"
                .into(),
        };
        let patience = Patience::new(Waits::default());
        assert!(patience.is_for(&error));
        assert!(!patience.of_proof().is_for(&error));
    }

    #[test]
    fn pauses_add_up_to_the_patience_and_are_logged_once_a_minute() {
        let waits = Waits::default().with_patience(Duration::from_secs(600));
        let mut trying = Trying::new(Patience::new(waits));
        let (mut sum, mut warnings) = (Duration::ZERO, 0);
        while let Some(pause) = trying.pause() {
            sum += pause;
            warnings += u32::from(trying.warns());
        }
        assert_eq!(sum, Duration::from_secs(600));
        assert!((7..=10).contains(&warnings), "{warnings}");

        let mut start = Trying::new(Patience::new(waits).of_proof());
        let pauses = std::iter::from_fn(|| start.pause());
        assert_eq!(pauses.sum::<Duration>(), OF_PROOF);
        let mut start = Trying::new(Patience::new(waits).unattended().of_proof());
        let pauses = std::iter::from_fn(|| start.pause());
        assert_eq!(pauses.sum::<Duration>(), waits.patience);
    }
}
