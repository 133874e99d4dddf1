//! Rows of a chunk in another order than that of its parts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::interleave;

use super::{ChunkError, Part};

/// Where a row of a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) part: u32,
    pub(super) row: u32,
}

/// The rows that are sent, in the order in which they are.
pub(super) type Order = Arc<[Place]>;

/// Copies rows of parts, wherever they stand, into one batch.
pub(super) fn gather(parts: &[Part], places: &[Place]) -> Result<RecordBatch, ChunkError> {
    let Some(first) = places.first() else {
        return Err(ChunkError::Schema);
    };
    // Of many parts a slice has rows of few.
    let mut used = HashMap::new();
    let mut these = Vec::new();
    let positions: Vec<(usize, usize)> = places
        .iter()
        .map(|place| {
            let index = *used.entry(place.part).or_insert_with(|| {
                these.push(&parts[place.part as usize].cells);
                these.len() - 1
            });
            (index, place.row as usize)
        })
        .collect();
    let schema = parts[first.part as usize].cells.schema();
    let columns = (0..schema.fields().len()).map(|column| {
        let arrays: Vec<&dyn Array> = these
            .iter()
            .map(|cells| cells.column(column) as _)
            .collect();
        interleave(&arrays, &positions)
    });
    let columns = columns.collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// How many of these rows, at least one, have no more text than `most` bytes.
pub(super) fn within(parts: &[Part], places: &[Place], most: usize) -> usize {
    let mut bytes = 0;
    let fitting = places.iter().take_while(|place| {
        let cells = &parts[place.part as usize].cells;
        let columns = cells.columns().iter();
        let texts = columns.filter_map(|column| column.as_string_opt::<i32>());
        bytes += texts
            .map(|text| text.value_length(place.row as usize) as usize)
            .sum::<usize>();
        bytes <= most
    });
    fitting.count().max(1)
}
