//! Cells for the tests of this layer.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_csv::WriterBuilder;
use proptest::prelude::*;

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
