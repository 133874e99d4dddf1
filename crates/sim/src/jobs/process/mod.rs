//! The processing of a closed job: its file is read, then its rows are checked and written in
//! internal batches.

mod contended;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::job::{Data, JobState, Outcome};
use super::log::now_ms;
use super::read;
use super::rows::{Checked, Rules, TRANSACTION_ROWS, Task};
use super::store::Jobs;
use crate::SimOptions;
use crate::contention::Contention;
use crate::csv::Refused;
use crate::faults::{Action, End};
use crate::org::table::{Stamp, Table, Upload};

pub(super) use self::contended::number;

/// Records of an internal batch.
const BATCH_ROWS: usize = 10_000;

/// Processes a closed job to its end, and beyond it, if some of its batches are late.
pub(crate) async fn run(jobs: Arc<Jobs>, id: String) {
    let Some(raw) = begin(&jobs, &id) else {
        return;
    };
    let acting = jobs.clock.act();
    let faults = jobs.faults_of(&id);
    tokio::time::sleep(job_time(&jobs.options(), &id) + slow(&faults)).await;
    jobs.released().await;
    let Some(prepared) = blocking(&jobs, &id, move |jobs, id| prepare(jobs, id, raw)).await else {
        return;
    };
    let prepared = Arc::new(prepared);
    let mut batches = Batches::new(&prepared);
    let early = Early::of(&faults, prepared.upload.file.rows());
    if let (None, Some(settings)) = (&early, &prepared.contention) {
        contended::begin(&jobs, &id, &prepared, batches, settings);
        return;
    }
    drop(acting);
    let mut left = early.as_ref().map_or(usize::MAX, |early| early.after_rows);
    loop {
        jobs.released().await;
        if let (0, Some(early)) = (left, &early) {
            early.end(&jobs, &id);
            break;
        }
        let Some(rows) = batches.next(left) else {
            if let Some(early) = early.filter(|early| early.always) {
                early.end(&jobs, &id);
            } else {
                finish(&jobs, &id, JobState::JobComplete, None);
            }
            break;
        };
        if !may_continue(&jobs, &id) {
            break;
        }
        left -= rows.len();
        if process(&jobs, &id, &prepared, rows).await.is_none() {
            return;
        }
        tokio::time::sleep(jobs.options().batch_time).await;
    }
    for fault in &faults {
        if let Action::LateRows { count, ms } = fault {
            late(&jobs, &id, &prepared, &mut batches, *count, *ms).await;
        }
    }
}

/// Processes an internal batch. Nothing is returned if it broke, or the job was deleted.
async fn process(
    jobs: &Arc<Jobs>,
    id: &str,
    prepared: &Arc<Prepared>,
    rows: Range<usize>,
) -> Option<()> {
    let prepared = Arc::clone(prepared);
    let done = blocking(jobs, id, move |jobs, id| {
        let outcomes = batch(jobs, &prepared, rows);
        jobs.with_job(id, |job| job.record(outcomes))
    });
    done.await
}

