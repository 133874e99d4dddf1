//! The cursor of an attempt: how far the states go that it printed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::entry::{put_rows, take_rows};
use super::format::{FormatError, begin, content, damaged, end, put_json, take_json};
use crate::rows::RowSet;

/// How far an attempt's states go, written before they are printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cursor {
    /// Rows of each load, by its directory, that are covered: those before this ordinal.
    pub(crate) covered: BTreeMap<String, u64>,
    /// Rows of older entries, by the name of the entry, in whose place covered rows were not sent.
    pub(crate) consumed: BTreeMap<String, RowSet>,
    /// Older entries, by their names, of which nothing is expected any more: all rows of their load
    /// came, and are loaded.
    pub(crate) finished: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    covered: BTreeMap<String, u64>,
    entries: Vec<String>,
    finished: BTreeSet<String>,
}

impl Cursor {
    /// Whether it says anything of an older entry.
    pub(crate) fn names(&self, entry: &str) -> bool {
        self.consumed.contains_key(entry) || self.finished.contains(entry)
    }

    /// The object that holds it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = begin(4_096);
        let head = Head {
            covered: self.covered.clone(),
            entries: self.consumed.keys().cloned().collect(),
            finished: self.finished.clone(),
        };
        put_json(&mut bytes, &head);
        for rows in self.consumed.values() {
            put_rows(&mut bytes, rows);
        }
        end(bytes)
    }

    /// The cursor that an object holds.
    ///
    /// # Errors
    /// [`FormatError`] if it is none, or not as it was written.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut rest = content(bytes)?;
        let Head {
            covered,
            entries,
            finished,
        } = take_json(&mut rest, "its head")?;
        let mut consumed = BTreeMap::new();
        for entry in entries {
            consumed.insert(entry, take_rows(&mut rest, "its consumed rows")?);
        }
        if rest.is_empty() {
            Ok(Self {
                covered,
                consumed,
                finished,
            })
        } else {
            Err(damaged("its end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(
            covered in prop::collection::btree_map("[a-f0-9]{4}", any::<u64>(), 0..5),
            consumed in prop::collection::btree_map(
                "[a-f0-9/.]{9}",
                prop::collection::btree_set(any::<u64>(), 0..9),
                0..5,
            ),
            finished in prop::collection::btree_set("[a-f0-9/.]{9}", 0..5),
        ) {
            let consumed = consumed.into_iter().map(|(name, rows)| (name, rows.into_iter().collect()));
            let cursor = Cursor { covered, consumed: consumed.collect(), finished };
            prop_assert_eq!(Cursor::from_bytes(&cursor.to_bytes()).unwrap(), cursor);
        }
    }
}
