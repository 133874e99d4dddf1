//! Receipts: where they go, and with which columns.

use url::Url;

use super::{Config, absent_if_empty, parse_url};
use arrow_salesforce::error::Result;
use arrow_salesforce::receipt::ReceiptStore;
use arrow_salesforce::storage::{Encryption, Location, Storage};

/// Settings of receipts.
#[derive(Debug)]
pub(crate) struct ReceiptsConfig {
    /// Where they go; there are none if absent.
    url: Option<Url>,
    /// Columns that they show in place of the key.
    pub(crate) columns: Vec<String>,
}

impl ReceiptsConfig {
    pub(super) fn of(url: Option<String>, columns: Vec<String>) -> Result<Self> {
        let url = absent_if_empty(url).map(|url| parse_url("receipts_url", &url));
        Ok(Self {
            url: url.transpose()?,
            columns,
        })
    }
}

impl Config {
    /// Opens the location of receipts, if there is one; nothing is sent yet. Where nobody waits for the
    /// answer, what passes is waited for.
    ///
    /// # Errors
    /// A config error if it is no location.
    pub(crate) fn receipt_store(&self, unattended: bool) -> Result<Option<ReceiptStore>> {
        let Some(url) = &self.receipts.url else {
            return Ok(None);
        };
        let storage = Storage::open(&Location::Url(url.clone()), &self.encryption_at(url))?;
        let storage = storage.with_waits(self.org.waits);
        let storage = match unattended {
            true => storage.unattended(),
            false => storage,
        };
        Ok(Some(ReceiptStore::new(storage)))
    }

    /// What is asked of a place of our own beside that of the rejected records.
    pub(super) fn encryption_at(&self, url: &Url) -> Encryption {
        match &self.rejects {
            Some(rejects) if url.scheme().starts_with("s3") => rejects.encryption.clone(),
            _ => Encryption::default(),
        }
    }
}
