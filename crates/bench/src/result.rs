//! `result.json`: what one run of one loader came to. `crates/bench/schema.json` describes it.

use serde::{Deserialize, Serialize};

/// Version of the form. A field that changes its meaning or goes away makes a new one.
pub(crate) const VERSION: u32 = 1;

/// A run and its judgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) loader: Loader,
    pub(crate) workload: Name,
    pub(crate) scale: u64,
    pub(crate) seed: u64,
    pub(crate) profile: String,
    pub(crate) outcome: Outcome,
    /// Why it was not run, or how it failed.
    pub(crate) reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    /// Absent where it was not run.
    pub(crate) judged: Option<Judged>,
    pub(crate) cost: Option<Cost>,
    /// Memory of the loader over time.
    pub(crate) memory: Vec<Point>,
    pub(crate) jobs: Vec<Job>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loader {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) about: String,
    /// It shows whether a fault is survived.
    pub(crate) fault: bool,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It ended well, and every record is as it must be.
    Passed,
    /// It ended well, and something is wrong.
    Wrong,
    /// It ended with an error.
    Failed,
    TimedOut,
    NotRun,
}

/// What became of the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Records of the input, by key.
    pub(crate) records: u64,
    /// Records of it that must be rejected.
    pub(crate) bad: u64,
    /// Records that the org holds as it must.
    pub(crate) right: u64,
    /// Bad records that were named as rejected.
    pub(crate) rejects_named: u64,
    /// Lines with a state that arrived.
    pub(crate) states: u64,
    /// Good records that are neither in the org nor named as rejected.
    pub(crate) lost: u64,
    /// Good records that are named as rejected, and not in the org.
    pub(crate) refused: u64,
    /// Records that the org holds once more.
    pub(crate) doubled: u64,
    /// Records with a value that is of no version.
    pub(crate) wrong_values: u64,
    /// Records with the values of an older version.
    pub(crate) stale: u64,
    /// Bad records that the org holds.
    pub(crate) bad_held: u64,
    /// Bad records that are named nowhere.
    pub(crate) rejects_unnamed: u64,
    /// Rejected records that are named without a reason.
    pub(crate) rejects_without_reason: u64,
    /// Records in the org as they must be, and named as rejected all the same.
    pub(crate) rejects_held: u64,
    /// Records in the org that are of no line of the input.
    pub(crate) foreign: u64,
    /// States that arrived before each row before them was in the org or in a file of rejects.
    pub(crate) states_ahead: u64,
    /// Rows that were not there yet when a state arrived that covers them.
    pub(crate) rows_ahead: u64,
    /// Whether states could be judged.
    pub(crate) states_judged: bool,
    /// Some of what is wrong, in words.
    pub(crate) samples: Vec<String>,
}

impl Judged {
    /// What is wrong: a name, and how often.
    pub(crate) fn faults(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("lost", self.lost),
            ("refused though good", self.refused),
            ("doubled", self.doubled),
            ("wrong values", self.wrong_values),
            ("stale", self.stale),
            ("bad ones held", self.bad_held),
            ("rejects not named", self.rejects_unnamed),
            ("rejects without a reason", self.rejects_without_reason),
            ("held and named as rejected", self.rejects_held),
            ("foreign", self.foreign),
            ("states ahead", self.states_ahead),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// What it cost the loader, and the org.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Most memory at once, of all processes.
    pub(crate) peak_memory_bytes: u64,
    /// Processes at once, at most.
    pub(crate) processes: u64,
    /// Bytes of calls: files and pipes.
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    /// Bytes of the disk.
    pub(crate) disk_read_bytes: u64,
    pub(crate) disk_written_bytes: u64,
    /// Bytes of the input.
    pub(crate) input_bytes: u64,
    /// Bytes of all uploads.
    pub(crate) uploaded_bytes: u64,
    /// Charged API calls.
    pub(crate) calls: u64,
    /// Calls that ask for a job's state, among them.
    pub(crate) polls: u64,
    pub(crate) logins: u64,
    pub(crate) jobs: u64,
    pub(crate) batches: u64,
    pub(crate) jobs_at_once: u64,
    /// Rows that were sent, each as often as it was.
    pub(crate) rows_sent: u64,
    pub(crate) lock_errors: u64,
    /// The org's clock, where it has one of its own.
    pub(crate) org_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
}

/// A job. Seconds are those since the start of the loader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) object: String,
    pub(crate) operation: String,
    pub(crate) state: String,
    pub(crate) rows: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    pub(crate) created: f64,
    pub(crate) closed: Option<f64>,
    pub(crate) ended: Option<f64>,
}
