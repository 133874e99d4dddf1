//! Cells for the tests of this layer.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use arrow_csv::WriterBuilder;
use bytes::Bytes;
use proptest::prelude::*;

use super::Chunk;

pub(super) type Column = Vec<Option<String>>;

/// A batch of columns named `F0`, `F1`, ….
pub(super) fn cells<T: AsRef<str>>(columns: &[Vec<Option<T>>]) -> RecordBatch {
    let columns = columns.iter().enumerate().map(|(index, values)| {
        let values: StringArray = values.iter().map(|value| value.as_ref()).collect();
        (format!("F{index}"), Arc::new(values) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What arrow-csv writes for the batch, without a header.
pub(super) fn written(batch: &RecordBatch) -> Vec<u8> {
    let mut out = Vec::new();
    WriterBuilder::new()
        .with_header(false)
        .build(&mut out)
        .write(batch)
        .unwrap();
    out
}

/// The CSV of a chunk.
pub(super) fn bytes(chunk: &Chunk) -> Vec<u8> {
    let pieces: Result<Vec<Bytes>, _> = chunk.csv().collect();
    pieces.unwrap().concat()
}

/// Rows of a CSV text with `columns` columns, null for empty, as arrow-csv's reader has them.
pub(super) fn read(csv: &[u8], schema: &SchemaRef) -> Vec<Vec<Option<String>>> {
    let reader = arrow_csv::ReaderBuilder::new(SchemaRef::clone(schema))
        .with_header(true)
        .build(csv)
        .unwrap();
    reader.flat_map(|batch| rows_of(&batch.unwrap())).collect()
}

/// The cells of each row, null for empty.
pub(super) fn rows_of(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let columns: Vec<&StringArray> = batch.columns().iter().map(AsArray::as_string).collect();
    (0..batch.num_rows())
        .map(|row| {
            let values = columns
                .iter()
                .map(|c| c.is_valid(row).then(|| c.value(row)));
            values
                .map(|value| value.filter(|v| !v.is_empty()).map(String::from))
                .collect()
        })
        .collect()
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(String::new())),
        3 => "[a-z ]{0,40}".prop_map(Some),
        3 => "[a,\"\r\n😀é]{0,12}".prop_map(Some),
        1 => any::<String>().prop_map(Some),
    ]
}

/// One to `most_columns` columns of one to `most_rows` values.
pub(super) fn columns(most_columns: usize, most_rows: usize) -> impl Strategy<Value = Vec<Column>> {
    (1..=most_columns, 1..=most_rows).prop_flat_map(|(columns, rows)| {
        prop::collection::vec(prop::collection::vec(value(), rows), columns)
    })
}
