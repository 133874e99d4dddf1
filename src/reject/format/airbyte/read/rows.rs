//! The rows that were read and wait for their batch to be full.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;

use super::fields::{Fields, Given, Meta};
use super::{BATCH_ROWS, Malformed};
use crate::coerce::{Reason, Stage};
use crate::reject::RejectError;
use crate::reject::format::airbyte::columns::{RAW_LINE, SourceColumns};
use crate::reject::format::airbyte::{Flattening, SCHEMA_VERSION};
use crate::reject::format::value::{is_number, push_string};
use crate::reject::format::wire::{from_wire, wire_type};
use crate::reject::record::{RejectedRow, rejected_at};

/// Builders of all columns. Texts are appended as they stand; what else there is, arrow-json reads.
pub(super) struct Rows {
    source: SchemaRef,
    columns: SourceColumns,
    texts: Vec<Text>,
    others: Vec<Other>,
    json: Option<Decoder>,
    object: Vec<u8>,
    emitted_at: Int64Builder,
    changes: StringBuilder,
    raw: StringBuilder,
    raw_error: StringBuilder,
    nulls: Vec<BooleanBuilder>,
    rejected: Vec<RejectedRow>,
    at: TimestampMillisecondBuilder,
    bytes: usize,
}

/// A column that a file holds as text.
struct Text {
    index: usize,
    name: String,
    builder: StringBuilder,
}

/// A column of another type: its key in JSON, and whether it is a list or struct.
struct Other {
    index: usize,
    name: String,
    key: Vec<u8>,
    nested: bool,
}

impl Rows {
    pub(super) fn new(source: SchemaRef, flattening: Flattening) -> Result<Self, RejectError> {
        let columns = SourceColumns::of(source.fields(), flattening);
        let (mut texts, mut others, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for (index, name) in columns.data.iter().cloned() {
            let field = source.field(index);
            let kind = wire_type(field.data_type()).ok_or_else(|| RejectError::Type {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            })?;
            if kind == DataType::Utf8 {
                let builder = StringBuilder::new();
                texts.push(Text {
                    index,
                    name,
                    builder,
                });
            } else {
                let mut key = Vec::new();
                push_string(&mut key, &name);
                key.push(b':');
                let nested = kind.is_nested();
                fields.push(Field::new(&name, kind, true));
                others.push(Other {
                    index,
                    name,
                    key,
                    nested,
                });
            }
        }
        let json = if fields.is_empty() {
            None
        } else {
            let schema = Arc::new(Schema::new(fields));
            let reader = ReaderBuilder::new(schema).with_batch_size(BATCH_ROWS);
            Some(reader.build_decoder()?)
        };
        let nulls = columns.explicit_nulls.iter();
        Ok(Self {
            nulls: nulls.map(|_| BooleanBuilder::new()).collect(),
            source,
            columns,
            texts,
            others,
            json,
            object: Vec::new(),
            emitted_at: Int64Builder::new(),
            changes: StringBuilder::new(),
            raw: StringBuilder::new(),
            raw_error: StringBuilder::new(),
            rejected: Vec::new(),
            at: TimestampMillisecondBuilder::new(),
            bytes: 0,
        })
    }

    pub(super) fn columns(&self) -> &SourceColumns {
        &self.columns
    }

    pub(super) fn len(&self) -> usize {
        self.rejected.len()
    }

    /// Bytes of text.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(
        &mut self,
        extracted_at: i64,
        meta: &Meta<'_>,
        data: &Fields<'_>,
    ) -> Result<(), Malformed> {
        let row = rejected_row(meta)?;
        for column in &mut self.texts {
            let text = data.get(&column.name).and_then(Given::text);
            self.bytes += text.as_ref().map_or(0, |text| text.len());
            column.builder.append_option(text);
        }
        self.push_others(data)?;
        let raw = data.get(RAW_LINE).and_then(Given::text);
        self.bytes += raw.as_ref().map_or(0, |raw| raw.len());
        let error = raw.as_ref().map(|_| &row.reason.message);
        self.raw_error.append_option(error);
        self.raw.append_option(raw);
        // A record without a time of its own has that of its rejection.
        let emitted_at = Some(extracted_at).filter(|at| *at != meta.rejected.at);
        self.emitted_at.append_option(emitted_at);
        let changes = Some(meta.changes.get()).filter(|changes| *changes != "[]");
        self.changes.append_option(changes);
        for ((_, name), column) in self.columns.explicit_nulls.iter().zip(&mut self.nulls) {
            column.append_value(meta.rejected.nulls.contains(name));
        }
        self.at.append_value(meta.rejected.at);
        self.rejected.push(row);
        Ok(())
    }

