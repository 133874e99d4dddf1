//! An ingest job: its settings, its states, and how responses show it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::faults::{Action, Call};
use crate::org::Object;
use crate::org::table::Upload;
use crate::org::value::with_offset;
use crate::share::part;

/// What a job does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Upsert,
    Delete,
    HardDelete,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Upsert => "upsert",
            Operation::Delete => "delete",
            Operation::HardDelete => "hardDelete",
        }
    }

    /// The call, as errors of rows name it.
    pub(crate) fn call(self) -> &'static str {
        match self {
            Operation::Insert => "an insert",
            Operation::Update => "an update",
            Operation::Upsert => "an upsert",
            Operation::Delete | Operation::HardDelete => "a delete",
        }
    }
}

/// The states of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl JobState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            JobState::Open => "Open",
            JobState::UploadComplete => "UploadComplete",
            JobState::InProgress => "InProgress",
            JobState::JobComplete => "JobComplete",
            JobState::Failed => "Failed",
            JobState::Aborted => "Aborted",
        }
    }

    /// Whether it is the last state of a job.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(
            self,
            JobState::JobComplete | JobState::Failed | JobState::Aborted
        )
    }

    /// The word of Salesforce's error for a transition that this state does not allow.
    fn refused(self) -> &'static str {
        match self {
            JobState::Failed => "Failed",
            JobState::Aborted => "Aborted",
            _ => "Completed",
        }
    }
}

/// What became of a row.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A new record, by its number.
    Created(u32),
    /// A known record was changed or deleted.
    Changed(u32),
    /// Refused.
    Failed {
        /// The text for `sf__Error`.
        error: Box<str>,
        /// The record for `sf__Id`, where the result file shows it.
        record: Option<u32>,
    },
    /// Counted, but in no result file.
    Vanished,
}

/// The rows of a job.
#[derive(Debug)]
pub(crate) enum Data {
    /// Nothing was uploaded, or it was dropped.
    None,
    /// As uploaded: not read yet, or refused as a whole.
    Raw(Vec<u8>),
    /// Read.
    Rows(Arc<Upload>),
}

/// The settings of a job, checked against the org.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) object: Arc<Object>,
    pub(crate) operation: Operation,
    /// For upsert: the index of the field that finds records.
    pub(crate) external_id: Option<usize>,
    pub(crate) delimiter: u8,
    pub(crate) delimiter_name: String,
    pub(crate) crlf: bool,
    pub(crate) assignment_rule_id: Option<String>,
    pub(crate) api_version: f64,
    /// The Id of who created it.
    pub(crate) user: String,
}

/// An ingest job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) state: JobState,
    pub(crate) created: DateTime<Utc>,
    pub(crate) modified: DateTime<Utc>,
    /// An upload has begun, so there can be no other.
    pub(crate) uploading: bool,
    pub(crate) data: Data,
    /// Bytes uploaded.
    pub(crate) bytes: u64,
    /// Rows uploaded.
    pub(crate) rows: usize,
    /// Rows that have an outcome.
    pub(crate) processed: usize,
    /// Rows that failed.
    pub(crate) failed: usize,
    /// The outcome of each row of `data`, none for unprocessed rows. With `forget`, `data` has only
    /// unprocessed and failed rows.
    pub(crate) outcomes: Vec<Option<Outcome>>,
    /// Unprocessed rows are in no result file.
    pub(crate) unrecorded: bool,
    /// `data` has only failed and unprocessed rows, or nothing.
    pub(crate) forgotten: bool,
    pub(crate) message: Option<String>,
    pub(crate) faults: Vec<Action>,
    pub(crate) closed: Option<Instant>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    /// When it came to its last state.
    pub(crate) ended: Option<Instant>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// How many requests about it came.
    pub(crate) requests: BTreeMap<Call, u32>,
    /// How often it was asked for since its end.
    polled: u32,
    /// How often each result file was read.
    pub(crate) readings: [u32; 3],
    pub(crate) milliseconds: u64,
    /// Under contention: when it began and ended by the org's clock.
    pub(crate) org_times: (Option<Duration>, Option<Duration>),
    /// How often one of its batches was put back.
    pub(crate) put_back: u32,
}

impl Job {
    pub(crate) fn new(id: String, settings: Settings, faults: Vec<Action>) -> Job {
        let now = Utc::now();
        Job {
            id,
            settings: Arc::new(settings),
            state: JobState::Open,
            created: now,
            modified: now,
            uploading: false,
            data: Data::None,
            bytes: 0,
            rows: 0,
            processed: 0,
            failed: 0,
            outcomes: Vec::new(),
            unrecorded: false,
            forgotten: false,
            message: None,
            faults,
            closed: None,
            closed_at: None,
            ended: None,
            ended_at: None,
            requests: BTreeMap::new(),
            polled: 0,
            readings: [0; 3],
            milliseconds: 0,
            org_times: (None, None),
            put_back: 0,
        }
    }

