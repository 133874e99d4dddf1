//! How much of the org's allowances is left.

use std::collections::BTreeMap;

use serde::Deserialize;

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
    fn from(told: BTreeMap<String, serde_json::Value>) -> Self {
        let known = told
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

    /// API requests in 24 hours; each call of this crate is one.
    pub fn daily_api_requests(&self) -> Option<Limit> {
        self.get("DailyApiRequests")
    }

    /// Batches of 10,000 records in 24 hours, shared by all Bulk API loads of the org.
    pub fn daily_bulk_batches(&self) -> Option<Limit> {
        self.get("DailyBulkApiBatches")
    }
}

/// API requests of the org in 24 hours, as every REST answer tells in `Sforce-Limit-Info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiUsage {
    /// Requests made by everyone.
    pub used: u64,
    /// Requests allowed.
    pub allowed: u64,
}

impl ApiUsage {
    /// Reads `api-usage=25/5000; per-app-api-usage=17/250(appName=x)`, in any order.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        header.split([';', ',']).find_map(|part| {
            let (used, allowed) = part.trim().strip_prefix("api-usage=")?.split_once('/')?;
            Some(Self {
                used: used.trim().parse().ok()?,
                allowed: allowed.trim().parse().ok()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_in_each_form() {
        let usage = Some(ApiUsage {
            used: 25,
            allowed: 5000,
        });
        assert_eq!(ApiUsage::parse("api-usage=25/5000"), usage);
        assert_eq!(
            ApiUsage::parse("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"),
            usage
        );
        assert_eq!(
            ApiUsage::parse("per-app-api-usage=17/250(appName=x);api-usage=25/5000;new=1"),
            usage
        );
        for broken in ["", "api-usage=", "api-usage=a/b", "per-app-api-usage=1/2"] {
            assert_eq!(ApiUsage::parse(broken), None, "{broken}");
        }
    }

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
