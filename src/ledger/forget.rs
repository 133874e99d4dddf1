//! The way out where a ledger blocks a sync: it is forgotten, whatever its objects hold.

use std::collections::BTreeSet;

use super::LedgerError;
use super::attempt::Ledger;
use super::owner;
use super::place::{Claim, EntryName, Place};
use crate::options::Waits;
use crate::storage::Storage;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Forgotten {
    /// Entries: one a job.
    pub entries: usize,
    /// Loads that they were of.
    pub loads: usize,
}

impl Ledger {
    /// Deletes the entries of all loads, and the cursors, without reading them: then the next syncs send
    /// all of their records.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] if an attempt is at work on one of the loads; [`LedgerError::Storage`].
    pub async fn forget(storage: Storage, waits: Waits) -> Result<Forgotten, LedgerError> {
        let place = Place::new(storage);
        let entries = place.all_entries().await?;
        let loads: BTreeSet<&str> = entries.iter().map(EntryName::load).collect();
        let loads: Vec<String> = loads.into_iter().map(str::to_owned).collect();
        let attempt = Self::new_attempt();
        place.put_beat(&attempt, 0).await?;
        let claimed = owner::claim(&place, &attempt, &loads, &waits).await;
        let done = match claimed {
            Ok(claims) => delete(&place, &loads, &claims).await,
            Err(error) => Err(error),
        };
        // What is left of it would only make others wait.
        place.delete_beat(&attempt).await?;
        done?;
        Ok(Forgotten {
            entries: entries.len(),
            loads: loads.len(),
        })
    }
}

/// Deletes what the ledger holds of these loads, then the cursors of attempts that have ended.
async fn delete(place: &Place, loads: &[String], claims: &[Claim]) -> Result<(), LedgerError> {
    let all = place.all().await?;
    let names = || all.iter().map(|(name, _)| name.as_str());
    let at_work: BTreeSet<&str> = names()
        .filter_map(|name| name.strip_prefix("attempts/"))
        .collect();
    let of_loads = names().filter(|name| {
        let entry = EntryName::of_object(name);
        entry.is_some_and(|entry| loads.iter().any(|load| load == entry.load()))
    });
    let cursors = names().filter(|name| {
        let attempt = name.strip_prefix("cursors/");
        attempt.is_some_and(|attempt| !at_work.contains(attempt))
    });
    for needless in [of_loads.collect::<Vec<_>>(), cursors.collect()] {
        place.delete_all(&needless).await?;
    }
    for (load, claim) in loads.iter().zip(claims) {
        place.delete_claim(load, claim.number).await?;
    }
    Ok(())
}
