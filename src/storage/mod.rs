//! Object stores: where objects are, who asks for them, and how one is made that is new.
//!
//! ```text
//! Location (bucket or URL, credentials) + Encryption ─► Storage ─► object_store
//! ```
//!
//! [`Storage`] knows nothing of what the objects hold. Its errors say what was tried with which
//! object, why it failed and what to do; never with the text of the response, which may hold a key.

mod cause;
mod connect;
mod delete;
mod error;
mod fingerprint;
mod location;
mod role;
mod upload;

pub use cause::Cause;
pub use error::StorageError;
pub use location::{Encryption, Location, S3Credentials, S3Location};
pub use role::RoleError;
pub use upload::{PART_BYTES, Upload};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use cause::is_lost;
use delete::DeleteOne;
use fingerprint::Fingerprint;

/// Puts of one object whose responses may be lost.
const MAX_LOST: usize = 3;

/// An opened [`Location`].
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// S3 alone.
    delete_one: Option<DeleteOne>,
    /// What keys are shown after: `s3://bucket`, or a URL without secrets.
    root: String,
    prefix: String,
    /// The server has said that it cannot put on condition.
    unconditional: AtomicBool,
}

impl Storage {
    /// Makes the client of a location; nothing is sent yet. A directory of files is made.
    ///
    /// # Errors
    /// [`StorageError::Location`], [`StorageError::Client`] or [`StorageError::Encryption`] for a
    /// location that cannot be.
    pub fn open(location: &Location, encryption: &Encryption) -> Result<Self, StorageError> {
        location.open(encryption)
    }

    fn new(
        store: Arc<dyn ObjectStore>,
        delete_one: Option<DeleteOne>,
        root: impl Into<String>,
        prefix: impl Into<String>,
    ) -> Self {
        Self {
            store,
            delete_one,
            root: root.into(),
            prefix: prefix.into(),
            unconditional: AtomicBool::default(),
        }
    }

