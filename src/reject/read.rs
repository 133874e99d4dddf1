//! Files of rejected records -> the batches that were written into them.

use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flate2::read::MultiGzDecoder;

use super::RejectError;
use super::format::{Batches, Compression, RejectFormat};
use super::record::schema_of;

/// Reads a file that was written in this format. `source` is the schema of the source batches;
/// what is read has its columns with their types, then the reject columns.
///
/// # Errors
/// [`RejectError::Type`] for a source column whose type no file holds. What is wrong with the file
/// is an error of its batches.
pub fn read_rejected(
    reader: impl Read + Send + 'static,
    format: RejectFormat,
    source: SchemaRef,
) -> Result<RejectedReader, RejectError> {
    let reader: Box<dyn Read + Send> = match format.compression() {
        Compression::No => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
    };
    Ok(RejectedReader {
        schema: Arc::new(schema_of(&source)),
        batches: format.read(reader, source)?,
    })
}

/// The batches of one file, in the order of its records.
pub struct RejectedReader {
    schema: SchemaRef,
    batches: Batches,
}

impl RejectedReader {
    /// The source's columns and the reject columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Iterator for RejectedReader {
    type Item = Result<RecordBatch, RejectError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next()
    }
}

impl std::fmt::Debug for RejectedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RejectedReader")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
