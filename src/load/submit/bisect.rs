//! The rows of a job that was refused as a whole are split until those at fault are found.
//!
//! A part that holds a row at fault is halved. Where the first half is loaded, the second one holds
//! the row and is halved without a job of its own; where the first half is refused, the second one is
//! set aside. So one row of n is found by about log2 n jobs, and what was set aside is sent in one.
//!
//! Where several rows are at fault, halves are refused in vain: once there are as many rows as jobs left,
//! each row gets its own.
//!
//! While no part was loaded, the columns may be at fault: four levels deep, the parts set aside are
//! sent, until one is loaded or all were refused.

use crate::rows::{MergedRow, RowSet};

/// Most jobs that are made to find the rows at fault of one chunk.
const MOST_JOBS: u32 = 40;

/// How deep rows are split before columns are blamed, if every part was refused.
const DEPTH: u32 = 4;

/// Rows that are split until those at fault are found.
#[derive(Debug, Default)]
pub(super) struct Bisection {
    /// Parts that hold a row at fault.
    bad: Vec<Part>,
    /// Parts that may hold one.
    unclear: Vec<Part>,
    sent: Option<Sent>,
    jobs: u32,
    /// A job with these columns was loaded.
    loaded: bool,
    /// A part was neither loaded nor refused, so that not all can have been refused.
    in_doubt: bool,
    /// Rows at fault that were found.
    found: u64,
    merged: Vec<MergedRow>,
}

#[derive(Debug)]
struct Part {
    rows: RowSet,
    /// How often it was split.
    level: u32,
}

/// The part that a job is made of.
#[derive(Debug)]
struct Sent {
    part: Part,
    /// The other half, where it is known that both together hold a row at fault.
    other: Option<Part>,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// These rows are to be sent in a job.
    Send(RowSet),
    /// Every part was refused: it is not the rows.
    Columns,
    /// So many rows are left, and no more jobs are to be made.
    Exhausted(u64),
    /// Each row was loaded, or is at fault.
    Done,
}

/// What became of the job of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was refused as a whole.
    Refused,
    /// Each of its rows was processed.
    Loaded,
    /// Not all of them were, which says nothing.
    Unclear,
}

impl Bisection {
    /// A job of these rows was refused as a whole; others may have been `merged` into them. `loaded`
    /// says that a job with these columns was not.
    pub(super) fn begin(&mut self, rows: RowSet, merged: Vec<MergedRow>, loaded: bool) {
        self.loaded |= loaded;
        self.merged.extend(merged);
        self.bad.push(Part { rows, level: 0 });
    }

    /// Rows that were merged into others.
    pub(super) fn merged(&self) -> &[MergedRow] {
        &self.merged
    }

    /// Jobs that were made so far.
    pub(super) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// How many rows are neither loaded nor at fault.
    pub(super) fn left(&self) -> u64 {
        let sent = self.sent.iter();
        let sent = sent.flat_map(|sent| [Some(&sent.part), sent.other.as_ref()]);
        let parts = sent.flatten().chain(&self.bad).chain(&self.unclear);
        parts.map(|part| part.rows.len()).sum()
    }

    /// What is to be done next; a job takes at most so many rows, and there is none unless `more` may be
    /// made.
    pub(super) fn next(&mut self, most: usize, more: bool) -> Step {
        let blamable = !self.loaded && !self.in_doubt && self.is_deep();
        let several = self.found > 1 || (self.found == 1 && !self.bad.is_empty());
        let one_each = several && self.left() == u64::from(MOST_JOBS - self.jobs);
        let most = if one_each { 1 } else { most };
        let chosen = if blamable {
            match self.unproved(most) {
                Some(part) => Some((part, None)),
                None => return Step::Columns,
            }
        } else {
            self.halved(most)
        };
        let set_aside = || self.set_aside(most).map(|part| (part, None));
        let Some((part, other)) = chosen.or_else(set_aside) else {
            return Step::Done;
        };
        let rows = part.rows.clone();
        self.sent = Some(Sent { part, other });
        if !more || self.jobs == MOST_JOBS {
            return Step::Exhausted(self.left());
        }
        self.jobs += 1;
        Step::Send(rows)
    }

