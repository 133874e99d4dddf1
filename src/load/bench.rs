//! The join back of one job without an org and without a store, as the crate's benches measure it.

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;

use super::settle::{Identity, Reasons, Settlement};
use super::submit::deliver::rejected_records;
use super::submit::judge::{reasons, sent_rows};
use crate::coerce::Coercion;
use crate::error::{Error, Result};
use crate::reject::RejectedRow;
use crate::rows::RowSet;

/// Joins the failed rows of a job's results to the source rows that were sent, which are coerced
/// once more, and makes rejected records of those that it finds.
///
/// # Errors
/// What the steps answer: a config error if the memory of `context` is too small.
pub fn settle(
    coercion: &Coercion,
    sent: &[RecordBatch],
    failed: &[RecordBatch],
    context: &TaskContext,
) -> Result<Vec<RecordBatch>> {
    let mut identity = Identity::of(coercion, failed.get(..1).unwrap_or_default())?;
    let mut results = Settlement::new(context);
    let mut words = Reasons::default();
    for batch in failed {
        let digests = identity.of_results(coercion, batch)?;
        results.failed(&digests, reasons(batch, &mut words))?;
    }
    let mut next = 0;
    let numbered = sent.iter().map(|batch| {
        let first = next;
        next += batch.num_rows() as u64;
        (first, batch.clone())
    });
    let sent: Vec<(u64, RecordBatch)> = numbered.collect();
    let all = RowSet::from(0..next);
    let digested = sent
        .iter()
        .map(|(first, batch)| sent_rows(coercion, &identity, *first, batch, &all));
    let ends = results.join(digested)?.ends(None);
    let rejected = ends.unwrap_or_default().rejected.into_iter();
    let rejects: Vec<RejectedRow> = rejected
        .map(|(ordinal, reason)| RejectedRow {
            ordinal,
            reason,
            job_id: None,
        })
        .collect();
    rejected_records(sent.into_iter().map(Ok::<_, Error>), &rejects)
}
