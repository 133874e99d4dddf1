//! How much of the org's allowances is left.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy};

/// One allowance of the org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Limit {
    /// The whole of it, in the limit's own unit: requests, batches, megabytes.
    #[serde(rename = "Max")]
    pub max: i64,
    /// What is left of it.
    #[serde(rename = "Remaining")]
    pub remaining: i64,
}

/// The allowances of the org, by Salesforce's names; those of a form of their own are left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, serde_json::Value>")]
pub struct Limits(BTreeMap<String, Limit>);

impl From<BTreeMap<String, serde_json::Value>> for Limits {
    fn from(allowances: BTreeMap<String, serde_json::Value>) -> Self {
        let known = allowances
            .into_iter()
            .filter_map(|(name, limit)| Some((name, serde_json::from_value(limit).ok()?)));
        Self(known.collect())
    }
}

impl Limits {
    /// The allowance of this name, e.g. `DataStorageMB`.
    pub fn get(&self, name: &str) -> Option<Limit> {
        self.0.get(name).copied()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Limit)> {
        self.0.iter().map(|(name, limit)| (&**name, *limit))
    }

    /// API requests in 24 hours; each call of this crate is one.
    pub fn daily_api_requests(&self) -> Option<Limit> {
        self.get("DailyApiRequests")
    }

    /// Batches of 10,000 records in 24 hours, shared by all Bulk API loads of the org.
    pub fn daily_bulk_batches(&self) -> Option<Limit> {
        self.get("DailyBulkApiBatches")
    }
}

/// See [`Client::limits`](crate::bulk::Client::limits).
pub(in crate::bulk) async fn limits(connection: &Connection) -> Result<Limits, BulkError> {
    let call = Call::get("reading the limits", &["limits"], Policy::Optional);
    connection.read_json(&call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_name() {
        let limits: Limits = serde_json::from_str(
            r#"{"DailyApiRequests":{"Max":15000,"Remaining":14998,"An App":{"Max":0,"Remaining":0}},
                "DailyBulkApiBatches":{"Max":15000,"Remaining":-1},
                "NewLimit":{"Max":1},"Other":null}"#,
        )
        .unwrap();
        assert_eq!(limits.daily_api_requests().unwrap().remaining, 14_998);
        assert_eq!(limits.daily_bulk_batches().unwrap().remaining, -1);
        for absent in ["DataStorageMB", "NewLimit", "Other"] {
            assert_eq!(limits.get(absent), None);
        }
    }
}
