//! One file of records, written as they come.

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::ExportError;
use super::encode::{EncodeError, Encoder, Encoding};
use super::sink::Sink;

/// A file that is being written. Nothing is under its name before it is whole.
pub(crate) struct Written {
    /// None only while another thread has it, and after an error of it.
    encoder: Option<Encoder>,
    sink: Sink,
    rows: u64,
    bytes: u64,
}

impl Written {
    /// A file of records with these columns.
    ///
    /// # Errors
    /// [`ExportError::Encode`] if the format has no such columns.
    pub(super) fn begin(
        encoding: Encoding,
        schema: &SchemaRef,
        sink: Sink,
    ) -> Result<Self, ExportError> {
        let encoder = Encoder::begin(encoding, schema);
        let encoder = encoder.map_err(|error| refused(&sink, &error))?;
        Ok(Self {
            encoder: Some(encoder),
            sink,
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds records.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn write(&mut self, batch: RecordBatch) -> Result<(), ExportError> {
        self.rows += batch.num_rows() as u64;
        let bytes = self.with_encoder(move |mut encoder| {
            encoder.write(&batch)?;
            let bytes = encoder.take();
            Ok((bytes, Some(encoder)))
        });
        let bytes = bytes.await?;
        self.put(bytes).await
    }

    /// Records so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that are written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the file: from now on it is there.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn finish(&mut self) -> Result<(), ExportError> {
        let bytes = self.with_encoder(|encoder| Ok((encoder.finish()?, None)));
        let bytes = bytes.await?;
        self.put(bytes).await?;
        self.sink.finish().await
    }

    /// Leaves nothing of it.
    pub(crate) async fn abort(mut self) {
        self.sink.abort().await;
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), ExportError> {
        self.bytes += bytes.len() as u64;
        self.sink.put(bytes).await
    }

    /// Work of the encoder, on a thread that may take its time.
    async fn with_encoder(
        &mut self,
        work: impl FnOnce(Encoder) -> Result<(Bytes, Option<Encoder>), EncodeError> + Send + 'static,
    ) -> Result<Bytes, ExportError> {
        let encoder = self.encoder.take();
        let encoder = encoder.ok_or_else(|| refused(&self.sink, &"the file is at its end"))?;
        let worked = spawn_blocking(move || work(encoder)).await;
        let worked = worked.map_err(|error| refused(&self.sink, &error))?;
        let (bytes, encoder) = worked.map_err(|error| refused(&self.sink, &error))?;
        self.encoder = encoder;
        Ok(bytes)
    }
}

fn refused(sink: &Sink, error: &impl ToString) -> ExportError {
    ExportError::Encode {
        place: sink.shown().to_owned(),
        reason: error.to_string(),
    }
}
