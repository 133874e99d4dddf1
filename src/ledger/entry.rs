//! An entry: the rows that a job was given.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::format::{
    FormatError, begin, content, damaged, end, put_json, put_part, take_json, take_part,
};
use super::identity::LoadIdentity;
use crate::rows::{KeyDigest, RowSet};

/// Salesforce keeps the results of a job so long (Bulk API 2.0 and Bulk API Developer Guide, "Limits").
pub(super) const LIFE_OF_RESULTS: TimeDelta = TimeDelta::days(7);

const DIGEST_BYTES: usize = 16;

/// The rows of a job, by the digests of their canonical cells. Created once and never changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) head: EntryHead,
    /// Ordinals of the rows in their attempt.
    pub(crate) rows: RowSet,
    /// One for each of the rows, in the order of their ordinals.
    pub(crate) digests: Digests,
}

/// Digests as they are in the object: where they are many, a copy would take as much once more.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Digests(Bytes);

impl Digests {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len() / DIGEST_BYTES
    }

    /// One after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyDigest> {
        let (digests, _) = self.0.as_chunks::<DIGEST_BYTES>();
        digests.iter().copied().map(KeyDigest::from_bytes)
    }
}

/// What an entry says beside its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryHead {
    pub(crate) load: LoadIdentity,
    pub(crate) attempt: String,
    pub(crate) job: String,
    /// By this machine's clock.
    pub(crate) written: DateTime<Utc>,
    /// The fields that were sent: digests of other ones cannot be compared.
    pub(crate) columns: Vec<SentColumn>,
}

/// A field that was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SentColumn {
    /// Its API name.
    pub(crate) name: String,
    /// How its values are written.
    pub(crate) form: String,
}

impl Entry {
    /// The object that holds an entry of these parts.
    pub(crate) fn bytes_of(head: &EntryHead, rows: &RowSet, digests: &[KeyDigest]) -> Vec<u8> {
        let mut bytes = begin(digests.len() * DIGEST_BYTES + 4_096);
        put_json(&mut bytes, head);
        put_rows(&mut bytes, rows);
        for digest in digests {
            bytes.extend_from_slice(&digest.to_bytes());
        }
        end(bytes)
    }

    /// The entry that an object holds.
    ///
    /// # Errors
    /// [`FormatError`] if it is none, or not as it was written.
    pub(crate) fn from_bytes(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut rest = content(bytes)?;
        let head = take_json(&mut rest, "its head")?;
        let rows = take_rows(&mut rest, "its rows")?;
        if rest.len() as u64 != rows.len() * DIGEST_BYTES as u64 {
            return Err(damaged("its digests"));
        }
        let digests = Digests(bytes.slice_ref(rest));
        Ok(Self {
            head,
            rows,
            digests,
        })
    }
}

/// Adds a set of rows.
pub(super) fn put_rows(bytes: &mut Vec<u8>, rows: &RowSet) {
    put_part(bytes, &rows.to_bytes());
}

/// Takes a set of rows.
///
/// # Errors
/// [`FormatError::Damaged`] if it is not there.
pub(super) fn take_rows(bytes: &mut &[u8], what: &'static str) -> Result<RowSet, FormatError> {
    RowSet::from_bytes(take_part(bytes, what)?).ok_or(damaged(what))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(ordinals: &[u64]) -> Entry {
        let rows: RowSet = ordinals.iter().copied().collect();
        let digests = rows.iter().map(|row| KeyDigest::of(&row.to_le_bytes()));
        Entry {
            head: EntryHead {
                load: LoadIdentity::new("00D1", "Contact", "people", "a").with_generation(3),
                attempt: "a1".to_owned(),
                job: "7505g00000000AAA".to_owned(),
                written: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
                columns: ["LastName", "Größe__c"]
                    .map(|name| SentColumn {
                        name: name.to_owned(),
                        form: "0f".to_owned(),
                    })
                    .to_vec(),
            },
            digests: Digests(digests.flat_map(KeyDigest::to_bytes).collect()),
            rows,
        }
    }

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        let digests: Vec<KeyDigest> = entry.digests.iter().collect();
        Entry::bytes_of(&entry.head, &entry.rows, &digests)
    }

    fn read(bytes: &[u8]) -> Result<Entry, FormatError> {
        Entry::from_bytes(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let bytes = bytes_of(&entry(&[1, 2, 9]));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(read(&changed).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(read(&longer).is_err());
        let mut later = bytes;
        later[4] = 3;
        let error = read(&later).unwrap_err();
        insta::assert_snapshot!(error, @"it has version 3, and this software reads version 2: use the software that wrote it");
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was(ordinals in prop::collection::btree_set(any::<u64>(), 0..50)) {
            let entry = entry(&ordinals.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(read(&bytes_of(&entry)).unwrap(), entry);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).is_err());
        }
    }
}
