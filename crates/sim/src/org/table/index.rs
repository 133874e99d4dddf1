//! Indexes of keys: from the digest of a key to the number of its record, at 20 bytes per key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An index grows part by part, so that it never needs its whole memory twice.
const PARTS: usize = 64;

/// Stands in a part for a key of several records.
const SEVERAL: u32 = u32::MAX;

/// How many records an index can distinguish.
pub(crate) const MAX_RECORDS: u32 = SEVERAL;

/// What an index knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    One(u32),
    Several,
}

/// The hasher of digests, which need no further hashing.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Part = HashMap<u64, u32, BuildHasherDefault<Identity>>;

/// An index of one field.
#[derive(Debug)]
pub(crate) struct Index(Vec<Part>);

impl Index {
    pub(crate) fn new() -> Index {
        Index(vec![Part::default(); PARTS])
    }

    /// The part of a digest. It is chosen by bits that do not choose the slot within the part.
    fn part(digest: u64) -> usize {
        (digest >> 40) as usize % PARTS
    }

    /// Finds the record of a key.
    pub(crate) fn find(&self, digest: u64) -> Found {
        match self.0[Index::part(digest)].get(&digest) {
            None => Found::Nothing,
            Some(&SEVERAL) => Found::Several,
            Some(&number) => Found::One(number),
        }
    }

    /// Adds a record under a key, which other records may have too.
    pub(crate) fn add(&mut self, digest: u64, number: u32) {
        let known = self.0[Index::part(digest)].entry(digest).or_insert(number);
        if *known != number {
            *known = SEVERAL;
        }
    }

    /// Removes a record, if it is the only one of its key.
    pub(crate) fn remove(&mut self, digest: u64, number: u32) {
        let part = &mut self.0[Index::part(digest)];
        if part.get(&digest) == Some(&number) {
            part.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_removed() {
        let mut index = Index::new();
        index.add(7, 1);
        index.add(7, 1);
        index.add(1 << 41, 2);
        assert_eq!(
            (index.find(7), index.find(1 << 41)),
            (Found::One(1), Found::One(2))
        );
        index.add(7, 3);
        assert_eq!(index.find(7), Found::Several);
        index.remove(7, 1);
        index.remove(1 << 41, 2);
        assert_eq!(
            (index.find(7), index.find(1 << 41)),
            (Found::Several, Found::Nothing)
        );
    }
}
