//! The processing of a closed job: its file is read, then its rows are checked and written in
//! internal batches.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::job::{Data, JobState, Outcome};
use super::read;
use super::rows::{Checked, Rules, TRANSACTION_ROWS, Task};
use super::store::Jobs;
use crate::SimOptions;
use crate::csv::Refused;
use crate::faults::Action;
use crate::org::table::Upload;

/// Records of an internal batch.
const BATCH_ROWS: usize = 10_000;

/// Processes a closed job to its end.
pub(crate) async fn run(jobs: Arc<Jobs>, id: String) {
    let Some(raw) = begin(&jobs, &id) else {
        return;
    };
    tokio::time::sleep(job_time(&jobs.options(), &id)).await;
    jobs.released().await;
    let Some(prepared) = blocking(&jobs, &id, move |jobs, id| prepare(jobs, id, raw)).await else {
        return;
    };
    let prepared = Arc::new(prepared);
    let rows = prepared.upload.file.rows();
    let mut starts: Vec<usize> = (0..rows).step_by(BATCH_ROWS).collect();
    prepared.shuffle(&mut starts, rows);
    for (number, start) in starts.into_iter().enumerate() {
        jobs.released().await;
        if !may_continue(&jobs, &id, number) {
            return;
        }
        let range = start..rows.min(start + BATCH_ROWS);
        let prepared = Arc::clone(&prepared);
        let done = blocking(&jobs, &id, move |jobs, id| {
            let outcomes = batch(jobs, &prepared, range);
            jobs.with_job(id, |job| job.record(outcomes))
        });
        if done.await.is_none() {
            return;
        }
        tokio::time::sleep(jobs.options().batch_time).await;
    }
    finish(&jobs, &id, JobState::JobComplete, None);
}

/// Runs a step on a blocking thread. The job fails if the step panics.
async fn blocking<T: Send + 'static>(
    jobs: &Arc<Jobs>,
    id: &str,
    step: impl FnOnce(&Jobs, &str) -> Option<T> + Send + 'static,
) -> Option<T> {
    let (task, task_id) = (Arc::clone(jobs), id.to_owned());
    match tokio::task::spawn_blocking(move || step(&task, &task_id)).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(job = id, %error, "a step of the simulated job broke");
            let message = "InternalServerError : the simulator broke".to_owned();
            finish(jobs, id, JobState::Failed, Some(message));
            None
        }
    }
}

