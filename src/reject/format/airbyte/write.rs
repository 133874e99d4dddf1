//! Batches of rejected records -> the lines of the envelope.

use std::io::Write as _;

use arrow::array::types::{Int64Type, TimestampMillisecondType, UInt64Type};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{FieldRef, Schema};

use super::columns::{DATA, ENVELOPE, RAW_LINE, SF_ERROR, SF_ID, SourceColumns};
use super::{Envelope, FileType, Flattening, GENERATION_ID, SCHEMA_VERSION, SYNC_ID};
use crate::reject::format::value::{
    Literal, Values, is_json_line, printable, push_quoted, push_string,
};
use crate::reject::record::{REJECT_COLUMNS, REJECT_ORDINAL};
use crate::reject::{RejectError, RejectStream};
use crate::source::DeclaredType;

impl Envelope {
    pub(in crate::reject::format) fn header(self, schema: &Schema) -> Result<Vec<u8>, RejectError> {
        let columns = SourceColumns::of(source_fields(schema)?, self.flattening);
        let mut header = Vec::new();
        if self.file_type == FileType::Csv {
            let names = columns.csv_header(self.flattening);
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    header.push(b',');
                }
                push_quoted(&mut header, name.as_bytes());
            }
            header.extend_from_slice(b"\r\n");
        }
        Ok(header)
    }

    pub(in crate::reject::format) fn write(
        self,
        stream: &RejectStream,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
    ) -> Result<(), RejectError> {
        let ids = Ids {
            attempt: stream.attempt.as_deref(),
            sync: stream.label(SYNC_ID)?,
            generation: stream.label(GENERATION_ID)?,
        };
        let source = source_fields(batch.schema_ref())?;
        let columns = SourceColumns::of(source, self.flattening);
        let printed = columns.data.iter();
        let printed: Vec<ArrayRef> = printed
            .map(|(index, _)| printable(batch.column(*index)))
            .collect::<Result<_, _>>()?;
        let rows = Rows::new(batch, &columns, &printed)?;
        for row in 0..batch.num_rows() {
            match self.file_type {
                FileType::Jsonl => ids.push_line(&rows, row, self.flattening, out)?,
                FileType::Csv => ids.push_row(&rows, row, self.flattening, out)?,
            }
        }
        Ok(())
    }
}

/// What all lines of a stream show.
#[derive(Clone, Copy)]
struct Ids<'a> {
    attempt: Option<&'a str>,
    sync: i64,
    generation: i64,
}

