//! What became of the rows of an ended job: by its counts, or by its results where they are needed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use futures::stream::{Peekable, StreamExt, TryStreamExt};
use tokio::sync::OwnedMutexGuard;
use tokio::task::yield_now;

use crate::bulk::{EndedJob, JobState, ResultStream};
use crate::error::Result;
use crate::load::LoadError;
use crate::load::settle::{
    Agreement, EndState, Ends, Found, JobCounts, JobEnd, JoinBack, Proof, agreement, proof,
};
use crate::load::state::Load;
use crate::rows::RowSet;

/// The permit to settle a job. Who holds it keeps it until the rejected rows are stored, so that one
/// job's at a time are in memory.
pub(super) type SettlePermit = OwnedMutexGuard<()>;

/// What the counts of a job prove of the rows `sent`; `None` if its results are to be read.
///
/// # Errors
/// A config error if the job was refused as a whole.
pub(super) fn by_counts(ended: &EndedJob, sent: &RowSet) -> Result<Option<Ends>> {
    match proof(job_end(ended), sent.len()) {
        Proof::AllAccepted => Ok(Some(Ends {
            accepted: sent.clone(),
            ..Ends::default()
        })),
        Proof::NothingProcessed => Ok(Some(Ends {
            unprocessed: sent.clone(),
            ..Ends::default()
        })),
        Proof::Refused(error) => Err(error),
        Proof::None => Ok(None),
    }
}

/// What the result files of a job say of the rows `sent`.
///
/// # Errors
/// [`LoadError::Indeterminate`] if Salesforce cannot say what became of some inserted rows; any of
/// reading the files and of joining them back.
pub(super) async fn by_results(
    load: &Arc<Load>,
    ended: &EndedJob,
    sent: &RowSet,
    _permit: &SettlePermit,
) -> Result<Ends> {
    let ends = joined(load, ended, sent).await?;
    if ends.unknown.is_empty() || load.plan.coercion.key().is_some() {
        return Ok(ends);
    }
    Err(LoadError::Indeterminate {
        job: ended.id.clone(),
        object: load.plan.target.object.clone(),
        rows: ends.unknown.len(),
    }
    .into())
}

async fn joined(load: &Arc<Load>, ended: &EndedJob, sent: &RowSet) -> Result<Ends> {
    let end = job_end(ended);
    let (results, found) = read_failed(load, ended).await?;
    if agreement(end, sent.len(), found) == Agreement::Full
        && let Some(ends) = join(load, results, sent, counts(end)).await?
    {
        return Ok(ends);
    }
    tracing::warn!(
        stream = %load.plan.name, job = %ended.id,
        "the counts of the job and its results do not agree: its successes are read as well"
    );
    let results = read_all(load, ended).await?;
    let ends = join(load, results, sent, counts(end)).await?;
    Ok(ends.unwrap_or_default())
}

fn job_end(ended: &EndedJob) -> JobEnd<'_> {
    JobEnd {
        state: match ended.state {
            JobState::JobComplete => EndState::Complete,
            JobState::Aborted => EndState::Aborted,
            _ => EndState::Failed,
        },
        processed: ended.processed,
        failed: ended.failed,
        message: ended.message.as_deref(),
    }
}

/// What the job says of its rows, if it does.
fn counts(end: JobEnd<'_>) -> Option<JobCounts> {
    let failed = end.failed?;
    let accepted = end.processed?.checked_sub(failed)?;
    Some(JobCounts { accepted, failed })
}

/// Reads the failed and the unprocessed rows of a job.
async fn read_failed(load: &Load, ended: &EndedJob) -> Result<(JoinBack, Found)> {
    let mut failed = ended.failed_results().await?.peekable();
    let mut unprocessed = ended.unprocessed().await?.peekable();
    let mut join = begin(load, [&mut failed, &mut unprocessed]).await?;
    let found = Found {
        failed: add(&mut failed, |rows| join.failed(rows)).await?,
        unprocessed: add(&mut unprocessed, |rows| join.unprocessed(rows)).await?,
    };
    Ok((join, found))
}

/// Reads all rows of a job.
async fn read_all(load: &Load, ended: &EndedJob) -> Result<JoinBack> {
    let mut failed = ended.failed_results().await?.peekable();
    let mut unprocessed = ended.unprocessed().await?.peekable();
    let mut succeeded = ended.successful_results().await?.peekable();
    let files = [&mut failed, &mut unprocessed, &mut succeeded];
    let mut join = begin(load, files).await?;
    join.expect_successes();
    add(&mut failed, |rows| join.failed(rows)).await?;
    add(&mut unprocessed, |rows| join.unprocessed(rows)).await?;
    add(&mut succeeded, |rows| join.succeeded(rows)).await?;
    Ok(join)
}

async fn begin<'a>(
    load: &Load,
    files: impl IntoIterator<Item = &'a mut Peekable<ResultStream>>,
) -> Result<JoinBack> {
    let mut firsts = Vec::new();
    for file in files {
        // The file still begins with these rows. An error of it comes when they are taken.
        let first = std::pin::Pin::new(file).peek().await;
        firsts.extend(first.and_then(|rows| rows.as_ref().ok().cloned()));
    }
    let context = TaskContext::default().with_runtime(Arc::clone(load.org.runtime()));
    JoinBack::new(Arc::clone(&load.plan.coercion), &firsts, &context)
}

/// Adds the rows of a file; returns how many there are.
async fn add(
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
    sent: &RowSet,
    counts: Option<JobCounts>,
) -> Result<Option<Ends>> {
    let (load, sent) = (Arc::clone(load), sent.clone());
    let joined = tokio::task::spawn_blocking(move || {
        let sources = load.ledger.rows().read(&sent);
        results.join(&sent, sources.map(|read| Ok(read?)), counts)
    });
    joined.await.map_err(LoadError::from)?
}
