//! Airbyte's envelope: what reads the rejected records of Airbyte's connectors reads ours.

use std::io::Write as _;

use arrow::array::types::{Int64Type, TimestampMillisecondType, UInt64Type};
use arrow::array::{Array, AsArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::de::IgnoredAny;

use super::RejectError;
use super::record::{REJECT_COLUMNS, REJECT_ORDINAL};
use crate::decode::{AIRBYTE_TYPE, CHANGES, EMITTED_AT, RAW, is_bookkeeping};

const CSV_HEADER: &[u8] = b"\"_airbyte_raw_id\",\"_airbyte_extracted_at\",\"_airbyte_meta\",\
    \"_airbyte_generation_id\",\"_airbyte_data\"\r\n";

/// How rejected records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Five columns, every non-number quoted, lines end CRLF; `_airbyte_data` is JSON text.
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// Extension of an object's name, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => ".csv",
            Self::Jsonl => ".jsonl",
        }
    }

    /// What an object begins with.
    pub(crate) fn header(self) -> &'static [u8] {
        match self {
            Self::Csv => CSV_HEADER,
            Self::Jsonl => b"",
        }
    }
}

/// What all rejected records of a stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Sync, as the catalog gives it.
    pub sync_id: i64,
    /// Generation of the stream, as the catalog gives it.
    pub generation_id: i64,
    /// How to write.
    pub format: Format,
}

impl Envelope {
    /// Appends the rows of a batch made by [`rejected`](super::rejected).
    ///
    /// # Errors
    /// [`RejectError::Batch`] if the batch was made otherwise.
    pub fn write(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), RejectError> {
        let rows = Rows::new(batch)?;
        let (mut meta, mut data) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            meta.clear();
            data.clear();
            rows.meta(row, self.sync_id, &mut meta);
            rows.data(row, &mut data)?;
            let extracted_at = rows.extracted_at(row);
            match self.format {
                Format::Jsonl => {
                    out.extend_from_slice(b"{\"_airbyte_raw_id\":\"");
                    push_raw_id(out);
                    push(out, "\",\"_airbyte_extracted_at\":", extracted_at);
                    out.extend_from_slice(b",\"_airbyte_meta\":");
                    out.extend_from_slice(&meta);
                    push(out, ",\"_airbyte_generation_id\":", self.generation_id);
                    out.extend_from_slice(b",\"_airbyte_data\":");
                    out.extend_from_slice(&data);
                    out.extend_from_slice(b"}\n");
                }
                Format::Csv => {
                    out.push(b'"');
                    push_raw_id(out);
                    push(out, "\",", extracted_at);
                    out.push(b',');
                    push_quoted(out, &meta);
                    push(out, ",", self.generation_id);
                    out.push(b',');
                    push_quoted(out, &data);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
        Ok(())
    }
}

/// The columns of one batch, found once.
struct Rows<'a> {
    columns: Vec<Column<'a>>,
    emitted_at: Option<&'a PrimitiveArray<Int64Type>>,
    changes: Option<&'a StringArray>,
    raw: Option<&'a StringArray>,
    stage: &'a StringArray,
    code: &'a StringArray,
    message: &'a StringArray,
    fields: &'a ListArray,
    job_id: &'a StringArray,
    at: &'a PrimitiveArray<TimestampMillisecondType>,
}

/// A source column: `,"name":` and its values.
struct Column<'a> {
    key: Vec<u8>,
    values: Values<'a>,
}

enum Values<'a> {
    Text(&'a StringArray, Kind),
    Shown {
        array: &'a dyn Array,
        formatter: ArrayFormatter<'a>,
        bare: bool,
    },
}

