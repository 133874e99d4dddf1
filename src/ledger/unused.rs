//! What older attempts have entered, for a sync that has no ledger: its rows may be the same ones, so
//! that these entries would later take the place of others.

use super::LedgerError;
use super::attempt::Ledger;
use super::identity::LoadIdentity;
use super::place::{EntryName, Place};
use super::sweep;
use crate::storage::Storage;

/// Entries of older attempts that are not looked at.
#[derive(Debug)]
pub struct UnusedEntries {
    place: Place,
    names: Vec<EntryName>,
}

impl Ledger {
    /// What older attempts have entered of some loads, which are now loaded without a ledger.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn unused(
        storage: Storage,
        loads: &[LoadIdentity],
    ) -> Result<UnusedEntries, LedgerError> {
        let place = Place::new(storage);
        let loads: Vec<String> = loads.iter().map(LoadIdentity::directory).collect();
        let names = place.entries_of(&loads).await?;
        Ok(UnusedEntries { place, names })
    }
}

impl UnusedEntries {
    /// How many there are: one a job.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Deletes them, and what nobody needs any more then.
    ///
    /// # Errors
    /// [`LedgerError::Storage`].
    pub async fn delete(&self) -> Result<(), LedgerError> {
        self.place.delete_entries(&self.names).await?;
        sweep::sweep(&self.place, "").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SentColumn;
    use crate::options::Waits;
    use crate::rows::RowSet;

    #[tokio::test]
    async fn entries_of_these_loads_alone_are_deleted() {
        let storage = Storage::in_memory(std::sync::Arc::default(), "ledger/");
        let loads =
            ["people", "others"].map(|name| LoadIdentity::new("00D1", "Contact", name, "a"));
        let ledger = Ledger::begin(storage.clone(), "a1", &loads, Waits::default());
        let ledger = ledger.await.unwrap();
        let columns: &[SentColumn] = &[];
        for load in &loads {
            let of_load = ledger.load(load).unwrap();
            of_load
                .enter("j1", columns, &RowSet::new(), &[])
                .await
                .unwrap();
        }
        ledger.release().await.unwrap();
        let unused = Ledger::unused(storage.clone(), &loads[..1]).await.unwrap();
        assert_eq!(unused.count(), 1);
        unused.delete().await.unwrap();
        let left = Ledger::list(storage).await.unwrap().entries;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].load, loads[1]);
    }
}
