//! One attempt of a sync: its ledger, from the claim to the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

use super::DESCRIBES;
use crate::commands::proof::{self, LedgerPlace};
use crate::config::Config;
use crate::failure::Failure;
use crate::protocol::catalog::CatalogStream;
use arrow_salesforce::error::Result;
use arrow_salesforce::ledger::{Covered, Ledger, LoadIdentity, UnusedEntries};
use arrow_salesforce::load::{Loader, Org};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::Older;
use arrow_salesforce::reject::RejectStore;
use arrow_salesforce::storage::Storage;

/// The ledger of a sync, if it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct SyncLedger {
    ledger: Option<Ledger>,
    /// What the load of each stream is; none for those that need no ledger.
    loads: Vec<Option<LoadIdentity>>,
    /// Without a ledger: what earlier attempts have entered.
    unused: Option<Arc<Unused>>,
}

/// Entries of earlier attempts, in a sync without a ledger.
#[derive(Debug)]
struct Unused {
    entries: UnusedEntries,
    deleted: OnceCell<()>,
}

impl Unused {
    /// What earlier attempts have entered of some loads, if anything.
    async fn of(storage: Storage, loads: &[LoadIdentity]) -> Option<Self> {
        let entries = match Ledger::unused(storage, loads).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "whether earlier attempts have left entries in a ledger is not known; if they have, \
                     run `ledger forget` before append uses it again"
                );
                return None;
            }
        };
        if entries.count() == 0 {
            return None;
        }
        tracing::warn!(
            jobs = entries.count(),
            "without a ledger, what earlier attempts that ended early have entered in it is not looked \
             at: their records may be inserted twice. These entries are deleted before the first state \
             is printed"
        );
        let deleted = OnceCell::new();
        Some(Self { entries, deleted })
    }

    /// Deletes them, once: rows that are covered, or loaded to the end, do not come again, and the
    /// entries would take the place of later ones.
    async fn delete(&self) {
        let delete = async || {
            if let Err(error) = self.entries.delete().await {
                tracing::warn!(
                    %error,
                    "what earlier attempts have entered in the ledger could not be deleted: run `ledger \
                     forget` before append uses it again, or equal records of a later sync are not sent"
                );
            }
        };
        self.deleted.get_or_init(delete).await;
    }
}

impl SyncLedger {
    /// Claims the streams that insert, for the attempt of this id.
    ///
    /// # Errors
    /// If another attempt is at work, or the place that `ledger_url` names refuses.
    pub(super) async fn begin(
        org: &Org,
        config: &Config,
        catalog: &[CatalogStream],
        rejects: Option<&RejectStore>,
        attempt: &str,
    ) -> Result<Self> {
        let inserts = |stream: &CatalogStream| stream.operation == Operation::Insert;
        if !catalog.iter().any(inserts) {
            return Ok(Self::default());
        }
        let place = proof::ledger_storage(config, rejects, true).await?;
        let org_id = org.client().org_id();
        let loads: Vec<Option<LoadIdentity>> = catalog
            .iter()
            .map(|stream| inserts(stream).then(|| identity(stream, config, &org_id)))
            .collect();
        let claimed: Vec<LoadIdentity> = loads.iter().flatten().cloned().collect();
        let LedgerPlace::Proved(storage) = place else {
            tracing::info!(
                "without a ledger append is at-least-once: a sync that ends early and is repeated may \
                 insert records twice"
            );
            let unused = match place {
                LedgerPlace::Unused(storage) => Unused::of(storage, &claimed).await,
                _ => None,
            };
            return Ok(Self {
                unused: unused.map(Arc::new),
                ..Self::default()
            });
        };
        let ledger = Ledger::begin(storage, attempt, &claimed, config.org.waits).await?;
        Ok(Self {
            ledger: Some(ledger),
            loads,
            unused: None,
        })
    }

    /// Gives each loader its part of the ledger, and finds out what earlier attempts left behind.
    ///
    /// # Errors
    /// As [`Loader::recover`], with the stream.
    pub(super) async fn recover(
        &self,
        loaders: Vec<Loader>,
        catalog: &[CatalogStream],
        older: Older,
    ) -> Result<Vec<Loader>, Failure> {
        let Some(ledger) = &self.ledger else {
            return Ok(loaders);
        };
        let loaders = loaders.into_iter().zip(&self.loads).zip(catalog);
        let recovering = loaders.map(async |((loader, load), stream)| {
            let Some(load) = load.as_ref().and_then(|load| ledger.load(load)) else {
                return Ok(loader);
            };
            let loader = loader.with_ledger(load);
            let recovered = loader.recover(older).await;
            recovered.map_err(|error| Failure::of(error, &stream.descriptor))?;
            Ok(loader)
        });
        stream::iter(recovering)
            .buffered(DESCRIBES)
            .try_collect()
            .await
    }

    /// Whether states are to be covered before they are printed.
    pub(super) fn covers(&self) -> bool {
        self.ledger.is_some() || self.unused.is_some()
    }

    /// Notes how many rows of each stream states cover, by the number of the stream, in one write.
    ///
    /// # Errors
    /// Those of the ledger: the states are not to be printed then.
    pub(super) async fn cover(&self, covered: &BTreeMap<usize, u64>) -> Result<()> {
        if let Some(unused) = &self.unused {
            unused.delete().await;
        }
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let covered: Vec<Covered<'_>> = covered
            .iter()
            .filter_map(|(stream, rows)| {
                let load = self.loads.get(*stream)?.as_ref()?;
                Some(Covered { load, rows: *rows })
            })
            .collect();
        if covered.is_empty() {
            return Ok(());
        }
        Ok(ledger.cover(&covered).await?)
    }

    /// All streams are complete and loaded: nothing of the ledger is needed any more.
    ///
    /// # Errors
    /// If that could not be noted.
    pub(super) async fn finish(&self) -> Result<()> {
        if let Some(unused) = &self.unused {
            unused.delete().await;
        }
        if let Some(ledger) = &self.ledger {
            ledger.finish().await?;
        }
        Ok(())
    }

    /// The attempt ends before all is loaded: a later one need not wait.
    pub(super) async fn release(&self) {
        let Some(ledger) = &self.ledger else {
            return;
        };
        if let Err(error) = ledger.release().await {
            tracing::warn!(%error, "the next attempt of the sync waits a minute before it begins");
        }
    }
}

/// What the load of a stream is.
fn identity(stream: &CatalogStream, config: &Config, org: &str) -> LoadIdentity {
    let id = config.ledger.id.as_ref().unwrap_or(&stream.digest);
    LoadIdentity::new(org, &stream.object, &stream.descriptor.name, id)
        .with_namespace(stream.descriptor.namespace.clone())
        .with_generation(stream.generation_id)
        .with_derived(config.ledger.id.is_none())
}