/// Takes what was uploaded for a closed job.
fn begin(jobs: &Jobs, id: &str) -> Option<Vec<u8>> {
    let mut state = jobs.state();
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

/// Puts a job into its last state, unless it was aborted or deleted before.
fn finish(jobs: &Jobs, id: &str, end: JobState, message: Option<String>) {
    let mut state = jobs.state();
    let Some(job) = state.jobs.get_mut(id) else {
        return;
    };
    if !job.state.is_terminal() {
        job.message = message;
        job.enter(end);
    }
    if jobs.options().forget {
        state.forget_job(id);
    }
}

/// A job whose file was read.
struct Prepared {
    upload: Arc<Upload>,
    rules: Rules,
    /// The generation of the table in which the upload is registered.
    generation: u64,
    /// The seed of the order of processing; absent if that is the order of the upload.
    seed: Option<u64>,
}

impl Prepared {
    /// Shuffles by the seed, unless processing keeps the order of the upload.
    fn shuffle<T>(&self, things: &mut [T], salt: usize) {
        if let Some(seed) = self.seed {
            fastrand::Rng::with_seed(seed ^ ((salt as u64) << 32)).shuffle(things);
        }
    }
}

/// How long a job waits before its first batch.
fn job_time(options: &SimOptions, id: &str) -> Duration {
    match order_seed(options, id) {
        Some(seed) => {
            let jitter = fastrand::Rng::with_seed(seed).f64();
            options.job_time + options.job_jitter.mul_f64(jitter)
        }
        None => options.job_time,
    }
}

/// The seed of a job's order of processing; absent if that is the order of the upload.
fn order_seed(options: &SimOptions, id: &str) -> Option<u64> {
    let seed = options.seed;
    options
        .shuffle_processing
        .then(|| xxh3_64_with_seed(id.as_bytes(), seed))
}

/// Reads the file of a job and registers it. If that fails, so does the job.
fn prepare(jobs: &Jobs, id: &str, raw: Vec<u8>) -> Option<Prepared> {
    let (settings, faults) = {
        let state = jobs.state();
        let job = state.jobs.get(id)?;
        (Arc::clone(&job.settings), job.faults.clone())
    };
    let upload = match read::upload(&jobs.org.schema, &settings, raw) {
        Ok(upload) => Arc::new(upload),
        Err(Refused { reason, text }) => {
            jobs.with_job(id, |job| job.data = Data::Raw(text.into_bytes()))?;
            finish(jobs, id, JobState::Failed, Some(reason));
            return None;
        }
    };
    let (upload_number, generation) = {
        let mut table = jobs.org.table(&settings.object.name)?;
        (table.add_upload(&upload), table.generation())
    };
    jobs.with_job(id, |job| {
        job.rows = upload.file.rows();
        job.outcomes.resize_with(job.rows, || None);
        job.data = Data::Rows(Arc::clone(&upload));
    })?;
    let options = jobs.options();
    let seed = order_seed(&options, id);
    let task = Task {
        job_id: id.to_owned(),
        settings,
        faults,
        options,
    };
    Some(Prepared {
        rules: Rules::new(task, &upload, upload_number),
        upload,
        generation,
        seed,
    })
}

/// Whether the next batch may be processed; if so, it is counted.
fn may_continue(jobs: &Jobs, id: &str, batch: usize) -> bool {
    let mut state = jobs.state();
    let spent = state.batches >= jobs.options().max_batches;
    let Some(job) = state.jobs.get_mut(id) else {
        return false;
    };
    if job.state != JobState::InProgress {
        if jobs.options().forget {
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
        finish(jobs, id, JobState::Failed, Some(message));
        return false;
    }
    if spent {
        job.unrecorded = true;
        drop(state);
        let message = "ExceededQuota : ApiBatchItems Limit exceeded".to_owned();
        finish(jobs, id, JobState::Failed, Some(message));
        return false;
    }
    state.batches += 1;
    true
}

/// Checks and writes an internal batch. Returns the outcomes of its rows, in the order of
/// processing.
fn batch(jobs: &Jobs, prepared: &Prepared, rows: Range<usize>) -> Vec<(usize, Outcome)> {
    let Prepared { upload, rules, .. } = prepared;
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    let mut checked: Vec<(usize, Checked)> = rows
        .clone()
        .map(|row| {
            upload.file.split(row, &mut values);
            (row, rules.check(jobs, row, &values))
        })
        .collect();
    let mut transactions: Vec<&mut [(usize, Checked)]> =
        checked.chunks_mut(TRANSACTION_ROWS).collect();
    prepared.shuffle(&mut transactions, rows.start);
    for rows in &mut transactions {
        prepared.shuffle(rows, rows[0].0);
        if rules.bad_rows_spread() && rows.iter().any(|(_, row)| row.is_bad()) {
            for (_, row) in rows.iter_mut() {
                row.fail_with_others();
            }
        }
    }
    let mut outcomes = Vec::with_capacity(rows.len());
    for rows in transactions {
        // Locked per transaction, so that the transactions of several jobs alternate.
        let table = jobs.org.table(&rules.object.name);
        let Some(mut table) = table.filter(|table| table.generation() == prepared.generation)
        else {
            break;
        };
        let written = rows
            .iter_mut()
            .map(|(row, checked)| (*row, rules.write(&jobs.org, &mut table, checked)));
        outcomes.extend(written);
    }
    outcomes
}
