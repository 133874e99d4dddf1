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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::ledger::SentColumn;
    use crate::ledger::attempt::Covered;
    use crate::ledger::identity::LoadIdentity;
    use crate::ledger::testing::EndingStore;
    use crate::rows::{KeyDigest, RowSet};

    /// Silence is 60 ms.
    fn waits() -> Waits {
        Waits {
            wait_permille: 1,
            patience: std::time::Duration::from_secs(10),
            ..Waits::default()
        }
    }

    /// Cut after each of its changes: repeated, nothing is left, and in between no row is forgotten
    /// and expected at once.
    #[tokio::test]
    async fn what_was_forgotten_in_part_is_forgotten_by_the_next_time() {
        let mut cuts = 0;
        for changes in 0.. {
            let store = EndingStore::new(Arc::new(InMemory::new()));
            let storage = || Storage::of(Arc::new(store.clone()), "ledger").with_waits(waits());
            let loads =
                ["people", "firms"].map(|name| LoadIdentity::new("00D1", "Contact", name, "a"));
            let ledger = Ledger::begin(storage(), "a1", &loads, waits())
                .await
                .unwrap();
            let columns: &[SentColumn] = &[];
            for load in &loads {
                let rows = RowSet::from(0..3);
                let digests = [KeyDigest::NONE; 3];
                let of_load = ledger.load(load).unwrap();
                of_load.enter("j1", columns, &rows, &digests).await.unwrap();
                let covered = Covered { load, rows: 1 };
                ledger.cover(&[covered]).await.unwrap();
            }
            ledger.release().await.unwrap();
            drop(ledger);

            store.end_after(changes);
            let forgotten = Ledger::forget(storage(), waits()).await;
            let is_cut = forgotten.is_err();
            store.end_after(usize::MAX);
            cuts += usize::from(is_cut);
            let open = Ledger::list(storage()).await.unwrap().entries;
            for entry in &open {
                // A cursor goes behind the entries that it is of.
                assert_eq!(entry.open, 2, "after {changes} changes");
            }
            Ledger::forget(storage(), waits()).await.unwrap();
            let all = Place::new(storage()).all().await.unwrap();
            let left: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
            // A claim and a sign of life, of whom was cut, are swept later.
            let is_known =
                |name: &&&str| name.starts_with("entries/") || name.starts_with("cursors/");
            assert_eq!(left.iter().find(is_known), None, "{left:?}");
            if !is_cut {
                break;
            }
        }
        assert!(cuts >= 5, "{cuts} cuts");
    }
}
