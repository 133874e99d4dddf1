//! Files of the envelope -> the batches that were written into them.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::columns::SourceColumns;
use super::{Envelope, FileType, Flattening};
use crate::reject::RejectError;

mod fields;
mod rows;

use fields::{Fields, Meta};
use rows::Rows;

/// Rows of a batch, at most.
const BATCH_ROWS: usize = 4_096;
/// Bytes of text of a batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// The batches of a file that is not compressed, in the order of its records.
pub(in crate::reject::format) struct Batches {
    records: Box<dyn Records>,
    rows: Rows,
    number: u64,
    ended: bool,
}

impl Batches {
    pub(in crate::reject::format) fn open(
        reader: Box<dyn Read + Send>,
        envelope: Envelope,
        source: SchemaRef,
    ) -> Result<Self, RejectError> {
        let flattening = envelope.flattening;
        let rows = Rows::new(source, flattening)?;
        let records: Box<dyn Records> = match envelope.file_type {
            FileType::Jsonl => Box::new(Lines {
                reader: BufReader::new(reader),
                flattening,
                line: String::new(),
            }),
            FileType::Csv => Box::new(Cells::open(reader, flattening, rows.columns())?),
        };
        Ok(Self {
            records,
            rows,
            number: 0,
            ended: false,
        })
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, RejectError> {
        while self.rows.len() < BATCH_ROWS && self.rows.bytes() < BATCH_BYTES {
            match self.records.read_into(&mut self.rows) {
                Ok(true) => self.number += 1,
                Ok(false) => {
                    self.ended = true;
                    break;
                }
                Err(problem) => return Err(problem.at(self.number + 1)),
            }
        }
        if self.rows.len() == 0 {
            return Ok(None);
        }
        let flushed = self.rows.flush();
        flushed.map(Some).map_err(|problem| problem.at(self.number))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, RejectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.batch();
        self.ended |= batch.is_err();
        batch.transpose()
    }
}

/// What is wrong with a file, without its values.
#[derive(Debug)]
struct Malformed(String);

impl Malformed {
    fn at(self, record: u64) -> RejectError {
        RejectError::Read {
            record,
            reason: self.0,
        }
    }

    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// The reader may quote the values that it does not take.
    fn of(error: &ArrowError) -> Self {
        Self::new(match error {
            ArrowError::IoError(..) => format!("the file cannot be read further: {error}"),
            _ => "a line does not have the columns of this format, or a value is none of its \
                  column's type; give the format, flattening and schema it was written with"
                .to_owned(),
        })
    }
}

trait Records: Send {
    /// Appends the next record; false at the end.
    fn read_into(&mut self, rows: &mut Rows) -> Result<bool, Malformed>;
}

struct Lines<R> {
    reader: R,
    flattening: Flattening,
    line: String,
}

impl<R: BufRead + Send> Records for Lines<R> {
    fn read_into(&mut self, rows: &mut Rows) -> Result<bool, Malformed> {
        self.line.clear();
        let read = self.reader.read_line(&mut self.line);
        let read = read.map_err(|error| Malformed::new(format!("the file ends badly: {error}")))?;
        if read == 0 {
            return Ok(false);
        }
        let line = Fields::of(&self.line).ok_or_else(|| Malformed::new("it is no JSON object"))?;
        let lacks = |key| Malformed::new(format!("it lacks the key {key}, or has another type"));
        let extracted_at = line.number("_airbyte_extracted_at");
        let extracted_at = extracted_at.ok_or_else(|| lacks("_airbyte_extracted_at"))?;
        let meta = line.json("_airbyte_meta").and_then(Meta::of);
        let meta = meta.ok_or_else(|| lacks("_airbyte_meta.rejected"))?;
        let data = match self.flattening {
            Flattening::RootLevel => line,
            Flattening::No => {
                let data = line.json("_airbyte_data").and_then(Fields::of);
                data.ok_or_else(|| lacks("_airbyte_data"))?
            }
        };
        rows.push(extracted_at, &meta, &data)?;
        Ok(true)
    }
}

/// Rows of a CSV file, as texts.
struct Cells {
    reader: arrow_csv::Reader<Box<dyn Read + Send>>,
    flattening: Flattening,
    names: Vec<String>,
    batch: Option<RecordBatch>,
    row: usize,
    headed: bool,
}

impl Cells {
    fn open(
        reader: Box<dyn Read + Send>,
        flattening: Flattening,
        columns: &SourceColumns,
    ) -> Result<Self, RejectError> {
        let names = columns.csv_header(flattening).into_iter();
        let names: Vec<String> = names.map(str::to_owned).collect();
        let fields = names
            .iter()
            .map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let reader = arrow_csv::ReaderBuilder::new(schema)
            .with_batch_size(BATCH_ROWS / 16)
            .build(reader)?;
        Ok(Self {
            reader,
            flattening,
            names,
            batch: None,
            row: 0,
            headed: false,
        })
    }

    /// Goes to the next row, past the header; false at the end.
    fn advance(&mut self) -> Result<bool, Malformed> {
        self.row += 1;
        let rows = self.batch.as_ref().map_or(0, RecordBatch::num_rows);
        if self.row >= rows {
            self.row = 0;
            self.batch = self
                .reader
                .next()
                .transpose()
                .map_err(|e| Malformed::of(&e))?;
            if self.batch.is_none() {
                return Ok(false);
            }
        }
        if !self.headed {
            self.headed = true;
            let names = (0..self.names.len()).map(|column| self.cell(column));
            if !names.eq(self.names.iter().map(|name| Some(name.as_str()))) {
                return Err(Malformed::new(format!(
                    "the header is not {}; give the flattening and schema the file was written with",
                    self.names.join(",")
                )));
            }
            return self.advance();
        }
        Ok(true)
    }

    fn cell(&self, column: usize) -> Option<&str> {
        let texts = self.batch.as_ref()?.column(column).as_string_opt::<i32>()?;
        texts.is_valid(self.row).then(|| texts.value(self.row))
    }
}

impl Records for Cells {
    fn read_into(&mut self, rows: &mut Rows) -> Result<bool, Malformed> {
        if !self.advance()? {
            return Ok(false);
        }
        let wrong =
            |column| Malformed::new(format!("its {column} is not as this version writes it"));
        let extracted_at = self.cell(1).and_then(|text| text.parse().ok());
        let extracted_at = extracted_at.ok_or_else(|| wrong("_airbyte_extracted_at"))?;
        let meta = self.cell(2).and_then(Meta::of);
        let meta = meta.ok_or_else(|| wrong("_airbyte_meta"))?;
        let data = match self.flattening {
            Flattening::No => self.cell(4).and_then(Fields::of),
            Flattening::RootLevel => {
                let cells = (4..self.names.len()).map(|column| self.cell(column));
                Some(Fields::of_cells(
                    &self.names[4..],
                    cells,
                    &meta.rejected.empty,
                ))
            }
        };
        let data = data.ok_or_else(|| wrong("_airbyte_data"))?;
        rows.push(extracted_at, &meta, &data)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
