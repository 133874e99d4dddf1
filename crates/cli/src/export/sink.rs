//! Bytes -> where they are kept.

use std::io;

use arrow_salesforce::object_store::ObjectStoreExt as _;
use bytes::Bytes;
use object_store::buffered::BufWriter;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::ExportError;
use super::place::Place;

/// Bytes of one upload to a store.
const UPLOAD_BYTES: usize = 8 << 20;
/// Uploads at once.
const UPLOADS: usize = 2;

/// Takes the bytes of a file.
pub(super) struct Sink {
    shown: String,
    to: Kind,
}

enum Kind {
    /// Nothing is there under its name before it is whole.
    Stored(Box<BufWriter>),
    /// A pipe or a device.
    Straight(Box<dyn AsyncWrite + Send + Unpin>),
}

impl Sink {
    /// A file of a store.
    pub(super) fn stored(place: &Place) -> Self {
        let store = place.store();
        let writer = BufWriter::with_capacity(store, place.path().clone(), UPLOAD_BYTES);
        Self {
            shown: place.shown().to_owned(),
            to: Kind::Stored(Box::new(writer.with_max_concurrency(UPLOADS))),
        }
    }

    /// Something that takes bytes as they come.
    pub(super) fn straight(to: Box<dyn AsyncWrite + Send + Unpin>, shown: &str) -> Self {
        Self {
            shown: shown.to_owned(),
            to: Kind::Straight(to),
        }
    }

    /// What messages call it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Adds bytes.
    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<(), ExportError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let put = match &mut self.to {
            Kind::Stored(writer) => writer.put(bytes).await.map_err(|error| error.to_string()),
            Kind::Straight(writer) => {
                let written = async {
                    writer.write_all(&bytes).await?;
                    // A table of one who reads along is no file.
                    writer.flush().await
                };
                return written.await.map_err(|error| of_io(&self.shown, &error));
            }
        };
        put.map_err(|reason| self.failed(reason))
    }

    /// Ends the file: from now on it is there.
    pub(super) async fn finish(&mut self) -> Result<(), ExportError> {
        match &mut self.to {
            Kind::Stored(writer) => {
                let ended = writer.shutdown().await;
                ended.map_err(|error| self.failed(error.to_string()))
            }
            Kind::Straight(writer) => {
                let ended = writer.flush().await;
                ended.map_err(|error| of_io(&self.shown, &error))
            }
        }
    }

    /// Leaves nothing of it.
    pub(super) async fn abort(&mut self) {
        if let Kind::Stored(writer) = &mut self.to
            && let Err(error) = writer.abort().await
        {
            tracing::debug!(%error, place = self.shown, "an upload that was begun is left");
        }
    }

    fn failed(&self, reason: String) -> ExportError {
        ExportError::Write {
            place: self.shown.clone(),
            reason,
        }
    }
}

fn of_io(place: &str, error: &io::Error) -> ExportError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ExportError::Closed,
        _ => ExportError::Write {
            place: place.to_owned(),
            reason: error.to_string(),
        },
    }
}

impl Place {
    /// Whether a file of this name is there.
    pub(super) async fn exists(&self) -> Result<bool, ExportError> {
        use arrow_salesforce::object_store::Error;
        match self.store().head(self.path()).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }
}
