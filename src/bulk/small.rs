//! Small chunks of keyed operations: one call creates the job, uploads into it and closes it.
//!
//! The call is the point of no return, and until it is answered the job has no id. When the
//! answer is lost, Salesforce's list of jobs tells what became of it. A job made a second time
//! while the first one is still to be processed could bring back older values; so every job that
//! may be the first one comes to its end before another is made.

use std::collections::{BTreeSet, HashMap};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::error::ArrowError;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use reqwest::Method;

use super::body::Form;
use super::call::{Call, Payload};
use super::client::Client;
use super::error::BulkError;
use super::info::{JobInfo, JobState, JobTarget};
use super::job::{EndedJob, RunningJob};
use super::results;
use super::retry::Policy;
use super::wire::parse_json;
use crate::chunk::Chunk;

/// Characters of CSV that the call which creates a job can bring along (Bulk API 2.0 guide,
/// "Create a Job": multipart requests). Chunks are counted in bytes, which are never fewer.
pub const MULTIPART_CHARS: u64 = 100_000;

/// How much older than its call a job may look: clocks differ, and headers tell whole seconds.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Pauses before the looks at the list of jobs: a gateway gives up on a call before Salesforce
/// does, so that a job can appear later.
const LOOKS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1_500),
    Duration::from_secs(3),
];

impl JobTarget {
    /// Whether [`Client::submit_small`] takes the chunk: a keyed operation, and fewer bytes than
    /// [`MULTIPART_CHARS`].
    pub fn fits_one_call(&self, chunk: &Chunk) -> bool {
        self.operation.key_field().is_some() && chunk.bytes() < MULTIPART_CHARS
    }
}

impl Client {
    /// Creates a job, uploads the chunk and closes the job by one call.
    ///
    /// For chunks that [`JobTarget::fits_one_call`] allows. What may pass is tried again, at most
    /// four times. After an answer that was lost, the job is looked for: one that holds these
    /// rows is taken as it is, which can mean that it has already ended.
    ///
    /// # Errors
    /// [`BulkError::NotSmall`] for other chunks; [`BulkError::Serialize`] if the chunk cannot be
    /// written as CSV; [`BulkError::SubmitUnclear`] if the rows may have been sent. After any
    /// other error no job was made.
    pub async fn submit_small(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
    ) -> Result<RunningJob, BulkError> {
        let bytes = chunk.bytes();
        if !target.fits_one_call(chunk) {
            return Err(BulkError::NotSmall {
                object: target.object.clone(),
                operation: target.operation.as_str(),
                bytes,
            });
        }
        let action = format!(
            "creating a job for {} with its {bytes} bytes",
            target.object
        );
        let form = Form::new(&target.to_json(), csv(&action, chunk)?);
        let submitted = Submitted {
            client: self,
            target,
            rows: chunk.rows(),
            csv: form.csv(),
            since: self.server_time() - CLOCK_MARGIN,
        };
        let mut pauses = Policy::STAGE.pauses();
        loop {
            let error = match self.send_form(&action, &form).await {
                Ok(job) => return Ok(job),
                Err(error) => error,
            };
            let object = &target.object;
            if !error.not_done() {
                tracing::warn!(object, %error, "whether a job was created is unclear, looking");
                if let Some(job) = submitted.find().await? {
                    return Ok(job);
                }
            }
            let Some(pause) = pauses.after(&error) else {
                return Err(error);
            };
            let pause_ms = pause.as_millis();
            tracing::warn!(object, %error, pause_ms, "no job was created, repeating");
            self.inner.clock.pause(pause).await;
        }
    }

    async fn send_form(&self, action: &str, form: &Form) -> Result<RunningJob, BulkError> {
        let answer = self
            .read(&Call {
                action,
                method: Method::POST,
                path: &["jobs", "ingest"],
                query: &[],
                payload: Payload::Form(form),
                policy: Policy::ONCE,
            })
            .await?;
        let info: JobInfo = parse_json(action, &answer)?;
        self.known_jobs().insert(info.id.clone());
        Ok(RunningJob::new(self, info.id, None))
    }
}

fn csv(action: &str, chunk: &Chunk) -> Result<Vec<u8>, BulkError> {
    let mut csv = Vec::new();
    for piece in chunk.csv() {
        csv.extend(piece.map_err(|error| BulkError::Serialize {
            action: action.to_owned(),
            reason: error.to_string(),
        })?);
    }
    Ok(csv)
}

/// A call whose answer was lost.
struct Submitted<'a> {
    client: &'a Client,
    target: &'a JobTarget,
    rows: u64,
    csv: Bytes,
    /// Salesforce's time before the call.
    since: DateTime<Utc>,
}

