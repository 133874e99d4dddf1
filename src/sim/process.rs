//! The work of a job after its close: the file is read, then its rows are checked and written in
//! internal batches, as Salesforce does it in the background.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::columns::{self, Column};
use super::csv::{File, Refused};
use super::faults::Action;
use super::job::{Data, Job, JobState, Operation, Outcome};
use super::rules::{Asked, Checked, Rules};
use super::state::Shared;
use super::table::Upload;

/// Records of an internal batch.
const BATCH_ROWS: usize = 10_000;

/// Processes a closed job to its end.
pub(crate) async fn run(shared: Arc<Shared>, id: String) {
    let Some(raw) = begin(&shared, &id) else {
        return;
    };
    tokio::time::sleep(shared.options.job_time).await;
    released(&shared).await;
    let Some(prepared) = blocking(&shared, &id, move |shared, id| prepare(shared, id, raw)).await
    else {
        return;
    };
    let prepared = Arc::new(prepared);
    let rows = prepared.upload.file.rows();
    for (number, start) in (0..rows).step_by(BATCH_ROWS).enumerate() {
        released(&shared).await;
        if !may_go_on(&shared, &id, number) {
            return;
        }
        let range = start..rows.min(start + BATCH_ROWS);
        let prepared = Arc::clone(&prepared);
        let done = blocking(&shared, &id, move |shared, id| {
            let outcomes = batch(shared, &prepared, range);
            record(shared, id, outcomes)
        });
        if done.await.is_none() {
            return;
        }
        tokio::time::sleep(shared.options.batch_time).await;
    }
    finish(&shared, &id, JobState::JobComplete, None);
}

/// Runs a step off the async threads; the job fails if the step panics.
async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    id: &str,
    step: impl FnOnce(&Shared, &str) -> Option<T> + Send + 'static,
) -> Option<T> {
    let (task, task_id) = (Arc::clone(shared), id.to_owned());
    match tokio::task::spawn_blocking(move || step(&task, &task_id)).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(job = id, %error, "a step of the simulated job broke");
            let message = "InternalServerError : the simulator broke".to_owned();
            finish(shared, id, JobState::Failed, Some(message));
            None
        }
    }
}

/// Waits until jobs are not held.
async fn released(shared: &Shared) {
    let mut hold = shared.hold.subscribe();
    // The sender lives as long as `shared`, so this ends only when released.
    let _ = hold.wait_for(|held| !held).await;
}

fn begin(shared: &Shared, id: &str) -> Option<Vec<u8>> {
    let mut state = shared.state();
    let job = state
        .jobs
        .get_mut(id)
        .filter(|job| job.state == JobState::UploadComplete)?;
    job.enter(JobState::InProgress);
    match std::mem::replace(&mut job.data, Data::None) {
        Data::Raw(raw) => Some(raw),
        Data::None | Data::Rows(_) => Some(Vec::new()),
    }
}

/// Puts a job into its last state, unless it was aborted or removed before.
fn finish(shared: &Shared, id: &str, end: JobState, message: Option<String>) {
    let mut state = shared.state();
    let Some(job) = state.jobs.get_mut(id) else {
        return;
    };
    if !job.state.is_terminal() {
        job.message = message;
        job.enter(end);
    }
    if shared.options.forget {
        state.forget_job(id);
    }
}

/// A job whose file could be read.
struct Prepared {
    upload: Arc<Upload>,
    rules: Rules,
    /// The generation of the table that the upload is registered in.
    generation: u64,
}

