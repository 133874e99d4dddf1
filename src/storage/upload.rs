//! Objects that are sent in parts.

use std::fmt;

use bytes::Bytes;
use object_store::MultipartUpload;
use object_store::path::Path;

use super::fingerprint::Fingerprint;
use super::{Cause, Storage, StorageError};

/// Size of a part in bytes: the least that S3 takes for any but the last (Amazon S3 User Guide,
/// "Multipart upload limits"). All but the last have one size, which some servers ask for.
pub const PART_BYTES: usize = 5 << 20;

/// An object on its way, which is not there before [`Self::complete`].
///
/// Parts cannot be put on condition: ask [`Storage::exists`] before the upload, `complete` asks
/// once more. An upload that is dropped leaves its parts in the bucket: [`Self::abort`] it instead.
#[must_use]
pub struct Upload<'a> {
    storage: &'a Storage,
    key: Path,
    parts: Box<dyn MultipartUpload>,
    sent: Fingerprint,
}

impl<'a> Upload<'a> {
    pub(super) fn new(storage: &'a Storage, key: Path, parts: Box<dyn MultipartUpload>) -> Self {
        Self {
            storage,
            key,
            parts,
            sent: Fingerprint::default(),
        }
    }

    /// Sends a part, of [`PART_BYTES`] but for the last.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn put(&mut self, part: Bytes) -> Result<(), StorageError> {
        self.sent.add(&part);
        let put = self.parts.put_part(part.into()).await;
        put.map_err(|error| self.failed(&error))
    }

    /// Makes the parts an object, unless there is one of its key by now.
    ///
    /// # Errors
    /// [`StorageError::Taken`] if there is; [`StorageError::Request`].
    pub async fn complete(mut self) -> Result<(), StorageError> {
        if self.storage.exists(&self.key).await {
            let object = self.storage.url(self.key.as_ref());
            self.abort().await;
            return Err(StorageError::Taken { object });
        }
        let Err(error) = self.parts.complete().await else {
            return Ok(());
        };
        // Completed by a request whose response was lost, the upload is known no more.
        if self.storage.holds(&self.key, &self.sent).await {
            return Ok(());
        }
        Err(self.failed(&error))
    }

    /// Throws the parts away, as far as the store does.
    pub async fn abort(mut self) {
        if let Err(error) = self.parts.abort().await {
            let (key, cause) = (&self.key, Cause::of(&error));
            tracing::warn!(%key, %cause, "an unfinished upload could not be aborted");
        }
    }

    fn failed(&self, error: &object_store::Error) -> StorageError {
        self.storage.failed("write", self.key.as_ref(), error)
    }
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
