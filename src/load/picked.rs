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
    let is_run = run.end - run.start == here.len();
    if is_run && here.len() >= batch.num_rows() as u64 / 2 {
        let start = (run.start - first) as usize;
        let batch = batch.slice(start, here.len() as usize);
        return Ok((batch, RowOrdinals::From(run.start)));
    }
    // A copy: a slice of few rows would keep the memory of all.
    let ordinals: Vec<u64> = here.iter().collect();
    let rows = UInt64Array::from_iter_values(ordinals.iter().map(|row| row - first));
    let batch = take_record_batch(batch, &rows).map_err(LoadError::from)?;
    let ordinals = if is_run {
        RowOrdinals::From(run.start)
    } else {
        RowOrdinals::Listed(ordinals.into())
    };
    Ok((batch, ordinals))
}
