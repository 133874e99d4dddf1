//! The exact CSV length of each row of cells, without writing any CSV.
//!
//! arrow-csv quotes a value that holds a comma, a quote, CR or LF, doubles its quotes, writes a
//! null as nothing, and a record that would be a blank line (one column, no text) as `""`.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use memchr::{memchr, memchr_iter, memchr3};

use super::ChunkError;

/// Puts the CSV length in bytes of every row of `cells`, its line feed included, into `out`.
///
/// # Errors
/// [`ChunkError::NotText`] if a column is not Utf8.
pub fn row_sizes(cells: &RecordBatch, out: &mut Vec<u32>) -> Result<(), ChunkError> {
    out.clear();
    let columns = u32::try_from(cells.num_columns()).unwrap_or(u32::MAX);
    out.resize(cells.num_rows(), columns);
    for (index, column) in cells.columns().iter().enumerate() {
        let text = column
            .as_string_opt::<i32>()
            .ok_or_else(|| ChunkError::NotText {
                column: cells.schema_ref().field(index).name().clone(),
            })?;
        if text.null_count() == 0 {
            add_column(text, |_| false, out);
        } else {
            add_column(text, |row| text.is_null(row), out);
        }
    }
    if columns == 1 {
        for size in out.iter_mut().filter(|size| **size == 1) {
            *size += QUOTES;
        }
    }
    Ok(())
}

const QUOTES: u32 = 2;

/// Adds the length of each value. Values are adjacent in memory, so one search for the next byte
/// that needs quotes passes over all values without any.
fn add_column(column: &StringArray, is_null: impl Fn(usize) -> bool, out: &mut [u32]) {
    let values = column.value_data();
    let offsets = column.value_offsets();
    let first = offsets.first().map_or(0, |offset| *offset as usize);
    let last = offsets.last().map_or(0, |offset| *offset as usize);
    let values = values.get(..last).unwrap_or_default();
    let no_cr = memchr(b'\r', values.get(first..).unwrap_or_default()).is_none();
    let next = |from| next_special(values, from, no_cr);
    let mut special = next(first);
    for (row, (size, ends)) in out.iter_mut().zip(offsets.windows(2)).enumerate() {
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        if is_null(row) {
            continue;
        }
        *size = size.saturating_add((end - start) as u32);
        if special >= end {
            continue;
        }
        if special < start {
            special = next(start);
            if special >= end {
                continue;
            }
        }
        let quotes = memchr_iter(b'"', &values[special..end]).count();
        *size = size.saturating_add(QUOTES).saturating_add(quotes as u32);
        special = next(end);
    }
}

/// Position at or after `from` of the next byte that makes arrow-csv quote a value, or the end.
/// Text of Salesforce holds no CR, so `no_cr` spares the search for it.
pub(super) fn next_special(values: &[u8], from: usize, no_cr: bool) -> usize {
    let rest = values.get(from..).unwrap_or_default();
    let end = rest.len();
    let found = memchr3(b',', b'"', b'\n', rest).unwrap_or(end);
    if no_cr {
        return from + found;
    }
    let before = rest.get(..found).unwrap_or_default();
    from + memchr(b'\r', before).unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::testing::{cells, written};
    use proptest::prelude::*;

    fn sizes(batch: &RecordBatch) -> Vec<u32> {
        let mut out = Vec::new();
        row_sizes(batch, &mut out).unwrap();
        out
    }

    #[test]
    fn quoting_rules() {
        let batch = cells(
            &[
                &[
                    Some("plain"),
                    Some("a,b"),
                    Some("say \"x\""),
                    Some("l\nf"),
                    Some("c\rr"),
                ],
                &[None, Some(""), Some("é"), Some("\t"), Some(" ")],
            ]
            .map(|column| column.to_vec()),
        );
        assert_eq!(sizes(&batch), [5 + 2, 5 + 2, 11 + 4, 5 + 3, 5 + 3]);
    }

    #[test]
    fn one_column_without_text_is_two_quotes() {
        let batch = cells(&[vec![None, Some(""), Some("x"), Some("\"")]]);
        assert_eq!(sizes(&batch), [3, 3, 2, 5]);
    }

    #[test]
    fn text_under_a_null_is_not_counted() {
        use arrow::array::ArrayRef;
        use arrow::buffer::NullBuffer;
        use std::sync::Arc;
        let text = StringArray::from(vec!["a,b", "\"\"", "c"]);
        let (offsets, values, _) = text.into_parts();
        let nulls = NullBuffer::from(vec![true, false, true]);
        let column = StringArray::new(offsets, values, Some(nulls));
        let batch = RecordBatch::try_from_iter([
            ("A", Arc::new(column.clone()) as ArrayRef),
            ("B", Arc::new(column) as ArrayRef),
        ])
        .unwrap();
        assert_eq!(sizes(&batch), [12, 2, 4]);
    }

    proptest! {
        #[test]
        fn predicted_is_written(
            (columns, slice) in crate::chunk::testing::columns(6, 80).prop_flat_map(|columns| {
                let rows = columns[0].len();
                (Just(columns), (0..=rows, 0..=rows))
            })
        ) {
            let batch = cells(&columns);
            let (from, to) = (slice.0.min(slice.1), slice.0.max(slice.1));
            let batch = batch.slice(from, to - from);
            let predicted = sizes(&batch);
            for (row, size) in predicted.iter().enumerate() {
                prop_assert_eq!(*size as usize, written(&batch.slice(row, 1)).len());
            }
        }
    }
}