    /// What became of the rows that were to be sent. One row that was refused is at fault.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        let Some(Sent { part, other }) = self.sent.take() else {
            return;
        };
        match outcome {
            Outcome::Loaded => {
                self.loaded = true;
                self.bad.extend(other);
            }
            Outcome::Unclear => {
                self.in_doubt = true;
                self.unclear.extend(other);
            }
            Outcome::Refused => {
                self.unclear.extend(other);
                if part.rows.len() == 1 {
                    self.found += 1;
                } else {
                    self.bad.push(part);
                }
            }
        }
    }

    /// Whether a part that was refused is as deep as parts are split before columns are blamed, or
    /// cannot be split.
    fn is_deep(&self) -> bool {
        let deep = self.bad.iter().any(|part| part.level >= DEPTH);
        let whole = self.bad.iter().any(|part| part.level == 0);
        !whole && (deep || (self.bad.is_empty() && self.found > 0))
    }

    /// A half of the smallest part that holds a row at fault, and the other half.
    fn halved(&mut self, most: usize) -> Option<(Part, Option<Part>)> {
        let parts = self.bad.iter().enumerate();
        let (smallest, _) = parts.min_by_key(|(_, part)| part.rows.len())?;
        let part = self.bad.swap_remove(smallest);
        let half = part.rows.len().div_ceil(2);
        let first = usize::try_from(half).map_or(most, |half| half.min(most));
        let mut halves = part.cut(first).into_iter();
        Some((halves.next()?, halves.next()))
    }

    /// A part of which nobody knows, while nothing was loaded: the largest that was set aside, or one
    /// of a larger part that was refused. None if every part was refused, four levels deep.
    fn unproved(&mut self, most: usize) -> Option<Part> {
        if self.unclear.is_empty()
            && let Some(index) = self.bad.iter().position(|part| part.level < DEPTH)
        {
            let part = self.bad.swap_remove(index);
            let pieces = 1 << (DEPTH - part.level);
            let most = part.rows.len().div_ceil(pieces) as usize;
            let pieces = part.rows.split(most.max(1)).into_iter();
            self.unclear
                .extend(pieces.map(|rows| Part { rows, level: DEPTH }));
        }
        let parts = self.unclear.iter().enumerate();
        let (largest, _) = parts.max_by_key(|(_, part)| part.rows.len())?;
        let Part { rows, level } = self.unclear.swap_remove(largest);
        let mut parts = rows.split(most).into_iter();
        let part = parts.next().map(|rows| Part { rows, level });
        self.unclear.extend(parts.map(|rows| Part { rows, level }));
        part
    }

    /// What was set aside, as far as one job takes it.
    fn set_aside(&mut self, most: usize) -> Option<Part> {
        let mut all = RowSet::new();
        for part in self.unclear.drain(..) {
            all.insert_all(&part.rows);
        }
        let mut parts = all.split(most).into_iter();
        let first = parts.next()?;
        self.unclear
            .extend(parts.map(|rows| Part { rows, level: 1 }));
        Some(Part {
            rows: first,
            level: 1,
        })
    }
}

