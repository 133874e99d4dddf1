//! Groups of rows one after the other, so that the borders of batches fall between them.
//!
//! Salesforce cuts a job at each 10,000th row, wherever that is: no row can be left out to move a
//! border. So a batch takes the largest group that still fits, again and again; what is left of it
//! takes rows without a group, and where there are none, the smallest group that is left stands across
//! the border.

use std::collections::BTreeMap;

/// Rows of a job that follow each other: of one group, or of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Absent for rows that are in no group.
    pub(super) group: Option<u32>,
    pub(super) rows: usize,
}

/// Groups that are not placed yet, by size.
struct Groups(BTreeMap<usize, Vec<u32>>);

impl Groups {
    fn take(&mut self, size: usize) -> Option<Run> {
        let same = self.0.get_mut(&size)?;
        let group = same.pop();
        if same.is_empty() {
            self.0.remove(&size);
        }
        Some(Run { group, rows: size })
    }

    /// The largest of at most so many rows.
    fn largest(&mut self, most: usize) -> Option<Run> {
        let (size, _) = self.0.range(..=most).next_back()?;
        self.take(*size)
    }

    fn smallest(&mut self) -> Option<Run> {
        let (size, _) = self.0.first_key_value()?;
        self.take(*size)
    }
}

/// Puts whole groups, each of some rows, and `loose` rows one after the other, so that borders of bins
/// of `bin` rows fall between groups where that is possible. The first bin has room for `room` rows.
/// A group of more rows than a bin takes begins one.
pub(super) fn pack(
    groups: impl Iterator<Item = Run>,
    mut loose: usize,
    bin: usize,
    mut room: usize,
) -> Vec<Run> {
    let mut left = Groups(BTreeMap::new());
    for Run { group, rows } in groups {
        left.0.entry(rows).or_default().extend(group);
    }
    let mut packed = Vec::new();
    loop {
        let run = if room == bin {
            // Its rows lock one parent: the sooner they begin, the sooner they end.
            left.largest(usize::MAX)
        } else {
            left.largest(room)
        };
        let run = match run {
            Some(run) => run,
            None if loose > 0 => Run {
                group: None,
                rows: loose.min(room),
            },
            None => match left.smallest() {
                Some(run) => run,
                None => return packed,
            },
        };
        if run.group.is_none() {
            loose -= run.rows;
        }
        room = (room + bin - run.rows % bin) % bin;
        if room == 0 {
            room = bin;
        }
        packed.push(run);
    }
}

/// The runs cut at each border of a bin: those of one bin after the other.
pub(super) fn cut(runs: &[Run], bin: usize) -> Vec<Vec<Run>> {
    let mut bins = vec![Vec::new()];
    let mut room = bin;
    for run in runs {
        let mut rows = run.rows;
        while rows > 0 {
            if room == 0 {
                bins.push(Vec::new());
                room = bin;
            }
            let here = rows.min(room);
            if let Some(bin) = bins.last_mut() {
                bin.push(Run { rows: here, ..*run });
            }
            (rows, room) = (rows - here, room - here);
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(sizes: &[usize]) -> impl Iterator<Item = Run> {
        let runs = sizes.iter().zip(0..).map(|(rows, group)| Run {
            group: Some(group),
            rows: *rows,
        });
        runs.collect::<Vec<_>>().into_iter()
    }

    /// How many bins each group stands in.
    fn bins_of(packed: &[Run], bin: usize, groups: usize) -> Vec<usize> {
        let mut bins = vec![0; groups];
        for group in cut(packed, bin)
            .iter()
            .flatten()
            .filter_map(|run| run.group)
        {
            bins[group as usize] += 1;
        }
        bins
    }

    #[test]
    fn groups_that_fill_bins_share_none() {
        let sizes = [3, 7, 10, 5, 4, 1];
        let packed = pack(groups(&sizes), 0, 10, 10);
        assert_eq!(bins_of(&packed, 10, 6), [1; 6], "{packed:?}");
    }

    #[test]
    fn rows_without_a_group_fill_what_is_left() {
        let sizes = [8, 8, 8];
        let packed = pack(groups(&sizes), 5, 10, 10);
        assert_eq!(bins_of(&packed, 10, 3), [1; 3], "{packed:?}");
        assert_eq!(packed.last().map(|run| run.group), Some(None));
    }

    #[test]
    fn a_large_group_takes_whole_bins() {
        let packed = pack(groups(&[7, 25, 5]), 0, 10, 10);
        assert_eq!(packed[0].rows, 25);
        assert_eq!(bins_of(&packed, 10, 3)[1..], [3, 1], "{packed:?}");
    }

    proptest! {
        #[test]
        fn all_are_placed_whole_and_a_border_cuts_at_most_one(
            sizes in prop::collection::vec(1_usize..40, 0..60),
            loose in 0_usize..50,
            bin in 1_usize..30,
            taken in 0_usize..30,
        ) {
            let room = bin - taken % bin;
            let packed = pack(groups(&sizes), loose, bin, room);
            let mut placed: Vec<Option<usize>> = vec![None; sizes.len()];
            let mut unbound = 0;
            for run in &packed {
                match run.group {
                    Some(group) => {
                        let before = placed[group as usize].replace(run.rows);
                        prop_assert_eq!(before, None, "placed once");
                    }
                    None => unbound += run.rows,
                }
            }
            let whole: Vec<Option<usize>> = sizes.iter().copied().map(Some).collect();
            prop_assert_eq!(placed, whole);
            prop_assert_eq!(unbound, loose);
            let bins = cut(&packed, bin);
            let rows = |bin: &Vec<Run>| bin.iter().map(|run| run.rows).sum::<usize>();
            let all = sizes.iter().sum::<usize>() + loose;
            prop_assert_eq!(bins.iter().map(rows).sum::<usize>(), all);
            prop_assert!(bins.iter().all(|cut| rows(cut) <= bin));
        }
    }
}
