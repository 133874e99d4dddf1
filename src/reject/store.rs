//! Where rejected records go: any object store, proved before the first record.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufReader, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::sync::Mutex;

use super::body::{Body, Fingerprint, PART_BYTES, packed};
use super::envelope::Envelope;
use super::error::{Cause, RejectError, sources};
use super::format::FileFormat;
use super::path::{FileParts, Layout, RejectStream};
use super::place::{Encryption, Opened, Place};
use super::read::{RejectedReader, read_rejected};
use super::remove::RemoveOne;

/// Puts of one object whose answers may be lost.
const MAX_LOST: usize = 3;

/// Where rejected records are stored, and under which names.
#[derive(Debug, Clone)]
pub struct RejectConfig {
    /// Bucket or URL.
    pub place: Place,
    /// How they are written.
    pub file: FileFormat,
    /// Directory of a stream, such as `{sync_id}/{namespace}/{stream_name}/`, which is the default.
    pub path_format: Option<String>,
    /// Name of an object; `{date}_{timestamp}_{part_number}{format_extension}` by default.
    pub file_name_format: Option<String>,
    /// What S3 is asked to encrypt them with.
    pub encryption: Encryption,
}

impl RejectConfig {
    /// CSV under the default names, encrypted as the bucket is.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            file: FileFormat::default(),
            path_format: None,
            file_name_format: None,
            encryption: Encryption::default(),
        }
    }
}

/// The store of rejected records, shared by all streams of a sync.
pub struct RejectStore {
    store: Arc<dyn ObjectStore>,
    remove: Option<RemoveOne>,
    /// What keys are told after: `s3://bucket`, or a URL without secrets.
    place: String,
    prefix: String,
    layout: Layout,
    file: FileFormat,
    directories: Mutex<HashMap<String, Directory>>,
    /// The server has said that it cannot put on condition.
    unconditional: AtomicBool,
}

/// A file name as the template gives it, and the free one reserved for it.
struct Name {
    base: String,
    free: String,
}

/// What is known of a directory's objects.
#[derive(Default)]
struct Directory {
    next_part: u64,
    names: HashSet<String>,
}

impl RejectStore {
    /// Opens the place for a sync that began at `start`; nothing is sent yet.
    ///
    /// # Errors
    /// A config error for templates or a place that cannot be.
    pub fn open(config: &RejectConfig, start: DateTime<Utc>) -> Result<Self, RejectError> {
        let Opened {
            store,
            place,
            prefix,
            remove,
        } = config.place.open(&config.encryption)?;
        let path_format = config.path_format.as_deref();
        let file_name_format = config.file_name_format.as_deref();
        Ok(Self {
            store,
            remove,
            place,
            prefix,
            layout: Layout::new(path_format, file_name_format, start)?,
            file: config.file,
            directories: Mutex::default(),
            unconditional: AtomicBool::default(),
        })
    }

    /// Proves the place as Airbyte's `check` does: puts a test object, finds it by listing its
    /// directory, deletes it.
    ///
    /// # Errors
    /// [`RejectError::Store`] with the object, the cause and the cure;
    /// [`RejectError::NotListed`] if the listing lacks the object.
    pub async fn prove(&self) -> Result<(), RejectError> {
        let stream = RejectStream {
            name: "test".to_owned(),
            namespace: Some("testing".to_owned()),
            sync_id: 1,
            generation_id: 1,
        };
        let directory = self.layout.directory(&self.prefix, &stream);
        let key = key(&directory, "_check_test")?;
        let content = packed(b"{\"data\":1}", self.file.compression)?;
        self.store
            .put(&key, content.into())
            .await
            .map_err(|error| self.failed("write", key.as_ref(), &error))?;
        let names = self.list(&directory).await;
        self.delete(&key).await?;
        if names?.iter().any(|name| name == "_check_test") {
            return Ok(());
        }
        Err(RejectError::NotListed {
            object: self.shown(key.as_ref()),
        })
    }

    async fn delete(&self, key: &Path) -> Result<(), RejectError> {
        let Err(error) = self.store.delete(key).await else {
            return Ok(());
        };
        match &self.remove {
            Some(remove) if remove.remove(key).await => Ok(()),
            _ => Err(self.failed("delete", key.as_ref(), &error)),
        }
    }

    /// Stores rejected records, at least one, in one new object, and answers where.
    ///
    /// # Errors
    /// [`RejectError::Store`] once the retries are used up; nothing is to be taken for stored then.
    pub async fn write(
        &self,
        stream: &RejectStream,
        batches: &[RecordBatch],
    ) -> Result<String, RejectError> {
        let batches = stream::iter(batches.iter().cloned().map(Ok::<_, RejectError>));
        let stored = self.write_stream(stream, batches).await?;
        stored.ok_or_else(|| RejectError::Batch {
            reason: "it has no row".to_owned(),
        })
    }

