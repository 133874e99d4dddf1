//! An attempt: what it has claimed, what it writes, how far it has covered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use chrono::Utc;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::LedgerError;
use super::cursor::Cursor;
use super::expected::Expected;
use super::identity::LoadIdentity;
use super::owner::{self, BEAT_EACH, SILENCE};
use super::place::{AT_ONCE, Claim, EntryName, Place};
use super::sweep;
use crate::options::Waits;
use crate::storage::Storage;

/// The ledger of one attempt, which holds all its loads. Clones are the same.
///
/// An attempt that is dropped without [`Ledger::finish`] or [`Ledger::release`] is taken for one at
/// work until it has shown no sign of life for a minute.
#[derive(Debug, Clone)]
pub struct Ledger(pub(super) Arc<Attempt>);

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) place: Arc<Place>,
    pub(super) id: String,
    pub(super) loads: BTreeMap<String, ClaimedLoad>,
    /// Written as a whole; one write at a time.
    cursor: AsyncMutex<Cursor>,
    life: Arc<Life>,
    beating: JoinHandle<()>,
    pub(super) waits: Waits,
}

/// A load that belongs to this attempt.
#[derive(Debug)]
pub(super) struct ClaimedLoad {
    pub(super) claim: Claim,
    pub(super) identity: LoadIdentity,
    /// Rows of older attempts that may come again.
    pub(super) expected: Mutex<Expected>,
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
    /// Proves that a store takes a ledger: an object can be written, read, listed and deleted.
    ///
    /// # Errors
    /// [`LedgerError::Storage`] with the object, the cause and the cure.
    pub async fn prove(storage: Storage) -> Result<Storage, LedgerError> {
        let place = Place::new(storage);
        place.prove().await?;
        Ok(place.into_storage())
    }

    /// An id for an attempt: the time, and what distinguishes attempts of the same moment.
    pub fn new_attempt() -> String {
        let time = Utc::now().format("%Y%m%dT%H%M%S%3fZ");
        format!("{time}-{:08x}", fastrand::u32(..))
    }

    /// Claims loads in a store, below its prefix, for the new attempt of this id
    /// ([`Ledger::new_attempt`]).
    ///
    /// # Errors
    /// [`LedgerError::Busy`] if another attempt is at work on one of them; [`LedgerError::Storage`].
    pub async fn begin(
        storage: Storage,
        attempt: impl Into<String>,
        loads: &[LoadIdentity],
        waits: Waits,
    ) -> Result<Self, LedgerError> {
        let (place, id) = (Arc::new(Place::new(storage)), attempt.into());
        place.put_beat(&id, 0).await?;
        let life = Arc::new(Life::default());
        let beating = tokio::spawn(beat(
            Arc::clone(&place),
            id.clone(),
            waits,
            Arc::clone(&life),
        ));
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
                expected: Mutex::default(),
            };
            (directory, load)
        });
        Ok(Self(Arc::new(Attempt {
            loads: loads.collect(),
            place,
            id,
            cursor: AsyncMutex::default(),
            life,
            beating,
            waits,
        })))
    }

    /// Takes away the signs of life of all attempts in a store, for who knows by other means that none
    /// is at work, such as by a lock: the next attempt need not wait.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn none_at_work(storage: Storage) -> Result<(), LedgerError> {
        let place = Place::new(storage);
        for attempt in place.beats().await? {
            place.delete_beat(&attempt).await?;
        }
        Ok(())
    }

    /// Id of the attempt.
    pub fn attempt(&self) -> &str {
        &self.0.id
    }

    /// Notes how far each of some loads is covered, in one write, before the states that cover it are
    /// printed: a later attempt does not expect rows before that to come again.
    ///
    /// # Errors
    /// [`LedgerError::Storage`] and [`LedgerError::Lost`]: the states are not to be printed then.
    pub async fn cover(&self, covered: &[Covered<'_>]) -> Result<(), LedgerError> {
        self.0.cover(covered).await
    }

    /// All rows of all loads came, and are loaded: covers everything, and deletes the entries, older
    /// ones too, and last the cursors. What is older than 7 days of other loads is deleted as well.
    /// Returns how many rows of older attempts did not come again.
    ///
    /// # Errors
    /// [`LedgerError::Lost`], and [`LedgerError::Storage`] if it could not be noted that everything is
    /// covered. What could not be deleted then is left, with a warning.
    pub async fn finish(&self) -> Result<u64, LedgerError> {
        self.0.finish().await
    }

    /// Says that the attempt has ended: who comes next need not wait.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn release(&self) -> Result<(), LedgerError> {
        self.0.release().await
    }
}

impl Attempt {
    pub(super) fn load(&self, directory: &str) -> Result<&ClaimedLoad, LedgerError> {
        self.loads.get(directory).ok_or(LedgerError::Lost)
    }

