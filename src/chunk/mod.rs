//! Cells -> size-bounded chunks, one job each.
//!
//! An open chunk is a list of slices of cell batches and a running sum of the exact CSV length of
//! their rows ([`row_sizes`]). No CSV exists until the upload reads [`Chunk::csv`], which may be
//! asked for again when an upload has to be repeated.

mod csv;
mod error;
mod group;
mod merge;
mod order;
mod pack;
mod part;
mod quote;
mod size;

pub use error::ChunkError;
pub use group::{Grouping, key_values};
pub use merge::{KeyedChunk, Merged};
pub use part::{Part, RowOrdinals};
pub use size::row_sizes;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use crate::coerce::{Reason, Stage};
use crate::options::{MAX_FIELD_CHARS, MAX_RECORD_CHARS};
use crate::rows::RowSet;
use crate::text;

/// Longest header line in characters, as Salesforce counts them (Bulk API 2.0 and Bulk API Developer Guide, "Limits").
const MAX_HEADER_CHARS: usize = 32_000;

/// The rows of one job.
#[derive(Debug, Clone)]
pub struct Chunk {
    schema: SchemaRef,
    names: Arc<[String]>,
    header: Bytes,
    parts: Vec<Part>,
    /// The order in which its rows are sent, where it is not that of the parts.
    order: Option<order::Order>,
    rows: u64,
    bytes: u64,
}

impl Chunk {
    /// The CSV: the header line, then every row that is sent, in pieces of about 1 MiB: in the order of
    /// the parts, or as [`Chunk::grouped`] has ordered them.
    ///
    /// Each call starts anew. A piece is an error only by a defect of this crate.
    pub fn csv(&self) -> impl Iterator<Item = Result<Bytes, ChunkError>> + Send + use<> {
        csv::Pieces::new(
            self.header.clone(),
            self.parts.clone(),
            self.order.clone(),
            self.bytes,
        )
    }

    /// Rows that are sent. Zero if all are skipped: such a chunk makes no job.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Exact length of the CSV in bytes, its header included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Names of the columns.
    pub fn header(&self) -> &[String] {
        &self.names
    }

    /// Schema of the cells.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its rows, skipped ones included.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The rows that are sent.
    pub fn sent(&self) -> RowSet {
        let mut rows = RowSet::new();
        for part in &self.parts {
            part.add_sent(&mut rows);
        }
        rows
    }

    /// From the lowest ordinal to behind the highest, skipped rows included.
    pub fn span(&self) -> Range<u64> {
        let spans = self.parts.iter().filter_map(Part::span);
        spans
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
            .unwrap_or_default()
    }

    /// Takes the rows of another chunk of the same columns in, behind its own.
    pub fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes - other.header.len() as u64;
        self.parts.extend(other.parts);
        self.order = None;
    }

    /// Length of the CSV in bytes if it had the rows of another chunk of the same columns too.
    pub fn joined_bytes(&self, other: &Self) -> u64 {
        self.bytes + other.bytes - other.header.len() as u64
    }

    /// Memory of the cells in bytes: text, offsets and validity.
    pub fn memory(&self) -> usize {
        self.parts.iter().map(|part| memory(&part.cells)).sum()
    }

    /// Memory of the order of the rows in bytes.
    pub fn order_memory(&self) -> usize {
        self.order.as_deref().map_or(0, size_of_val)
    }
}

fn memory(cells: &RecordBatch) -> usize {
    let rows = cells.num_rows();
    csv::text_bytes(cells, rows) + cells.num_columns() * (rows * size_of::<i32>() + rows / 8)
}

/// Cuts cells into chunks at row boundaries.
#[derive(Debug)]
pub struct Chunker {
    max_bytes: u64,
    max_rows: u64,
    open: Chunk,
    sizes: Vec<u32>,
}

/// What became of the rows of one [`Chunker::push`].
#[derive(Debug, Default)]
pub struct Pushed {
    /// Chunks that no further row fits into.
    pub closed: Vec<Chunk>,
    /// Rows that would fail their whole job, with the reason: skipped, in ascending order.
    pub oversized: Vec<(usize, Reason)>,
}

impl Chunker {
    /// Chunks of cells of this schema: at most `max_bytes` bytes of CSV with the header, and at
    /// most `max_rows` rows sent.
    ///
    /// # Errors
    /// [`ChunkError::NotText`] if a column is not Utf8; [`ChunkError::Header`] if the header line
    /// is longer than a job takes, or leaves no room for rows.
    pub fn new(
        schema: &SchemaRef,
        max_bytes: u64,
        max_rows: Option<u64>,
    ) -> Result<Self, ChunkError> {
        let cells = RecordBatch::new_empty(SchemaRef::clone(schema));
        row_sizes(&cells, &mut Vec::new())?;
        let header = csv::header(&cells)?;
        let chars = text::length(&String::from_utf8_lossy(&header)) - 1;
        if chars > MAX_HEADER_CHARS {
            return Err(ChunkError::Header {
                length: chars as u64,
                limit: MAX_HEADER_CHARS as u64,
                unit: "characters",
            });
        }
        let bytes = header.len() as u64;
        if bytes >= max_bytes {
            return Err(ChunkError::Header {
                length: bytes,
                limit: max_bytes.saturating_sub(1),
                unit: "bytes",
            });
        }
        let names = schema.fields().iter().map(|field| field.name().clone());
        Ok(Self {
            max_bytes,
            max_rows: max_rows.unwrap_or(u64::MAX).max(1),
            open: Chunk {
                names: names.collect(),
                schema: SchemaRef::clone(schema),
                header,
                parts: Vec::new(),
                order: None,
                rows: 0,
                bytes,
            },
            sizes: Vec::new(),
        })
    }