    /// A location in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory(store: Arc<object_store::memory::InMemory>, prefix: &str) -> Self {
        Self::new(store, None, "memory://", prefix)
    }

    /// What every key begins with, as the location gives it.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// An object or directory as messages show it: the bucket or URL, then its key.
    pub fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.root)
    }

    /// The key of an object, from its key or from what [`Self::url`] returned for it.
    ///
    /// # Errors
    /// [`StorageError::Key`] if no object can have it.
    pub fn key_of(&self, url: &str) -> Result<Path, StorageError> {
        let key = url.strip_prefix(&self.root).unwrap_or(url);
        key_in(key.trim_start_matches('/'), "")
    }

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
        let key = key_in(directory, name)?;
        let put = self.store.put(&key, content.into()).await;
        put.map_err(|error| self.failed("write", key.as_ref(), &error))?;
        let names = self.list(directory).await;
        self.delete(&key).await?;
        if names?.iter().any(|listed| listed == name) {
            return Ok(());
        }
        Err(StorageError::NotListed {
            object: self.url(key.as_ref()),
        })
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn delete(&self, key: &Path) -> Result<(), StorageError> {
        let Err(error) = self.store.delete(key).await else {
            return Ok(());
        };
        match &self.delete_one {
            Some(one) if one.delete(key).await => Ok(()),
            _ => Err(self.failed("delete", key.as_ref(), &error)),
        }
    }

    /// Puts an object unless there is one of its key. Returns whether it is there now, with this
    /// content: false means that another one is. A put whose response was lost is found by its
    /// content. A server that cannot put on condition overwrites: list first.
    ///
    /// # Errors
    /// [`StorageError::Request`] once the retries are used up: whether the object is there is not
    /// known then.
    pub async fn create(&self, key: &Path, content: Bytes) -> Result<bool, StorageError> {
        let payload = PutPayload::from_bytes(content.clone());
        let mut lost = 0;
        loop {
            match self.put_new(key, payload.clone()).await {
                Ok(()) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    return Ok(self.holds(key, &Fingerprint::of(&content)).await);
                }
                Err(error) if is_lost(&error) && lost < MAX_LOST => lost += 1,
                Err(error) => return Err(self.failed("write", key.as_ref(), &error)),
            }
        }
    }

    async fn put_new(&self, key: &Path, payload: PutPayload) -> object_store::Result<()> {
        if !self.unconditional.load(Ordering::Relaxed) {
            let create = PutMode::Create.into();
            match self.store.put_opts(key, payload.clone(), create).await {
                Err(error) if lacks_conditions(&error) => {
                    self.unconditional.store(true, Ordering::Relaxed);
                }
                put => return put.map(drop),
            }
        }
        self.store.put(key, payload).await.map(drop)
    }

    /// Begins an object that is sent in parts: see [`Upload`].
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn upload(&self, key: &Path) -> Result<Upload<'_>, StorageError> {
        let begun = self.store.put_multipart(key).await;
        let begun = begun.map_err(|error| self.failed("write", key.as_ref(), &error))?;
        Ok(Upload::new(self, key.clone(), begun))
    }

    /// Whether there is an object of this key, as far as the store says.
    pub async fn exists(&self, key: &Path) -> bool {
        self.store.head(key).await.is_ok()
    }

    /// Names of the objects right in a directory.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let listed = self
            .store
            .list_with_delimiter(Some(&key_in(directory, "")?))
            .await
            .map_err(|error| self.failed("list", directory, &error))?;
        let names = listed
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// The object of this key, or else all objects below it, sorted.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn find(&self, key: &Path) -> Result<Vec<Path>, StorageError> {
        if self.exists(key).await {
            return Ok(vec![key.clone()]);
        }
        let listed = self.store.list(Some(key)).map_ok(|meta| meta.location);
        let listed: Result<Vec<_>, _> = listed.try_collect().await;
        let mut keys = listed.map_err(|error| self.failed("list", key.as_ref(), &error))?;
        keys.sort();
        Ok(keys)
    }

    /// The content of an object, in pieces.
    ///
    /// # Errors
    /// [`StorageError::Request`], also between the pieces.
    pub async fn read(
        &self,
        key: &Path,
    ) -> Result<BoxStream<'_, Result<Bytes, StorageError>>, StorageError> {
        let got = self.store.get(key).await;
        let got = got.map_err(|error| self.failed("read", key.as_ref(), &error))?;
        let key = key.clone();
        let pieces = got.into_stream();
        Ok(pieces
            .map_err(move |error| self.failed("read", key.as_ref(), &error))
            .boxed())
    }

    /// Whether an object is there with this content. One that cannot be read counts as another.
    async fn holds(&self, key: &Path, expected: &Fingerprint) -> bool {
        let Ok(found) = self.store.get(key).await else {
            return false;
        };
        if found.meta.size != expected.length() {
            return false;
        }
        let mut content = Fingerprint::default();
        let mut pieces = found.into_stream();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => content.add(&piece),
                Err(_) => return false,
            }
        }
        content.is(expected)
    }

    fn failed(&self, action: &'static str, key: &str, error: &object_store::Error) -> StorageError {
        StorageError::Request {
            action,
            object: self.url(key),
            cause: Cause::of(error),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("root", &self.root)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Whether a server refused because it knows no `If-None-Match`.
fn lacks_conditions(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || matches!(Cause::of(error), Cause::Other(Some(code)) if code == "NotImplemented")
}

/// The key of an object in a directory, which ends with a slash unless it is the root; of the
/// directory itself if the name is empty.
///
/// # Errors
/// [`StorageError::Key`] if no object can have it.
pub fn key_in(directory: &str, name: &str) -> Result<Path, StorageError> {
    let key = format!("{directory}{name}");
    Path::parse(&key).map_err(|error| StorageError::Key {
        key,
        reason: error.to_string(),
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
