//! Memory that batches take.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};

/// Memory that a batch holds. A slice of something much larger counts as what it shows.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    let whole = batch.get_array_memory_size();
    let shown: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum();
    if whole > 2 * shown { shown } else { whole }
}

/// Memory of the cells that are not the source's own columns.
pub(super) fn rebuilt_bytes(source: &RecordBatch, cells: &RecordBatch) -> usize {
    cells
        .columns()
        .iter()
        .filter(|cell| {
            !source
                .columns()
                .iter()
                .any(|column| Arc::ptr_eq(column, cell))
        })
        .map(Array::get_array_memory_size)
        .sum()
}
