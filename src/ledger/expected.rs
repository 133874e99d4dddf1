//! Rows of older attempts of a load that may come again, and those that did.

use std::collections::BTreeMap;

use super::LedgerError;
use super::consumed::Consumed;
use super::leftover::{LeftEnd, Leftovers};
use super::place::EntryName;
use crate::disk::Disk;
use crate::rows::{KeyDigest, RowSet};

/// What is expected of the older attempts of a load.
#[derive(Debug)]
pub(super) struct Expected {
    /// Their entries, by their numbers.
    entries: Vec<EntryName>,
    rows: Option<Leftovers>,
    consumed: Consumed,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            rows: None,
            consumed: Consumed::new(Disk::shared()),
        }
    }
}

impl Expected {
    /// Expects these rows of these entries.
    pub(super) fn new(entries: Vec<EntryName>, rows: Leftovers) -> Self {
        Self {
            entries,
            rows: Some(rows),
            ..Self::default()
        }
    }

    /// How many rows did not come again.
    pub(super) fn left(&self) -> u64 {
        self.rows.as_ref().map_or(0, Leftovers::len)
    }

    /// Memory that they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.rows.as_ref().map_or(0, Leftovers::memory) + self.consumed.memory()
    }

    /// The row `ordinal` came: takes an equal one of an older attempt, and says what became of that.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub(super) fn take(
        &mut self,
        ordinal: u64,
        digest: KeyDigest,
    ) -> Result<Option<LeftEnd>, LedgerError> {
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        let Some(origin) = rows.take(digest).map_err(LedgerError::Disk)? else {
            return Ok(None);
        };
        self.consumed
            .add(ordinal, origin)
            .map_err(LedgerError::Disk)?;
        Ok(Some(origin.end))
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
