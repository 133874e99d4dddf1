//! Objects that are sent in parts.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, PutPayload};
use parking_lot::Mutex;

use super::cause::passes;
use super::fingerprint::Fingerprint;
use super::{Cause, Storage, StorageError};

/// Size of a part in bytes: the least that S3 takes for any but the last (Amazon S3 User Guide,
/// "Multipart upload limits"). All but the last have one size, which some servers ask for.
pub const PART_BYTES: usize = 5 << 20;

/// An object on its way, which is not there before [`Self::complete`].
///
/// Parts cannot be put on condition: ask [`Storage::exists`] before the upload, `complete` asks
/// once more. An upload that is dropped is aborted, as far as the runtime still gets to it:
/// [`Self::abort`] it instead.
#[must_use]
pub struct Upload<'a> {
    storage: &'a Storage,
    key: Path,
    parts: Parts,
    sent: Fingerprint,
}

/// The parts of an upload.
pub(super) enum Parts {
    /// Each request can be repeated.
    S3(Unfinished),
    Other(Box<dyn MultipartUpload>),
}

/// An upload of S3 that is aborted when it is dropped.
pub(super) struct Unfinished {
    store: Arc<dyn MultipartStore>,
    key: Path,
    id: MultipartId,
    parts: Mutex<Vec<PartId>>,
    ended: bool,
}

impl Parts {
    pub(super) fn of_s3(store: Arc<dyn MultipartStore>, key: Path, id: MultipartId) -> Self {
        Self::S3(Unfinished {
            store,
            key,
            id,
            parts: Mutex::default(),
            ended: false,
        })
    }
}

impl<'a> Upload<'a> {
    pub(super) fn new(storage: &'a Storage, key: Path, parts: Parts) -> Self {
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
        let payload = PutPayload::from(part);
        let (storage, key) = (self.storage, self.key.as_ref());
        match &mut self.parts {
            Parts::S3(upload) => {
                let put = || async { upload.put(payload.clone()).await };
                let part = storage.request(storage.patience, "write", key, put).await?;
                upload.parts.lock().push(part);
                Ok(())
            }
            Parts::Other(upload) => {
                let put = upload.put_part(payload).await;
                put.map_err(|error| storage.failed("write", key, &error))
            }
        }
    }

    /// Makes the parts an object, unless there is one of its key by now.
    ///
    /// # Errors
    /// [`StorageError::Taken`] if there is; [`StorageError::Request`].
    pub async fn complete(mut self) -> Result<(), StorageError> {
        if self.storage.exists(&self.key).await? {
            let object = self.storage.url(self.key.as_ref());
            self.abort().await;
            return Err(StorageError::Taken { object });
        }
        let (storage, key, sent) = (self.storage, &self.key, &self.sent);
        match &mut self.parts {
            Parts::S3(upload) => {
                // Completed by a request whose response was lost, the upload is known no more.
                let complete = || async {
                    let Err(error) = upload.complete().await else {
                        return Ok(());
                    };
                    match storage.compare(key, sent).await {
                        Ok(true) => Ok(()),
                        Err(unread) if passes(&unread) => Err(unread),
                        _ => Err(error),
                    }
                };
                let patience = storage.patience;
                let completed = storage.request(patience, "write", key.as_ref(), complete);
                completed.await?;
                upload.ended = true;
                Ok(())
            }
            Parts::Other(upload) => match upload.complete().await {
                Err(error) if !storage.holds(key, sent).await? => {
                    Err(storage.failed("write", key.as_ref(), &error))
                }
                _ => Ok(()),
            },
        }
    }

    /// Throws the parts away, as far as the store does.
    pub async fn abort(mut self) {
        let key = &self.key;
        let aborted = match &mut self.parts {
            Parts::S3(upload) => {
                upload.ended = true;
                upload.abort().await
            }
            Parts::Other(upload) => upload.abort().await,
        };
        if let Err(error) = aborted {
            let cause = Cause::of(&error);
            tracing::warn!(%key, %cause, "an unfinished upload could not be aborted");
        }
    }
}

impl Unfinished {
    async fn put(&self, part: PutPayload) -> object_store::Result<PartId> {
        let index = self.parts.lock().len();
        self.store.put_part(&self.key, &self.id, index, part).await
    }

    async fn complete(&self) -> object_store::Result<()> {
        let parts = self.parts.lock().clone();
        let completed = self.store.complete_multipart(&self.key, &self.id, parts);
        completed.await.map(drop)
    }

    async fn abort(&self) -> object_store::Result<()> {
        self.store.abort_multipart(&self.key, &self.id).await
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.ended {
            let (store, key, id) = (Arc::clone(&self.store), self.key.clone(), self.id.clone());
            runtime.spawn(async move { store.abort_multipart(&key, &id).await });
        }
    }
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
