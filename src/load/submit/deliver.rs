//! Rejected rows come to their end: with the columns they came with, where the user wants them.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use chrono::Utc;

use crate::error::{Error, Result};
use crate::reject::{self, RejectedRow};
use crate::rows::RowSet;

use crate::load::LoadError;
use crate::load::checkpoint::End;
use crate::load::event::{Event, EventSender};
use crate::load::plan::Rejects;
use crate::load::state::Load;

/// Hands rejected rows on with the columns they came with, then counts them as ended.
pub(in crate::load) async fn reject(
    load: &Load,
    rejects: &[RejectedRow],
    events: &EventSender,
) -> Result<()> {
    if rejects.is_empty() {
        return Ok(());
    }
    let rows: RowSet = rejects.iter().map(|row| row.ordinal).collect();
    let records = match load.plan.rejects {
        Rejects::Count => Vec::new(),
        _ => rejected_records(load.ledger.rows().read(&rows), rejects)?,
    };
    let bytes = records.iter().map(RecordBatch::get_array_memory_size).sum();
    let held = load.org.budget().reserve(bytes);
    deliver(load, records, events).await?;
    drop(held);
    let reasons = rejects.iter().map(|row| &row.reason);
    let keep_message = load.plan.options.log_values;
    load.ledger.rejected(reasons, keep_message);
    load.ledger.end(rows.ranges(), End::Rejected);
    Ok(())
}

/// The rejected rows of batches, each of which comes with the ordinal of its first row; both
/// ascend.
pub(in crate::load) fn rejected_records<E: Into<Error>>(
    batches: impl IntoIterator<Item = Result<(u64, RecordBatch), E>>,
    rejects: &[RejectedRow],
) -> Result<Vec<RecordBatch>> {
    let mut records = Vec::new();
    let mut rest = rejects;
    for batch in batches {
        let (first, batch) = batch.map_err(Into::into)?;
        let end = first + batch.num_rows() as u64;
        let (here, later) = rest.split_at(rest.partition_point(|row| row.ordinal < end));
        rest = later;
        if here.is_empty() {
            continue;
        }
        let rows: UInt64Array = here.iter().map(|row| row.ordinal - first).collect();
        let rows = take_record_batch(&batch, &rows).map_err(LoadError::from)?;
        records.push(reject::rejected(rows, here, Utc::now())?);
    }
    Ok(records)
}

async fn deliver(load: &Load, records: Vec<RecordBatch>, events: &EventSender) -> Result<()> {
    match &load.plan.rejects {
        Rejects::Count => Ok(()),
        Rejects::Events => {
            for batch in records {
                let sent = events.send(Ok(Event::Rejected(batch))).await;
                sent.map_err(|_| LoadError::Stopped)?;
            }
            Ok(())
        }
        Rejects::Store { store, stream } => {
            let path = store.write(stream, &records).await?;
            load.ledger.stored(path);
            Ok(())
        }
    }
}
