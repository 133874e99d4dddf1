//! What became of the rows of an ended job: its counts first, its results where they are needed.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter, filter_record_batch};
use datafusion::execution::TaskContext;
use futures::stream::{Peekable, StreamExt, TryStreamExt};
use tokio::sync::OwnedMutexGuard;
use xxhash_rust::xxh3::xxh3_64;

use crate::bulk::{EndedJob, JobState, ResultStream};
use crate::coerce::{Coercion, Reason};
use crate::error::Result;
use crate::rows::RowSet;

use crate::load::LoadError;
use crate::load::settle::{
    Again, Counts, EndState, Ends, Found, Identity, JobEnd, Reasons, SentRows, Settled, Settlement,
    Verdict, verdict,
};
use crate::load::state::Load;

/// What became of the rows of one job; those in neither list are in Salesforce.
#[derive(Debug, Default)]
pub(in crate::load) struct Outcome {
    /// Rows that Salesforce refused, by ordinal.
    pub(in crate::load) rejected: Vec<(u64, Arc<Reason>)>,
    /// Rows that Salesforce did not process, sorted.
    pub(in crate::load) unprocessed: Vec<u64>,
    /// Rows with a key whose end cannot be known, sorted: they may be sent again.
    pub(in crate::load) indeterminate: Vec<u64>,
    /// Rows that Salesforce refused for a reason that may pass, sorted.
    pub(in crate::load) passing: Vec<(u64, Again)>,
    /// Kept until the rejected rows are stored, so that one job's at a time are in memory.
    pub(in crate::load) turn: Option<OwnedMutexGuard<()>>,
}

/// Says what became of the rows `sent` in a job.
///
/// # Errors
/// A config error if the job was refused as a whole; [`LoadError::Indeterminate`] if
/// Salesforce cannot say what became of some inserted rows.
pub(in crate::load) async fn judge(
    load: &Arc<Load>,
    ended: &EndedJob,
    sent: &RowSet,
) -> Result<Outcome> {
    let rows = sent.len();
    let end = job_end(ended);
    match verdict(end, rows, None) {
        Verdict::AllAccepted => return Ok(Outcome::default()),
        Verdict::SendAgain => return Ok(all_again(sent)),
        Verdict::Refused(error) => return Err(error),
        Verdict::ReadResults | Verdict::Settle | Verdict::ReadSuccesses => {}
    }
    let turn = Some(load.org.admission().settle_permit().await);
    let results = read_results(load, ended, false).await?;
    let found = results.found;
    let mut settled = None;
    match verdict(end, rows, Some(found)) {
        Verdict::AllAccepted => return Ok(Outcome::default()),
        Verdict::SendAgain => return Ok(all_again(sent)),
        Verdict::Refused(error) => return Err(error),
        Verdict::ReadResults | Verdict::Settle => {
            settled = join(load, results, sent).await?.ends(counts(end));
        }
        Verdict::ReadSuccesses => {}
    }
    let ends = match settled {
        Some(ends) => ends,
        None => with_successes(load, ended, sent).await?,
    };
    if ends.indeterminate.is_empty() || load.plan.coercion.key().is_some() {
        return Ok(Outcome {
            rejected: ends.rejected,
            unprocessed: ends.unprocessed,
            indeterminate: ends.indeterminate,
            turn,
            ..Outcome::default()
        });
    }
    Err(LoadError::Indeterminate {
        job: ended.id.clone(),
        object: load.plan.target.object.clone(),
        rows: ends.indeterminate.len() as u64,
    }
    .into())
}

