//! What became of the rows of an ended job: by its counts, or by its results where they are needed.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use futures::stream::{self, Peekable, StreamExt, TryStreamExt};
use tokio::sync::OwnedMutexGuard;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;

use crate::bulk::{BulkError, EndedJob, JobState, ResultStream};
use crate::error::Result;
use crate::ledger::{Entry, LedgerError};
use crate::load::LoadError;
use crate::load::settle::{
    Belief, EndState, Ends, JobCounts, JobEnd, JobFault, JoinBack, Needed, Reading,
};
use crate::load::state::Load;
use crate::object::Operation;
use crate::options::BATCH_RECORDS;
use crate::rows::{KeyDigest, RowSet};

use super::enter::Entered;

/// Pause before counts and files of a job are read for the second time. Later ones are longer.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long results are waited for that lag behind the end of their job. Rows that have a key are
/// sent again sooner, once nothing changes any more: none of them is doubled.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_WITH_KEY: Duration = Duration::from_secs(60);

/// How long a job that was refused as a whole is to show no row before that is believed: its counts and
/// files lag alike. Rows that may be written twice without harm are sent again sooner.
const UNTIL_REFUSED: Duration = Duration::from_secs(15);

/// The permit to settle a job. Who holds it keeps it until the rejected rows are stored, so that one
/// job's at a time are in memory.
pub(in crate::load) type SettlePermit = OwnedMutexGuard<()>;

/// The rows that were sent in a job.
pub(in crate::load) enum SentIn {
    /// Rows of this load, which the row store has.
    Load(RowSet),
    /// Such rows, each with its key, in their order.
    Keyed {
        rows: RowSet,
        keys: Arc<Vec<KeyDigest>>,
    },
    /// Such rows, with what was entered of them.
    Entered(Arc<Entered>),
    /// Rows of an entry of an older attempt: digests of their cells are all that is known.
    Entry(Arc<Entry>),
}

impl SentIn {
    /// The rows that were `sent`, with the keys of those that have one, if these are known, or with what
    /// was entered of them.
    pub(super) fn of(
        sent: RowSet,
        keys: Option<Arc<Vec<KeyDigest>>>,
        entered: Option<Entered>,
    ) -> Self {
        if let Some(keys) = keys.filter(|keys| keys.len() as u64 == sent.len()) {
            return Self::Keyed { rows: sent, keys };
        }
        let entered = entered.filter(|entered| *entered.rows() == sent);
        entered.map_or(Self::Load(sent), |entered| Self::Entered(Arc::new(entered)))
    }

    fn rows(&self) -> &RowSet {
        match self {
            Self::Load(rows) | Self::Keyed { rows, .. } => rows,
            Self::Entered(entered) => entered.rows(),
            Self::Entry(entry) => &entry.rows,
        }
    }

    fn len(&self) -> u64 {
        self.rows().len()
    }
}

/// What an ended job came to.
pub(in crate::load) enum Verdict {
    /// What became of each row. The permit is held where rows may have been rejected.
    Ends(Ends, Option<SettlePermit>),
    /// The job was refused as a whole; nothing was written.
    Refused,
}

/// What one look at a job showed.
enum Look {
    /// All that is to be known.
    Proved(Ends),
    /// What all its files show, and in what numbers.
    Read(Ends, Reading),
    Refused,
}

/// Finds out what became of the rows `sent` in a job that has this fault.
///
/// Counts and files are read again, after pauses, while rows have no result or while it is not
/// certain that those not processed stay so.
///
/// # Errors
/// Any of reading the job and its files, and of joining them back.
pub(in crate::load) async fn judge(
    load: &Arc<Load>,
    ended: &mut EndedJob,
    fault: JobFault,
    sent: &SentIn,
) -> Result<Verdict> {
    if job_end(ended).needs(sent.len()) == Needed::Nothing {
        let ends = Ends {
            accepted: sent.rows().clone(),
            ..Ends::default()
        };
        return Ok(Verdict::Ends(ends, None));
    }
    let waits = load.org.options().waits;
    let with_key = load.plan.coercion.key().is_some();
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    let mut before = None;
    loop {
        let permit = load.org.admission().settle_permit().await;
        let (mut ends, reading) = match look(load, ended, fault, sent, &permit).await? {
            Look::Proved(ends) => return Ok(Verdict::Ends(ends, Some(permit))),
            Look::Refused if waited < until_refused(&load.plan.target.operation, sent.rows()) => {
                drop(permit);
                sleep(waits.scaled(pause)).await;
                waited += pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                *ended = ended.read_again().await?;
                continue;
            }
            Look::Refused => return Ok(Verdict::Refused),
            Look::Read(ends, reading) => (ends, reading),
        };
        let is_settled = before == Some(reading);
        let patience = if with_key && is_settled {
            PATIENCE_WITH_KEY
        } else {
            PATIENCE
        };
        let is_over = waited >= patience.min(waits.patience).max(FIRST_PAUSE);
        if is_over && !is_settled {
            // They may be processed yet.
            let unprocessed = std::mem::take(&mut ends.unprocessed);
            ends.unknown.insert_all(&unprocessed);
        }
        if is_over || reading.belief(before.as_ref()) == Belief::Files {
            return Ok(Verdict::Ends(ends, Some(permit)));
        }
        drop((permit, ends));
        before = Some(reading);
        tracing::warn!(
            stream = %load.plan.name, job = %ended.id, pause_s = pause.as_secs(),
            without_result = reading.unknown, unprocessed = reading.unprocessed,
            "the results of the job may not be complete yet: they are read again"
        );
        // After a stop too: whoever stopped the load says how long jobs in flight have.
        sleep(waits.scaled(pause)).await;
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
        *ended = ended.read_again().await?;
    }
}