fn prepare(shared: &Shared, id: &str, raw: Vec<u8>) -> Option<Prepared> {
    let (object, operation, external_id, delimiter, crlf, faults) = {
        let state = shared.state();
        let job = state.jobs.get(id)?;
        let settings = &job.settings;
        (
            Arc::clone(&settings.object),
            settings.operation,
            settings.external_id,
            settings.delimiter,
            settings.crlf,
            job.faults.clone(),
        )
    };
    let read = String::from_utf8(raw)
        .map_err(|error| Refused {
            reason: "InvalidBatch : Failed to parse CSV. Not UTF-8".to_owned(),
            text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
        .and_then(|text| File::parse(text, delimiter, crlf));
    let found = read.and_then(|file| {
        let mut header = Vec::new();
        super::csv::split(file.header(), delimiter, &mut header);
        let columns = columns::columns(&shared.org, &object, &header)
            .and_then(|columns| needs(&object.fields, operation, external_id, columns));
        match columns {
            Ok(columns) => Ok(Upload { file, columns }),
            Err(reason) => Err(Refused {
                reason,
                text: file.into_text(),
            }),
        }
    });
    match found {
        Ok(upload) => {
            let upload = Arc::new(upload);
            let (upload_number, generation) = {
                let mut table = shared.table(&object.name)?;
                (table.add_upload(&upload), table.generation())
            };
            with_job(shared, id, |job| {
                job.rows = upload.file.rows();
                job.data = Data::Rows(Arc::clone(&upload));
            })?;
            let asked = Asked {
                object,
                operation,
                external_id,
                faults,
                job_id: id.to_owned(),
            };
            let rules = Rules::new(asked, &upload, upload_number);
            Some(Prepared {
                upload,
                rules,
                generation,
            })
        }
        Err(Refused { reason, text }) => {
            with_job(shared, id, |job| job.data = Data::Raw(text.into_bytes()))?;
            finish(shared, id, JobState::Failed, Some(reason));
            None
        }
    }
}

/// Checks that the columns an operation needs are there.
fn needs(
    fields: &[super::org::Field],
    operation: Operation,
    external_id: Option<usize>,
    columns: Vec<Column>,
) -> Result<Vec<Column>, String> {
    let has = |name: &str| {
        columns
            .iter()
            .any(|column| fields[column.field()].name == name)
    };
    match (operation, external_id) {
        (Operation::Upsert, Some(field))
            if fields[field].name != "Id" && !has(&fields[field].name) =>
        {
            let name = &fields[field].name;
            return Err(format!("InvalidBatch : Field name not found : {name}"));
        }
        (Operation::Delete, _) if columns.len() != 1 || !has("Id") => {
            return Err("InvalidBatch : delete batch must contain only ids".to_owned());
        }
        _ => {}
    }
    Ok(columns)
}

fn with_job(shared: &Shared, id: &str, change: impl FnOnce(&mut Job)) -> Option<()> {
    shared.state().jobs.get_mut(id).map(change)
}

/// Whether the next batch may be processed; it is charged if so.
fn may_go_on(shared: &Shared, id: &str, batch: usize) -> bool {
    let mut state = shared.state();
    let spent = state.batches >= shared.options.max_batches;
    let Some(job) = state.jobs.get_mut(id) else {
        return false;
    };
    if job.state != JobState::InProgress {
        if shared.options.forget {
            state.forget_job(id);
        }
        return false;
    }
    let failure = job.faults.iter().find_map(|fault| match fault {
        Action::FailJob {
            after_batches,
            message,
        } if batch >= *after_batches => Some(message.clone()),
        _ => None,
    });
    if let Some(message) = failure {
        drop(state);
        finish(shared, id, JobState::Failed, Some(message));
        return false;
    }
    if spent {
        job.unrecorded = true;
        drop(state);
        let message = "ExceededQuota : ApiBatchItems Limit exceeded".to_owned();
        finish(shared, id, JobState::Failed, Some(message));
        return false;
    }
    state.batches += 1;
    true
}

/// Checks and writes one internal batch.
fn batch(shared: &Shared, prepared: &Prepared, rows: Range<usize>) -> Vec<Outcome> {
    let Prepared {
        upload,
        rules,
        generation,
    } = prepared;
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    let checked: Vec<Checked> = rows
        .map(|row| {
            upload.file.split(row, &mut values);
            rules.check(shared, row, &values)
        })
        .collect();
    let table = shared.table(&rules.object.name);
    let Some(mut table) = table.filter(|table| table.generation() == *generation) else {
        return Vec::new();
    };
    checked
        .into_iter()
        .map(|row| match rules.write(&mut table, row) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error.into()),
        })
        .collect()
}

fn record(shared: &Shared, id: &str, outcomes: Vec<Outcome>) -> Option<()> {
    with_job(shared, id, |job| {
        job.processed += outcomes.len();
        job.failed += outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Failed(_)))
            .count();
        job.outcomes.extend(outcomes);
    })
}
