//! The rows that wait for their batch to be full.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayBuilder as _, ArrayRef, BooleanBuilder, Int64Builder, StringBuilder,
};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use arrow_salesforce::source::{is_bookkeeping, is_explicit_null_flag};

use crate::cells::{Cell, Cells};

/// Rows of a full batch.
const MAX_ROWS: usize = 8_192;

/// Bytes of text in a full batch.
const MAX_TEXT: usize = 8 << 20;

/// The builders of a batch. They exist only while rows wait, so an idle table costs nothing.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    open: Option<Builders>,
    /// Rows and bytes a column of the last batch, if it was full: the next is probably the same.
    last_full: Option<(usize, Vec<usize>)>,
}

#[derive(Debug)]
struct Builders {
    properties: Vec<StringBuilder>,
    emitted_at: Int64Builder,
    // These three are null nearly always, and as long as their last value.
    changes: StringBuilder,
    raw: StringBuilder,
    raw_error: StringBuilder,
    /// One a property, or none at all.
    explicit_nulls: Vec<BooleanBuilder>,
    rows: usize,
    text: usize,
    /// Memory that was taken before the first row.
    reserved: usize,
}

impl Rows {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            open: None,
            last_full: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.rows)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(Builders::is_full)
    }

    pub(crate) fn memory(&self) -> usize {
        self.open.as_ref().map_or(0, Builders::memory)
    }

    /// Appends a record: one cell a property.
    pub(crate) fn push(
        &mut self,
        cells: &Cells<'_>,
        emitted_at: Option<i64>,
        changes: Option<&str>,
    ) {
        let open = self.builders();
        for (column, cell) in open.properties.iter_mut().zip(cells.as_slice()) {
            let text = match *cell {
                Cell::Text(text) => text,
                Cell::Made(from, to) => cells.made(from..to),
                Cell::Missing | Cell::Null => {
                    column.append_null();
                    continue;
                }
            };
            open.text += text.len();
            column.append_value(text);
        }
        for (column, cell) in open.explicit_nulls.iter_mut().zip(cells.as_slice()) {
            column.append_value(*cell == Cell::Null);
        }
        open.emitted_at.append_option(emitted_at);
        if let Some(changes) = changes {
            open.text += changes.len();
            append(&mut open.changes, open.rows, changes);
        }
        open.rows += 1;
    }

    /// Appends a line that could not be decoded.
    pub(crate) fn push_raw(&mut self, line: &str, error: &str) {
        let open = self.builders();
        for column in &mut open.properties {
            column.append_null();
        }
        for column in &mut open.explicit_nulls {
            column.append_value(false);
        }
        open.text += line.len() + error.len();
        open.emitted_at.append_null();
        append(&mut open.raw, open.rows, line);
        append(&mut open.raw_error, open.rows, error);
        open.rows += 1;
    }

    /// Takes the rows that wait, if there are any.
    pub(crate) fn flush(&mut self) -> Option<RecordBatch> {
        let mut open = self.open.take()?;
        // Buffers that were made for these rows fit; others may be half empty.
        let fits = open.is_full() && self.last_full.is_some();
        self.last_full = open.is_full().then(|| open.sizes());
        for column in [&mut open.changes, &mut open.raw, &mut open.raw_error] {
            fill(column, open.rows);
        }
        let properties = open.properties.iter_mut();
        let mut columns: Vec<ArrayRef> = properties
            .map(|column| Arc::new(column.finish()) as ArrayRef)
            .collect();
        columns.extend([
            Arc::new(open.emitted_at.finish()) as ArrayRef,
            Arc::new(open.changes.finish()),
            Arc::new(open.raw.finish()),
            Arc::new(open.raw_error.finish()),
        ]);
        let explicit_nulls = open.explicit_nulls.iter_mut();
        columns.extend(explicit_nulls.map(|column| Arc::new(column.finish()) as ArrayRef));
        if !fits {
            columns.iter_mut().for_each(ArrayRef::shrink_to_fit);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        Some(batch.expect("one builder of the column's type for each column, filled alike"))
    }

    fn builders(&mut self) -> &mut Builders {
        let (schema, last_full) = (&self.schema, self.last_full.as_ref());
        self.open
            .get_or_insert_with(|| Builders::new(schema, last_full))
    }
}

impl Builders {
    /// Empty builders, as large as the last batch if that was full.
    fn new(schema: &Schema, last_full: Option<&(usize, Vec<usize>)>) -> Self {
        let names = || schema.fields().iter().map(|field| field.name());
        let columns = names().filter(|name| !is_bookkeeping(name)).count();
        let explicit_nulls = names().filter(|name| is_explicit_null_flag(name)).count();
        let properties = match last_full {
            Some((rows, sizes)) => sizes
                .iter()
                .map(|bytes| StringBuilder::with_capacity(*rows, bytes + bytes / 16))
                .collect(),
            None => (0..columns)
                .map(|_| StringBuilder::with_capacity(0, 0))
                .collect(),
        };
        let rows = last_full.map_or(0, |(rows, _)| *rows);
        Self {
            properties,
            emitted_at: Int64Builder::with_capacity(rows),
            changes: StringBuilder::with_capacity(0, 0),
            raw: StringBuilder::with_capacity(0, 0),
            raw_error: StringBuilder::with_capacity(0, 0),
            explicit_nulls: (0..explicit_nulls)
                .map(|_| BooleanBuilder::with_capacity(rows))
                .collect(),
            rows: 0,
            text: 0,
            reserved: last_full.map_or(0, |(_, sizes)| sizes.iter().sum()),
        }
    }

    /// Texts grow by doubling their buffer, which is half empty then.
    fn memory(&self) -> usize {
        let offsets = (self.properties.len() + 4) * size_of::<i32>() * self.rows;
        self.reserved.max(self.text + self.text / 2) + offsets * 3 / 2
    }

    fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.text >= MAX_TEXT
    }

    fn sizes(&self) -> (usize, Vec<usize>) {
        let bytes = self.properties.iter();
        (
            self.rows,
            bytes.map(|column| column.values_slice().len()).collect(),
        )
    }
}

/// Appends the value of row `row`, and nulls for the rows before it that have none yet.
fn append(column: &mut StringBuilder, row: usize, value: &str) {
    fill(column, row);
    column.append_value(value);
}

fn fill(column: &mut StringBuilder, rows: usize) {
    column.append_nulls(rows - column.len());
}