/// How long a job of these rows is to show none before it counts as refused. Of several batches, one
/// may have been processed.
fn until_refused(operation: &Operation, sent: &RowSet) -> Duration {
    match operation {
        Operation::Insert | Operation::Delete | Operation::HardDelete => UNTIL_REFUSED,
        Operation::Update | Operation::Upsert { .. } if sent.len() > BATCH_RECORDS => FIRST_PAUSE,
        Operation::Update | Operation::Upsert { .. } => Duration::ZERO,
    }
}

/// Looks at the counts of a job and at the files that are needed.
async fn look(
    load: &Arc<Load>,
    ended: &EndedJob,
    fault: JobFault,
    sent: &SentIn,
    _permit: &SettlePermit,
) -> Result<Look> {
    let end = job_end(ended);
    if let Needed::Failed(failed) = end.needs(sent.len())
        && let Some(ends) = by_failed(load, ended, sent, failed).await?
    {
        return Ok(Look::Proved(ends));
    }
    let is_refused = matches!(fault, JobFault::Refused(_)) && end.counts_nothing();
    if is_refused && wrote_nothing(ended).await? {
        return Ok(Look::Refused);
    }
    let (results, mut reading) = read_all(load, ended, sent).await?;
    let ends = join(load, results, sent, counts(end)).await?;
    let ends = ends.unwrap_or_default();
    reading.unknown = ends.unknown.len();
    Ok(Look::Read(ends, reading))
}

/// The end of each row by the `failed` rows alone; `None` if that takes the others too.
async fn by_failed(
    load: &Arc<Load>,
    ended: &EndedJob,
    sent: &SentIn,
    failed: u64,
) -> Result<Option<Ends>> {
    let (results, found) = read_failed(load, ended, sent).await?;
    // Of the rows of an entry it is not known which have a value in a column that may have lost its own.
    if found != failed || matches!(sent, SentIn::Entry(_)) && !results.has_all_cells() {
        return Ok(None);
    }
    join(load, results, sent, counts(job_end(ended))).await
}

/// Whether a job has neither written nor refused a row: its files are empty, or there are none.
pub(in crate::load) async fn wrote_nothing(ended: &EndedJob) -> Result<bool> {
    let mut failed = opened(ended, ended.failed_results().await).await?;
    let mut succeeded = opened(ended, ended.successful_results().await).await?;
    Ok(failed.try_next().await?.is_none() && succeeded.try_next().await?.is_none())
}

/// The rows of a file. That it is not there, though its job is, says as much as an empty one.
pub(super) async fn opened(
    ended: &EndedJob,
    file: Result<ResultStream, BulkError>,
) -> Result<ResultStream> {
    match file {
        Err(BulkError::JobGone { .. }) => {
            ended.read_again().await?;
            Ok(stream::empty().boxed())
        }
        file => Ok(file?),
    }
}

fn job_end(ended: &EndedJob) -> JobEnd {
    JobEnd {
        state: match ended.state {
            JobState::JobComplete => EndState::Complete,
            JobState::Aborted => EndState::Aborted,
            _ => EndState::Failed,
        },
        processed: ended.processed,
        failed: ended.failed,
    }
}

/// What the job says of its rows, if it does.
fn counts(end: JobEnd) -> Option<JobCounts> {
    let failed = end.failed?;
    let accepted = end.processed?.checked_sub(failed)?;
    Some(JobCounts { accepted, failed })
}

/// Reads the failed rows of a job.
async fn read_failed(load: &Load, ended: &EndedJob, sent: &SentIn) -> Result<(JoinBack, u64)> {
    let failed = opened(ended, ended.failed_results().await).await?;
    let mut failed = failed.peekable();
    let mut join = begin(load, sent, [&mut failed]).await?;
    let found = add(&mut failed, |rows| join.failed(rows)).await?;
    Ok((join, found))
}

