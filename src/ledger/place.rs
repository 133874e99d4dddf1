//! Where the ledger's objects are, and how they come there and back.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use super::LedgerError;
use super::cursor::Cursor;
use super::entry::Entry;
use super::format::FormatError;
use crate::rows::RowSet;
use crate::storage::{Storage, StorageError, key_in};

/// Objects that are read or deleted at the same time.
pub(super) const AT_ONCE: usize = 16;

/// What the names of entries end with.
const ENTRY: &str = ".entry";

/// What the names of markers end with: rows of an entry that are stored as rejected.
const REJECTED: &str = ".rejected";

/// The ledger's part of an object store.
#[derive(Debug)]
pub(super) struct Place {
    storage: Storage,
    /// What its keys begin with.
    root: String,
}

/// A claim of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) number: u64,
    pub(super) attempt: String,
}

/// An entry by its name: `<load>/<attempt>.<job>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryName(String);

impl EntryName {
    pub(super) fn new(load: &str, attempt: &str, job: &str) -> Self {
        Self(format!("{load}/{attempt}.{job}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The entry of an object: `entries/<load>/<attempt>.<job>.entry`, within the ledger.
    pub(super) fn of_object(name: &str) -> Option<Self> {
        let name = name.strip_prefix("entries/")?;
        let name = name.strip_suffix(ENTRY).or(name.strip_suffix(REJECTED))?;
        Some(Self(name.to_owned()))
    }

    /// The load and the attempt of the entry.
    fn parts(&self) -> Option<[&str; 2]> {
        let (load, name) = self.0.split_once('/')?;
        let (attempt, _) = name.split_once('.')?;
        Some([load, attempt])
    }

    /// The job that it is of.
    pub(crate) fn job(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, job)| job)
    }

    /// The directory of its load.
    pub(crate) fn load(&self) -> &str {
        self.parts().map_or("", |[load, ..]| load)
    }

    /// The attempt that wrote it.
    pub(crate) fn attempt(&self) -> &str {
        self.parts().map_or("", |[_, attempt]| attempt)
    }
}

impl Place {
    /// All objects go below the storage's prefix.
    pub(super) fn new(storage: Storage) -> Self {
        let root = storage.directory();
        Self { storage, root }
    }

    /// Proves that objects can be written, read, listed and deleted.
    pub(super) async fn prove(&self) -> Result<(), LedgerError> {
        let content = Bytes::from_static(b"test");
        let directory = self.directory("attempts");
        let name = format!("test-{:08x}", fastrand::u32(..));
        Ok(self
            .storage
            .prove_readable(&directory, &name, content)
            .await?)
    }

    /// All objects: each by its name within the ledger, with the time of its last change.
    pub(super) async fn all(&self) -> Result<Vec<(String, DateTime<Utc>)>, LedgerError> {
        let all = self.storage.list_all(&self.root).await?;
        let named = all.into_iter().filter_map(|(key, changed)| {
            let name = key.as_ref().strip_prefix(&self.root)?;
            Some((name.to_owned(), changed))
        });
        Ok(named.collect())
    }

