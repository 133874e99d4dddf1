//! When records were written.

use std::collections::HashMap;

/// When each record of a table was created and written last, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// What is written now is written at this moment.
    now: i64,
    /// Moments of creation, each with the number of its first record.
    created: Vec<(u32, i64)>,
    changed: HashMap<u32, i64>,
}

impl Times {
    /// What follows is written at a moment; at the last one, if that is later.
    pub(super) fn enter(&mut self, ms: i64) -> i64 {
        self.now = self.now.max(ms);
        self.now
    }

    /// A record is created. Numbers count upward.
    pub(super) fn create(&mut self, number: u32) {
        if self.created.last().is_none_or(|(_, ms)| *ms != self.now) {
            self.created.push((number, self.now));
        }
    }

    /// A record is changed.
    pub(super) fn change(&mut self, number: u32) {
        self.changed.insert(number, self.now);
    }

    /// When a record was created, and when it was written last.
    pub(super) fn of(&self, number: u32) -> (i64, i64) {
        let after = self.created.partition_point(|(first, _)| *first <= number);
        let created = after.checked_sub(1).map_or(0, |at| self.created[at].1);
        (
            created,
            self.changed.get(&number).copied().unwrap_or(created),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_its_moments() {
        let mut times = Times::default();
        assert_eq!(times.enter(10), 10);
        times.create(0);
        times.create(1);
        assert_eq!(times.enter(30), 30);
        times.create(2);
        times.change(0);
        // A clock that is put back changes no order.
        assert_eq!(times.enter(20), 30);
        times.create(3);
        let found: Vec<_> = (0..4).map(|number| times.of(number)).collect();
        assert_eq!(found, [(10, 30), (10, 10), (30, 30), (30, 30)]);
    }
}