/// Reads all rows of a job. Those that were not processed come first: a row that is processed
/// meanwhile is then found twice, and not taken for one that never was.
async fn read_all(load: &Load, ended: &EndedJob, sent: &SentIn) -> Result<(JoinBack, Reading)> {
    let unprocessed = opened(ended, ended.unprocessed().await).await?;
    let failed = opened(ended, ended.failed_results().await).await?;
    let succeeded = opened(ended, ended.successful_results().await).await?;
    let mut unprocessed = unprocessed.peekable();
    let mut failed = failed.peekable();
    let mut succeeded = succeeded.peekable();
    let files = [&mut failed, &mut unprocessed, &mut succeeded];
    let mut join = begin(load, sent, files).await?;
    join.expect_successes();
    let reading = Reading {
        end: job_end(ended),
        failed: add(&mut failed, |rows| join.failed(rows)).await?,
        unprocessed: add(&mut unprocessed, |rows| join.unprocessed(rows)).await?,
        succeeded: add(&mut succeeded, |rows| join.succeeded(rows)).await?,
        unknown: 0,
    };
    Ok((join, reading))
}

pub(super) async fn begin<'a>(
    load: &Load,
    sent: &SentIn,
    files: impl IntoIterator<Item = &'a mut Peekable<ResultStream>>,
) -> Result<JoinBack> {
    let mut firsts = Vec::new();
    for file in files {
        // The file still begins with these rows. An error of it comes when they are taken.
        let first = std::pin::Pin::new(file).peek().await;
        firsts.extend(first.and_then(|rows| rows.as_ref().ok().cloned()));
    }
    let context = TaskContext::default().with_runtime(Arc::clone(load.org.runtime()));
    let coercion = Arc::clone(&load.plan.coercion);
    match sent {
        SentIn::Load(_) | SentIn::Keyed { .. } | SentIn::Entered(_) => {
            JoinBack::new(coercion, &firsts, &context)
        }
        SentIn::Entry(entry) => {
            let join = JoinBack::by_all_cells(coercion, &firsts, &context)?;
            join.map_err(|columns| {
                LedgerError::lacking(&entry.head, entry.rows.len(), &columns).into()
            })
        }
    }
}

/// Adds the rows of a file; returns how many there are.
pub(super) async fn add(
    file: &mut Peekable<ResultStream>,
    mut add: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<u64> {
    let mut rows = 0;
    while let Some(batch) = file.try_next().await? {
        rows += batch.num_rows() as u64;
        add(&batch)?;
        // The rows of a page are there without waiting; other tasks have their share between them.
        yield_now().await;
    }
    Ok(rows)
}

/// Joins results to the rows sent.
async fn join(
    load: &Arc<Load>,
    results: JoinBack,
    sent: &SentIn,
    counts: Option<JobCounts>,
) -> Result<Option<Ends>> {
    let joined = match sent {
        SentIn::Entered(entered) if results.has_all_cells() => {
            let entered = Arc::clone(entered);
            spawn_blocking(move || results.join_digests(entered.rows(), entered.digests(), counts))
        }
        SentIn::Keyed { rows, keys } if results.has_keys() => {
            let (rows, keys) = (rows.clone(), Arc::clone(keys));
            spawn_blocking(move || results.join_digests(&rows, keys.iter().copied(), counts))
        }
        SentIn::Load(_) | SentIn::Keyed { .. } | SentIn::Entered(_) => {
            let (load, sent) = (Arc::clone(load), sent.rows().clone());
            spawn_blocking(move || {
                let sources = load.books.rows().read(&sent);
                results.join(&sent, sources.map(|read| Ok(read?)), counts)
            })
        }
        SentIn::Entry(entry) => {
            let entry = Arc::clone(entry);
            spawn_blocking(move || results.join_digests(&entry.rows, entry.digests.iter(), counts))
        }
    };
    joined.await.map_err(LoadError::from)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_for_rows_only_if_each_has_one() {
        let keys = |rows: u8| {
            let keys = (0..rows).map(|row| KeyDigest::of(&[row]));
            Some(Arc::new(keys.collect()))
        };
        let sent = RowSet::from(5..8);
        let all = SentIn::of(sent.clone(), keys(3), None);
        assert!(matches!(&all, SentIn::Keyed { rows, .. } if *rows == sent));
        for keys in [None, keys(2)] {
            let without = SentIn::of(sent.clone(), keys, None);
            assert!(matches!(&without, SentIn::Load(rows) if *rows == sent));
        }
    }
}
