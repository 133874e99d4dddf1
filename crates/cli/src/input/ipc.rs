//! Arrow IPC, files and streams: a file is read as the stream that it holds.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_ipc::reader::StreamDecoder;
use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::buffer::Buffer;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::arrow::error::ArrowError;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::file::{BatchStream, ByteStream, FileRecords, InputFile};
use super::stored::StoredFile;
use super::{InputError, schema};

/// What a file begins with; a stream does not.
const MAGIC: &[u8] = b"ARROW1\0\0";

/// So many bytes hold it, and what it is padded with.
const HEAD: usize = 1 << 10;

/// Most rows of a batch that is handed on.
const ROWS: usize = 8_192;

/// The records of files that fit each other.
#[derive(Debug)]
pub(crate) struct IpcRecords(SchemaRef);

impl IpcRecords {
    /// Reads the schema of each file.
    ///
    /// # Errors
    /// [`InputError`] if a file cannot be read, or the files do not fit each other.
    pub(crate) async fn survey(files: &[Arc<StoredFile>]) -> Result<Self, InputError> {
        let mut schemas = Vec::new();
        for file in files {
            let mut reading = Reading::of(file.as_ref());
            schemas.push((file.name(), reading.schema().await?));
        }
        Ok(Self(schema::merge(schemas)?))
    }
}

impl FileRecords for IpcRecords {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn batches(&self, file: &dyn InputFile) -> BatchStream {
        let schema = Arc::clone(&self.0);
        let reading = Reading::of(file);
        let batches = stream::try_unfold(reading, move |mut reading| {
            let schema = Arc::clone(&schema);
            async move {
                let Some(batch) = reading.next().await? else {
                    return Ok(None);
                };
                let fitted = schema::fit(&batch, &schema).map_err(|error| reading.wrong(error))?;
                Ok(Some((slices(fitted), reading)))
            }
        });
        batches.try_flatten().boxed()
    }
}

/// A batch in parts: a file may hold all its rows in one.
fn slices(batch: RecordBatch) -> BatchStream {
    let starts = (0..batch.num_rows()).step_by(ROWS);
    stream::iter(starts.map(move |at| Ok(batch.slice(at, ROWS.min(batch.num_rows() - at))))).boxed()
}

/// A file while it is read.
struct Reading {
    name: String,
    bytes: ByteStream,
    /// Bytes that wait.
    buffer: Buffer,
    decoder: StreamDecoder,
    ready: VecDeque<RecordBatch>,
    /// Whether it is a file, which has a footer behind its stream; not known before the first bytes.
    is_file: Option<bool>,
    /// Whether the stream has ended by its own words.
    ended: bool,
}

impl Reading {
    fn of(file: &dyn InputFile) -> Self {
        Self {
            name: file.name().to_owned(),
            bytes: file.bytes(),
            buffer: Buffer::from(Bytes::new()),
            decoder: StreamDecoder::new(),
            ready: VecDeque::new(),
            is_file: None,
            ended: false,
        }
    }

    async fn schema(&mut self) -> Result<SchemaRef, InputError> {
        loop {
            if let Some(schema) = self.decoder.schema() {
                return Ok(schema);
            }
            if !self.advance().await? {
                return Err(self.wrong(ArrowError::IpcError("it holds no schema".to_owned())));
            }
        }
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, InputError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if !self.advance().await? {
                return Ok(None);
            }
        }
    }

    /// Reads on; false at the end.
    async fn advance(&mut self) -> Result<bool, InputError> {
        if self.ended {
            return Ok(false);
        }
        if self.is_file.is_none() {
            self.begin().await?;
        }
        if self.buffer.is_empty() {
            let Some(block) = self.bytes.try_next().await? else {
                return self.end();
            };
            self.buffer = Buffer::from(block);
        }
        match self.decoder.decode(&mut self.buffer) {
            Ok(batch) => self.ready.extend(batch),
            // Only the footer follows the end of the stream.
            Err(_) if self.decoder.finish().is_ok() => self.ended = true,
            Err(error) => return Err(self.wrong(error)),
        }
        Ok(true)
    }

    /// Goes to the beginning of the stream.
    async fn begin(&mut self) -> Result<(), InputError> {
        let mut head = Vec::new();
        while head.len() < HEAD {
            let Some(block) = self.bytes.try_next().await? else {
                break;
            };
            head.extend_from_slice(&block);
        }
        let is_file = head.starts_with(MAGIC);
        self.is_file = Some(is_file);
        self.buffer = Buffer::from(Bytes::from(head));
        if is_file {
            self.buffer.advance(MAGIC.len());
            while self.buffer.starts_with(&[0; 8]) {
                self.buffer.advance(8);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<bool, InputError> {
        let cut = || ArrowError::IpcError("its end is missing".to_owned());
        match (self.decoder.finish(), self.is_file) {
            (Ok(()), Some(false)) => Ok(false),
            _ => Err(self.wrong(cut())),
        }
    }

    fn wrong(&self, error: ArrowError) -> InputError {
        InputError::Batch {
            name: self.name.clone(),
            source: error,
        }
    }
}
