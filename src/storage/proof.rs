//! Whether a location takes objects.

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::{Storage, StorageError, key_in};

impl Storage {
    /// Puts a test object, finds it by listing its directory, deletes it.
    ///
    /// # Errors
    /// [`StorageError::Request`] with the object, the cause and the cure;
    /// [`StorageError::NotListed`] if the listing lacks the object.
    pub async fn prove(
        &self,
        directory: &str,
        name: &str,
        content: Bytes,
    ) -> Result<(), StorageError> {
        self.prove_that(directory, name, content, false).await
    }

    /// As [`Storage::prove`]; the object is read as well.
    ///
    /// # Errors
    /// As [`Storage::prove`].
    pub(crate) async fn prove_readable(
        &self,
        directory: &str,
        name: &str,
        content: Bytes,
    ) -> Result<(), StorageError> {
        self.prove_that(directory, name, content, true).await
    }

    async fn prove_that(
        &self,
        directory: &str,
        name: &str,
        content: Bytes,
        is_read: bool,
    ) -> Result<(), StorageError> {
        let patience = self.patience.of_proof();
        let key = key_in(directory, name)?;
        let payload = PutPayload::from_bytes(content);
        let put = || async { self.store.put(&key, payload.clone()).await };
        self.request(patience, "write", key.as_ref(), put).await?;
        let names = self.list_for(patience, directory).await;
        let read = match is_read {
            true => self.content_for(patience, &key).await.map(drop),
            false => Ok(()),
        };
        self.delete_for(patience, &key).await?;
        read?;
        if names?.iter().any(|listed| listed == name) {
            return Ok(());
        }
        Err(StorageError::NotListed {
            object: self.url(key.as_ref()),
        })
    }
}