    /// Moves to another state.
    pub(crate) fn enter(&mut self, state: JobState) {
        self.state = state;
        self.modified = Utc::now();
        if state == JobState::UploadComplete {
            self.closed = Some(Instant::now());
            self.closed_at = Some(self.modified);
        }
        if state.is_terminal() {
            self.ended = Some(Instant::now());
            self.ended_at = Some(self.modified);
        }
        if let (true, Some(closed)) = (state.is_terminal(), self.closed) {
            let took = match self.org_times {
                (Some(begun), Some(ended)) => ended.saturating_sub(begun),
                _ => closed.elapsed(),
            };
            self.milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// Moves to the state that a client wants, if the current state allows it.
    pub(crate) fn request_state(&mut self, wanted: &str) -> Result<(), ApiError> {
        let refused = |verb: &str, state: JobState| {
            let message = format!("{verb} already {} Job not allowed", state.refused());
            Err(ApiError::new(400, "INVALIDJOBSTATE", &message))
        };
        match (wanted, self.state) {
            ("UploadComplete", JobState::Open) => self.enter(JobState::UploadComplete),
            ("UploadComplete", state) => return refused("Closing", state),
            ("Aborted", state) if state.is_terminal() => return refused("Aborting", state),
            ("Aborted", _) => self.enter(JobState::Aborted),
            _ => {
                let message = "InvalidJob : state is UploadComplete or Aborted";
                return Err(ApiError::new(400, "INVALIDJOB", message));
            }
        }
        Ok(())
    }

    /// The response to PATCH.
    pub(crate) fn brief(&self) -> Value {
        let Settings {
            object,
            operation,
            external_id,
            api_version,
            user,
            ..
        } = &*self.settings;
        let mut info = json!({
            "id": self.id,
            "operation": operation.name(),
            "object": object.name,
            "createdById": user,
            "createdDate": with_offset(self.created),
            "systemModstamp": with_offset(self.modified),
            "state": self.state.name(),
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": api_version,
        });
        if let Some(field) = external_id {
            info["externalIdFieldName"] = json!(object.fields[*field].name);
        }
        if let Some(rule) = &self.settings.assignment_rule_id {
            info["assignmentRuleId"] = json!(rule);
        }
        info
    }

    /// The response to POST, and an entry of the list of jobs.
    pub(crate) fn created(&self) -> Value {
        let mut info = self.brief();
        let version = self.settings.api_version;
        info["contentUrl"] = json!(format!(
            "services/data/v{version:.1}/jobs/ingest/{}/batches",
            self.id
        ));
        info["lineEnding"] = json!(if self.settings.crlf { "CRLF" } else { "LF" });
        info["columnDelimiter"] = json!(self.settings.delimiter_name);
        info["jobType"] = json!("V2Ingest");
        info
    }

    /// The response to GET.
    pub(crate) fn info(&mut self) -> Value {
        self.polled += u32::from(self.ended.is_some());
        let mut info = self.created();
        info["retries"] = json!(self.put_back);
        info["totalProcessingTime"] = json!(self.milliseconds);
        info["apiActiveProcessingTime"] = json!(self.milliseconds);
        info["apexProcessingTime"] = json!(0);
        info["isPkChunkingSupported"] = json!(false);
        if self.state == JobState::Failed {
            info["errorMessage"] = json!(self.message);
        }
        if self.faults.contains(&Action::NoCounts {}) {
            return info;
        }
        let shown = self.shown_share();
        let share = |count: usize| number(part(count, shown));
        let (mut processed, mut failed) = (share(self.processed), share(self.failed));
        for fault in &self.faults {
            if let Action::WrongCounts {
                processed: more,
                failed: more_failed,
            } = fault
            {
                processed = processed.saturating_add(*more).max(0);
                failed = failed.saturating_add(*more_failed).max(0);
            }
        }
        info["numberRecordsProcessed"] = json!(processed);
        info["numberRecordsFailed"] = json!(failed);
        info
    }

    /// How much of its counts is shown, from 0 to 1.
    fn shown_share(&self) -> f64 {
        let lag = self.faults.iter().find_map(|fault| match fault {
            Action::LagCounts { ms, readings } => Some((Duration::from_millis(*ms), *readings)),
            _ => None,
        });
        match (lag, self.ended) {
            (None, _) => 1.0,
            (Some((_, readings)), Some(_)) if self.polled <= readings => 0.0,
            (Some((lag, _)), Some(ended)) if ended.elapsed() < lag => {
                ended.elapsed().as_secs_f64() / lag.as_secs_f64()
            }
            (Some(_), Some(_)) => 1.0,
            (Some(_), None) => 0.0,
        }
    }

    /// How the inspection API shows the job.
    pub(crate) fn inspected(&self) -> Value {
        json!({
            "id": self.id, "object": self.settings.object.name,
            "operation": self.settings.operation.name(), "state": self.state.name(),
            "rows": self.rows, "processed": self.processed, "failed": self.failed,
            "bytes": self.bytes, "message": self.message,
            "assignment_rule_id": self.settings.assignment_rule_id,
            "created_ms": self.created.timestamp_millis(),
            "closed_ms": self.closed_at.map(|time| time.timestamp_millis()),
            "ended_ms": self.ended_at.map(|time| time.timestamp_millis()),
            "begun_at": self.org_times.0.map(|time| time.as_secs_f64()),
            "ended_at": self.org_times.1.map(|time| time.as_secs_f64()),
            "put_back": self.put_back, "requests": self.requests,
        })
    }

    /// Records the outcomes of rows.
    pub(crate) fn record(&mut self, outcomes: Vec<(usize, Outcome)>) {
        self.processed += outcomes.len();
        for (row, outcome) in outcomes {
            self.failed += usize::from(matches!(outcome, Outcome::Failed { .. }));
            if let Some(known) = self.outcomes.get_mut(row) {
                *known = Some(outcome);
            }
        }
    }

    /// Drops successful rows.
    pub(crate) fn forget(&mut self) {
        self.forgotten = true;
        let Data::Rows(upload) = &self.data else {
            self.data = Data::None;
            return;
        };
        let outcomes = std::mem::take(&mut self.outcomes);
        let mut rows: Vec<usize> = Vec::new();
        for (row, outcome) in outcomes.into_iter().enumerate() {
            if matches!(outcome, None | Some(Outcome::Failed { .. })) {
                rows.push(row);
                self.outcomes.push(outcome);
            }
        }
        let file = upload.file.with_rows(&rows);
        self.data = Data::Rows(Arc::new(Upload {
            file,
            columns: upload.columns.clone(),
        }));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
