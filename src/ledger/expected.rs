//! Rows of older attempts of a load that may come again, and those that did.

use std::collections::BTreeMap;

use super::LedgerError;
use super::consumed::Consumed;
use super::leftover::{Leftovers, Origin};
use super::place::EntryName;
use crate::disk::Disk;
use crate::object::RecordIds;
use crate::rows::{KeyDigest, RowSet};

/// What is expected of the older attempts of a load.
#[derive(Debug)]
pub(super) struct Expected {
    /// Their entries, by their numbers.
    entries: Vec<EntryName>,
    rows: Option<Leftovers>,
    /// The Ids of the records that they have numbers of.
    ids: RecordIds,
    consumed: Consumed,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            rows: None,
            ids: RecordIds::default(),
            consumed: Consumed::new(Disk::shared()),
        }
    }
}

impl Expected {
    /// Expects these rows of these entries.
    pub(super) fn new(entries: Vec<EntryName>, rows: Leftovers, ids: RecordIds) -> Self {
        Self {
            entries,
            rows: Some(rows),
            ids,
            ..Self::default()
        }
    }

    /// How many rows did not come again.
    pub(super) fn left(&self) -> u64 {
        self.rows.as_ref().map_or(0, Leftovers::len)
    }

    /// Memory that they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        let rows = self.rows.as_ref().map_or(0, Leftovers::memory);
        rows + self.ids.memory() + self.consumed.memory()
    }

    /// The row `ordinal` came: takes an equal one of an older attempt, if there is one.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub(super) fn take(
        &mut self,
        ordinal: u64,
        digest: KeyDigest,
    ) -> Result<Option<Origin>, LedgerError> {
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        let Some(origin) = rows.take(digest).map_err(LedgerError::Disk)? else {
            return Ok(None);
        };
        self.consumed
            .add(ordinal, origin)
            .map_err(LedgerError::Disk)?;
        Ok(Some(origin))
    }

    /// The job that has written such a row, and the Id of its record, if that is known.
    pub(super) fn record(&self, origin: &Origin) -> Option<(&str, Option<String>)> {
        let entry = self.entries.get(origin.entry as usize)?;
        let mut id = String::new();
        let known = self.ids.write(origin.record, &mut id);
        Some((entry.job(), known.then_some(id)))
    }

    /// Takes what came before the row `ordinal`: rows of older entries.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub(super) fn take_consumed(
        &mut self,
        ordinal: u64,
    ) -> Result<Vec<(EntryName, RowSet)>, LedgerError> {
        let taken: BTreeMap<u32, RowSet> = self
            .consumed
            .take_before(ordinal)
            .map_err(LedgerError::Disk)?;
        let named = taken.into_iter().filter_map(|(number, rows)| {
            let entry = self.entries.get(number as usize)?;
            Some((entry.clone(), rows))
        });
        Ok(named.collect())
    }
}
