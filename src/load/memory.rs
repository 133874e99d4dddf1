//! Memory that batches take.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};

use crate::coerce::Reason;
use crate::reject::RejectedRow;

/// Memory that a column takes beside its buffers, as source and as cell: what points to them.
const COLUMN_BYTES: usize = 512;

/// Columns below this size lie between others in the allocator's pages, which are never all in use.
const SMALL_COLUMN: usize = 16 << 10;

/// Memory that a batch holds. A slice of something much larger counts as what it shows.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    let whole = batch.get_array_memory_size();
    let shown: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum();
    let buffers = if whole > 2 * shown { shown } else { whole };
    let columns = batch.num_columns();
    let slack = if buffers < columns * SMALL_COLUMN {
        buffers / 4
    } else {
        0
    };
    buffers + slack + columns * COLUMN_BYTES
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

/// Memory that a reason takes.
pub(super) fn reason_bytes(reason: &Reason) -> usize {
    const FIELD_BYTES: usize = 48;
    size_of::<Reason>() + 64 + reason.message.len() + reason.fields.len() * FIELD_BYTES
}

/// Memory that rejected rows take beside their columns. Rows next to each other that were refused
/// alike may share their reason.
pub(super) fn rejected_bytes(rows: &[RejectedRow]) -> usize {
    let mut last = std::ptr::null();
    let bytes = rows.iter().map(|row| {
        let reason = Arc::as_ptr(&row.reason);
        let shared = std::mem::replace(&mut last, reason) == reason;
        let own = if shared { 0 } else { reason_bytes(&row.reason) };
        size_of::<RejectedRow>() + own
    });
    bytes.sum()
}
