//! The work of a job after its close: the file is read, then its rows are checked and written in
//! internal batches, as Salesforce does it in the background.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::SimOptions;
use super::columns::{self, Column};
use super::csv::{File, Refused};
use super::faults::Action;
use super::job::{Data, Job, JobState, Operation, Outcome};
use super::keys::TRANSACTION_ROWS;
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
    tokio::time::sleep(job_time(&shared.options(), &id)).await;
    released(&shared).await;
    let Some(prepared) = blocking(&shared, &id, move |shared, id| prepare(shared, id, raw)).await
    else {
        return;
    };
    let prepared = Arc::new(prepared);
    let rows = prepared.upload.file.rows();
    let mut starts: Vec<usize> = (0..rows).step_by(BATCH_ROWS).collect();
    prepared.shuffle(&mut starts, rows);
    for (number, start) in starts.into_iter().enumerate() {
        released(&shared).await;
        if !may_go_on(&shared, &id, number) {
            return;
        }
        let range = start..rows.min(start + BATCH_ROWS);
        let prepared = Arc::clone(&prepared);
        let done = blocking(&shared, &id, move |shared, id| {
            let outcomes = batch(shared, &prepared, range);
            with_job(shared, id, |job| job.record(outcomes))
        });
        if done.await.is_none() {
            return;
        }
        tokio::time::sleep(shared.options().batch_time).await;
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
    if shared.options().forget {
        state.forget_job(id);
    }
}

/// A job whose file could be read.
struct Prepared {
    upload: Arc<Upload>,
    rules: Rules,
    /// The generation of the table that the upload is registered in.
    generation: u64,
    /// Of the order of processing; nothing where that is the upload's.
    seed: Option<u64>,
}

impl Prepared {
    /// Brings things into an order of the seed's own, unless processing keeps the order.
    fn shuffle<T>(&self, things: &mut [T], salt: usize) {
        if let Some(seed) = self.seed {
            fastrand::Rng::with_seed(seed ^ ((salt as u64) << 32)).shuffle(things);
        }
    }
}

/// What a job takes before its first batch.
fn job_time(options: &SimOptions, id: &str) -> Duration {
    match order_seed(options, id) {
        Some(seed) => {
            let jitter = fastrand::Rng::with_seed(seed).f64();
            options.job_time + options.job_jitter.mul_f64(jitter)
        }
        None => options.job_time,
    }
}

/// The seed for the order of processing; nothing if that order is the upload's.
fn order_seed(options: &SimOptions, id: &str) -> Option<u64> {
    let seed = options.seed;
    options
        .shuffle_processing
        .then(|| xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), seed))
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
                job.outcomes.resize_with(job.rows, || None);
                job.data = Data::Rows(Arc::clone(&upload));
            })?;
            let asked = Asked {
                object,
                operation,
                external_id,
                faults,
                job_id: id.to_owned(),
            };
            let rules = Rules::new(shared, asked, &upload, upload_number);
            Some(Prepared {
                upload,
                rules,
                generation,
                seed: order_seed(&shared.options(), id),
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
        (Operation::Delete | Operation::HardDelete, _) if columns.len() != 1 || !has("Id") => {
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
    let spent = state.batches >= shared.options().max_batches;
    let Some(job) = state.jobs.get_mut(id) else {
        return false;
    };
    if job.state != JobState::InProgress {
        if shared.options().forget {
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

/// Checks and writes one internal batch: the rows with their ends, in the order of processing.
fn batch(shared: &Shared, prepared: &Prepared, rows: Range<usize>) -> Vec<(usize, Outcome)> {
    let Prepared { upload, rules, .. } = prepared;
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    let mut checked: Vec<(usize, Checked)> = rows
        .clone()
        .map(|row| {
            upload.file.split(row, &mut values);
            (row, rules.check(shared, row, &values))
        })
        .collect();
    let mut transactions: Vec<&mut [(usize, Checked)]> =
        checked.chunks_mut(TRANSACTION_ROWS).collect();
    prepared.shuffle(&mut transactions, rows.start);
    for rows in &mut transactions {
        prepared.shuffle(rows, rows[0].0);
        if rules.bad_rows_spread() && rows.iter().any(|(_, row)| row.is_bad()) {
            for (_, row) in rows.iter_mut() {
                row.retried_too_often();
            }
        }
    }
    let mut outcomes = Vec::with_capacity(rows.len());
    for rows in transactions {
        // Locked for each transaction anew, so that those of several jobs alternate.
        let table = shared.table(&rules.object.name);
        let Some(mut table) = table.filter(|table| table.generation() == prepared.generation)
        else {
            break;
        };
        let ends = rows
            .iter_mut()
            .map(|(row, checked)| (*row, rules.write(shared, &mut table, checked)));
        outcomes.extend(ends);
    }
    outcomes
}