    /// Hands arrow-json an object of the columns that are no texts.
    fn push_others(&mut self, data: &Fields<'_>) -> Result<(), Malformed> {
        let Some(decoder) = &mut self.json else {
            return Ok(());
        };
        let object = &mut self.object;
        object.clear();
        object.push(b'{');
        for column in &self.others {
            let Some(given) = data.get(&column.name) else {
                continue;
            };
            if object.len() > 1 {
                object.push(b',');
            }
            object.extend_from_slice(&column.key);
            match given {
                Given::Json(json) => object.extend_from_slice(json.as_bytes()),
                Given::Cell(cell) if column.nested || is_bare(cell) => {
                    object.extend_from_slice(cell.as_bytes());
                }
                Given::Cell(cell) => push_string(object, cell),
            }
        }
        object.extend_from_slice(b"}\n");
        self.bytes += object.len();
        match decoder.decode(object) {
            Ok(read) if read == object.len() => Ok(()),
            Ok(_) => Err(Malformed::new(
                "a batch has too many rows; report it, it is a defect",
            )),
            Err(error) => Err(Malformed::of(&error)),
        }
    }

    /// The batch of all rows that wait.
    pub(super) fn flush(&mut self) -> Result<RecordBatch, Malformed> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.source.fields().len()];
        for column in &mut self.texts {
            columns[column.index] = Some(Arc::new(column.builder.finish()));
        }
        if let Some(decoder) = &mut self.json {
            let read = decoder.flush().map_err(|error| Malformed::of(&error))?;
            let read = read.ok_or_else(|| Malformed::new("it has no row"))?;
            for (column, array) in self.others.iter().zip(read.columns()) {
                columns[column.index] = Some(Arc::clone(array));
            }
        }
        let bookkeeping: [(Option<usize>, ArrayRef); 4] = [
            (self.columns.emitted_at, Arc::new(self.emitted_at.finish())),
            (self.columns.changes, Arc::new(self.changes.finish())),
            (self.columns.raw, Arc::new(self.raw.finish())),
            (self.columns.raw_error, Arc::new(self.raw_error.finish())),
        ];
        for (index, array) in bookkeeping {
            if let Some(index) = index {
                columns[index] = Some(array);
            }
        }
        for ((index, _), column) in self.columns.explicit_nulls.iter().zip(&mut self.nulls) {
            columns[*index] = Some(Arc::new(column.finish()));
        }
        let rows = std::mem::take(&mut self.rejected);
        let at = self.at.finish();
        self.bytes = 0;
        let typed = columns.into_iter().flatten().zip(self.source.fields());
        let typed = typed.map(|(array, field)| from_wire(&array, field.data_type()));
        let batch = typed.collect::<Result<Vec<_>, _>>().and_then(|columns| {
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
            RecordBatch::try_new_with_options(Arc::clone(&self.source), columns, &options)
        });
        let batch = batch.map_err(|error| Malformed::of(&error))?;
        rejected_at(batch, &rows, at).map_err(|error| Malformed::new(error.to_string()))
    }
}

/// Whether a cell is written in JSON as it stands. A text that looks so is no text column's: those
/// are not read as JSON.
fn is_bare(cell: &str) -> bool {
    matches!(cell, "true" | "false") || is_number(cell)
}

fn rejected_row(meta: &Meta<'_>) -> Result<RejectedRow, Malformed> {
    let rejected = &meta.rejected;
    if !(1..=SCHEMA_VERSION).contains(&rejected.version) {
        return Err(Malformed::new(format!(
            "it has the version {}, and this program reads versions 1 to {SCHEMA_VERSION}",
            rejected.version
        )));
    }
    let stages = [Stage::Decode, Stage::Coerce, Stage::Salesforce];
    let stage = stages.into_iter().find(|s| s.as_str() == rejected.stage);
    let stage = stage.ok_or_else(|| Malformed::new("its stage is unknown"))?;
    Ok(RejectedRow {
        ordinal: rejected.ordinal,
        reason: Arc::new(Reason {
            stage,
            code: rejected.code.clone().into(),
            message: rejected.message.clone(),
            fields: rejected.fields.clone(),
        }),
        job_id: rejected.job_id.as_deref().map(Arc::from),
    })
}
