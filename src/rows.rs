//! Rows of a load by their numbers and keys.
//!
//! An ordinal is the number of a row in its load, counted from 0. What becomes of rows is said of
//! ordinals, so that the rows themselves are in one place only.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use arrow::array::StringArray;
use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_128;

/// A set of rows by ordinal.
///
/// Kept as a roaring bitmap, which is small for rows that follow each other as for scattered ones.
/// Of a million rows, in bytes, against sorted ranges: all of them 1,024 (16), one in twenty
/// 125,888 (760,608), every second 132,032 (8,000,000).
#[derive(Clone, Default, PartialEq)]
pub struct RowSet(RoaringTreemap);

impl RowSet {
    /// No row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn insert(&mut self, row: u64) {
        self.0.insert(row);
    }

    /// Adds consecutive rows.
    pub fn insert_range(&mut self, rows: Range<u64>) {
        // Rows that stand alone are added in a third of the time without a range.
        if rows.end.saturating_sub(rows.start) == 1 {
            self.0.insert(rows.start);
        } else {
            self.0.insert_range(rows);
        }
    }

    /// Adds the rows of another set.
    pub fn insert_all(&mut self, rows: &Self) {
        self.0 |= &rows.0;
    }

    /// Takes the rows of another set out.
    pub fn remove_all(&mut self, rows: &Self) {
        self.0 -= &rows.0;
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: u64) -> bool {
        self.0.contains(row)
    }

    /// The form in which it is kept outside of this process, small for rows that follow each other.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut rows = self.0.clone();
        rows.optimize();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        // Nothing fails that writes to memory.
        let _ = rows.serialize_into(&mut bytes);
        bytes
    }

    /// The set that [`RowSet::to_bytes`] gave; `None` if these bytes are none.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let rows = RoaringTreemap::deserialize_from(&mut bytes).ok()?;
        bytes.is_empty().then_some(Self(rows))
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.0.serialized_size()
    }

    /// How many rows it has.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no row is in both sets.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Those of its rows that are in `rows`.
    #[must_use]
    pub fn within(&self, rows: Range<u64>) -> Self {
        Self(&self.0 & &Self::from(rows).0)
    }

    /// Those of its rows from `row` on.
    pub(crate) fn at_or_after(&self, row: u64) -> Self {
        let behind = self.ranges().filter(|range| range.end > row);
        behind
            .map(|range| range.start.max(row)..range.end)
            .collect()
    }

    /// Its rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter()
    }

    /// Its rows as ascending ranges that do not touch each other.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let runs = self.0.bitmaps().flat_map(|(high, bitmap)| {
            let (first, mut rows) = (u64::from(high) << 32, bitmap.iter());
            std::iter::from_fn(move || rows.next_range())
                .map(move |run| first + u64::from(*run.start())..first + u64::from(*run.end()) + 1)
        });
        let mut runs = runs.peekable();
        std::iter::from_fn(move || {
            let mut range = runs.next()?;
            while let Some(next) = runs.next_if(|next| next.start == range.end) {
                range.end = next.end;
            }
            Some(range)
        })
    }

    /// The same rows in sets of at most `most` rows, in ascending order.
    ///
    /// # Panics
    /// If `most` is 0.
    pub fn split(&self, most: usize) -> Vec<Self> {
        assert!(most > 0, "sets of no rows never hold them all");
        let (mut sets, mut rows) = (Vec::new(), self.iter());
        loop {
            let set: Self = rows.by_ref().take(most).collect();
            if set.is_empty() {
                return sets;
            }
            sets.push(set);
        }
    }
}

impl fmt::Debug for RowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

impl From<Range<u64>> for RowSet {
    fn from(rows: Range<u64>) -> Self {
        let mut set = Self::new();
        set.insert_range(rows);
        set
    }
}

impl FromIterator<u64> for RowSet {
    fn from_iter<T: IntoIterator<Item = u64>>(rows: T) -> Self {
        let mut set = Self::new();
        set.extend(rows);
        set
    }
}

