//! What is used of a limit that rolls.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was used of a limit, and when.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    total: u64,
    recent: VecDeque<(Instant, u64)>,
}

impl Usage {
    pub(crate) fn add(&mut self, amount: u64) {
        self.total += amount;
        self.recent.push_back((Instant::now(), amount));
    }

    /// All that was used.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// What was used within a time; all without one.
    pub(crate) fn within(&self, window: Option<Duration>) -> u64 {
        let Some(window) = window else {
            return self.total;
        };
        let recent = self.recent.iter().rev();
        let counted = recent.take_while(|(when, _)| when.elapsed() < window);
        counted.map(|(_, amount)| amount).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_free_again() {
        let mut usage = Usage::default();
        usage.add(3);
        usage.add(4);
        assert_eq!(usage.within(None), 7);
        assert_eq!(usage.within(Some(Duration::from_secs(3_600))), 7);
        assert_eq!(usage.within(Some(Duration::ZERO)), 0);
        assert_eq!(usage.total(), 7);
    }
}
