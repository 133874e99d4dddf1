//! Rows that the row store has, as cells once more: cells are not kept.

use arrow::array::RecordBatch;

use crate::chunk::RowOrdinals;
use crate::error::Result;
use crate::rows::RowSet;

use super::memory::{batch_bytes, rebuilt_bytes};
use super::picked::picked;
use super::state::Load;

/// Rows that were coerced once more.
#[derive(Debug)]
pub(super) struct Recoerced {
    pub(super) cells: RecordBatch,
    pub(super) ordinals: RowOrdinals,
    /// Memory that they take.
    pub(super) bytes: usize,
}

/// Coerces rows once more, those of one batch at a time.
pub(super) fn recoerced<'a>(
    load: &'a Load,
    rows: &'a RowSet,
) -> impl Iterator<Item = Result<Recoerced>> + 'a {
    load.books.rows().read(rows).map(|read| {
        let (first, batch) = read?;
        let (batch, ordinals) = picked(first, &batch, rows)?;
        let cells = load.plan.coercion.apply(&batch)?.batch;
        Ok(Recoerced {
            bytes: batch_bytes(&batch) + rebuilt_bytes(&batch, &cells),
            cells,
            ordinals,
        })
    })
}