impl FromIterator<Range<u64>> for RowSet {
    fn from_iter<T: IntoIterator<Item = Range<u64>>>(ranges: T) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert_range(range);
        }
        set
    }
}

impl Extend<u64> for RowSet {
    /// Rows that follow each other are added at once, which is much faster than one by one.
    fn extend<T: IntoIterator<Item = u64>>(&mut self, rows: T) {
        let mut run = 0..0;
        for row in rows {
            if row != run.end {
                self.insert_range(std::mem::replace(&mut run, row..row));
            }
            run.end = row + 1;
        }
        self.insert_range(run);
    }
}

/// A row that is not sent itself: a later row of its key has its cells, and it shares the end of
/// that row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MergedRow {
    /// Its ordinal.
    pub row: u64,
    /// Ordinal of the row that is sent.
    pub into: u64,
}

/// A row that waits until its key is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitingRow {
    /// Its key.
    pub key: KeyDigest,
    /// Its ordinal.
    pub row: u64,
}

/// What distinguishes a row from others, in 128 bits: so many that no two keys of a load share them.
///
/// Made of the normal form of a row's key or, where rows have none, of the canonical form of its
/// cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(u128);

impl KeyDigest {
    /// Of a row with nothing to distinguish it by: no row that was sent has it.
    pub const NONE: Self = Self(0);

    /// The xxh3 of a normal form.
    pub fn of(normal: &[u8]) -> Self {
        Self(xxh3_128(normal))
    }

    /// Its bytes, the same on each machine, in the order of the digests.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The digest that [`KeyDigest::to_bytes`] gave.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Which of `parts` parts of all digests it is in.
    pub(crate) fn part(self, parts: usize) -> usize {
        ((self.0 >> 64) as u64 % parts as u64) as usize
    }

    /// Half of it.
    pub(crate) fn low(self) -> u64 {
        self.0 as u64
    }
}

/// Digests of the cells of rows, made a column at a time: the sum over a row's cells of their xxh3, each
/// times a factor of its column. A null adds nothing, so that a column without values can be left out.
#[derive(Debug)]
pub(crate) struct RowDigests(Vec<u128>);

impl RowDigests {
    /// Of rows without cells: not [`KeyDigest::NONE`].
    pub(crate) fn new(rows: usize) -> Self {
        Self(vec![xxh3_128(&[]); rows])
    }

    /// Adds the cells of a column, which has this number.
    pub(crate) fn add(&mut self, column: u32, cells: &StringArray) {
        // Odd, so that no two digests of a cell become one.
        let factor = xxh3_128(&column.to_le_bytes()) | 1;
        for (digest, cell) in self.0.iter_mut().zip(cells) {
            if let Some(cell) = cell {
                let cell = xxh3_128(cell.as_bytes()).wrapping_mul(factor);
                *digest = digest.wrapping_add(cell);
            }
        }
    }

    /// One for each row.
    pub(crate) fn all(self) -> Vec<KeyDigest> {
        self.0.into_iter().map(KeyDigest).collect()
    }
}

/// A set of keys.
pub type KeySet = HashSet<KeyDigest, BuildHasherDefault<DigestHasher>>;

/// A value for each of some keys.
pub type KeyMap<T> = HashMap<KeyDigest, T, BuildHasherDefault<DigestHasher>>;

