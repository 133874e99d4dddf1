//! The CSV of a chunk, written by arrow-csv while the upload asks for it.

use arrow::array::{AsArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow_csv::WriterBuilder;
use bytes::Bytes;

use super::order::{Order, gather, within};
use super::quote::quoted;
use super::{ChunkError, Part, RowOrdinals};

/// Bytes after which a piece is handed on.
const PIECE_BYTES: usize = 1 << 20;

/// Rows that one call of the writer takes: its fixed cost is spread over many rows.
const SLICE_ROWS: usize = 1_024;

/// The header line of these cells.
pub(super) fn header(cells: &RecordBatch) -> Result<Bytes, ChunkError> {
    let mut line = Vec::new();
    WriterBuilder::new()
        .with_header(true)
        .build(&mut line)
        .write(&cells.slice(0, 0))?;
    Ok(line.into())
}

/// Pieces of about 1 MiB, the header line first; owns what it reads (shared buffers, no copies).
pub(super) struct Pieces {
    header: Option<Bytes>,
    rows: Rows,
    /// Bytes that are still to be written.
    bytes_left: u64,
}

/// The rows to write, in one of two orders.
enum Rows {
    /// As they stand in the parts.
    AsParts {
        parts: std::vec::IntoIter<Part>,
        rest: Option<Part>,
    },
    /// As a chunk has ordered them; those before `next` are written.
    Ordered {
        parts: Vec<Part>,
        order: Order,
        next: usize,
    },
}

impl Pieces {
    /// `bytes` is the length of all of it.
    pub(super) fn new(header: Bytes, parts: Vec<Part>, order: Option<Order>, bytes: u64) -> Self {
        let rows = match order {
            None => Rows::AsParts {
                parts: parts.into_iter(),
                rest: None,
            },
            Some(order) => Rows::Ordered {
                parts,
                order,
                next: 0,
            },
        };
        Self {
            header: Some(header),
            rows,
            bytes_left: bytes,
        }
    }
}

impl Rows {
    /// The next rows to write, few enough to keep the piece near its size.
    fn next_slice(&mut self) -> Result<Option<Part>, ChunkError> {
        match self {
            Self::AsParts { parts, rest } => {
                let Some(part) = rest.take().or_else(|| parts.next()) else {
                    return Ok(None);
                };
                let mut rows = part.cells.num_rows().min(SLICE_ROWS);
                while rows > 1 && text_bytes(&part.cells, rows) > PIECE_BYTES {
                    rows /= 2;
                }
                if rows < part.cells.num_rows() {
                    *rest = Some(part.slice(rows, part.cells.num_rows() - rows));
                    return Ok(Some(part.slice(0, rows)));
                }
                Ok(Some(part))
            }
            Self::Ordered { parts, order, next } => {
                let left = order.get(*next..).unwrap_or_default();
                let few = &left[..left.len().min(SLICE_ROWS)];
                if few.is_empty() {
                    return Ok(None);
                }
                let rows = within(parts, few, PIECE_BYTES);
                *next += rows;
                Ok(Some(Part {
                    cells: gather(parts, &few[..rows])?,
                    // Nobody asks who the rows are once they are written.
                    ordinals: RowOrdinals::From(0),
                    skip: None,
                }))
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The last slice of a piece may take it past its size.
        let room = self.bytes_left.min(PIECE_BYTES as u64 / 4 * 5) as usize;
        let mut piece = Vec::with_capacity(room);
        piece.extend_from_slice(&self.header.take().unwrap_or_default());
        while piece.len() < PIECE_BYTES {
            let slice = match self.rows.next_slice() {
                Ok(Some(slice)) => slice,
                Ok(None) => break,
                Err(error) => return Some(Err(error)),
            };
            if let Err(error) = write(&slice, &mut piece) {
                return Some(Err(error));
            }
        }
        self.bytes_left = self.bytes_left.saturating_sub(piece.len() as u64);
        (!piece.is_empty()).then(|| Ok(piece.into()))
    }
}

/// Appends the rows of a slice that are to be sent.
pub(super) fn write(slice: &Part, out: &mut Vec<u8>) -> Result<(), ChunkError> {
    let (cells, style) = quoted(slice)?;
    let mut writer = WriterBuilder::new()
        .with_header(false)
        .with_quote_style(style)
        .build(out);
    let Some(kept) = slice.kept() else {
        return Ok(writer.write(&cells)?);
    };
    for (start, end) in kept.set_slices() {
        writer.write(&cells.slice(start, end - start))?;
    }
    Ok(())
}

/// Bytes of text in the first `rows` rows.
pub(super) fn text_bytes(cells: &RecordBatch, rows: usize) -> usize {
    let columns = cells.columns().iter();
    let texts = columns.filter_map(|column| column.as_string_opt::<i32>());
    texts
        .map(|text| match text.value_offsets() {
            offsets @ [first, ..] => {
                let end = offsets.get(rows).unwrap_or(first);
                (*end - *first) as usize
            }
            [] => 0,
        })
        .sum()
}

/// Marks the rows `rows` of `length` in addition to those that `mask` marks.
pub(super) fn mark(
    mask: Option<BooleanBuffer>,
    length: usize,
    rows: impl Iterator<Item = usize>,
) -> BooleanBuffer {
    let mut builder = BooleanBufferBuilder::new(length);
    match mask {
        Some(mask) => builder.append_buffer(&mask),
        None => builder.append_n(length, false),
    }
    for row in rows {
        builder.set_bit(row, true);
    }
    builder.finish()
}
