//! What the engine does with the ledger of one load.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::Utc;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::LedgerError;
use super::attempt::{Attempt, ClaimedLoad, Ledger};
use super::cursor::Cursor;
use super::entry::{Entry, EntryHead, SentColumn};
use super::expected::Expected;
use super::identity::LoadIdentity;
use super::leftover::{LeftEnd, Leftovers};
use super::owner;
use super::place::{AT_ONCE, EntryName};
use crate::object::RecordIds;
use crate::rows::{KeyDigest, RowSet};

/// The ledger of one load of an attempt. Clones are the same.
#[derive(Clone)]
pub struct LoadLedger {
    attempt: Arc<Attempt>,
    directory: String,
}

/// Rows that came in the place of some of older attempts.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// By what became of the older ones.
    pub(crate) rows: BTreeMap<LeftEnd, RowSet>,
    /// By the jobs that wrote the older ones: of each row the Id of its record, if that is known.
    pub(crate) records: BTreeMap<String, BTreeMap<u64, Option<String>>>,
}

/// What older attempts have covered.
#[derive(Debug, Default)]
pub(crate) struct OlderCursors(BTreeMap<String, Cursor>);

impl Ledger {
    /// The ledger of one of its loads; `None` for others.
    pub fn load(&self, load: &LoadIdentity) -> Option<LoadLedger> {
        let (attempt, directory) = (Arc::clone(&self.0), load.directory());
        let known = attempt.loads.contains_key(&directory);
        known.then_some(LoadLedger { attempt, directory })
    }
}

impl LoadLedger {
    fn load(&self) -> Result<&ClaimedLoad, LedgerError> {
        self.attempt.load(&self.directory)
    }

    /// Id of the attempt.
    pub fn attempt(&self) -> &str {
        &self.attempt.id
    }

    /// Where its entries are.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// What the load is.
    ///
    /// # Errors
    /// [`LedgerError::Lost`], only by a defect of this crate.
    fn identity(&self) -> Result<&LoadIdentity, LedgerError> {
        Ok(&self.load()?.identity)
    }

    /// Enters the rows of a job, which is not closed yet: once, and never again.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Taken`].
    pub(crate) async fn enter(
        &self,
        job: &str,
        columns: &[SentColumn],
        rows: &RowSet,
        digests: &[KeyDigest],
    ) -> Result<(), LedgerError> {
        let head = EntryHead {
            load: self.identity()?.clone(),
            attempt: self.attempt.id.clone(),
            job: job.to_owned(),
            written: Utc::now(),
            columns: columns.to_vec(),
        };
        let bytes = Entry::bytes_of(&head, rows, digests);
        self.attempt
            .place
            .create_entry(&self.entry_of(job), bytes)
            .await
    }

    /// Fails if another attempt has taken the load: a job may be closed after this only.
    ///
    /// # Errors
    /// [`LedgerError::Lost`], [`LedgerError::Storage`].
    pub(crate) async fn check_held(&self) -> Result<(), LedgerError> {
        self.attempt.check_held(&self.directory).await
    }

    /// Notes that rows of a job are stored as rejected.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Taken`].
    pub(crate) async fn rejected(&self, job: &str, rows: &RowSet) -> Result<(), LedgerError> {
        let entry = self.entry_of(job);
        self.attempt.place.create_rejected(&entry, rows).await
    }

    fn entry_of(&self, job: &str) -> EntryName {
        EntryName::new(&self.directory, &self.attempt.id, job)
    }

