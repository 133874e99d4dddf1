//! A load as it is described: by the flags of `load`, or by a file of it. It holds no secret.

use std::collections::BTreeMap;

use arrow_salesforce::Operation;
use arrow_salesforce::options::{NullHandling, OnTooLong};
use serde::{Deserialize, Serialize};

/// What goes where, and how it is read. Each key is the flag of the same name, with `_` for `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LoadSpec {
    /// Files, globs, directories, URLs, `-` for stdin; each may be `name=path`.
    pub(crate) inputs: Vec<String>,
    /// The object, such as `Contact`.
    pub(crate) object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upsert: Option<String>,
    pub(crate) update: bool,
    pub(crate) delete: bool,
    pub(crate) hard_delete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sql: Option<String>,
    /// Columns by the field that they fill.
    pub(crate) map: BTreeMap<String, String>,
    pub(crate) ignore_unknown: bool,
    /// Constants by the field that they fill.
    pub(crate) set: BTreeMap<String, String>,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<u64>,
    /// Keep the result of the query as Parquet first, and load that.
    pub(crate) materialize: bool,
    pub(crate) read: ReadSpec,
    pub(crate) write: WriteSpec,
}

/// How inputs are read. What is not said is found out from the whole of each file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReadSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    /// The character between columns of a CSV: one, or `tab`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delimiter: Option<String>,
    /// A label of the WHATWG encoding standard, such as `latin1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dates: Option<DateOrder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decimal: Option<DecimalMark>,
}

/// How records are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WriteSpec {
    /// `N` records, or `N%` of those read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_rejected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nulls: Option<NullHandling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_too_long: Option<OnTooLong>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_jobs_in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_job_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_job_rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assignment_rule_id: Option<String>,
    /// Whether the former values of the fields that are written are kept.
    pub(crate) snapshot: bool,
    /// Whether receipts of accepted records are left out.
    pub(crate) no_receipts: bool,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Apache Parquet
    Parquet,
    /// Comma-separated values, whatever the character between them
    Csv,
    /// JSON, one object a line
    Jsonl,
    /// Arrow IPC, file or stream (Feather too)
    Arrow,
}

/// The order of day, month and year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DateOrder {
    /// 31/12/2024
    Dmy,
    /// 12/31/2024
    Mdy,
    /// 2024/12/31
    Ymd,
}

/// What stands before the fraction of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DecimalMark {
    /// 1.234 is a little more than one
    Point,
    /// 1.234 is more than a thousand
    Comma,
}

impl LoadSpec {
    /// What is done with each record.
    pub(crate) fn operation(&self) -> Operation {
        match &self.upsert {
            Some(external_id) => Operation::Upsert {
                external_id: external_id.clone(),
            },
            None if self.update => Operation::Update,
            None if self.delete => Operation::Delete,
            None if self.hard_delete => Operation::HardDelete,
            None => Operation::Insert,
        }
    }

    /// Whether rows may come in another order each time.
    pub(crate) fn is_unordered(&self) -> bool {
        self.sql.is_some() && !self.materialize
    }

    /// Whether all records of the inputs are loaded, one row each.
    pub(crate) fn is_plain(&self) -> bool {
        self.sql.is_none() && self.filter.is_none() && self.limit.is_none()
    }
}
