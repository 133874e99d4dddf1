//! What a ledger holds, for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::LedgerError;
use super::attempt::Ledger;
use super::cursor::Cursor;
use super::handle::OlderCursors;
use super::identity::LoadIdentity;
use super::place::Place;
use crate::storage::Storage;

/// An entry: the rows that a job was given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Listed {
    /// The load.
    pub load: LoadIdentity,
    /// Id of the attempt.
    pub attempt: String,
    /// Id of the job.
    pub job: String,
    /// When it was written.
    pub written: DateTime<Utc>,
    /// Its rows.
    pub rows: u64,
    /// Those of them that no printed state covers, and that did not come again.
    pub open: u64,
    /// Those of the open ones that are stored as rejected.
    pub rejected: u64,
    /// Rows of the load that the attempt has covered.
    pub covered: u64,
    /// The attempt has not said that it ended.
    pub at_work: bool,
}

/// What a ledger holds.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// Its entries, of all loads.
    pub entries: Vec<Listed>,
    /// Why other objects of it cannot be read.
    pub unreadable: Vec<LedgerError>,
}

impl Listing {
    /// What an object holds; nothing if it cannot be read.
    fn read<T: Default>(&mut self, content: Result<T, LedgerError>) -> Result<T, LedgerError> {
        match content {
            Err(error @ LedgerError::Unreadable { .. }) => {
                self.unreadable.push(error);
                Ok(T::default())
            }
            content => content,
        }
    }
}

impl Ledger {
    /// What a ledger holds of all loads.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn list(storage: Storage) -> Result<Listing, LedgerError> {
        let place = Place::new(storage);
        let mut listing = Listing::default();
        let mut cursors = BTreeMap::<String, Cursor>::new();
        for attempt in place.cursors().await? {
            let cursor = listing.read(place.cursor(&attempt).await)?;
            cursors.insert(attempt, cursor);
        }
        let all = place.all().await?;
        let names = place.all_entries().await?;
        let older = OlderCursors::new(cursors);
        for name in names {
            let Some(entry) = listing.read(place.entry(&name).await)? else {
                continue;
            };
            let open = older.open_rows(&name, &entry.rows);
            let stored = listing.read(place.rejected(&name).await)?;
            let beat = format!("attempts/{}", name.attempt());
            listing.entries.push(Listed {
                attempt: name.attempt().to_owned(),
                job: entry.head.job,
                written: entry.head.written,
                rows: entry.rows.len(),
                open: open.len(),
                rejected: open.iter().filter(|row| stored.contains(*row)).count() as u64,
                covered: older.covered(&name),
                at_work: all.iter().any(|(name, _)| *name == beat),
                load: entry.head.load,
            });
        }
        Ok(listing)
    }
}