impl Part {
    /// Its first rows, so many, and the others.
    fn cut(self, first: usize) -> Vec<Self> {
        let mut rows = self.rows.iter();
        let level = self.level + 1;
        let first: RowSet = rows.by_ref().take(first).collect();
        let rest: RowSet = rows.collect();
        let parts = [first, rest].into_iter().filter(|rows| !rows.is_empty());
        parts.map(|rows| Self { rows, level }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How a search ended, and after how many jobs.
    #[derive(Debug)]
    struct Found {
        step: Step,
        jobs: u32,
        loaded: RowSet,
        at_fault: RowSet,
    }

    /// Searches among so many rows, of which those `bad` are at fault.
    fn search(rows: u64, bad: &BTreeSet<u64>, most: usize, loaded: bool) -> Found {
        let mut bisection = Bisection::default();
        bisection.begin(RowSet::from(0..rows), Vec::new(), loaded);
        let mut found = Found {
            step: Step::Done,
            jobs: 0,
            loaded: RowSet::new(),
            at_fault: RowSet::new(),
        };
        loop {
            match bisection.next(most, true) {
                Step::Send(sent) => {
                    assert!(!sent.is_empty() && sent.len() <= most as u64);
                    assert!(sent.is_disjoint(&found.loaded), "sent twice");
                    assert!(sent.is_disjoint(&found.at_fault));
                    found.jobs += 1;
                    if sent.iter().any(|row| bad.contains(&row)) {
                        bisection.ended(Outcome::Refused);
                        if sent.len() == 1 {
                            found.at_fault.insert_all(&sent);
                        }
                    } else {
                        bisection.ended(Outcome::Loaded);
                        found.loaded.insert_all(&sent);
                    }
                }
                step => {
                    found.step = step;
                    assert_eq!(found.jobs, bisection.jobs());
                    assert!(found.jobs <= MOST_JOBS);
                    return found;
                }
            }
        }
    }

    #[test]
    fn one_row_of_a_million_is_found() {
        for bad in [0, 1, 499_999, 500_000, 999_998, 999_999] {
            let found = search(1_000_000, &BTreeSet::from([bad]), usize::MAX, false);
            assert_eq!(found.step, Step::Done);
            assert_eq!(found.at_fault, RowSet::from(bad..bad + 1));
            assert_eq!(found.loaded.len(), 999_999);
            assert!(found.jobs <= 24, "{}", found.jobs);
        }
    }

    #[test]
    fn where_every_part_is_refused_the_columns_are() {
        for rows in [2, 3, 7, 16, 17, 1_000] {
            let all = (0..rows).collect();
            let found = search(rows, &all, usize::MAX, false);
            assert_eq!(found.step, Step::Columns, "{rows}: {found:?}");
            assert!(found.jobs >= 22.min(rows as u32), "{rows}: {}", found.jobs);
            assert!(found.loaded.is_empty());
        }
    }

    #[test]
    fn columns_that_were_loaded_before_are_not_blamed() {
        let found = search(12, &(0..12).collect(), usize::MAX, true);
        assert_eq!(found.step, Step::Done);
        assert_eq!(found.at_fault, RowSet::from(0..12));
        let found = search(1_000, &(0..1_000).collect(), usize::MAX, true);
        let Step::Exhausted(left) = found.step else {
            panic!("{found:?}");
        };
        assert_eq!(left + found.at_fault.len(), 1_000);
    }

    #[test]
    fn few_rows_are_all_found_however_many_are_at_fault() {
        for rows in 2..=32 {
            for every in 1..=rows {
                let bad: BTreeSet<u64> = (0..rows).step_by(every as usize).collect();
                let found = search(rows, &bad, usize::MAX, true);
                assert_eq!(found.step, Step::Done, "{rows} {every}");
                assert_eq!(found.at_fault.len(), bad.len() as u64);
            }
        }
    }

    #[test]
    fn one_row_of_few_takes_few_jobs() {
        for rows in 2..=64 {
            for bad in 0..rows {
                let found = search(rows, &BTreeSet::from([bad]), usize::MAX, true);
                assert_eq!(found.step, Step::Done);
                assert!(found.jobs <= 8, "{rows} {bad}: {}", found.jobs);
            }
        }
    }

    #[test]
    fn where_no_part_is_loaded_or_refused_nobody_is_blamed() {
        let mut bisection = Bisection::default();
        assert_eq!(bisection.next(9, true), Step::Done);
        bisection.begin(RowSet::from(0..2), Vec::new(), false);
        for (row, outcome) in [(0, Outcome::Unclear), (1, Outcome::Refused)] {
            assert_eq!(
                bisection.next(9, true),
                Step::Send(RowSet::from(row..row + 1))
            );
            bisection.ended(outcome);
        }
        assert_eq!(bisection.next(9, true), Step::Done);
    }

    #[test]
    fn a_job_that_may_not_be_made_is_not_counted() {
        let mut bisection = Bisection::default();
        bisection.begin(RowSet::from(0..8), Vec::new(), true);
        assert_eq!(bisection.next(9, true), Step::Send(RowSet::from(0..4)));
        bisection.ended(Outcome::Loaded);
        assert_eq!(bisection.next(9, false), Step::Exhausted(4));
        assert_eq!(bisection.jobs(), 1);
    }

    #[test]
    fn a_part_that_was_not_all_processed_proves_nothing_of_the_other() {
        let mut bisection = Bisection::default();
        bisection.begin(RowSet::from(0..2), Vec::new(), true);
        assert_eq!(bisection.next(9, true), Step::Send(RowSet::from(0..1)));
        bisection.ended(Outcome::Unclear);
        assert_eq!(bisection.next(9, true), Step::Send(RowSet::from(1..2)));
        bisection.ended(Outcome::Loaded);
        assert_eq!(bisection.next(9, true), Step::Done);
    }

    proptest! {
        #[test]
        fn each_row_is_loaded_once_or_at_fault(
            rows in 1_u64..3_000,
            bad in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
            most in prop_oneof![Just(usize::MAX), 100_usize..3_000],
            loaded: bool,
        ) {
            let bad: BTreeSet<u64> = bad.iter().map(|index| index.index(rows as usize) as u64).collect();
            let found = search(rows, &bad, most, loaded);
            for row in found.at_fault.iter() {
                prop_assert!(bad.contains(&row));
            }
            match &found.step {
                Step::Done => {
                    prop_assert_eq!(found.at_fault.len(), bad.len() as u64);
                    prop_assert_eq!(found.loaded.len(), rows - bad.len() as u64);
                }
                Step::Columns => prop_assert!(!loaded && found.loaded.is_empty()),
                Step::Exhausted(left) => prop_assert_eq!(
                    left + found.at_fault.len() + found.loaded.len(),
                    rows
                ),
                Step::Send(_) => unreachable!(),
            }
            if bad.len() <= 2 && most == usize::MAX && rows > 64 {
                prop_assert_eq!(found.step, Step::Done);
            }
        }
    }
}