impl<'a> Rows<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, RejectError> {
        let schema = batch.schema_ref().fields();
        let source = schema
            .len()
            .checked_sub(REJECT_COLUMNS)
            .filter(|&first| schema[first].name() == REJECT_ORDINAL)
            .ok_or_else(|| missing(REJECT_ORDINAL))?;
        let mut rows = Self {
            columns: Vec::with_capacity(source),
            emitted_at: None,
            changes: None,
            raw: None,
            stage: text(batch, source + 1)?,
            code: text(batch, source + 2)?,
            message: text(batch, source + 3)?,
            fields: batch
                .column(source + 4)
                .as_list_opt()
                .ok_or_else(|| missing("_reject_fields"))?,
            job_id: text(batch, source + 5)?,
            at: batch
                .column(source + 6)
                .as_primitive_opt()
                .ok_or_else(|| missing("_reject_at"))?,
        };
        batch
            .column(source)
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| missing(REJECT_ORDINAL))?;
        for (field, array) in schema.iter().zip(batch.columns()).take(source) {
            match field.name().as_str() {
                EMITTED_AT => rows.emitted_at = array.as_primitive_opt(),
                CHANGES => rows.changes = array.as_string_opt(),
                RAW => rows.raw = array.as_string_opt(),
                name if is_bookkeeping(name) => {}
                name => {
                    let mut key = vec![b','];
                    push_string(&mut key, name);
                    key.push(b':');
                    let values = Values::new(field, array.as_ref())?;
                    rows.columns.push(Column { key, values });
                }
            }
        }
        Ok(rows)
    }

    fn extracted_at(&self, row: usize) -> i64 {
        self.emitted_at
            .filter(|emitted_at| emitted_at.is_valid(row))
            .map_or_else(|| self.at.value(row), |emitted_at| emitted_at.value(row))
    }

    fn meta(&self, row: usize, sync_id: i64, out: &mut Vec<u8>) {
        push(out, "{\"sync_id\":", sync_id);
        out.extend_from_slice(b",\"changes\":");
        let changes = value(self.changes, row).filter(|text| is_json_line(text, b'['));
        out.extend_from_slice(changes.unwrap_or("[]").as_bytes());
        out.extend_from_slice(b",\"rejected\":{\"stage\":");
        push_string(out, self.stage.value(row));
        out.extend_from_slice(b",\"code\":");
        push_string(out, self.code.value(row));
        out.extend_from_slice(b",\"message\":");
        push_string(out, self.message.value(row));
        out.extend_from_slice(b",\"fields\":[");
        for (index, field) in self.field_names(row).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_string(out, field);
        }
        out.push(b']');
        if let Some(job_id) = value(Some(self.job_id), row) {
            out.extend_from_slice(b",\"job_id\":");
            push_string(out, job_id);
        }
        push(out, ",\"at\":", self.at.value(row));
        out.extend_from_slice(b"}}");
    }

    fn data(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RejectError> {
        if let Some(raw) = value(self.raw, row) {
            out.extend_from_slice(b"{\"_raw\":");
            push_string(out, raw);
            out.push(b'}');
            return Ok(());
        }
        let fields: Vec<&str> = self.field_names(row).collect();
        let mut error = format!("{}:{}:", self.code.value(row), self.message.value(row));
        error.push_str(&fields.join(", "));
        error.push_str(if fields.is_empty() { "--" } else { " --" });
        out.extend_from_slice(b"{\"sf__Id\":\"\",\"sf__Error\":");
        push_string(out, &error);
        for column in &self.columns {
            out.extend_from_slice(&column.key);
            column.values.push(row, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn field_names(&self, row: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let offsets = self.fields.value_offsets();
        let (first, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let names = self.fields.values().as_string_opt::<i32>();
        (first..end).filter_map(move |index| Some(names?.value(index)))
    }
}

impl<'a> Values<'a> {
    fn new(field: &Field, array: &'a dyn Array) -> Result<Self, RejectError> {
        if let Some(texts) = array.as_string_opt::<i32>() {
            let declared = field.metadata().get(AIRBYTE_TYPE).map(String::as_str);
            return Ok(Self::Text(texts, Kind::of(declared)));
        }
        let kind = array.data_type();
        Ok(Self::Shown {
            array,
            formatter: ArrayFormatter::try_new(array, &FormatOptions::default())?,
            bare: kind.is_integer() || kind.is_floating() || *kind == DataType::Boolean,
        })
    }

    fn push(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RejectError> {
        match self {
            Self::Text(texts, _) if texts.is_null(row) => out.extend_from_slice(b"null"),
            Self::Text(texts, kind) if kind.holds(texts.value(row)) => {
                out.extend_from_slice(texts.value(row).as_bytes());
            }
            Self::Text(texts, _) => push_string(out, texts.value(row)),
            Self::Shown { array, .. } if array.is_null(row) => out.extend_from_slice(b"null"),
            Self::Shown {
                formatter, bare, ..
            } => {
                let text = formatter.value(row).try_to_string()?;
                if *bare && (is_boolean(&text) || is_number(&text)) {
                    out.extend_from_slice(text.as_bytes());
                } else {
                    push_string(out, &text);
                }
            }
        }
        Ok(())
    }
}

/// What the catalog declares a decoded text to be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
    Boolean,
    Object,
    Array,
    Any,
}

impl Kind {
    fn of(declared: Option<&str>) -> Self {
        match declared {
            Some("integer" | "number") => Self::Number,
            Some("boolean") => Self::Boolean,
            Some("object") => Self::Object,
            Some("array") => Self::Array,
            Some("union" | "unknown") => Self::Any,
            _ => Self::Text,
        }
    }

    /// Whether the text is a JSON literal of the kind, on one line.
    fn holds(self, text: &str) -> bool {
        match self {
            Self::Text => false,
            Self::Number => is_number(text),
            Self::Boolean => is_boolean(text),
            Self::Object => is_json_line(text, b'{'),
            Self::Array => is_json_line(text, b'['),
            Self::Any => [Self::Number, Self::Boolean, Self::Object, Self::Array]
                .iter()
                .any(|kind| kind.holds(text)),
        }
    }
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "false")
}

/// A JSON number that fits a double: readers fail on `1e999`.
fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = bytes
        .first()
        .is_some_and(|&byte| byte == b'-' || byte.is_ascii_digit());
    let ends = bytes.last().is_some_and(u8::is_ascii_digit);
    begins && ends && serde_json::from_str::<f64>(text).is_ok()
}

fn is_json_line(text: &str, begin: u8) -> bool {
    text.as_bytes().first() == Some(&begin)
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every byte");
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for part in text.split_inclusive(|&byte| byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

fn push(out: &mut Vec<u8>, before: &str, number: i64) {
    write!(out, "{before}{number}").expect("a Vec takes every byte");
}

fn push_raw_id(out: &mut Vec<u8>) {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    let id = uuid::Uuid::now_v7().hyphenated();
    out.extend_from_slice(id.encode_lower(&mut buffer).as_bytes());
}

fn value(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

fn text(batch: &RecordBatch, index: usize) -> Result<&StringArray, RejectError> {
    let name = batch.schema_ref().field(index).name();
    batch
        .column(index)
        .as_string_opt()
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> RejectError {
    RejectError::Batch {
        reason: format!("column {name} is missing or of another type"),
    }
}

#[cfg(test)]
mod tests;