    /// The same for batches that are made as they are taken: at no time are more than one of them
    /// and two parts of 5 MiB held. `None` if they have no row, and then there is no object.
    ///
    /// # Errors
    /// As [`Self::write`], and whatever error the batches end with: no object is left then.
    pub async fn write_stream<E: From<RejectError>>(
        &self,
        stream: &RejectStream,
        batches: impl Stream<Item = Result<RecordBatch, E>> + Send,
    ) -> Result<Option<String>, E> {
        let envelope = Envelope {
            sync_id: stream.sync_id,
            generation_id: stream.generation_id,
            file: self.file,
        };
        let Some(mut body) = Body::open(envelope, batches.boxed()).await? else {
            return Ok(None);
        };
        let first = body.next_part().await?;
        let directory = self.layout.directory(&self.prefix, stream);
        let name = self.reserve(&directory, stream.sync_id).await?;
        let key = if first.len() < PART_BYTES {
            self.put_new(&directory, name, first, body.sent()).await?
        } else {
            self.put_large(&directory, name, first, body).await?
        };
        Ok(Some(self.shown(key.as_ref())))
    }

    /// Reads back what was written under a prefix, or one object: by its key, or in the form that
    /// [`Self::write`] answers. `source` is the schema of the stream's source batches.
    ///
    /// # Errors
    /// [`RejectError::Store`] if the place does not answer, [`RejectError::Read`] for an object
    /// that is not as this version writes it.
    pub async fn read(
        &self,
        prefix: &str,
        source: SchemaRef,
    ) -> Result<BoxStream<'_, Result<RecordBatch, RejectError>>, RejectError> {
        let prefix = prefix.strip_prefix(&self.place).unwrap_or(prefix);
        let path = key(prefix.trim_start_matches('/'), "")?;
        let mut objects = match self.store.head(&path).await {
            Ok(object) => vec![object.location],
            Err(_) => {
                let listed = self.store.list(Some(&path)).map_ok(|meta| meta.location);
                let listed: Result<Vec<_>, _> = listed.try_collect().await;
                listed.map_err(|error| self.failed("list", prefix, &error))?
            }
        };
        objects.sort();
        let batches = stream::iter(objects)
            .then(move |object| self.read_object(object, Arc::clone(&source)))
            .map_ok(stream::iter)
            .try_flatten();
        Ok(batches.boxed())
    }

    /// An object, by way of a temporary file: it may be larger than memory.
    async fn read_object(
        &self,
        object: Path,
        source: SchemaRef,
    ) -> Result<RejectedReader, RejectError> {
        let failed = |error| self.failed("read", object.as_ref(), &error);
        let mut chunks = self.store.get(&object).await.map_err(failed)?.into_stream();
        let disk = |error: std::io::Error| RejectError::Temporary(error.to_string());
        let mut file = tempfile::tempfile().map_err(disk)?;
        while let Some(chunk) = chunks.next().await.transpose().map_err(failed)? {
            file.write_all(&chunk).map_err(disk)?;
        }
        file.rewind().map_err(disk)?;
        let format = self.file.of_name(object.filename().unwrap_or_default());
        read_rejected(BufReader::new(file), format, source)
    }

    /// A name with the directory's next part number that no known object has.
    async fn reserve(&self, directory: &str, sync_id: i64) -> Result<Name, RejectError> {
        let mut directories = self.directories.lock().await;
        if !directories.contains_key(directory) {
            let names = self.list(directory).await?;
            let last = names
                .iter()
                .filter_map(|name| self.layout.part_number(name));
            let known = Directory {
                next_part: last.max().map_or(0, |last| last.saturating_add(1)),
                names: names.into_iter().collect(),
            };
            directories.insert(directory.to_owned(), known);
        }
        let known = directories.entry(directory.to_owned()).or_default();
        let base = self.layout.file_name(FileParts {
            timestamp: Utc::now().timestamp_millis(),
            part_number: known.next_part,
            sync_id,
            extension: self.file.extension(),
        });
        known.next_part = known.next_part.saturating_add(1);
        let free = known.take(&base);
        Ok(Name { base, free })
    }

    /// The next free `-1`, `-2`, ... after a name that another process took.
    async fn rename(&self, directory: &str, taken: &str) -> String {
        let mut directories = self.directories.lock().await;
        directories
            .entry(directory.to_owned())
            .or_default()
            .take(taken)
    }

    /// Puts a small object under the first name that is free. A name that is taken by these very
    /// bytes was put by a request whose answer was lost.
    async fn put_new(
        &self,
        directory: &str,
        mut name: Name,
        bytes: Bytes,
        sent: &Fingerprint,
    ) -> Result<Path, RejectError> {
        let payload = PutPayload::from_bytes(bytes);
        let mut lost = 0;
        loop {
            let key = key(directory, &name.free)?;
            match self.create(&key, payload.clone()).await {
                Ok(()) => return Ok(key),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    if self.holds(&key, sent).await {
                        return Ok(key);
                    }
                    name.free = self.rename(directory, &name.base).await;
                }
                Err(error) if is_lost(&error) && lost < MAX_LOST => lost += 1,
                Err(error) => return Err(self.failed("write", key.as_ref(), &error)),
            }
        }
    }

    /// Puts an object that must be new. A server that cannot put on condition is trusted with the
    /// listing's word.
    async fn create(&self, key: &Path, payload: PutPayload) -> object_store::Result<()> {
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

    /// Whether an object is there with this content. One that cannot be read counts as another.
    async fn holds(&self, key: &Path, sent: &Fingerprint) -> bool {
        let Ok(found) = self.store.get(key).await else {
            return false;
        };
        if found.meta.size != sent.length() {
            return false;
        }
        let mut content = Fingerprint::default();
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => content.add(&chunk),
                Err(_) => return false,
            }
        }
        content.is(sent)
    }

    /// Sends a large object in parts. Parts cannot be put on condition: the name is asked first,
    /// and again before the parts become the object.
    async fn put_large<E: From<RejectError>>(
        &self,
        directory: &str,
        name: Name,
        first: Bytes,
        mut body: Body<'_, E>,
    ) -> Result<Path, E> {
        let mut key = self::key(directory, &name.free)?;
        while self.store.head(&key).await.is_ok() {
            key = self::key(directory, &self.rename(directory, &name.base).await)?;
        }
        let begun = self.store.put_multipart(&key).await;
        let mut upload = begun.map_err(|error| self.failed("write", key.as_ref(), &error))?;
        let mut sent = self
            .put_parts(upload.as_mut(), &key, first, &mut body)
            .await;
        if sent.is_ok() && self.store.head(&key).await.is_ok() {
            let object = self.shown(key.as_ref());
            sent = Err(RejectError::Taken { object }.into());
        }
        if let Err(error) = sent {
            if let Err(error) = upload.abort().await {
                let cause = Cause::of(&error);
                tracing::warn!(%key, %cause, "an unfinished upload could not be aborted");
            }
            return Err(error);
        }
        match upload.complete().await {
            Ok(_) => Ok(key),
            // Completed by a request whose answer was lost, the upload is known no more.
            Err(_) if self.holds(&key, body.sent()).await => Ok(key),
            Err(error) => Err(self.failed("write", key.as_ref(), &error).into()),
        }
    }

    async fn put_parts<E: From<RejectError>>(
        &self,
        upload: &mut dyn MultipartUpload,
        key: &Path,
        first: Bytes,
        body: &mut Body<'_, E>,
    ) -> Result<(), E> {
        let mut part = first;
        while !part.is_empty() {
            let put = upload.put_part(part.into()).await;
            put.map_err(|error| self.failed("write", key.as_ref(), &error))?;
            part = body.next_part().await?;
        }
        Ok(())
    }

    /// Names of the objects right in a directory.
    async fn list(&self, directory: &str) -> Result<Vec<String>, RejectError> {
        let path = key(directory, "")?;
        let listed = self
            .store
            .list_with_delimiter(Some(&path))
            .await
            .map_err(|error| self.failed("list", directory, &error))?;
        let names = listed
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    fn shown(&self, key: &str) -> String {
        format!("{}/{key}", self.place)
    }

    fn failed(&self, action: &'static str, key: &str, error: &object_store::Error) -> RejectError {
        RejectError::Store {
            action,
            object: self.shown(key),
            cause: Cause::of(error),
        }
    }
}

impl fmt::Debug for RejectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectStore")
            .field("place", &self.place)
            .field("prefix", &self.prefix)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Reserves `name`, or its first free `-1`, `-2`, ...
    fn take(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut count = 0_u64;
        while !self.names.insert(free.clone()) {
            count += 1;
            free = format!("{name}-{count}");
        }
        free
    }
}

/// Whether a server refused because it knows no `If-None-Match`.
fn lacks_conditions(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || matches!(Cause::of(error), Cause::Other(Some(code)) if code == "NotImplemented")
}

/// Whether a request was sent and nothing is known of its end.
fn is_lost(error: &object_store::Error) -> bool {
    sources(error)
        .filter_map(|source| source.downcast_ref::<HttpError>())
        .any(|http| !matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Request))
}

fn key(directory: &str, name: &str) -> Result<Path, RejectError> {
    let key = format!("{directory}{name}");
    Path::parse(&key).map_err(|error| RejectError::Key {
        key,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
