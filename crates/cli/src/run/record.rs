//! What is written of a run: what was asked for, how far it came, how it ended. No secret, and no
//! value of a record but for what the user typed.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::spec::LoadSpec;

/// Version of the form of `run.json`.
pub(crate) const VERSION: u32 = 1;

/// A run, as `run.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) started: DateTime<Utc>,
    /// When the record was written last.
    pub(crate) changed: DateTime<Utc>,
    pub(crate) state: RunState,
    /// Id of the org.
    pub(crate) org: String,
    pub(crate) host: String,
    pub(crate) spec: LoadSpec,
    /// Columns of the rows, each with the field that it fills.
    #[serde(default)]
    pub(crate) pairs: Vec<(String, String)>,
    /// Where it was typed: relative paths begin there.
    #[serde(default)]
    pub(crate) directory: Option<PathBuf>,
    /// The files it reads, as they were when it began.
    pub(crate) files: Vec<crate::input::FileState>,
    /// Whether the query may give other rows each time.
    pub(crate) volatile: bool,
    /// The run whose rejected records it loads.
    pub(crate) rejects_of: Option<String>,
    /// The run that it takes back.
    #[serde(default)]
    pub(crate) undo_of: Option<String>,
    /// Id of the user who writes, if the login says it.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// From which row on each attempt has loaded.
    pub(crate) attempts: Vec<AttemptRecord>,
    /// Of all attempts.
    pub(crate) counts: RunCounts,
    /// Why the last attempt ended early.
    pub(crate) error: Option<String>,
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunState {
    /// It is at work, or was killed.
    Running,
    /// It was asked to stop, or stopped by itself; `resume` goes on.
    Stopped,
    /// It failed; `resume` goes on.
    Failed,
    /// All rows have their end.
    Finished,
}

/// One attempt of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttemptRecord {
    /// As rejected records and receipts name it.
    pub(crate) id: String,
    pub(crate) started: DateTime<Utc>,
    /// Rows of the load before its first.
    pub(crate) from: u64,
}

/// Numbers of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunCounts {
    pub(crate) read: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) jobs: u64,
    pub(crate) api_calls: u64,
}
