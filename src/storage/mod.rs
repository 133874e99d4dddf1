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
pub(crate) mod names;
mod patience;
mod proof;
mod role;
mod time_limit;
mod upload;

pub use cause::Cause;
pub use error::StorageError;
pub use location::{Encryption, Location, S3Credentials, S3Location};
pub use role::RoleError;
use upload::Parts;
pub use upload::{PART_BYTES, Upload};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use delete::DeleteOne;
use fingerprint::Fingerprint;
use patience::Patience;
use role::AssumedRole;

use crate::waits::Waits;

/// An opened [`Location`]. Clones are the same.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// S3 alone.
    s3: Option<Arc<S3>>,
    /// What keys are shown after: `s3://bucket`, or a URL without secrets.
    root: String,
    prefix: String,
    patience: Patience,
    /// The server has said that it cannot put on condition.
    unconditional: Arc<AtomicBool>,
}

/// What S3 has beside what every store has.
struct S3 {
    delete_one: DeleteOne,
    /// Requests for the parts of an upload, each of which can be repeated.
    parts: Arc<dyn MultipartStore>,
    /// Who is asked for new credentials where S3 says that some have expired.
    role: Option<Arc<AssumedRole>>,
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
        s3: Option<S3>,
        root: impl Into<String>,
        prefix: impl Into<String>,
    ) -> Self {
        Self {
            store,
            s3: s3.map(Arc::new),
            root: root.into(),
            prefix: prefix.into(),
            patience: Patience::new(Waits::default()),
            unconditional: Arc::default(),
        }
    }

    /// Sets how long a request that fails for a reason that passes is repeated
    /// ([`Waits::patience`]); 10 minutes by default. [`Storage::prove`] takes 10 seconds at most for
    /// each of its requests, unless it is [`Storage::unattended`].
    #[must_use]
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.patience = Patience::new(waits);
        self
    }

    /// The same store, by the same client, with another prefix: `<prefix without its last
    /// slash><suffix>/`, beside this one and never under it.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> Self {
        let parts: Vec<&str> = self.parts().collect();
        Self {
            store: Arc::clone(&self.store),
            s3: self.s3.clone(),
            root: self.root.clone(),
            prefix: format!("{}{suffix}/", parts.join("/")),
            patience: self.patience,
            unconditional: Arc::default(),
        }
    }

    /// What keys begin with: nothing, or names that each end with a slash.
    pub(crate) fn directory(&self) -> String {
        self.parts().map(|part| format!("{part}/")).collect()
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.prefix.split('/').filter(|part| !part.is_empty())
    }

    /// Nobody waits for [`Storage::prove`]: it is as patient as all else.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.patience = self.patience.unattended();
        self
    }

    /// A location in memory, for tests.
    #[cfg(test)]
    pub(crate) fn in_memory(store: Arc<object_store::memory::InMemory>, prefix: &str) -> Self {
        Self::of(store, prefix)
    }

    /// A location in any store, for tests.
    #[cfg(test)]
    pub(crate) fn of(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
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

    /// Deletes an object. One that is not there is no error.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn delete(&self, key: &Path) -> Result<(), StorageError> {
        self.delete_for(self.patience, key).await
    }

    async fn delete_for(&self, patience: Patience, key: &Path) -> Result<(), StorageError> {
        let delete = || async {
            let Err(error) = self.store.delete(key).await else {
                return Ok(());
            };
            if matches!(error, object_store::Error::NotFound { .. }) && !cause::passes(&error) {
                return Ok(());
            }
            match &self.s3 {
                Some(s3) => (s3.delete_one.delete(key).await).map_err(|one| one.unwrap_or(error)),
                None => Err(error),
            }
        };
        self.request(patience, "delete", key.as_ref(), delete).await
    }

    /// Puts an object unless there is one of its key. Returns whether it is there now, with this
    /// content: false means that another one is. A put whose response was lost is found by its
    /// content. A server that cannot put on condition overwrites: list first.
    ///
    /// # Errors
    /// [`StorageError::Request`] once patience has run out: whether the object is there is not known
    /// then.
    pub async fn create(&self, key: &Path, content: Bytes) -> Result<bool, StorageError> {
        let payload = PutPayload::from_bytes(content.clone());
        let put = || async {
            match self.put_new(key, payload.clone()).await {
                Ok(()) => Ok(true),
                Err(error @ object_store::Error::AlreadyExists { .. })
                    if !cause::passes(&error) =>
                {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        };
        let put = self.request(self.patience, "write", key.as_ref(), put);
        Ok(put.await? || self.holds(key, &Fingerprint::of(&content)).await?)
    }

    /// Puts an object, over one of its key.
    ///
    /// # Errors
    /// [`StorageError::Request`] once patience has run out.
    pub async fn put(&self, key: &Path, content: Bytes) -> Result<(), StorageError> {
        let payload = PutPayload::from_bytes(content);
        let put = || async { self.store.put(key, payload.clone()).await.map(drop) };
        self.request(self.patience, "write", key.as_ref(), put)
            .await
    }

    /// Whether the server puts on condition, as far as is known: if not, two processes that create the
    /// same object do not hear of each other.
    pub(crate) fn is_conditional(&self) -> bool {
        !self.unconditional.load(Ordering::Relaxed)
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
        let begin = || async {
            match &self.s3 {
                Some(s3) => {
                    let id = s3.parts.create_multipart(key).await?;
                    Ok(Parts::of_s3(Arc::clone(&s3.parts), key.clone(), id))
                }
                None => Ok(Parts::Other(self.store.put_multipart(key).await?)),
            }
        };
        let begun = self.request(self.patience, "write", key.as_ref(), begin);
        Ok(Upload::new(self, key.clone(), begun.await?))
    }

    /// Whether there is an object of this key. No, where the store does not let this be asked.
    ///
    /// # Errors
    /// [`StorageError::Request`] once patience has run out.
    pub async fn exists(&self, key: &Path) -> Result<bool, StorageError> {
        let head = || async {
            match self.store.head(key).await {
                Err(error) if cause::passes(&error) => Err(error),
                head => Ok(head.is_ok()),
            }
        };
        self.request(self.patience, "read", key.as_ref(), head)
            .await
    }

    /// Names of the objects right in a directory.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        self.list_for(self.patience, directory).await
    }

    async fn list_for(
        &self,
        patience: Patience,
        directory: &str,
    ) -> Result<Vec<String>, StorageError> {
        let prefix = key_in(directory, "")?;
        let list = || async { self.store.list_with_delimiter(Some(&prefix)).await };
        let listed = self.request(patience, "list", directory, list).await?;
        let names = listed
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// All objects below a directory, each with the time of its last change by the store's clock.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub(crate) async fn list_all(
        &self,
        directory: &str,
    ) -> Result<Vec<(Path, DateTime<Utc>)>, StorageError> {
        let prefix = key_in(directory, "")?;
        let list = || async {
            let listed = self.store.list(Some(&prefix));
            let listed = listed.map_ok(|meta| (meta.location, meta.last_modified));
            listed.try_collect::<Vec<_>>().await
        };
        self.request(self.patience, "list", directory, list).await
    }

    /// All objects below a key, sorted, or else the object of this key.
    ///
    /// # Errors
    /// [`StorageError::Request`].
    pub async fn find(&self, key: &Path) -> Result<Vec<Path>, StorageError> {
        let list = || async {
            let listed = self.store.list(Some(key)).map_ok(|meta| meta.location);
            listed.try_collect::<Vec<_>>().await
        };
        let listed = self.request(self.patience, "list", key.as_ref(), list);
        let mut keys = listed.await?;
        keys.sort();
        // Asked last: what stores answer of a directory, or of the root, is errors of all kinds.
        if keys.is_empty() && !key.as_ref().is_empty() && self.exists(key).await? {
            keys.push(key.clone());
        }
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
        let get = || async { self.store.get(key).await };
        let got = self.request(self.patience, "read", key.as_ref(), get);
        let got = got.await?;
        let key = key.clone();
        let pieces = got.into_stream();
        Ok(pieces
            .map_err(move |error| self.failed("read", key.as_ref(), &error))
            .boxed())
    }

    /// The whole content of an object; `None` if there is none of this key.
    ///
    /// # Errors
    /// [`StorageError::Request`] once patience has run out.
    pub async fn content(&self, key: &Path) -> Result<Option<Bytes>, StorageError> {
        self.content_for(self.patience, key).await
    }

    async fn content_for(
        &self,
        patience: Patience,
        key: &Path,
    ) -> Result<Option<Bytes>, StorageError> {
        let get = || async {
            match self.store.get(key).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.request(patience, "read", key.as_ref(), get).await
    }

    /// Whether an object is there with this content. One that the store does not let be read counts as
    /// another.
    async fn holds(&self, key: &Path, expected: &Fingerprint) -> Result<bool, StorageError> {
        let compare = || async {
            match self.compare(key, expected).await {
                Err(error) if cause::passes(&error) => Err(error),
                compared => Ok(compared.unwrap_or_default()),
            }
        };
        let compared = self.request(self.patience, "read", key.as_ref(), compare);
        compared.await
    }

    async fn compare(&self, key: &Path, expected: &Fingerprint) -> object_store::Result<bool> {
        let found = self.store.get(key).await?;
        if found.meta.size != expected.length() {
            return Ok(false);
        }
        let mut content = Fingerprint::default();
        let mut pieces = found.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            content.add(&piece);
        }
        Ok(content.is(expected))
    }

    /// Repeats a request as long as `patience` says. Credentials of a role that have expired are
    /// renewed.
    async fn request<T, F>(
        &self,
        patience: Patience,
        action: &'static str,
        key: &str,
        once: impl Fn() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let role = self.s3.as_ref().and_then(|s3| s3.role.as_ref());
        let mut renewed = false;
        loop {
            let done = patience.repeat(action, &self.url(key), &once).await;
            match (done, role) {
                (Err(error), Some(role)) if !renewed && cause::has_expired(&error) => {
                    role.forget().await;
                    renewed = true;
                }
                (done, _) => return done.map_err(|error| self.failed(action, key, &error)),
            }
        }
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
