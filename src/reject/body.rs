//! The bytes of one object, rendered and compressed as they are sent.

use std::io::{self, Write as _};

use arrow::array::RecordBatch;
use bytes::Bytes;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::format::{Compression, RejectFormat};
use super::{RejectError, RejectStream};
use crate::storage::PART_BYTES;

/// Rows rendered at a time, at most.
const SLICE_ROWS: usize = 1_024;
/// Bytes in Arrow of the rows rendered at a time; a single row may have more.
const SLICE_BYTES: usize = 1 << 20;

/// Rows on their way into one object: a batch, the rendered slice of it and a part at once.
pub(super) struct Body<'a, E> {
    format: RejectFormat,
    stream: &'a RejectStream,
    batches: BoxStream<'a, Result<RecordBatch, E>>,
    batch: RecordBatch,
    next_row: usize,
    rendered: Vec<u8>,
    sink: Sink,
    ended: bool,
}

enum Sink {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl<'a, E: From<RejectError>> Body<'a, E> {
    /// The body of some batches; `None` if they hold no row.
    pub(super) async fn open(
        format: RejectFormat,
        stream: &'a RejectStream,
        mut batches: BoxStream<'a, Result<RecordBatch, E>>,
    ) -> Result<Option<Self>, E> {
        let Some(batch) = next_batch(&mut batches).await? else {
            return Ok(None);
        };
        let mut sink = Sink::new(format.compression());
        sink.write(&format.header(batch.schema_ref())?)?;
        Ok(Some(Self {
            format,
            stream,
            batches,
            batch,
            next_row: 0,
            rendered: Vec::new(),
            sink,
            ended: false,
        }))
    }

    /// [`PART_BYTES`], or what is left; empty after the end.
    pub(super) async fn next_part(&mut self) -> Result<Bytes, E> {
        while !self.ended && self.sink.bytes().len() < PART_BYTES {
            if self.next_row == self.batch.num_rows() {
                match next_batch(&mut self.batches).await? {
                    Some(batch) => (self.batch, self.next_row) = (batch, 0),
                    None => {
                        self.sink.finish()?;
                        self.ended = true;
                        break;
                    }
                }
            }
            self.render()?;
        }
        let bytes = self.sink.bytes();
        let rest = bytes.split_off(PART_BYTES.min(bytes.len()));
        Ok(Bytes::from(std::mem::replace(bytes, rest)))
    }

    fn render(&mut self) -> Result<(), RejectError> {
        let rows = self.batch.num_rows();
        let row_bytes = shown_bytes(&self.batch) / rows;
        let slice = (SLICE_BYTES / row_bytes.max(1)).clamp(1, SLICE_ROWS);
        let slice = slice.min(rows - self.next_row);
        self.rendered.clear();
        let rows = self.batch.slice(self.next_row, slice);
        self.format.write(self.stream, &rows, &mut self.rendered)?;
        self.next_row += slice;
        self.sink.write(&self.rendered)
    }
}

/// Memory of what a batch shows: its columns may be parts of one buffer.
fn shown_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
    bytes.sum()
}

async fn next_batch<E>(
    batches: &mut BoxStream<'_, Result<RecordBatch, E>>,
) -> Result<Option<RecordBatch>, E> {
    while let Some(batch) = batches.next().await.transpose()? {
        if batch.num_rows() > 0 {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// All of a text as an object holds it.
pub(super) fn packed(text: &[u8], compression: Compression) -> Result<Bytes, RejectError> {
    let mut sink = Sink::new(compression);
    sink.write(text)?;
    sink.finish()?;
    Ok(std::mem::take(sink.bytes()).into())
}

impl Sink {
    fn new(compression: Compression) -> Self {
        match compression {
            Compression::No => Self::Plain(Vec::new()),
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            ))),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RejectError> {
        match self {
            Self::Plain(all) => all.extend_from_slice(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes).map_err(broken)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RejectError> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(encoder) => encoder.try_finish().map_err(broken),
        }
    }

    /// What may be sent.
    fn bytes(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }
}

fn broken(error: io::Error) -> RejectError {
    RejectError::Arrow(error.into())
}
