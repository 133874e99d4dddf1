//! The join back of one job without an org and without a store, as the crate's benches measure it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use futures::stream;

use super::judge::{reasons, sent_rows};
use super::ordinals::Ordinals;
use super::rejected::rejected_records;
use super::settle::{Identity, Reasons, Settlement};
use crate::coerce::Coercion;
use crate::error::Result;
use crate::reject::RejectedRow;

/// Joins the failed rows of a job's results to the source rows that were sent, which are coerced
/// once more, and makes rejected records of those that it finds.
///
/// # Errors
/// What the steps answer: a config error if the memory of `context` is too small.
pub async fn settle(
    coercion: &Arc<Coercion>,
    sent: &[RecordBatch],
    failed: &[RecordBatch],
    context: Arc<TaskContext>,
) -> Result<Vec<RecordBatch>> {
    let identity = match (coercion.key(), failed.first()) {
        (Some(key), _) => Identity::of_key(key, coercion.cells_schema()),
        (None, Some(first)) => {
            let echoed = coercion.canonical(&first.slice(0, 1))?.schema();
            Identity::of_cells(&[coercion.cells_schema(), &echoed])
        }
        (None, None) => return Ok(Vec::new()),
    };
    let mut results = Settlement::new(context);
    let mut words = Reasons::default();
    for batch in failed {
        results.failed(
            &identity.digests(coercion, batch)?,
            reasons(batch, &mut words),
        )?;
    }
    let mut next = 0;
    let numbered = sent.iter().map(|batch| {
        let first = next;
        next += batch.num_rows() as u64;
        (first, batch.clone())
    });
    let sent: Vec<(u64, RecordBatch)> = numbered.collect();
    let all: Ordinals = std::iter::once(0..next).collect();
    let (planned, batches) = (Arc::clone(coercion), sent.clone().into_iter());
    let digested =
        batches.map(move |(first, batch)| sent_rows(&planned, &identity, first, &batch, &all));
    let settled = results.join(stream::iter(digested)).await?;
    let rejected = settled.ends().unwrap_or_default().rejected;
    let rejects: Vec<RejectedRow> = rejected
        .into_iter()
        .map(|(ordinal, reason)| RejectedRow {
            ordinal,
            reason,
            job_id: None,
        })
        .collect();
    let mut rest = rejects.as_slice();
    let mut records = Vec::new();
    for (first, batch) in sent {
        let end = first + batch.num_rows() as u64;
        let (here, later) = rest.split_at(rest.partition_point(|row| row.ordinal < end));
        rest = later;
        if !here.is_empty() {
            records.push(rejected_records(first, &batch, here)?);
        }
    }
    Ok(records)
}