    /// Fails if another attempt has taken the load.
    pub(super) async fn check_held(&self, directory: &str) -> Result<(), LedgerError> {
        let claim = &self.load(directory)?.claim;
        if owner::holds(&self.place, directory, claim).await? {
            Ok(())
        } else {
            Err(LedgerError::Lost)
        }
    }

    async fn cover(&self, covered: &[Covered<'_>]) -> Result<(), LedgerError> {
        let mut cursor = self.cursor.lock().await;
        for Covered { load, rows } in covered {
            let directory = load.directory();
            let known = self.load(&directory)?;
            let consumed = known.expected.lock().take_consumed(*rows)?;
            for (entry, rows) in consumed {
                let all = cursor.consumed.entry(entry.as_str().to_owned());
                all.or_default().insert_all(&rows);
            }
            let before = cursor.covered.entry(directory).or_default();
            *before = (*before).max(*rows);
        }
        if self.life.is_in_doubt(&self.waits) {
            self.check_all_held(covered).await?;
        }
        let writing = Life::default();
        self.place.put_cursor(&self.id, &cursor).await?;
        // Nothing else stands between the cursor and the states. But who stood still meanwhile would
        // print states that are no longer its own.
        if writing.is_in_doubt(&self.waits) {
            self.check_all_held(covered).await?;
        }
        Ok(())
    }

    /// Fails if another attempt has taken one of the loads.
    async fn check_all_held(&self, loads: &[Covered<'_>]) -> Result<(), LedgerError> {
        let loads: BTreeSet<String> = loads.iter().map(|one| one.load.directory()).collect();
        let checks: Vec<_> = loads.iter().map(|load| self.check_held(load)).collect();
        stream::iter(checks).buffered(AT_ONCE).try_collect().await
    }

    async fn finish(&self) -> Result<u64, LedgerError> {
        let mut cursor = self.cursor.lock().await;
        let mut left = 0;
        for (directory, load) in &self.loads {
            self.check_held(directory).await?;
            left += load.expected.lock().left();
        }
        let entries = self.place.entries_of(self.loads.keys()).await?;
        if !entries.is_empty() {
            for directory in self.loads.keys() {
                cursor.covered.insert(directory.clone(), u64::MAX);
            }
            let older = entries.iter().filter(|entry| entry.attempt() != self.id);
            cursor.finished = older.map(|entry| entry.as_str().to_owned()).collect();
            self.place.put_cursor(&self.id, &cursor).await?;
        }
        if let Err(error) = self.delete(&entries).await {
            tracing::warn!(
                %error,
                "what the sync no longer needs of its ledger could not be deleted; it is covered, \
                 and a later sync deletes it"
            );
        }
        self.release().await?;
        if left > 0 {
            tracing::warn!(
                rows = left,
                "records that earlier attempts have loaded did not come again; they are in Salesforce, \
                 or among the rejected records, all the same"
            );
        }
        Ok(left)
    }

    /// Deletes what nobody needs any more, the own cursor last.
    async fn delete(&self, entries: &[EntryName]) -> Result<(), LedgerError> {
        self.place.delete_entries(entries).await?;
        sweep::sweep(&self.place, &self.id).await?;
        self.place.delete_cursor(&self.id).await?;
        for (directory, load) in &self.loads {
            self.place
                .delete_claim(directory, load.claim.number)
                .await?;
        }
        Ok(())
    }

    async fn release(&self) -> Result<(), LedgerError> {
        self.beating.abort();
        self.place.delete_beat(&self.id).await
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// When the attempt has last shown a sign of life in time: by the clock that stands still with the machine,
/// and by the one that does not.
#[derive(Debug)]
struct Life(Mutex<(Instant, SystemTime)>);

impl Default for Life {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), SystemTime::now())))
    }
}

impl Life {
    /// A sign of life was shown. One that comes too late takes no doubt away: others may have taken
    /// over before it.
    fn shown(&self, waits: &Waits) {
        if !self.is_in_doubt(waits) {
            *self.0.lock() = (Instant::now(), SystemTime::now());
        }
    }

    /// Whether others may take the attempt for one that has ended.
    fn is_in_doubt(&self, waits: &Waits) -> bool {
        let (instant, time) = *self.0.lock();
        let since = instant.elapsed();
        let since = time.elapsed().map_or(since, |by_time| by_time.max(since));
        since >= waits.scaled(SILENCE) / 2
    }
}

/// Shows signs of life, until it is aborted.
async fn beat(place: Arc<Place>, attempt: String, waits: Waits, life: Arc<Life>) {
    for beat in 1.. {
        sleep(waits.scaled(BEAT_EACH)).await;
        match place.put_beat(&attempt, beat).await {
            Ok(()) => life.shown(&waits),
            Err(error) => {
                tracing::warn!(%error, "the attempt could not show that it is at work");
            }
        }
    }
}

#[cfg(test)]
mod tests;
