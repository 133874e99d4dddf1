//! Which checkpoints are due: those before which every row has its end.
//!
//! A checkpoint closes an interval of rows. Rows end in any order; each finds its interval by
//! ordinal and is counted there, which gives order, durability and the statistics at once.

use std::collections::VecDeque;
use std::ops::Range;

/// Rows of one checkpoint's interval, and of the stream up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows of the interval that are in Salesforce, merged ones included.
    pub accepted: u64,
    /// Rows of the interval that were rejected.
    pub rejected: u64,
    /// Rows in Salesforce since the stream began, merged ones included.
    pub total_accepted: u64,
    /// Rows rejected since the stream began.
    pub total_rejected: u64,
    /// Bytes received since the stream began, rejected rows included.
    pub total_bytes: u64,
}

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Accepted,
    /// In Salesforce as part of a later row of its key.
    Merged,
    Rejected,
}

/// A checkpoint whose rows all have their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: u64,
    pub(crate) counts: Counts,
}

#[derive(Debug, Default)]
struct Interval {
    /// Ordinal of the first row after the interval.
    end: u64,
    id: Option<u64>,
    open: u64,
    accepted: u64,
    rejected: u64,
    bytes: u64,
}

/// The intervals of one stream that are not yet acknowledged, oldest first; the last takes new rows.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    intervals: VecDeque<Interval>,
    acknowledged: Counts,
    totals: Totals,
    closed: bool,
}

/// Rows of a load so far, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) read: u64,
    pub(crate) bytes: u64,
    pub(crate) accepted: u64,
    pub(crate) merged: u64,
    pub(crate) rejected: u64,
}

impl Totals {
    /// Rows that have their end.
    pub(crate) fn ended(&self) -> u64 {
        self.accepted + self.merged + self.rejected
    }
}

impl Checkpoints {
    pub(crate) fn new() -> Self {
        Self {
            intervals: VecDeque::from([Interval::default()]),
            acknowledged: Counts::default(),
            totals: Totals::default(),
            closed: false,
        }
    }

    /// `rows` more rows were read, of `bytes` in all.
    pub(crate) fn read(&mut self, rows: u64, bytes: u64) {
        self.totals.read += rows;
        self.totals.bytes += bytes;
        let end = self.totals.read;
        if let Some(last) = self.intervals.back_mut() {
            last.end = end;
            last.open += rows;
            last.bytes += bytes;
        }
    }

    /// Checkpoint `id` stands behind all rows read so far.
    pub(crate) fn mark(&mut self, id: u64) {
        if let Some(last) = self.intervals.back_mut() {
            last.id = Some(id);
        }
        self.intervals.push_back(Interval {
            end: self.totals.read,
            ..Interval::default()
        });
    }

    /// The rows of `range` have their end.
    pub(crate) fn end(&mut self, range: Range<u64>, end: End) {
        let first = self
            .intervals
            .partition_point(|interval| interval.end <= range.start);
        let mut from = range.start;
        for interval in self.intervals.range_mut(first..) {
            if from == range.end {
                break;
            }
            // None where the interval has no rows: those behind it may have.
            let to = range.end.min(interval.end);
            let rows = to - from;
            interval.open -= rows;
            match end {
                End::Accepted | End::Merged => interval.accepted += rows,
                End::Rejected => interval.rejected += rows,
            }
            from = to;
        }
        let rows = range.end - range.start;
        match end {
            End::Accepted => self.totals.accepted += rows,
            End::Merged => self.totals.merged += rows,
            End::Rejected => self.totals.rejected += rows,
        }
    }

    /// The oldest checkpoint not yet acknowledged, if all rows before it have their end. Taken once.
    pub(crate) fn pop_due(&mut self) -> Option<Due> {
        let front = self.intervals.front()?;
        let id = front.id.filter(|_| front.open == 0)?;
        let interval = self.intervals.pop_front()?;
        self.acknowledged = Counts {
            accepted: interval.accepted,
            rejected: interval.rejected,
            total_accepted: self.acknowledged.total_accepted + interval.accepted,
            total_rejected: self.acknowledged.total_rejected + interval.rejected,
            total_bytes: self.acknowledged.total_bytes + interval.bytes,
        };
        Some(Due {
            id,
            counts: self.acknowledged,
        })
    }

    /// No row ends any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether no row ends any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Rows up to the last checkpoint that was taken.
    pub(crate) fn acknowledged(&self) -> Counts {
        self.acknowledged
    }

