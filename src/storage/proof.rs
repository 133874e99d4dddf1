//! Whether a location takes objects.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::cause::passes;
use super::patience::Patience;
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

    /// As [`Storage::prove`]; the object is read as well, and put once more on condition that there is
    /// none: a server that does so all the same keeps nobody from taking the place of another's.
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
            true => self.prove_used(patience, &key, &payload).await,
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

    /// Reads an object that is there, and finds out whether the server puts another in its place though
    /// it is asked not to.
    async fn prove_used(
        &self,
        patience: Patience,
        key: &Path,
        payload: &PutPayload,
    ) -> Result<(), StorageError> {
        self.content_for(patience, key).await?;
        let put = || async {
            match self.put_new(key, payload.clone()).await {
                Err(error @ object_store::Error::AlreadyExists { .. }) if !passes(&error) => {
                    Ok(false)
                }
                put => put.map(|()| true),
            }
        };
        if self.request(patience, "write", key.as_ref(), put).await? {
            self.unconditional.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
