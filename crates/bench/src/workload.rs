//! The workloads: what is loaded, how much of it is bad, repeated or late, and what goes wrong.

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::columns::{self, Column};

/// What a loader is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// New contacts of 13 columns
    Insert,
    /// Contacts by external ID
    Upsert,
    /// Upserts of which one in 50 comes twice, soon after or half of the input later
    Versions,
    /// Upserts of 100 columns
    Wide,
    /// Upserts of three columns
    Narrow,
    /// Upserts of which one in a hundred is bad
    #[value(name = "bad-1")]
    Bad1,
    /// Inserts of which one in a hundred is bad
    #[value(name = "insert-bad-1")]
    InsertBad1,
    /// Inserts of which each is bad
    #[value(name = "bad-100")]
    Bad100,
    /// Upserts of contacts whose accounts are shared: a few have most of the contacts
    Children,
    /// Upserts by 200 streams in turn
    Streams,
    /// Upserts of contacts that the org has already, of which one in a hundred differs
    Updates,
    /// Upserts; the first job fails half-way
    FailedJob,
    /// Upserts; the first upload is answered 503
    #[value(name = "upload-503")]
    Upload503,
    /// Inserts; the answer to the first close is lost
    LostClose,
    /// Inserts; the session ends at the first upload
    ExpiredToken,
    /// Inserts; the loader is killed once its first job is closed, and started again
    KillRepeat,
}

/// Salesforce's operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Upsert,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
        }
    }
}

/// External ID of the objects that are upserted.
pub(crate) const EXTERNAL_ID: &str = "Ext_Id__c";

/// Plain text that identifies inserted records: the org takes the same value twice, so that a row
/// that was sent twice is seen.
pub(crate) const SOURCE_ID: &str = "Source_Id__c";

impl Workload {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it is, in one line.
    pub(crate) fn about(self) -> String {
        let value = self.to_possible_value();
        let help = value.and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Insert
            | Self::InsertBad1
            | Self::Bad100
            | Self::LostClose
            | Self::ExpiredToken
            | Self::KillRepeat => Operation::Insert,
            _ => Operation::Upsert,
        }
    }

    /// Where its records go.
    pub(crate) fn object(self) -> &'static str {
        match self {
            Self::Wide => "Wide__c",
            _ => "Contact",
        }
    }

    /// The column that identifies a record.
    pub(crate) fn key(self) -> &'static str {
        match self.operation() {
            Operation::Insert => SOURCE_ID,
            Operation::Upsert => EXTERNAL_ID,
        }
    }

    /// Columns besides the key.
    pub(crate) fn columns(self, scale: u64) -> Vec<Column> {
        match self {
            Self::Wide => columns::wide(99),
            Self::Narrow => columns::narrow(),
            Self::Children => columns::child(parents(scale)),
            _ => columns::contact(),
        }
    }

    /// Accounts that must be there before.
    pub(crate) fn parents(self, scale: u64) -> u64 {
        match self {
            Self::Children => parents(scale),
            _ => 0,
        }
    }

    /// Share of bad records.
    pub(crate) fn bad(self) -> f64 {
        match self {
            Self::Bad1 | Self::InsertBad1 | Self::Streams => 0.01,
            Self::Bad100 => 1.0,
            _ => 0.0,
        }
    }

    /// Share of keys that come once more soon after, and share of those that come once more half of
    /// the input later.
    pub(crate) fn again(self) -> (f64, f64) {
        match self {
            Self::Versions | Self::Streams => (0.01, 0.01),
            _ => (0.0, 0.0),
        }
    }

    pub(crate) fn streams(self) -> u64 {
        match self {
            Self::Streams => 200,
            _ => 1,
        }
    }

    /// The org holds the first version of all records before, and this share of them has another in
    /// the input.
    pub(crate) fn differing(self) -> Option<f64> {
        (self == Self::Updates).then_some(0.01)
    }

    /// Whether the loader is killed and started again.
    pub(crate) fn kills(self) -> bool {
        self == Self::KillRepeat
    }

    /// Faults of the simulator, as its inspection API takes them.
    pub(crate) fn faults(self, scale: u64) -> Value {
        match self {
            Self::FailedJob => json!([{"name": "failed job", "do": {"end_job": {
                "state": "failed", "after_rows": (scale / 2).clamp(1, 5_000),
                "message": "InternalServerError : try later"}}}]),
            Self::Upload503 => json!([{"name": "upload 503", "calls": ["upload"],
                "do": {"page": {"code": 503}}}]),
            Self::LostClose => {
                json!([{"name": "lost close", "calls": ["close"], "do": {"lose": {}}}])
            }
            Self::ExpiredToken => json!([{"name": "expired token", "calls": ["upload"],
                "do": {"expire_tokens": {}}}]),
            _ => json!([]),
        }
    }

    /// Whether it is there to show that a fault is survived.
    pub(crate) fn is_fault(self) -> bool {
        matches!(
            self,
            Self::FailedJob
                | Self::Upload503
                | Self::LostClose
                | Self::ExpiredToken
                | Self::KillRepeat
        )
    }
}

fn parents(scale: u64) -> u64 {
    (scale / 10).max(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page on the referee.
    fn page() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_page_names_every_workload_and_every_field_of_a_result() {
        let page = page();
        let mut names: Vec<String> = Workload::value_variants()
            .iter()
            .map(|workload| workload.name())
            .collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let judged = schema["$defs"]["Judged"]["properties"].as_object().unwrap();
        let counted = judged.keys().filter(|name| *name != "samples");
        names.extend(counted.cloned());
        names.retain(|name| !page.contains(&format!("`{name}`")));
        assert!(names.is_empty(), "docs/benchmarks.md lacks {names:?}");
    }
}