    /// Adds rows. Those that `skip` marks belong to a chunk, but are not sent.
    ///
    /// # Errors
    /// [`ChunkError::Schema`] if the cells have other columns than this chunker was made for, or
    /// not as many rows as `ordinals` or `skip` says.
    pub fn push(
        &mut self,
        cells: &RecordBatch,
        ordinals: RowOrdinals,
        skip: Option<BooleanBuffer>,
    ) -> Result<Pushed, ChunkError> {
        let rows = cells.num_rows();
        let fits = ordinals.fit(rows) && skip.as_ref().is_none_or(|skip| skip.len() == rows);
        if cells.schema_ref() != &self.open.schema || !fits {
            return Err(ChunkError::Schema);
        }
        let mut sizes = std::mem::take(&mut self.sizes);
        row_sizes(cells, &mut sizes)?;
        let oversized = self.oversized(cells, &sizes, skip.as_ref());
        let skip = match oversized.as_slice() {
            [] => skip,
            rows => Some(csv::mark(
                skip,
                sizes.len(),
                rows.iter().map(|(row, _)| *row),
            )),
        };
        let part = Part {
            cells: cells.clone(),
            ordinals,
            skip,
        };
        let closed = self.cut(&part, &sizes);
        self.sizes = sizes;
        Ok(Pushed { closed, oversized })
    }

    /// Adds the rows of `part`, closing the open chunk before each row that does not fit.
    fn cut(&mut self, part: &Part, sizes: &[u32]) -> Vec<Chunk> {
        let mut closed = Vec::new();
        let mut start = 0;
        for (row, size) in sizes.iter().enumerate() {
            if part.skip.as_ref().is_some_and(|skip| skip.value(row)) {
                continue;
            }
            let bytes = self.open.bytes + u64::from(*size);
            if bytes > self.max_bytes || self.open.rows == self.max_rows {
                self.append(part, start..row);
                start = row;
                closed.extend(self.close());
            }
            self.open.bytes += u64::from(*size);
            self.open.rows += 1;
        }
        self.append(part, start..sizes.len());
        closed
    }

    fn append(&mut self, part: &Part, rows: Range<usize>) {
        if !rows.is_empty() {
            self.open.parts.push(part.slice(rows.start, rows.len()));
        }
    }

    /// The open chunk, if a row is in it.
    pub fn close(&mut self) -> Option<Chunk> {
        if self.is_empty() {
            return None;
        }
        let next = Chunk {
            schema: SchemaRef::clone(&self.open.schema),
            names: Arc::clone(&self.open.names),
            header: self.open.header.clone(),
            parts: Vec::new(),
            order: None,
            rows: 0,
            bytes: self.open.header.len() as u64,
        };
        Some(std::mem::replace(&mut self.open, next))
    }

    /// Whether the open chunk has no row, sent or skipped.
    pub fn is_empty(&self) -> bool {
        self.open.parts.is_empty()
    }

    /// Rows of the open chunk that will be sent.
    pub fn open_rows(&self) -> u64 {
        self.open.rows
    }

    /// CSV length of the open chunk in bytes, its header included.
    pub fn open_bytes(&self) -> u64 {
        self.open.bytes
    }

    /// Rows of the open chunk, skipped ones included.
    pub fn open_parts(&self) -> &[Part] {
        &self.open.parts
    }

    /// Memory of the open chunk's cells in bytes.
    pub fn open_memory(&self) -> usize {
        self.open.memory()
    }

    /// Rows not marked by `skip` that are larger than a job takes.
    fn oversized(
        &self,
        cells: &RecordBatch,
        sizes: &[u32],
        skip: Option<&BooleanBuffer>,
    ) -> Vec<(usize, Reason)> {
        let most = self.max_bytes - self.open.header.len() as u64;
        let suspect = most.min(MAX_FIELD_CHARS as u64);
        let rows = sizes.iter().enumerate();
        rows.filter(|(_, size)| u64::from(**size) > suspect)
            .filter(|(row, _)| !skip.is_some_and(|skip| skip.value(*row)))
            .filter_map(|(row, size)| Some((row, too_long(cells, row, u64::from(*size), most)?)))
            .collect()
    }
}

/// Why a row of `size` bytes of CSV, with at most `most` allowed, would fail its job, if it would.
fn too_long(cells: &RecordBatch, row: usize, size: u64, most: u64) -> Option<Reason> {
    let (mut fields, mut is_wide) = (Vec::new(), false);
    let mut uncounted_bytes = 0;
    for (field, column) in cells.schema_ref().fields().iter().zip(cells.columns()) {
        let values = column.as_string::<i32>();
        if values.is_null(row) {
            continue;
        }
        let value = values.value(row);
        let chars = text::length(value);
        uncounted_bytes += (value.len() - chars) as u64;
        is_wide |= text::has_wide(value);
        if chars > MAX_FIELD_CHARS {
            fields.push(field.name().clone());
        }
    }
    let two = if is_wide { text::TWO } else { "" };
    if !fields.is_empty() {
        let message = format!(
            "{}: longer than the {MAX_FIELD_CHARS} characters that a job takes in a field{two}",
            fields.join(", ")
        );
        return Some(Reason::local(
            Stage::Coerce,
            Reason::VALUE_TOO_LONG,
            message,
            fields,
        ));
    }
    let chars = size - 1 - uncounted_bytes;
    let message = if chars > MAX_RECORD_CHARS as u64 {
        format!("the record has {chars} characters{two}; a job takes {MAX_RECORD_CHARS}")
    } else if size > most {
        format!("the record has {size} bytes of CSV; max_job_bytes leaves {most} beside the header")
    } else {
        return None;
    };
    Some(Reason::local(
        Stage::Coerce,
        Reason::RECORD_TOO_LONG,
        message,
        Vec::new(),
    ))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