async fn with_successes(load: &Arc<Load>, ended: &EndedJob, sent: &RowSet) -> Result<Ends> {
    tracing::warn!(
        stream = %load.plan.name, job = %ended.id,
        "the counts of the job and its results do not agree: its successes are read as well"
    );
    let results = read_results(load, ended, true).await?;
    let settled = join(load, results, sent).await?;
    Ok(settled.ends(counts(job_end(ended))).unwrap_or_default())
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
fn counts(end: JobEnd<'_>) -> Option<Counts> {
    let failed = end.failed?;
    let accepted = end.processed?.checked_sub(failed)?;
    Some(Counts { accepted, failed })
}

fn all_again(sent: &RowSet) -> Outcome {
    Outcome {
        unprocessed: sent.iter().collect(),
        ..Outcome::default()
    }
}

/// The result files of a job, reduced to what the join needs.
struct Results {
    rows: Settlement,
    identity: Identity,
    found: Found,
}

async fn read_results(load: &Load, ended: &EndedJob, successes: bool) -> Result<Results> {
    let mut failed = ended.failed_results().await?.peekable();
    let mut unprocessed = ended.unprocessed().await?.peekable();
    let mut succeeded = if successes {
        Some(ended.successful_results().await?.peekable())
    } else {
        None
    };
    let mut firsts = Vec::new();
    for file in [&mut failed, &mut unprocessed]
        .into_iter()
        .chain(succeeded.as_mut())
    {
        firsts.extend(peek(file).await);
    }
    let mut identity = Identity::of(&load.plan.coercion, &firsts)?;
    drop(firsts);
    let mut digests = |batch: &RecordBatch| identity.of_results(&load.plan.coercion, batch);
    let context = TaskContext::default().with_runtime(Arc::clone(load.org.runtime()));
    let mut rows = Settlement::new(&context);
    let mut found = Found {
        failed: 0,
        unprocessed: 0,
    };
    let mut words = Reasons::default();
    while let Some(batch) = failed.try_next().await? {
        found.failed += batch.num_rows() as u64;
        rows.failed(&digests(&batch)?, reasons(&batch, &mut words))?;
    }
    while let Some(batch) = unprocessed.try_next().await? {
        found.unprocessed += batch.num_rows() as u64;
        rows.unprocessed(&digests(&batch)?)?;
    }
    if let Some(mut succeeded) = succeeded {
        rows.expect_successes();
        while let Some(batch) = succeeded.try_next().await? {
            rows.succeeded(&digests(&batch)?, &records(&batch))?;
        }
    }
    Ok(Results {
        rows,
        identity,
        found,
    })
}

/// The first rows of a result file, if it has any; the file still begins there.
async fn peek(results: &mut Peekable<ResultStream>) -> Option<RecordBatch> {
    let first = std::pin::Pin::new(results).peek().await;
    first.and_then(|rows| rows.as_ref().ok().cloned())
}

/// A digest of the Id of each record that was written, 0 where none is told.
fn records(succeeded: &RecordBatch) -> Vec<u64> {
    let ids = succeeded.column_by_name("sf__Id");
    let Some(ids) = ids.map(AsArray::as_string::<i32>) else {
        return vec![0; succeeded.num_rows()];
    };
    let digest = |id: Option<&str>| id.map_or(0, |id| xxh3_64(id.as_bytes()));
    ids.iter().map(digest).collect()
}

/// The reason of each failed row, in Salesforce's words.
pub(in crate::load) fn reasons(failed: &RecordBatch, words: &mut Reasons) -> Vec<Arc<Reason>> {
    let errors = failed
        .column_by_name("sf__Error")
        .map(AsArray::as_string::<i32>);
    (0..failed.num_rows())
        .map(|row| {
            let error = errors.filter(|errors| errors.is_valid(row));
            words.of(error.map_or("", |errors| errors.value(row)))
        })
        .collect()
}

/// Joins results to the rows sent, which are coerced once more for it: cells are not kept.
async fn join(load: &Arc<Load>, results: Results, sent: &RowSet) -> Result<Settled> {
    let firsts = load.ledger.rows().firsts(sent);
    let Results {
        rows: results,
        identity,
        ..
    } = results;
    let (load, sent) = (Arc::clone(load), sent.clone());
    let joined = tokio::task::spawn_blocking(move || {
        let rows =
            firsts.into_iter().filter_map(move |first| {
                let batch = load.ledger.rows().get(first)?.map_err(Into::into);
                Some(batch.and_then(|batch| {
                    sent_rows(&load.plan.coercion, &identity, first, &batch, &sent)
                }))
            });
        results.join(rows)
    });
    joined.await.map_err(LoadError::from)?
}

pub(in crate::load) fn sent_rows(
    coercion: &Coercion,
    identity: &Identity,
    first: u64,
    batch: &RecordBatch,
    sent: &RowSet,
) -> Result<SentRows> {
    let rows = batch.num_rows();
    let ordinals = UInt64Array::from_iter_values(first..first + rows as u64);
    let cells = coercion.apply(batch)?.batch;
    let here = sent.within(first..first + rows as u64);
    let (ordinals, cells) = if here.len() == rows as u64 {
        (ordinals, cells)
    } else {
        let mut kept = vec![false; rows];
        for ordinal in here.iter() {
            kept[(ordinal - first) as usize] = true;
        }
        let kept = BooleanArray::from(kept);
        let ordinals = filter(&ordinals, &kept).map_err(LoadError::from)?;
        let cells = filter_record_batch(&cells, &kept).map_err(LoadError::from)?;
        (ordinals.as_primitive().clone(), cells)
    };
    let (digests, wholes) = identity.of_sent(coercion, &cells)?;
    Ok(SentRows {
        ordinals,
        digests,
        wholes,
    })
}
