//! `result.json`: what one run of one loader came to. `crates/bench/schema.json` describes it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version of the form. A field that changes its meaning or goes away makes a new one.
pub(crate) const VERSION: u32 = 1;

/// A run and its judgement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Version of this form.
    pub(crate) version: u32,
    /// What was run.
    pub(crate) loader: Loader,
    /// What it was given.
    pub(crate) workload: Name,
    /// Records, by key.
    pub(crate) scale: u64,
    /// Seed of the records and of the org.
    pub(crate) seed: u64,
    /// What the org was like.
    pub(crate) profile: String,
    /// How long the loader was given.
    #[serde(default)]
    pub(crate) timeout_seconds: Option<f64>,
    /// How it went, in one word; of several runs, how the worst went.
    pub(crate) outcome: Outcome,
    /// Why it was not run, or how it failed.
    pub(crate) reason: Option<String>,
    /// Absent after a signal.
    pub(crate) exit_code: Option<i32>,
    /// What became of the records; absent where it was not run.
    pub(crate) judged: Option<Judged>,
    /// What it cost; of several runs the median of each figure. Absent where it was not run.
    pub(crate) cost: Option<Cost>,
    /// Each run by itself, in their order.
    #[serde(default)]
    pub(crate) runs: Vec<Figures>,
    /// Memory of the loader over time.
    pub(crate) memory: Vec<Point>,
    /// All ingest jobs, by their creation.
    pub(crate) jobs: Vec<Job>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loader {
    /// Its name.
    pub(crate) name: String,
    /// Its name for `--loader`; absent where a command was given.
    #[serde(default)]
    pub(crate) known: Option<String>,
    /// Its version, where a manifest pins one.
    pub(crate) version: Option<String>,
    /// The command that ran.
    pub(crate) command: Vec<String>,
    /// Settings that were added to Airbyte's config.
    #[serde(default)]
    pub(crate) settings: Map<String, Value>,
}

/// A run among several.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// How it went.
    pub(crate) outcome: Outcome,
    /// From the start of the command to its end.
    pub(crate) wall_seconds: f64,
    /// Processor time of the command and all that it started.
    pub(crate) cpu_seconds: f64,
    /// Most memory at once.
    pub(crate) peak_memory_bytes: u64,
    /// Charged API calls.
    pub(crate) calls: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Name {
    /// Its name on the command line.
    pub(crate) name: String,
    /// What it is, in a line.
    pub(crate) about: String,
    /// It shows whether a fault is survived.
    pub(crate) fault: bool,
    /// Streams of the input.
    pub(crate) streams: u64,
    /// Columns, the key among them.
    pub(crate) columns: u64,
    /// Share of bad records, from 0 to 1.
    pub(crate) bad: f64,
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

impl Outcome {
    /// Its class in the style sheet, and its word for people.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Passed => ("passed", "passed"),
            Self::Wrong => ("wrong", "wrong"),
            Self::Failed => ("failed", "failed"),
            Self::TimedOut => ("timed_out", "timed out"),
            Self::NotRun => ("not_run", "not run"),
        }
    }
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
    /// Streams whose last state did not arrive, though the loader read messages and ended well.
    #[serde(default)]
    pub(crate) states_missing: u64,
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
            ("states missing", self.states_missing),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// What it cost the loader, and the org.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From the start of the command to its end.
    pub(crate) wall_seconds: f64,
    /// Processor time of the command and all that it started.
    pub(crate) cpu_seconds: f64,
    /// Most memory at once, of all processes.
    pub(crate) peak_memory_bytes: u64,
    /// Processes at once, at most.
    pub(crate) processes: u64,
    /// Bytes that calls read: files and pipes.
    pub(crate) read_bytes: u64,
    /// Bytes that calls wrote: files and pipes.
    pub(crate) written_bytes: u64,
    /// Bytes read from a disk.
    pub(crate) disk_read_bytes: u64,
    /// Bytes written to a disk.
    pub(crate) disk_written_bytes: u64,
    /// Bytes of the input.
    pub(crate) input_bytes: u64,
    /// Bytes of all uploads.
    pub(crate) uploaded_bytes: u64,
    /// Charged API calls.
    pub(crate) calls: u64,
    /// Calls that ask for a job's state, among them.
    pub(crate) polls: u64,
    /// Access tokens that were given out.
    pub(crate) logins: u64,
    /// Ingest jobs that were created.
    pub(crate) jobs: u64,
    /// Internal batches of 10,000 rows.
    pub(crate) batches: u64,
    /// Jobs between creation and end, at most.
    pub(crate) jobs_at_once: u64,
    /// Rows that were sent, each as often as it was.
    pub(crate) rows_sent: u64,
    /// Rows that failed with UNABLE_TO_LOCK_ROW.
    pub(crate) lock_errors: u64,
    /// How long the org had work, by its own clock; absent in an org that takes no time.
    pub(crate) org_seconds: Option<f64>,
    /// How long its slots were taken, all together.
    pub(crate) org_busy_seconds: Option<f64>,
    /// Batches that run at once.
    pub(crate) org_slots: Option<u64>,
    /// Seconds of the org in a real one.
    pub(crate) org_speed: Option<f64>,
    /// Real seconds that its clock was behind, at most: if many, this machine is too slow for it.
    pub(crate) org_late_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Seconds since the start.
    pub(crate) seconds: f64,
    /// Memory of all processes.
    pub(crate) bytes: u64,
}

/// A job. Seconds are those since the start of the loader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Where its rows went.
    pub(crate) object: String,
    /// insert or upsert.
    pub(crate) operation: String,
    /// Its state at the end.
    pub(crate) state: String,
    /// Rows of its upload.
    pub(crate) rows: u64,
    /// Rows that failed.
    pub(crate) failed: u64,
    /// Bytes of its upload.
    pub(crate) bytes: u64,
    /// When it was created.
    pub(crate) created: f64,
    /// When it was closed; absent if it never was.
    pub(crate) closed: Option<f64>,
    /// When it ended; absent if it had not.
    pub(crate) ended: Option<f64>,
}