/// Processes batches that were in flight when their job was aborted or failed.
async fn late(
    jobs: &Arc<Jobs>,
    id: &str,
    prepared: &Arc<Prepared>,
    batches: &mut Batches,
    count: usize,
    ms: u64,
) {
    let state = jobs.state_of(id);
    if !matches!(state, Some(JobState::Aborted | JobState::Failed)) {
        return;
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let mut left = count;
    while let Some(rows) = batches.next(left) {
        left -= rows.len();
        if process(jobs, id, prepared, rows).await.is_none() {
            return;
        }
    }
}

/// The internal batches that are not processed yet, in the order of processing.
struct Batches(VecDeque<Range<usize>>);

impl Batches {
    fn new(prepared: &Prepared) -> Batches {
        let rows = prepared.upload.file.rows();
        let mut starts: Vec<usize> = (0..rows).step_by(BATCH_ROWS).collect();
        prepared.shuffle(&mut starts, rows);
        let batches = starts.into_iter();
        Batches(
            batches
                .map(|start| start..rows.min(start + BATCH_ROWS))
                .collect(),
        )
    }

    /// The next batch, of at most some rows; the others stay for a later one.
    fn next(&mut self, most: usize) -> Option<Range<usize>> {
        let first = self.0.front_mut()?;
        let end = first.end.min(first.start.saturating_add(most));
        let rows = first.start..end;
        first.start = end;
        if first.start == first.end {
            self.0.pop_front();
        }
        (rows.start < rows.end).then_some(rows)
    }
}

/// The end of a job before all of its rows are processed.
struct Early {
    after_rows: usize,
    /// Also where it has no more rows than that.
    always: bool,
    state: End,
    message: String,
    unrecorded: bool,
}

impl Early {
    /// The end that a fault gives a job.
    fn of(faults: &[Action], rows: usize) -> Option<Early> {
        faults.iter().find_map(|fault| match fault {
            Action::FailJob {
                after_batches,
                message,
            } => Some(Early {
                after_rows: after_batches.saturating_mul(BATCH_ROWS),
                always: false,
                state: End::Failed,
                message: message.clone(),
                unrecorded: false,
            }),
            Action::EndJob {
                state,
                after_rows,
                message,
                unrecorded,
            } => Some(Early {
                after_rows: rows.min(*after_rows),
                always: true,
                state: *state,
                message: message.clone(),
                unrecorded: *unrecorded,
            }),
            _ => None,
        })
    }

    fn end(&self, jobs: &Jobs, id: &str) {
        let unrecorded = self.unrecorded;
        // A job that is gone meanwhile needs no end.
        let _ = jobs.with_job(id, |job| job.unrecorded = unrecorded);
        match self.state {
            End::Failed => finish(jobs, id, JobState::Failed, Some(self.message.clone())),
            End::Aborted => finish(jobs, id, JobState::Aborted, None),
            End::InProgress => {}
        }
    }
}

/// How much longer than others a job waits before its first batch.
fn slow(faults: &[Action]) -> Duration {
    let times = faults.iter().map(|fault| match fault {
        Action::SlowJob { ms } => Duration::from_millis(*ms),
        _ => Duration::ZERO,
    });
    times.sum()
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
#[derive(Debug)]
struct Prepared {
    upload: Arc<Upload>,
    rules: Rules,
    /// The generation of the table in which the upload is registered.
    generation: u64,
    /// The seed of the order of processing; absent if that is the order of the upload.
    seed: Option<u64>,
    /// How the org behaves, if its jobs fight over records.
    contention: Option<Contention>,
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

/// The file of a job, unless a fault refuses it as a whole.
fn refused(faults: &[Action], raw: Vec<u8>) -> Result<Vec<u8>, Refused> {
    let has = |text: &str| {
        raw.windows(text.len().max(1))
            .any(|part| part == text.as_bytes())
    };
    let reason = faults.iter().find_map(|fault| match fault {
        Action::RefuseFile { text, message } if has(text) => Some(message.clone()),
        _ => None,
    });
    match reason {
        None => Ok(raw),
        Some(reason) => Err(Refused {
            reason,
            text: String::from_utf8_lossy(&raw).into_owned(),
        }),
    }
}

/// Reads the file of a job and registers it. If that fails, so does the job.
fn prepare(jobs: &Jobs, id: &str, raw: Vec<u8>) -> Option<Prepared> {
    let (settings, faults) = {
        let state = jobs.state();
        let job = state.jobs.get(id)?;
        (Arc::clone(&job.settings), job.faults.clone())
    };
    let upload = match refused(&faults, raw)
        .and_then(|raw| read::upload(&jobs.org.schema, &settings, raw))
    {
        Ok(upload) => Arc::new(upload),
        Err(Refused { reason, text }) => {
            jobs.with_job(id, |job| job.data = Data::Raw(text.into_bytes()))?;
            finish(jobs, id, JobState::Failed, Some(reason));
            return None;
        }
    };
    let (upload_number, generation) = {
        let mut table = jobs.org.table(&settings.object.name)?;
        let stamp = Stamp::now(&settings.user);
        (table.add_upload(&upload, stamp), table.generation())
    };
    jobs.with_job(id, |job| {
        job.rows = upload.file.rows();
        job.outcomes.resize_with(job.rows, || None);
        job.data = Data::Rows(Arc::clone(&upload));
    })?;
    let options = jobs.options();
    let seed = order_seed(&options, id);
    let contention = options.contention.clone();
    let validation = jobs.validation_of(&settings.object.name);
    let task = Task {
        job_id: id.to_owned(),
        settings,
        faults,
        options,
    };
    Some(Prepared {
        rules: Rules::new(task, &upload, upload_number, validation),
        upload,
        generation,
        seed,
        contention,
    })
}

/// Whether the next batch may be processed; if so, it is counted.
fn may_continue(jobs: &Jobs, id: &str) -> bool {
    let options = jobs.options();
    let mut state = jobs.state();
    let used = state.batches.within(options.batch_window) + options.other_batches;
    let Some(job) = state.jobs.get_mut(id) else {
        return false;
    };
    if job.state != JobState::InProgress {
        if options.forget {
            state.forget_job(id);
        }
        return false;
    }
    if used >= options.max_batches {
        job.unrecorded = true;
        drop(state);
        let message = "ExceededQuota : ApiBatchItems Limit exceeded".to_owned();
        finish(jobs, id, JobState::Failed, Some(message));
        return false;
    }
    state.batches.add(1);
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
        let written = rows.iter_mut().map(|(row, checked)| (*row, checked));
        outcomes.extend(transaction(jobs, rules, &mut table, written));
    }
    outcomes
}

/// Writes the rows of a transaction and notes it in the log.
pub(super) fn transaction<'a>(
    jobs: &Jobs,
    rules: &Rules,
    table: &mut Table,
    rows: impl Iterator<Item = (usize, &'a mut Checked)>,
) -> Vec<(usize, Outcome)> {
    let ms = table.enter(now_ms());
    let outcomes: Vec<(usize, Outcome)> = rows
        .map(|(row, checked)| (row, rules.write(&jobs.org, table, checked)))
        .collect();
    let (job, settings) = rules.job();
    jobs.log.add(job, settings, ms, &outcomes);
    outcomes
}
