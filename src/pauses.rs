//! Pauses before what failed for a reason that passes is tried again, and how often that is logged.

use std::time::Duration;

/// Time between two warnings about one thing that is repeated.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Pauses of which each is twice as long as the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
}

impl Pauses {
    /// Those before a call or a request is repeated.
    pub(crate) const ORDINARY: Self =
        Self::between([Duration::from_millis(500), Duration::from_secs(30)]);

    /// Those from the first of these lengths up to the second.
    pub(crate) const fn between([first, longest]: [Duration; 2]) -> Self {
        Self { first, longest }
    }

    /// The pause after as many others, less up to half of it, so that what failed together does not come
    /// back together.
    pub(crate) fn after(self, others: u32) -> Duration {
        let length = self.first.saturating_mul(2_u32.saturating_pow(others));
        let length = length.min(self.longest);
        length.mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

/// Warnings about one thing that is repeated.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    last: Option<Duration>,
}

impl Warnings {
    /// Whether one is due after so long a time in all: at once, and then each minute.
    pub(crate) fn is_due(&mut self, waited: Duration) -> bool {
        let due = self
            .last
            .is_none_or(|last| waited >= last + BETWEEN_WARNINGS);
        if due {
            self.last = Some(waited);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        for (others, most_ms) in [(0, 500), (1, 1_000), (3, 4_000), (6, 30_000), (90, 30_000)] {
            let most = Duration::from_millis(most_ms);
            let pause = Pauses::ORDINARY.after(others);
            assert!((most / 2..=most).contains(&pause), "{others}: {pause:?}");
        }
    }

    #[test]
    fn a_warning_a_minute() {
        let mut warnings = Warnings::default();
        let due = (7..200).filter(|second| warnings.is_due(Duration::from_secs(*second)));
        assert_eq!(due.collect::<Vec<_>>(), [7, 67, 127, 187]);
    }
}