    /// The entries of older attempts, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) async fn older(&self) -> Result<Vec<EntryName>, LedgerError> {
        let mut entries = self.attempt.place.entries(&self.directory).await?;
        entries.retain(|entry| entry.attempt() != self.attempt.id);
        Ok(entries)
    }

    /// What older attempts have covered.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Unreadable`].
    pub(crate) async fn older_cursors(&self) -> Result<OlderCursors, LedgerError> {
        let place = &self.attempt.place;
        let mut attempts = place.cursors().await?;
        attempts.retain(|attempt| *attempt != self.attempt.id);
        let cursors = stream::iter(attempts)
            .map(async |attempt| {
                let cursor = place.cursor(&attempt).await?;
                Ok::<_, LedgerError>((attempt, cursor))
            })
            .buffered(AT_ONCE)
            .try_collect::<BTreeMap<_, _>>()
            .await?;
        Ok(OlderCursors::new(cursors))
    }

    /// Entries of loads like this one, but for a `ledger_id` that nobody chose: an earlier attempt by
    /// another mapping may have written them, or another connection. Sorted.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) async fn alike(&self) -> Result<Vec<EntryName>, LedgerError> {
        let Some(alike) = self.identity()?.alike() else {
            return Ok(Vec::new());
        };
        let mut entries = self.attempt.place.all_entries().await?;
        let is_other = |load: &str| load.starts_with(&alike) && load != self.directory;
        entries.retain(|entry| is_other(entry.load()));
        Ok(entries)
    }

    /// Whether another attempt has ended: if it has not said so, by its signs of life.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) async fn has_ended(&self, attempt: &str) -> Result<bool, LedgerError> {
        match owner::until_silent(&self.attempt.place, attempt, &self.attempt.waits).await {
            Err(LedgerError::Busy { .. }) => Ok(false),
            ended => ended.map(|()| true),
        }
    }

    /// An older entry; `None` if it was deleted meanwhile.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Unreadable`].
    pub(crate) async fn entry(&self, name: &EntryName) -> Result<Option<Entry>, LedgerError> {
        self.attempt.place.entry(name).await
    }

    /// Rows of an older entry that are stored as rejected.
    ///
    /// # Errors
    /// [`LedgerError::Storage`], [`LedgerError::Unreadable`].
    pub(crate) async fn stored(&self, name: &EntryName) -> Result<RowSet, LedgerError> {
        self.attempt.place.rejected(name).await
    }

    /// Deletes older entries, of which nothing is expected any more.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub(crate) async fn forget(&self, entries: &[EntryName]) -> Result<(), LedgerError> {
        self.attempt.place.delete_entries(entries).await
    }

    /// From now on, these rows of older entries are expected to come again. `ids` are those of the
    /// numbers that they have.
    ///
    /// # Errors
    /// [`LedgerError::Lost`], only by a defect of this crate.
    pub(crate) fn expect(
        &self,
        entries: Vec<EntryName>,
        rows: Leftovers,
        ids: RecordIds,
    ) -> Result<(), LedgerError> {
        *self.load()?.expected.lock() = Expected::new(entries, rows, ids);
        Ok(())
    }

    /// How many rows of older attempts have not come again.
    pub fn left(&self) -> u64 {
        self.load().map_or(0, |load| load.expected.lock().left())
    }

    /// Memory that is taken by what is expected, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.load().map_or(0, |load| load.expected.lock().memory())
    }

    /// Rows came, from the ordinal `first` on: each takes an equal one of an older attempt, if there
    /// is one. Those that did are returned, with the records of the older ones if `records` are asked for.
    ///
    /// # Errors
    /// [`LedgerError::Disk`].
    pub(crate) fn take(
        &self,
        first: u64,
        digests: &[(usize, KeyDigest)],
        records: bool,
    ) -> Result<Taken, LedgerError> {
        let mut expected = self.load()?.expected.lock();
        let mut taken = Taken::default();
        for (row, digest) in digests {
            let ordinal = first + *row as u64;
            let Some(origin) = expected.take(ordinal, *digest)? else {
                continue;
            };
            taken.rows.entry(origin.end).or_default().insert(ordinal);
            if records
                && origin.end == LeftEnd::Accepted
                && let Some((job, id)) = expected.record(&origin)
            {
                if !taken.records.contains_key(job) {
                    taken.records.insert(job.to_owned(), BTreeMap::new());
                }
                if let Some(records) = taken.records.get_mut(job) {
                    records.insert(ordinal, id);
                }
            }
        }
        Ok(taken)
    }
}

impl OlderCursors {
    /// Those of some attempts.
    pub(super) fn new(cursors: BTreeMap<String, Cursor>) -> Self {
        Self(cursors)
    }

    /// The rows of an entry whose states were not printed, and in whose place none was covered.
    pub(crate) fn open_rows(&self, name: &EntryName, rows: &RowSet) -> RowSet {
        if self
            .0
            .values()
            .any(|cursor| cursor.finished.contains(name.as_str()))
        {
            return RowSet::new();
        }
        let mut open = rows.at_or_after(self.covered(name));
        for cursor in self.0.values() {
            if let Some(consumed) = cursor.consumed.get(name.as_str()) {
                open.remove_all(consumed);
            }
        }
        open
    }

    /// How many rows of a load the attempts have covered, one after the other.
    pub(crate) fn all_covered(&self, load: &str) -> u64 {
        let of_load = self
            .0
            .values()
            .filter_map(|cursor| cursor.covered.get(load));
        of_load.fold(0, |all, covered| all.saturating_add(*covered))
    }

    /// How many rows of the entry's load its attempt has covered.
    pub(crate) fn covered(&self, name: &EntryName) -> u64 {
        let cursor = self.0.get(name.attempt());
        let covered = cursor.and_then(|cursor| cursor.covered.get(name.load()));
        covered.copied().unwrap_or(0)
    }
}

impl fmt::Debug for LoadLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadLedger")
            .field("attempt", &self.attempt.id)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
