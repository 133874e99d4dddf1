//! Records -> bytes of a file.

use std::io::Write;
use std::sync::Arc;

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{LineDelimited, Writer, WriterBuilder};
use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::arrow::error::ArrowError;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::cells::Cells;
use crate::spec::Format;

/// Bytes of records that a Parquet file holds back before it writes them as a row group.
const GROUP_BYTES: usize = 24 << 20;
/// Most rows of a row group.
const GROUP_ROWS: usize = 1 << 20;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) format: Format,
    /// The whole file is compressed by gzip.
    pub(crate) gzip: bool,
}

/// Bytes that are written and not taken yet. Clones are the same.
#[derive(Debug, Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Packed = Box<dyn Write + Send>;

/// Makes a file of records, batch by batch.
pub(super) struct Encoder {
    writer: Kind,
    pipe: Pipe,
}

enum Kind {
    Parquet(Box<ArrowWriter<Pipe>>),
    Csv(Box<csv::Writer<Packed>>),
    Jsonl(Box<Writer<Packed, LineDelimited>>),
    Arrow(Box<FileWriter<Pipe>>),
}

/// What a record or a file of them can be refused for.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error(transparent)]
    Csv(#[from] csv::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Encoder {
    /// A file of records with these columns.
    pub(super) fn begin(encoding: Encoding, schema: &SchemaRef) -> Result<Self, EncodeError> {
        let pipe = Pipe::default();
        let packed = || -> Packed {
            match encoding.gzip {
                true => Box::new(GzEncoder::new(pipe.clone(), Compression::default())),
                false => Box::new(pipe.clone()),
            }
        };
        let writer = match encoding.format {
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(ParquetCompression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let schema = Arc::clone(schema);
                let writer = ArrowWriter::try_new(pipe.clone(), schema, Some(properties))?;
                Kind::Parquet(Box::new(writer))
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(packed());
                writer.write_record(schema.fields().iter().map(|field| field.name()))?;
                Kind::Csv(Box::new(writer))
            }
            Format::Jsonl => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let writer: LineDelimitedWriter<Packed> = builder.build(packed());
                Kind::Jsonl(Box::new(writer))
            }
            Format::Arrow => {
                let options = IpcWriteOptions::default()
                    .try_with_compression(Some(CompressionType::LZ4_FRAME))?;
                let writer = FileWriter::try_new_with_options(pipe.clone(), schema, options)?;
                Kind::Arrow(Box::new(writer))
            }
        };
        Ok(Self { writer, pipe })
    }

    /// Adds records.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        match &mut self.writer {
            Kind::Parquet(writer) => {
                writer.write(batch)?;
                if writer.memory_size() > GROUP_BYTES {
                    writer.flush()?;
                }
            }
            Kind::Csv(writer) => {
                let cells = Cells::of(batch)?;
                for row in 0..batch.num_rows() {
                    cells.row(row, |cell| {
                        let field = writer.write_field(cell.unwrap_or_default());
                        field.map_err(EncodeError::from)
                    })?;
                    writer.write_record(None::<&[u8]>)?;
                }
                writer.flush()?;
            }
            Kind::Jsonl(writer) => writer.write(batch)?,
            Kind::Arrow(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Bytes that have come out since.
    pub(super) fn take(&self) -> Bytes {
        std::mem::take(&mut *self.pipe.0.lock()).into()
    }

    /// Writes what is at the end of the file, and returns the last bytes.
    pub(super) fn finish(self) -> Result<Bytes, EncodeError> {
        match self.writer {
            Kind::Parquet(writer) => {
                writer.close()?;
            }
            // To drop the writer ends what is compressed; a pipe takes all bytes.
            Kind::Csv(writer) => drop(
                writer
                    .into_inner()
                    .map_err(csv::IntoInnerError::into_error)?,
            ),
            Kind::Jsonl(mut writer) => {
                writer.finish()?;
                drop(writer.into_inner());
            }
            Kind::Arrow(mut writer) => writer.finish()?,
        }
        Ok(std::mem::take(&mut *self.pipe.0.lock()).into())
    }
}