    /// What was counted so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Ordinal that the next row gets.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.totals.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_checkpoint_waits_for_every_row_before_it() {
        let mut checkpoints = Checkpoints::new();
        checkpoints.read(10, 100);
        checkpoints.mark(1);
        checkpoints.read(5, 50);
        checkpoints.mark(2);
        checkpoints.end(10..15, End::Accepted);
        assert_eq!(checkpoints.pop_due(), None, "the first interval is open");
        checkpoints.end(3..10, End::Accepted);
        checkpoints.end(0..2, End::Rejected);
        assert_eq!(checkpoints.pop_due(), None, "row 2 has no end");
        checkpoints.end(2..3, End::Rejected);
        let first = Counts {
            accepted: 7,
            rejected: 3,
            total_accepted: 7,
            total_rejected: 3,
            total_bytes: 100,
        };
        assert_eq!(
            checkpoints.pop_due(),
            Some(Due {
                id: 1,
                counts: first
            })
        );
        let second = checkpoints.pop_due().unwrap();
        assert_eq!(
            (second.id, second.counts.accepted, second.counts.total_bytes),
            (2, 5, 150)
        );
        assert_eq!(checkpoints.pop_due(), None);
    }

    #[test]
    fn a_checkpoint_without_rows_is_due_at_once() {
        let mut checkpoints = Checkpoints::new();
        checkpoints.mark(7);
        assert_eq!(
            checkpoints.pop_due(),
            Some(Due {
                id: 7,
                counts: Counts::default()
            })
        );
        checkpoints.read(1, 1);
        checkpoints.mark(8);
        checkpoints.mark(9);
        assert_eq!(
            checkpoints.pop_due(),
            None,
            "an empty interval waits for those before it"
        );
        checkpoints.end(0..1, End::Accepted);
        assert_eq!(checkpoints.pop_due().map(|due| due.id), Some(8));
        assert_eq!(checkpoints.pop_due().map(|due| due.id), Some(9));
    }

    #[test]
    fn rows_on_both_sides_of_an_interval_without_rows_end_at_once() {
        let mut checkpoints = Checkpoints::new();
        for (id, rows) in [(1, 1), (2, 0), (3, 0), (4, 2)] {
            checkpoints.read(rows, 0);
            checkpoints.mark(id);
        }
        checkpoints.end(0..3, End::Accepted);
        let due: Vec<_> = std::iter::from_fn(|| checkpoints.pop_due()).collect();
        let found: Vec<_> = due
            .iter()
            .map(|due| (due.id, due.counts.accepted))
            .collect();
        assert_eq!(found, [(1, 1), (2, 0), (3, 0), (4, 2)]);
    }

    proptest! {
        #[test]
        fn each_checkpoint_is_due_once_in_order_with_its_own_rows(
            intervals in prop::collection::vec(0_u64..6, 1..20),
            lengths in prop::collection::vec(1_u64..9, 1..20),
            seed in any::<u64>(),
        ) {
            let mut checkpoints = Checkpoints::new();
            for (id, rows) in intervals.iter().enumerate() {
                checkpoints.read(*rows, *rows * 3);
                checkpoints.mark(id as u64);
            }
            let mut ranges = Vec::new();
            let (mut from, end, mut lengths) = (0, checkpoints.next_ordinal(), lengths.iter().cycle());
            while from < end {
                let to = end.min(from + lengths.next().unwrap());
                ranges.push(from..to);
                from = to;
            }
            fastrand::Rng::with_seed(seed).shuffle(&mut ranges);
            let mut ended = std::collections::HashSet::new();
            let mut found = Vec::new();
            let mut due = |checkpoints: &mut Checkpoints, ended: &std::collections::HashSet<u64>| {
                while let Some(Due { id, counts }) = checkpoints.pop_due() {
                    let through: u64 = intervals[..=id as usize].iter().sum();
                    assert!((0..through).all(|ordinal| ended.contains(&ordinal)));
                    assert_eq!(counts.accepted + counts.rejected, intervals[id as usize]);
                    assert_eq!(counts.total_bytes, through * 3);
                    found.push(id);
                }
            };
            due(&mut checkpoints, &ended);
            for range in ranges {
                let end = [End::Rejected, End::Accepted, End::Merged][range.start as usize % 3];
                checkpoints.end(range.clone(), end);
                ended.extend(range);
                due(&mut checkpoints, &ended);
            }
            prop_assert_eq!(found, (0..intervals.len() as u64).collect::<Vec<_>>());
        }
    }
}