impl Ids<'_> {
    fn push_line(
        self,
        rows: &Rows<'_>,
        row: usize,
        flattening: Flattening,
        out: &mut Vec<u8>,
    ) -> Result<(), RejectError> {
        let [raw_id, extracted_at, meta, generation] = ENVELOPE;
        push(out, format_args!("{{\"{raw_id}\":\"{}\"", new_id()));
        let at = rows.extracted_at(row);
        push(out, format_args!(",\"{extracted_at}\":{at},\"{meta}\":"));
        rows.push_meta(row, self, &[], out);
        push(out, format_args!(",\"{generation}\":{}", self.generation));
        match flattening {
            Flattening::No => {
                push(out, format_args!(",\"{DATA}\":"));
                rows.push_data(row, out)?;
            }
            Flattening::RootLevel => {
                out.push(b',');
                rows.push_fields(row, out)?;
                if let Some(raw) = value(rows.raw, row) {
                    push(out, format_args!(",\"{RAW_LINE}\":"));
                    push_string(out, raw);
                }
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn push_row(
        self,
        rows: &Rows<'_>,
        row: usize,
        flattening: Flattening,
        out: &mut Vec<u8>,
    ) -> Result<(), RejectError> {
        let (mut meta, mut rest, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        match flattening {
            Flattening::No => {
                let mut data = Vec::new();
                rows.push_data(row, &mut data)?;
                push_quoted(&mut rest, &data);
            }
            Flattening::RootLevel => {
                rest.extend_from_slice(b"\"\",");
                push_quoted(&mut rest, rows.sf_error(row).as_bytes());
                for column in &rows.columns {
                    let literal = column.values.literal(row)?;
                    if matches!(&literal, Literal::Text(text) if text.is_empty()) {
                        empty.push(column.name);
                    }
                    rest.push(b',');
                    literal.push_cell(&mut rest);
                }
                rest.push(b',');
                if let Some(raw) = value(rows.raw, row) {
                    push_quoted(&mut rest, raw.as_bytes());
                }
            }
        }
        rows.push_meta(row, self, &empty, &mut meta);
        let extracted_at = rows.extracted_at(row);
        push(out, format_args!("\"{}\",{extracted_at},", new_id()));
        push_quoted(out, &meta);
        push(out, format_args!(",{},", self.generation));
        out.extend_from_slice(&rest);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// The fields before the reject columns.
fn source_fields(schema: &Schema) -> Result<&[FieldRef], RejectError> {
    let fields = schema.fields();
    fields
        .len()
        .checked_sub(REJECT_COLUMNS)
        .filter(|&first| fields[first].name() == REJECT_ORDINAL)
        .map(|first| &fields[..first])
        .ok_or_else(|| missing(REJECT_ORDINAL))
}

/// The columns of one batch, found once.
struct Rows<'a> {
    columns: Vec<Column<'a>>,
    emitted_at: Option<&'a PrimitiveArray<Int64Type>>,
    changes: Option<&'a StringArray>,
    raw: Option<&'a StringArray>,
    explicit_nulls: Vec<(&'a str, &'a BooleanArray)>,
    ordinal: &'a PrimitiveArray<UInt64Type>,
    stage: &'a StringArray,
    code: &'a StringArray,
    message: &'a StringArray,
    fields: &'a ListArray,
    job_id: &'a StringArray,
    at: &'a PrimitiveArray<TimestampMillisecondType>,
}

/// A source column: its name in the file, `,"name":`, and its values.
struct Column<'a> {
    name: &'a str,
    key: Vec<u8>,
    values: Values<'a>,
}

impl<'a> Rows<'a> {
    fn new(
        batch: &'a RecordBatch,
        columns: &'a SourceColumns,
        printed: &'a [ArrayRef],
    ) -> Result<Self, RejectError> {
        let schema = batch.schema_ref();
        let first = batch.num_columns() - REJECT_COLUMNS;
        let data = columns.data.iter().zip(printed);
        let data = data.map(|((index, name), array)| {
            let mut key = Vec::new();
            push_string(&mut key, name);
            key.push(b':');
            let values = Values::new(DeclaredType::of(schema.field(*index)), array)?;
            Ok(Column { name, key, values })
        });
        let column = |index: Option<usize>| index.map(|index| batch.column(index));
        let missing = |index: usize| missing(schema.field(first + index).name());
        let text = |index: usize| -> Result<&StringArray, RejectError> {
            let column = batch.column(first + index);
            column.as_string_opt().ok_or_else(|| missing(index))
        };
        Ok(Self {
            columns: data.collect::<Result<_, RejectError>>()?,
            emitted_at: column(columns.emitted_at).and_then(|c| c.as_primitive_opt()),
            changes: column(columns.changes).and_then(|c| c.as_string_opt()),
            raw: column(columns.raw).and_then(|c| c.as_string_opt()),
            explicit_nulls: columns
                .explicit_nulls
                .iter()
                .map(|(index, name)| (name.as_str(), batch.column(*index).as_boolean()))
                .collect(),
            ordinal: batch
                .column(first)
                .as_primitive_opt()
                .ok_or_else(|| missing(0))?,
            stage: text(1)?,
            code: text(2)?,
            message: text(3)?,
            fields: batch
                .column(first + 4)
                .as_list_opt()
                .ok_or_else(|| missing(4))?,
            job_id: text(5)?,
            at: batch
                .column(first + 6)
                .as_primitive_opt()
                .ok_or_else(|| missing(6))?,
        })
    }

    fn extracted_at(&self, row: usize) -> i64 {
        self.emitted_at
            .filter(|emitted_at| emitted_at.is_valid(row))
            .map_or_else(|| self.at.value(row), |emitted_at| emitted_at.value(row))
    }

    fn push_meta(&self, row: usize, ids: Ids<'_>, empty: &[&str], out: &mut Vec<u8>) {
        let changes = value(self.changes, row).filter(|text| is_json_line(text, b'['));
        let changes = changes.unwrap_or("[]");
        let ordinal = self.ordinal.value(row);
        push(
            out,
            format_args!(
                "{{\"sync_id\":{},\"changes\":{changes},\"rejected\":{{\"version\":{SCHEMA_VERSION}",
                ids.sync
            ),
        );
        if let Some(attempt) = ids.attempt {
            out.extend_from_slice(b",\"attempt\":");
            push_string(out, attempt);
        }
        push(out, format_args!(",\"ordinal\":{ordinal},\"stage\":"));
        push_string(out, self.stage.value(row));
        out.extend_from_slice(b",\"code\":");
        push_string(out, self.code.value(row));
        out.extend_from_slice(b",\"message\":");
        push_string(out, self.message.value(row));
        push_names(out, "fields", self.field_names(row));
        if let Some(job_id) = value(Some(self.job_id), row) {
            out.extend_from_slice(b",\"job_id\":");
            push_string(out, job_id);
        }
        push(out, format_args!(",\"at\":{}", self.at.value(row)));
        let nulls = self.explicit_nulls.iter();
        let mut nulls = nulls
            .filter(|(_, is_null)| is_null.is_valid(row) && is_null.value(row))
            .map(|(name, _)| *name)
            .peekable();
        if nulls.peek().is_some() {
            push_names(out, "nulls", nulls);
        }
        if !empty.is_empty() {
            push_names(out, "empty", empty.iter().copied());
        }
        out.extend_from_slice(b"}}");
    }

    /// `_airbyte_data`.
    fn push_data(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RejectError> {
        out.push(b'{');
        match value(self.raw, row) {
            Some(raw) => {
                push(out, format_args!("\"{RAW_LINE}\":"));
                push_string(out, raw);
            }
            None => self.push_fields(row, out)?,
        }
        out.push(b'}');
        Ok(())
    }

    /// The reason and the source columns as members of an object.
    fn push_fields(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RejectError> {
        push(out, format_args!("\"{SF_ID}\":\"\",\"{SF_ERROR}\":"));
        push_string(out, &self.sf_error(row));
        for column in &self.columns {
            out.push(b',');
            out.extend_from_slice(&column.key);
            column.values.push_json(row, out)?;
        }
        Ok(())
    }

    /// The reason as Salesforce's result files have it.
    fn sf_error(&self, row: usize) -> String {
        let fields: Vec<&str> = self.field_names(row).collect();
        let mut error = format!("{}:{}:", self.code.value(row), self.message.value(row));
        error.push_str(&fields.join(", "));
        error.push_str(if fields.is_empty() { "--" } else { " --" });
        error
    }

    fn field_names(&self, row: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let offsets = self.fields.value_offsets();
        let (first, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let names = self.fields.values().as_string_opt::<i32>();
        (first..end).filter_map(move |index| Some(names?.value(index)))
    }
}

/// `,"key":["name","name"]`.
fn push_names<'n>(out: &mut Vec<u8>, key: &str, names: impl Iterator<Item = &'n str>) {
    push(out, format_args!(",\"{key}\":["));
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(out, name);
    }
    out.push(b']');
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// An id for one line.
fn new_id() -> uuid::fmt::Hyphenated {
    uuid::Uuid::now_v7().hyphenated()
}

fn value(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

fn missing(name: &str) -> RejectError {
    RejectError::Batch {
        reason: format!("column {name} is missing or of another type"),
    }
}

#[cfg(test)]
mod tests;