impl Submitted<'_> {
    /// The job that the call made, if there is one. Every job that could be it has ended then.
    async fn find(&self) -> Result<Option<RunningJob>, BulkError> {
        let mut others = BTreeSet::new();
        for pause in LOOKS {
            self.client.inner.clock.pause(pause).await;
            let jobs = self.client.jobs(|job| self.may_be(job)).await;
            let jobs = jobs.map_err(|error| self.unclear(error))?;
            for job in jobs {
                if others.contains(&job.id) {
                    continue;
                }
                let id = job.id.clone();
                if let Some(job) = self.ended(job).await? {
                    self.client.known_jobs().insert(id);
                    return Ok(Some(job));
                }
                others.insert(id);
            }
        }
        Ok(None)
    }

    /// Whether the call can have made this job. One that is open was made in another way.
    fn may_be(&self, job: &JobInfo) -> bool {
        let user = self.client.user_id();
        let by_us = same_id(user.as_deref(), job.created_by_id.as_deref());
        let created = job.created_date.as_deref().and_then(parse_date);
        job.object.eq_ignore_ascii_case(&self.target.object)
            && job.operation == self.target.operation.as_str()
            && job.state != JobState::Open.as_str()
            && by_us
            && created.is_none_or(|created| created >= self.since)
            && !self.client.known_jobs().contains(&job.id)
    }

    /// Waits for the job's end; answers it if it holds the rows of the call.
    async fn ended(&self, job: JobInfo) -> Result<Option<RunningJob>, BulkError> {
        let mut running = RunningJob::new(self.client, job.id.clone(), Some(job));
        let (state, info) = match running.wait().await {
            Ok(ended) => ended,
            Err(BulkError::JobGone { .. }) => return Ok(None),
            Err(error) => return Err(self.unclear(error)),
        };
        let id = info.id.clone();
        let ended = EndedJob::new(self.client.clone(), state, info.clone());
        match self.is_in(&ended).await {
            Ok(true) => {
                tracing::info!(job_id = id, "the job has been found by its rows");
                Ok(Some(RunningJob::new(self.client, id, Some(info))))
            }
            Ok(false) => Ok(None),
            Err(error) => {
                tracing::warn!(job_id = id, %error, "whose job this is cannot be read");
                Ok(None)
            }
        }
    }

    /// Whether the rows of an ended job are those of the call.
    async fn is_in(&self, job: &EndedJob) -> Result<bool, BulkError> {
        let processed = job.processed.unwrap_or(0);
        let possible = match job.state {
            JobState::JobComplete => job.processed.is_none_or(|rows| rows == self.rows),
            _ => (1..=self.rows).contains(&processed),
        };
        if !possible {
            return Ok(false);
        }
        let mut rows = Rows::read(&self.csv).map_err(|error| BulkError::Results {
            action: format!("comparing rows with those of job {}", job.id),
            reason: error.to_string(),
        })?;
        for file in ["successfulResults", "failedResults", "unprocessedrecords"] {
            let mut file = results::read(self.client, &job.id, file).await?;
            while let Some(batch) = file.try_next().await? {
                if !rows.take(&batch) {
                    return Ok(false);
                }
            }
        }
        Ok(rows.left.is_empty())
    }

    fn unclear(&self, source: BulkError) -> BulkError {
        BulkError::SubmitUnclear {
            object: self.target.object.clone(),
            source: Box::new(source),
        }
    }
}

/// Whether two Ids of 15 or 18 characters are the same; yes, where one is not told.
fn same_id(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return true;
    };
    one.get(..15).unwrap_or(one) == other.get(..15).unwrap_or(other)
}

/// Reads `2024-09-10T13:57:50.000+0000`.
fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?;
    Some(date.to_utc())
}

/// Rows to be found in the result files of a job.
struct Rows {
    columns: Vec<String>,
    /// How often each row is still to be found, by its cells in a form that survives Salesforce's
    /// echo: too strict a form makes the rows go again, which changes nothing.
    left: HashMap<String, u64>,
}

impl Rows {
    fn read(csv: &Bytes) -> Result<Self, ArrowError> {
        let mut rows = Self {
            columns: Vec::new(),
            left: HashMap::new(),
        };
        for batch in results::rows(Cursor::new(csv))?.into_iter().flatten() {
            let batch = batch?;
            let schema = batch.schema();
            rows.columns = schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            let columns: Vec<usize> = (0..rows.columns.len()).collect();
            for row in 0..batch.num_rows() {
                *rows.left.entry(normal(&batch, &columns, row)).or_default() += 1;
            }
        }
        Ok(rows)
    }

    /// Takes the rows of a batch out; no, if it has other columns or a row that is not there.
    fn take(&mut self, batch: &RecordBatch) -> bool {
        let schema = batch.schema();
        let names = || schema.fields().iter().map(|field| field.name());
        let index = |column: &String| names().position(|name| name.eq_ignore_ascii_case(column));
        let Some(columns) = self.columns.iter().map(index).collect::<Option<Vec<_>>>() else {
            return false;
        };
        if names().filter(|name| !name.starts_with("sf__")).count() != columns.len() {
            return false;
        }
        (0..batch.num_rows()).all(|row| {
            let row = normal(batch, &columns, row);
            match self.left.get_mut(&row) {
                Some(1) => self.left.remove(&row).is_some(),
                Some(count) => {
                    *count -= 1;
                    true
                }
                None => false,
            }
        })
    }
}

/// The cells of a row: texts trimmed and in lower case, numbers as doubles, cleared ones empty.
fn normal(batch: &RecordBatch, columns: &[usize], row: usize) -> String {
    let cell = |column: &usize| {
        let cells = batch.column(*column).as_string::<i32>();
        let text = cells.value(row).trim();
        match text.parse::<f64>() {
            Ok(number) => number.to_string(),
            Err(_) if text == "#N/A" => String::new(),
            Err(_) => text.replace("\r\n", "\n").to_lowercase(),
        }
    };
    let cells: Vec<String> = columns.iter().map(cell).collect();
    cells.join("\u{1f}")
}
