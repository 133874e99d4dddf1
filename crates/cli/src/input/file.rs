//! A file of an input, and what reads its records.

use std::fmt::Debug;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::InputError;

/// The bytes of a file, no longer compressed.
pub(crate) type ByteStream = BoxStream<'static, Result<Bytes, InputError>>;

/// The batches of a file.
pub(crate) type BatchStream = BoxStream<'static, Result<RecordBatch, InputError>>;

/// A file that can be read from its beginning, as often as it is asked for.
pub(crate) trait InputFile: Debug + Send + Sync {
    /// The file, as the user calls it: in messages.
    fn name(&self) -> &str;
    /// Its bytes, no longer compressed.
    fn bytes(&self) -> ByteStream;
}

/// Reads the records of files of one format: all batches have one schema.
pub(crate) trait FileRecords: Debug + Send + Sync {
    /// The columns of each batch.
    fn schema(&self) -> SchemaRef;
    /// The records of a file, in the order of the file: the same each time.
    fn batches(&self, file: &dyn InputFile) -> BatchStream;
}
