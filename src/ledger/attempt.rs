//! An attempt: what it has claimed, what it writes, how far it has covered.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::LedgerError;
use super::consumed::Consumed;
use super::cursor::Cursor;
use super::entry::{Entry, EntryHead};
use super::identity::LoadIdentity;
use super::leftover::Origin;
use super::owner::{self, BEAT_EACH, Claim};
use super::place::{EntryName, Place};
use crate::disk::Disk;
use crate::options::Waits;
use crate::rows::{KeyDigest, RowSet};
use crate::storage::Storage;

/// The ledger of one attempt, which holds all its loads. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Attempt>);

#[derive(Debug)]
struct Attempt {
    place: Arc<Place>,
    id: String,
    loads: BTreeMap<String, ClaimedLoad>,
    /// Written as a whole; one write at a time.
    cursor: AsyncMutex<Cursor>,
    beating: JoinHandle<()>,
}

/// A load that belongs to this attempt.
#[derive(Debug)]
struct ClaimedLoad {
    claim: Claim,
    identity: LoadIdentity,
    past: Mutex<Past>,
}

/// What is known of the older attempts of a load.
#[derive(Debug)]
struct Past {
    /// Entries of older attempts, by their numbers.
    entries: Vec<EntryName>,
    consumed: Consumed,
}

/// Rows of a load that states are about to cover.
#[derive(Debug, Clone, Copy)]
pub struct Covered<'a> {
    /// The load.
    pub load: &'a LoadIdentity,
    /// How many rows stand before the states' last checkpoint.
    pub rows: u64,
}

impl Ledger {
    /// Claims loads in a store, below its prefix, for a new attempt.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] if another attempt is at work on one of them; [`LedgerError::Storage`].
    pub async fn begin(
        storage: Storage,
        loads: &[LoadIdentity],
        waits: Waits,
    ) -> Result<Self, LedgerError> {
        let place = Arc::new(Place::new(storage));
        let time = Utc::now().format("%Y%m%dT%H%M%S%3fZ");
        let id = format!("{time}-{:08x}", fastrand::u32(..));
        place.put_beat(&id, 0).await?;
        let beating = tokio::spawn(beat(Arc::clone(&place), id.clone(), waits));
        let directories: Vec<String> = loads.iter().map(LoadIdentity::directory).collect();
        let claims = match owner::claim(&place, &id, &directories, &waits).await {
            Ok(claims) => claims,
            Err(error) => {
                beating.abort();
                // What is left of it would only make others wait.
                let _ = place.delete_beat(&id).await;
                return Err(error);
            }
        };
        if !place.storage().is_conditional() {
            tracing::warn!(
                "the store of the ledger cannot create objects on condition: two attempts of a sync \
                 that begin in the same moment may both go on"
            );
        }
        let loads = loads.iter().zip(directories).zip(claims);
        let loads = loads.map(|((identity, directory), claim)| {
            let load = ClaimedLoad {
                claim,
                identity: identity.clone(),
                past: Mutex::new(Past {
                    entries: Vec::new(),
                    consumed: Consumed::new(Disk::shared()),
                }),
            };
            (directory, load)
        });
        Ok(Self(Arc::new(Attempt {
            loads: loads.collect(),
            place,
            id,
            cursor: AsyncMutex::default(),
            beating,
        })))
    }

    /// Id of the attempt.
    pub fn attempt(&self) -> &str {
        &self.0.id
    }

    /// Notes how far each of some loads is covered, in one write, before the states that cover it are
    /// printed: a later attempt does not expect rows before that to come again.
    ///
    /// # Errors
    /// [`LedgerError::Storage`]: the states are not to be printed then; [`LedgerError::Lost`].
    pub async fn cover(&self, covered: &[Covered<'_>]) -> Result<(), LedgerError> {
        let mut cursor = self.0.cursor.lock().await;
        for Covered { load, rows } in covered {
            let directory = load.directory();
            let known = self.0.load(&directory)?;
            let before = cursor.covered.entry(directory).or_default();
            *before = (*before).max(*rows);
            let mut past = known.past.lock();
            let consumed = past.consumed.take_before(*rows);
            for (number, rows) in consumed.map_err(LedgerError::of_disk)? {
                let entry = past.entries.get(number as usize);
                let entry = entry.map(|name| name.as_str().to_owned());
                let all = cursor.consumed.entry(entry.unwrap_or_default());
                all.or_default().insert_all(&rows);
            }
        }
        self.0.place.put_cursor(&self.0.id, &cursor).await
    }

    /// Deletes the entries of all loads, older ones too, and last the cursors: nothing of them is
    /// needed any more.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn finish(&self) -> Result<(), LedgerError> {
        let Attempt { place, id, .. } = &*self.0;
        let mut attempts = vec![id.clone()];
        for directory in self.0.loads.keys() {
            for entry in place.entries(directory).await? {
                attempts.extend(entry.attempt().map(str::to_owned));
                place.delete_entry(&entry).await?;
            }
        }
        attempts.sort();
        attempts.dedup();
        for attempt in &attempts {
            place.delete_cursor(attempt).await?;
        }
        self.release().await
    }

    /// Says that the attempt has ended: who comes next need not wait.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn release(&self) -> Result<(), LedgerError> {
        self.0.beating.abort();
        self.0.place.delete_beat(&self.0.id).await
    }
}

impl Attempt {
    fn load(&self, directory: &str) -> Result<&ClaimedLoad, LedgerError> {
        self.loads.get(directory).ok_or(LedgerError::Lost)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Shows signs of life, until it is aborted.
async fn beat(place: Arc<Place>, attempt: String, waits: Waits) {
    for beat in 1.. {
        sleep(waits.scaled(BEAT_EACH)).await;
        if let Err(error) = place.put_beat(&attempt, beat).await {
            tracing::warn!(%error, "the attempt could not show that it is at work");
        }
    }
}
