//! Some rows of a batch, by their ordinals.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;

use crate::chunk::RowOrdinals;
use crate::error::Result;
use crate::rows::RowSet;

use super::LoadError;

/// Those rows of a batch that are in `rows`; its first row has the ordinal `first`.
pub(super) fn picked(
    first: u64,
    batch: &RecordBatch,
    rows: &RowSet,
) -> Result<(RecordBatch, RowOrdinals)> {
    let here = rows.within(first..first + batch.num_rows() as u64);
    let run = here.ranges().next().unwrap_or(first..first);
    if run.end - run.start == here.len() {
        let start = (run.start - first) as usize;
        let batch = batch.slice(start, here.len() as usize);
        return Ok((batch, RowOrdinals::From(run.start)));
    }
    let ordinals: Vec<u64> = here.iter().collect();
    let rows = UInt64Array::from_iter_values(ordinals.iter().map(|row| row - first));
    let batch = take_record_batch(batch, &rows).map_err(LoadError::from)?;
    Ok((batch, RowOrdinals::Listed(ordinals.into())))
}
