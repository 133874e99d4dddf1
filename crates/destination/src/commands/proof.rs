//! Whether the places of the ledger and of receipts take them.

use crate::config::Config;
use arrow_salesforce::error::{ErrorKind, Result};
use arrow_salesforce::ledger::Ledger;
use arrow_salesforce::receipt::ReceiptStore;
use arrow_salesforce::reject::RejectStore;
use arrow_salesforce::storage::Storage;

/// The place of a ledger.
#[derive(Debug)]
pub(super) enum LedgerPlace {
    /// It takes one.
    Proved(Storage),
    /// It refuses, or `ledger` is `off`.
    Unused(Storage),
    /// There is no store.
    Absent,
}

/// The place of the ledger, proved. Where nobody waits for the answer, what passes is waited for.
///
/// # Errors
/// If it refuses, though `ledger_url` names it; otherwise that is a warning. If it cannot be reached:
/// an earlier attempt may have reached it, and without what that has entered rows would be sent twice.
pub(super) async fn ledger_storage(
    config: &Config,
    rejects: Option<&RejectStore>,
    unattended: bool,
) -> Result<LedgerPlace> {
    let storage = match config.ledger_storage(rejects) {
        // A place that cannot be is no error, where it is not used.
        Err(_) if config.ledger.older.is_none() => None,
        storage => storage?,
    };
    let Some(storage) = storage else {
        return Ok(LedgerPlace::Absent);
    };
    if config.ledger.older.is_none() {
        return Ok(LedgerPlace::Unused(storage));
    }
    let unused = storage.clone();
    let storage = if unattended {
        storage.unattended()
    } else {
        storage
    };
    match Ledger::prove(storage).await {
        Ok(storage) => Ok(LedgerPlace::Proved(storage)),
        Err(error) if config.ledger.url.is_none() && error.kind() == ErrorKind::Config => {
            tracing::warn!(
                %error,
                "the place of the ledger, beside that of the rejected records, cannot be used: a sync \
                 that ends early and is repeated may insert records of append streams twice. Allow \
                 the key to put, get, list and delete objects there, or set ledger_url, or ledger: off"
            );
            Ok(LedgerPlace::Unused(unused))
        }
        Err(error) => Err(error.into()),
    }
}

/// The store of receipts, proved; `None` without one. Where nobody waits for the answer, what passes
/// is waited for.
///
/// # Errors
/// If it refuses.
pub(super) async fn receipt_store(
    config: &Config,
    unattended: bool,
) -> Result<Option<ReceiptStore>> {
    let store = config.receipt_store(unattended)?;
    if let Some(store) = &store {
        store.prove().await?;
    }
    Ok(store)
}
