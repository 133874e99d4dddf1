//! Lines of Airbyte messages -> source batches, one kind a stream.
//!
//! The first step of a load: a [`LineSplitter`](arrow_salesforce_decode::LineSplitter) makes lines
//! of blocks, [`MessageDecoder::line`] appends the record of a line to its stream's rows and hands
//! every other message back to the caller.

mod envelope;
mod error;
mod frame;
mod meta;
mod scan;
mod schema;
mod streams;

pub use error::CatalogError;
pub(crate) use scan::Scan;
pub use schema::StreamSchema;

use arrow::record_batch::RecordBatch;
use arrow_salesforce_decode::{Cells, MAX_RECORD_BYTES, RowDecoder, Undecodable};

use envelope::Parsed;
use frame::Frames;
use scan::Meant;
use streams::Streams;

/// What a line was.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// A record, now waiting in the builders of its stream. One that could not be decoded is a row
    /// whose text is in [`RAW`](arrow_salesforce::source::RAW)(crate::source::RAW).
    Record {
        /// Index of the stream, in the order given to [`MessageDecoder::new`].
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
/// use destination_salesforce::protocol::{Line, MessageDecoder, StreamSchema};
///
/// let schema = r#"{"properties": {"LastName": {"type": "string"}}}"#;
/// let stream = StreamSchema::from_json_schema("contacts", None, schema)?;
/// let mut decoder = MessageDecoder::new(&[stream])?;
/// let line = br#"{"type":"RECORD","record":{"stream":"contacts","data":{"LastName":"Ng"}}}"#;
/// assert_eq!(decoder.line(line), Line::Record { stream: 0, full: false });
/// assert_eq!(decoder.flush(0).map(|batch| batch.num_rows()), Some(1));
/// # Ok::<(), destination_salesforce::protocol::CatalogError>(())
/// ```
#[derive(Debug)]
pub struct MessageDecoder {
    streams: Streams,
    frames: Frames,
    /// One a stream.
    rows: Vec<RowDecoder>,
    /// Empty, with the memory of the line before.
    spare: Cells<'static>,
}

impl MessageDecoder {
    /// A decoder of these streams, which are numbered in this order.
    ///
    /// # Errors
    /// [`CatalogError`] if there is no stream, or if two have the same name and namespace.
    pub fn new(streams: &[StreamSchema]) -> Result<Self, CatalogError> {
        Ok(Self {
            streams: Streams::new(streams)?,
            frames: Frames::default(),
            rows: streams
                .iter()
                .map(|stream| RowDecoder::new(stream.columns()))
                .collect(),
            spare: Cells::default(),
        })
    }

    /// Decodes one line, given without its line end. Never panics, whatever the bytes. A record of
    /// more than [`MAX_RECORD_BYTES`] is a row with its text.
    pub fn line<'a>(&mut self, line: &'a [u8]) -> Line<'a> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Line::Blank;
        }
        if line.len() > MAX_RECORD_BYTES {
            let problem = Undecodable::too_long();
            return self.scanned(line, &Scan::of(line), &problem);
        }
        let mut cells: Cells<'a> = std::mem::take(&mut self.spare).recycle();
        let parsed = envelope::parse(
            line,
            &mut self.streams,
            &mut self.frames,
            &mut self.rows,
            &mut cells,
        );
        let found = match parsed {
            Ok(Parsed::Record(record)) => {
                let rows = &mut self.rows[record.stream];
                rows.push(&cells, record.emitted_at, record.changes.as_deref());
                Line::Record {
                    stream: record.stream,
                    full: rows.is_full(),
                }
            }
            Ok(Parsed::Message(kind)) => Line::Message(line, kind),
            Ok(Parsed::UnknownStream { name, namespace }) => {
                Line::UnknownStream { name, namespace }
            }
            Err(problem) => {
                let found = self.scanned(line, &Scan::of(line), &problem);
                match found {
                    // Of a broken line nothing else is believed.
                    Line::Message(_, kind) if kind != MessageType::State => garbage(&problem),
                    Line::UnknownStream { .. } => garbage(&problem),
                    found => found,
                }
            }
        };
        self.spare = cells.recycle();
        found
    }

    /// What came of a line of `length` bytes that was too long to be kept: `beginning` is what was.
    pub(crate) fn cut_line<'a>(
        &mut self,
        beginning: &'a [u8],
        scan: &Scan,
        length: u64,
    ) -> Line<'a> {
        self.scanned(beginning, scan, &Undecodable::cut(beginning.len(), length))
    }

    /// What a line is by a walk over its bytes. A record is a row with its text, for this problem.
    fn scanned<'a>(&mut self, line: &'a [u8], scan: &Scan, problem: &Undecodable) -> Line<'a> {
        match scan.meant(&mut self.streams) {
            Meant::Record(stream) => {
                let rows = &mut self.rows[stream];
                rows.push_undecodable(line, problem);
                Line::Record {
                    stream,
                    full: rows.is_full(),
                }
            }
            Meant::Stranger { name, namespace } => Line::UnknownStream { name, namespace },
            Meant::Message(kind) => Line::Message(line, kind),
            Meant::Unknown => garbage(problem),
        }
    }

    /// Memory that the rows of the stream that wait take, roughly.
    pub fn memory(&self, stream: usize) -> usize {
        self.rows.get(stream).map_or(0, RowDecoder::memory)
    }

    /// Rows of the stream that wait.
    pub fn rows(&self, stream: usize) -> usize {
        self.rows.get(stream).map_or(0, RowDecoder::len)
    }

    /// Takes the rows of the stream that wait; none if no row does.
    pub fn flush(&mut self, stream: usize) -> Option<RecordBatch> {
        self.rows.get_mut(stream)?.flush()
    }

    /// How many records of the stream had a key that the stream has no column for.
    pub fn unknown_keys(&self, stream: usize) -> u64 {
        self.rows.get(stream).map_or(0, RowDecoder::unknown_keys)
    }
}

fn garbage(problem: &Undecodable) -> Line<'static> {
    Line::Garbage {
        reason: problem.reason(),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