/// The hash of a digest is half of the digest: it is as good as any.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, digest: &[u8]) {
        if let Some(digest) = digest.first_chunk() {
            self.0 = u64::from_ne_bytes(*digest);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_that_differ_in_a_cell_have_other_digests() {
        let rows: [[Option<&str>; 2]; 8] = [
            [None, None],
            [Some("a"), None],
            [None, Some("a")],
            [Some("a"), Some("a")],
            [Some("a"), Some("b")],
            [Some("b"), Some("a")],
            [Some("ab"), None],
            [Some(""), Some("ab")],
        ];
        let of = |numbers: [u32; 2]| {
            let mut digests = RowDigests::new(rows.len());
            for (number, column) in numbers.into_iter().zip(0..) {
                digests.add(number, &rows.iter().map(|row| row[column]).collect());
            }
            digests.all()
        };
        let digests = of([0, 1]);
        let all: BTreeSet<KeyDigest> = digests.iter().copied().collect();
        assert_eq!(all.len(), rows.len());
        assert!(!all.contains(&KeyDigest::NONE));
        assert_ne!(of([1, 0])[4], digests[4], "the number of a column counts");
    }

    /// Ordinals around the borders of the bitmap's containers, alone and in runs.
    fn rows() -> impl Strategy<Value = BTreeSet<u64>> {
        let start = prop_oneof![
            0_u64..40,
            65_500_u64..65_570,
            (1_u64 << 32) - 40..(1 << 32) + 40
        ];
        let length = prop_oneof![3 => Just(1_u64), 1 => 1_u64..60];
        proptest::collection::vec((start, length), 0..12).prop_map(|runs| {
            let runs = runs.into_iter();
            runs.flat_map(|(start, length)| start..start + length)
                .collect()
        })
    }

    fn set(rows: &BTreeSet<u64>) -> RowSet {
        rows.iter().copied().collect()
    }

    fn ordinals(set: &RowSet) -> BTreeSet<u64> {
        set.iter().collect()
    }

    #[test]
    fn rows_become_ranges() {
        let rows: RowSet = [12, 3, 4, 5, 9, 11].into_iter().collect();
        assert_eq!(rows.ranges().collect::<Vec<_>>(), [3..6, 9..10, 11..13]);
        assert_eq!(format!("{rows:?}"), "[3..6, 9..10, 11..13]");
        assert_eq!(
            rows.within(4..10).ranges().collect::<Vec<_>>(),
            [4..6, 9..10]
        );
        assert!(rows.within(6..9).is_empty());
        assert!(RowSet::from(7..7).is_empty());
        assert_eq!(RowSet::new().ranges().count(), 0);
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(a in rows(), b in rows()) {
            let (one, other) = (set(&a), set(&b));
            prop_assert_eq!(ordinals(&one), a.clone());
            prop_assert_eq!(one.len(), a.len() as u64);
            prop_assert_eq!(one.is_empty(), a.is_empty());
            prop_assert_eq!(one == other, a == b);
            prop_assert_eq!(one.is_disjoint(&other), a.is_disjoint(&b));
            prop_assert!(b.iter().all(|row| one.contains(*row) == a.contains(row)));
            let mut all = one.clone();
            all.insert_all(&other);
            prop_assert_eq!(ordinals(&all), &a | &b);
            let mut extended = one.clone();
            extended.extend(b.iter().copied());
            prop_assert_eq!(&extended, &all);
            all.remove_all(&other);
            prop_assert_eq!(ordinals(&all), &a - &b);
        }

        #[test]
        fn ranges_are_the_rows_and_do_not_touch(rows in rows()) {
            let set = set(&rows);
            let ranges: Vec<Range<u64>> = set.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(ranges.iter().all(|range| !range.is_empty()));
            prop_assert_eq!(ranges.iter().cloned().collect::<RowSet>(), set);
            prop_assert_eq!(ranges.into_iter().flatten().collect::<BTreeSet<_>>(), rows);
        }

        #[test]
        fn within_is_what_both_have(rows in rows(), start in 0_u64..70_000, length in 0_u64..70_000) {
            let within = set(&rows).within(start..start + length);
            let wanted: BTreeSet<u64> = rows.range(start..start + length).copied().collect();
            prop_assert_eq!(ordinals(&within), wanted);
        }

        #[test]
        fn split_keeps_rows_in_order_and_as_few_sets_as_can_be(rows in rows(), most in 1_usize..50) {
            let sets = set(&rows).split(most);
            let sizes: Vec<usize> = sets.iter().map(|set| set.len() as usize).collect();
            if let Some((last, full)) = sizes.split_last() {
                prop_assert!(full.iter().all(|size| *size == most));
                prop_assert!((1..=most).contains(last));
            }
            let all: Vec<u64> = sets.iter().flat_map(RowSet::iter).collect();
            prop_assert_eq!(all, rows.into_iter().collect::<Vec<_>>());
        }
    }
}