    /// Deletes objects by their names within the ledger.
    pub(super) async fn delete_all(&self, names: &[&str]) -> Result<(), LedgerError> {
        let deletions: Vec<_> = names.iter().map(|name| self.delete(name)).collect();
        stream::iter(deletions)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn delete(&self, name: &str) -> Result<(), LedgerError> {
        let key = self.key_of(name)?;
        Ok(self.storage.delete(&key).await?)
    }

    fn key_of(&self, name: &str) -> Result<Path, StorageError> {
        key_in(&self.root, name)
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(super) fn into_storage(self) -> Storage {
        self.storage
    }

    fn directory(&self, directory: &str) -> String {
        format!("{}{directory}/", self.root)
    }

    fn key(&self, directory: &str, name: &str) -> Result<Path, StorageError> {
        key_in(&self.directory(directory), name)
    }

    /// How an object is shown.
    fn url(&self, key: &Path) -> String {
        self.storage.url(key.as_ref())
    }

    fn unreadable(&self, key: &Path, source: FormatError) -> LedgerError {
        LedgerError::Unreadable {
            object: self.url(key),
            source,
        }
    }

    /// Writes an entry: once, and never again.
    pub(super) async fn create_entry(
        &self,
        name: &EntryName,
        entry: Vec<u8>,
    ) -> Result<(), LedgerError> {
        let key = self.key("entries", &format!("{}{ENTRY}", name.0))?;
        self.create(&key, entry).await
    }

    /// Writes which rows of an entry are stored as rejected.
    pub(super) async fn create_rejected(
        &self,
        name: &EntryName,
        rows: &RowSet,
    ) -> Result<(), LedgerError> {
        let key = self.key("entries", &format!("{}{REJECTED}", name.0))?;
        self.create(&key, super::format::of_rows(rows)).await
    }

    async fn create(&self, key: &Path, content: Vec<u8>) -> Result<(), LedgerError> {
        if self.storage.create(key, content.into()).await? {
            Ok(())
        } else {
            Err(LedgerError::Taken {
                object: self.url(key),
            })
        }
    }

    /// Names of the entries of a load, sorted.
    pub(super) async fn entries(&self, load: &str) -> Result<Vec<EntryName>, LedgerError> {
        let directory = self.directory(&format!("entries/{load}"));
        let names = self.storage.list(&directory).await?;
        let entries = names.iter().filter_map(|name| name.strip_suffix(ENTRY));
        let mut entries: Vec<_> = entries
            .map(|name| EntryName(format!("{load}/{name}")))
            .collect();
        entries.sort();
        Ok(entries)
    }

    /// Names of the entries of some loads, in their order.
    pub(super) async fn entries_of(
        &self,
        loads: impl IntoIterator<Item = &String>,
    ) -> Result<Vec<EntryName>, LedgerError> {
        let listed: Vec<_> = loads.into_iter().map(|load| self.entries(load)).collect();
        stream::iter(listed).buffered(AT_ONCE).try_concat().await
    }

    /// Names of the entries of all loads, sorted.
    pub(super) async fn all_entries(&self) -> Result<Vec<EntryName>, LedgerError> {
        let all = self.all().await?;
        let entries = all.iter().filter(|(name, _)| name.ends_with(ENTRY));
        let mut entries: Vec<_> = entries
            .filter_map(|(name, _)| EntryName::of_object(name))
            .collect();
        entries.sort();
        Ok(entries)
    }

    /// An entry; `None` if it was deleted meanwhile.
    pub(super) async fn entry(&self, name: &EntryName) -> Result<Option<Entry>, LedgerError> {
        let key = self.key("entries", &format!("{}{ENTRY}", name.0))?;
        let Some(bytes) = self.storage.content(&key).await? else {
            return Ok(None);
        };
        let entry = Entry::from_bytes(&bytes);
        entry
            .map(Some)
            .map_err(|error| self.unreadable(&key, error))
    }

    /// Rows of an entry that are stored as rejected.
    pub(super) async fn rejected(&self, name: &EntryName) -> Result<RowSet, LedgerError> {
        let key = self.key("entries", &format!("{}{REJECTED}", name.0))?;
        let Some(bytes) = self.storage.content(&key).await? else {
            return Ok(RowSet::new());
        };
        super::format::to_rows(&bytes).map_err(|error| self.unreadable(&key, error))
    }

    /// Deletes entries and their markers.
    pub(super) async fn delete_entries(&self, names: &[EntryName]) -> Result<(), LedgerError> {
        let deletions: Vec<_> = names.iter().map(|name| self.delete_entry(name)).collect();
        stream::iter(deletions)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn delete_entry(&self, name: &EntryName) -> Result<(), LedgerError> {
        for end in [REJECTED, ENTRY] {
            let key = self.key("entries", &format!("{}{end}", name.0))?;
            self.storage.delete(&key).await?;
        }
        Ok(())
    }

    /// Writes the cursor of an attempt over the one before.
    pub(super) async fn put_cursor(
        &self,
        attempt: &str,
        cursor: &Cursor,
    ) -> Result<(), LedgerError> {
        let key = self.key("cursors", attempt)?;
        Ok(self.storage.put(&key, cursor.to_bytes().into()).await?)
    }

    /// The attempts that have a cursor.
    pub(super) async fn cursors(&self) -> Result<Vec<String>, LedgerError> {
        Ok(self.storage.list(&self.directory("cursors")).await?)
    }

    /// The cursor of an attempt, if it has covered anything.
    pub(super) async fn cursor(&self, attempt: &str) -> Result<Cursor, LedgerError> {
        let key = self.key("cursors", attempt)?;
        let Some(bytes) = self.storage.content(&key).await? else {
            return Ok(Cursor::default());
        };
        Cursor::from_bytes(&bytes).map_err(|error| self.unreadable(&key, error))
    }

    /// Deletes the cursor of an attempt.
    pub(super) async fn delete_cursor(&self, attempt: &str) -> Result<(), LedgerError> {
        Ok(self.storage.delete(&self.key("cursors", attempt)?).await?)
    }

    /// The attempts that show a sign of life, or have left one.
    pub(super) async fn beats(&self) -> Result<Vec<String>, LedgerError> {
        Ok(self.storage.list(&self.directory("attempts")).await?)
    }

    /// Shows that an attempt is alive: each time with another `beat`.
    pub(super) async fn put_beat(&self, attempt: &str, beat: u64) -> Result<(), LedgerError> {
        let key = self.key("attempts", attempt)?;
        let content = Bytes::from(beat.to_string());
        Ok(self.storage.put(&key, content).await?)
    }

    /// What an attempt has shown last; `None` if it has ended.
    pub(super) async fn beat(&self, attempt: &str) -> Result<Option<Bytes>, LedgerError> {
        let key = self.key("attempts", attempt)?;
        Ok(self.storage.content(&key).await?)
    }

    /// Says that an attempt has ended.
    pub(super) async fn delete_beat(&self, attempt: &str) -> Result<(), LedgerError> {
        Ok(self.storage.delete(&self.key("attempts", attempt)?).await?)
    }

    /// The last claim of a load, if it was ever claimed.
    pub(super) async fn last_claim(&self, load: &str) -> Result<Option<Claim>, LedgerError> {
        loop {
            let Some(number) = self.claims(load).await?.into_iter().max() else {
                return Ok(None);
            };
            // One that is gone meanwhile was deleted for a later one.
            if let Some(claim) = self.claim(load, number).await? {
                return Ok(Some(claim));
            }
        }
    }

    /// The claims of a load before one: that of the attempt before, and those of earlier ones that an
    /// attempt may have left which was killed.
    pub(super) async fn claims_before(
        &self,
        load: &str,
        number: u64,
    ) -> Result<Vec<Claim>, LedgerError> {
        let mut found = Vec::new();
        for before in self.claims(load).await? {
            if before < number {
                found.extend(self.claim(load, before).await?);
            }
        }
        Ok(found)
    }

    /// The numbers of the claims of a load.
    async fn claims(&self, load: &str) -> Result<Vec<u64>, LedgerError> {
        let directory = self.directory(&format!("owners/{load}"));
        let names = self.storage.list(&directory).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn claim(&self, load: &str, number: u64) -> Result<Option<Claim>, LedgerError> {
        let attempt = self.claimed(load, number).await?;
        Ok(attempt.map(|attempt| Claim {
            number,
            attempt: String::from_utf8_lossy(&attempt).into_owned(),
        }))
    }

    fn claim_key(&self, load: &str, number: u64) -> Result<Path, StorageError> {
        self.key(&format!("owners/{load}"), &format!("{number:020}"))
    }

    /// The attempt that has made a claim; `None` if it is gone, for a later one.
    pub(super) async fn claimed(
        &self,
        load: &str,
        number: u64,
    ) -> Result<Option<Bytes>, LedgerError> {
        let key = self.claim_key(load, number)?;
        Ok(self.storage.content(&key).await?)
    }

    /// Claims a load, unless another attempt has made a claim of this number.
    pub(super) async fn create_claim(
        &self,
        load: &str,
        claim: &Claim,
    ) -> Result<bool, LedgerError> {
        let key = self.claim_key(load, claim.number)?;
        Ok(self
            .storage
            .create(&key, claim.attempt.clone().into())
            .await?)
    }

    /// Deletes a claim.
    pub(super) async fn delete_claim(&self, load: &str, number: u64) -> Result<(), LedgerError> {
        Ok(self.storage.delete(&self.claim_key(load, number)?).await?)
    }
}
