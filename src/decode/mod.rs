//! Lines of Airbyte messages -> source batches, one kind a stream.
//!
//! The first step of a load: [`LineSplitter`] makes lines of blocks, [`Decoder::line`] appends
//! the record of a line to its stream's builders and hands every other message back to the caller.
//! JSON has no types worth trusting, so every column holds the exact text of its values; what the
//! stream declares stands in the field's metadata
//! ([`DECLARED_TYPE`](crate::source::DECLARED_TYPE)), and `coerce` judges the text.

mod catalog;
mod cursor;
mod data;
mod error;
mod json;
mod keys;
mod lines;
mod rows;
mod scan;
mod schema;
mod undecodable;
mod value;

pub use error::DecodeError;
pub use lines::LineSplitter;
pub use schema::StreamSchema;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use catalog::Catalog;
use json::Parsed;
use rows::Rows;
use scan::Meant;
use value::Cell;

/// What a line was.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// A record, now waiting in the builders of its stream. One that could not be decoded is a row
    /// whose text is in [`RAW`](crate::source::RAW)(crate::source::RAW).
    Record {
        /// Index of the stream, in the order given to [`Decoder::new`].
        stream: usize,
        /// The batch has 8,192 rows or 8 MiB of text: flush it before the next line.
        full: bool,
    },
    /// Any other message: its line, for the caller to read. What only seems to be a STATE is one
    /// too: no state may be passed over.
    Message(&'a [u8], MessageType),
    /// A record of a stream that the catalog lacks.
    UnknownStream {
        /// Name of the stream.
        name: String,
        /// Its namespace.
        namespace: Option<String>,
    },
    /// No message, nor recognisable as a STATE or a RECORD of a stream of the catalog.
    Garbage {
        /// What was wrong.
        reason: &'static str,
    },
    /// Nothing but blanks.
    Blank,
}

/// The `type` of a message that is no RECORD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageType {
    /// STATE, or a message without a type that looks like an early form of it.
    State,
    /// TRACE.
    Trace,
    /// LOG.
    Log,
    /// CONTROL.
    Control,
    /// Anything else.
    Other,
}

impl MessageType {
    fn from_name(name: &str) -> Self {
        match name {
            "STATE" => Self::State,
            "TRACE" => Self::Trace,
            "LOG" => Self::Log,
            "CONTROL" => Self::Control,
            _ => Self::Other,
        }
    }
}

/// Decodes the lines of all streams of a catalog.
///
/// ```
/// use arrow_salesforce::decode::{Decoder, Line, StreamSchema};
///
/// let schema = serde_json::json!({"properties": {"LastName": {"type": "string"}}});
/// let stream = StreamSchema::from_json_schema("contacts", None, &schema)?;
/// let mut decoder = Decoder::new(vec![stream])?;
/// let line = br#"{"type":"RECORD","record":{"stream":"contacts","data":{"LastName":"Ng"}}}"#;
/// assert_eq!(decoder.line(line), Line::Record { stream: 0, full: false });
/// assert_eq!(decoder.flush(0).map(|batch| batch.num_rows()), Some(1));
/// # Ok::<(), arrow_salesforce::decode::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    catalog: Catalog,
    rows: Vec<Rows>,
    cells: Vec<Cell<'static>>,
}

impl Decoder {
    /// A decoder of these streams, which are numbered in this order.
    ///
    /// # Errors
    /// [`DecodeError`] if there is no stream, or if two have the same name and namespace.
    pub fn new(streams: Vec<StreamSchema>) -> Result<Self, DecodeError> {
        Ok(Self {
            catalog: Catalog::new(&streams)?,
            rows: streams
                .into_iter()
                .map(|stream| Rows::new(Arc::clone(stream.schema())))
                .collect(),
            cells: Vec::new(),
        })
    }

    /// Decodes one line, given without its line end. Never panics, whatever the bytes.
    pub fn line<'a>(&mut self, line: &'a [u8]) -> Line<'a> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Line::Blank;
        }
        let mut cells: Vec<Cell<'a>> = rows::reuse(std::mem::take(&mut self.cells));
        let parsed = json::parse(line, &mut self.catalog, &mut cells);
        let answer = match parsed {
            Ok(Parsed::Record(record)) => {
                let rows = &mut self.rows[record.stream];
                rows.push(&cells, record.emitted_at, record.changes.as_deref());
                rows.unknown_keys += u64::from(record.unknown_key);
                Line::Record {
                    stream: record.stream,
                    full: rows.is_full(),
                }
            }
            Ok(Parsed::Message(kind)) => Line::Message(line, kind),
            Ok(Parsed::UnknownStream { name, namespace }) => {
                Line::UnknownStream { name, namespace }
            }
            Err(problem) => match scan::meant(line, &mut self.catalog) {
                Meant::Record(stream) => {
                    let rows = &mut self.rows[stream];
                    rows.push_raw(&String::from_utf8_lossy(line), &problem.to_string());
                    Line::Record {
                        stream,
                        full: rows.is_full(),
                    }
                }
                Meant::State => Line::Message(line, MessageType::State),
                Meant::Unknown => Line::Garbage {
                    reason: problem.reason,
                },
            },
        };
        self.cells = rows::reuse(cells);
        answer
    }

    /// Rows of the stream that wait.
    pub fn rows(&self, stream: usize) -> usize {
        self.rows.get(stream).map_or(0, Rows::len)
    }

    /// Takes the rows of the stream that wait; none if no row does.
    pub fn flush(&mut self, stream: usize) -> Option<RecordBatch> {
        self.rows.get_mut(stream)?.flush()
    }

    /// How many records of the stream had a key that the stream has no column for.
    pub fn unknown_keys(&self, stream: usize) -> u64 {
        self.rows.get(stream).map_or(0, |rows| rows.unknown_keys)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
