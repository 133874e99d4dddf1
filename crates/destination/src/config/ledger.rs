//! The ledger of inserts: where it is, and what is done about earlier attempts.

use serde::Deserialize;
use url::Url;

use super::{Config, absent_if_empty, parse_url};
use arrow_salesforce::error::Result;
use arrow_salesforce::options::Older;
use arrow_salesforce::reject::RejectStore;
use arrow_salesforce::storage::{Location, Storage};

/// What the default place of the ledger adds to the prefix of the rejected records.
const BESIDE: &str = "_ledger";

/// Settings of the ledger.
#[derive(Debug)]
pub(crate) struct LedgerConfig {
    /// What is done about earlier attempts; `None` without a ledger.
    pub(crate) older: Option<Older>,
    /// Its place, if that is not beside the rejected records.
    pub(crate) url: Option<Url>,
    /// What distinguishes this connection from others with equal streams.
    pub(crate) id: Option<String>,
}

/// `ledger`, as written.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LedgerFile {
    #[default]
    On,
    Trust,
    Forget,
    Off,
}

impl LedgerConfig {
    pub(super) fn of(mode: LedgerFile, url: Option<String>, id: Option<String>) -> Result<Self> {
        let url = absent_if_empty(url).map(|url| parse_url("ledger_url", &url));
        Ok(Self {
            older: match mode {
                LedgerFile::On => Some(Older::Expect),
                LedgerFile::Trust => Some(Older::Trust),
                LedgerFile::Forget => Some(Older::Forget),
                LedgerFile::Off => None,
            },
            url: url.transpose()?,
            id: absent_if_empty(id).map(|id| id.trim().to_owned()),
        })
    }
}

impl Config {
    /// The place of the ledger, if there is one, whether it is used or not: beside the rejected records,
    /// or that of `ledger_url`; nothing is sent yet.
    ///
    /// # Errors
    /// A config error if it is no location.
    pub(crate) fn ledger_storage(&self, rejects: Option<&RejectStore>) -> Result<Option<Storage>> {
        let Some(url) = &self.ledger.url else {
            return Ok(rejects.map(|rejects| rejects.beside(BESIDE)));
        };
        let storage = Storage::open(&Location::Url(url.clone()), &self.encryption_at(url))?;
        Ok(Some(storage.with_waits(self.org.waits)))
    }
}
