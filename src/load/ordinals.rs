//! Sets of rows by ordinal, as ranges: rows of a job are mostly consecutive.

use std::ops::Range;

/// Sorted ranges of ordinals that do not touch each other.
pub(super) type Ordinals = Vec<Range<u64>>;

/// Sorted ordinals as ranges.
pub(super) fn ranges(ordinals: &[u64]) -> Ordinals {
    let mut ranges: Ordinals = Vec::new();
    for ordinal in ordinals {
        match ranges.last_mut() {
            Some(last) if last.end == *ordinal => last.end += 1,
            _ => ranges.push(*ordinal..ordinal + 1),
        }
    }
    ranges
}

/// What `rows` and `within` have in common.
pub(super) fn overlap(rows: &Ordinals, within: Range<u64>) -> Ordinals {
    rows[rows.partition_point(|range| range.end <= within.start)..]
        .iter()
        .take_while(|range| range.start < within.end)
        .map(|range| range.start.max(within.start)..range.end.min(within.end))
        .collect()
}

/// `within` without `rows`, which are all in it.
pub(super) fn outside(rows: &Ordinals, within: Range<u64>) -> Ordinals {
    let mut outside = Vec::with_capacity(rows.len() + 1);
    let mut from = within.start;
    for range in rows {
        outside.push(from..range.start);
        from = range.end;
    }
    outside.push(from..within.end);
    outside.retain(|range| !range.is_empty());
    outside
}

/// Ordinals of `within` that are not among `rows`.
pub(super) fn gaps(rows: &Ordinals, within: Range<u64>) -> impl Iterator<Item = u64> {
    let mut ranges = rows[rows.partition_point(|range| range.end <= within.start)..]
        .iter()
        .peekable();
    within.filter(move |ordinal| {
        while ranges.next_if(|range| range.end <= *ordinal).is_some() {}
        !ranges.peek().is_some_and(|range| range.contains(ordinal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_become_ranges_and_gaps() {
        let rows = ranges(&[3, 4, 5, 9, 11, 12]);
        assert_eq!(rows, [3..6, 9..10, 11..13]);
        assert_eq!(overlap(&rows, 4..10), [4..6, 9..10]);
        assert_eq!(overlap(&rows, 6..9), []);
        assert_eq!(outside(&rows, 3..14), [6..9, 10..11, 13..14]);
        assert_eq!(outside(&Vec::new(), 3..3), []);
        assert_eq!(
            gaps(&rows, 0..14).collect::<Vec<_>>(),
            [0, 1, 2, 6, 7, 8, 10, 13]
        );
        assert_eq!(gaps(&rows, 4..10).collect::<Vec<_>>(), [6, 7, 8]);
        assert!(ranges(&[]).is_empty());
    }
}
