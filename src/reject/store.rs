//! Objects of rejected records: their names, and how they come into a [`Storage`] and back.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufReader, Seek as _, Write as _};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use tokio::sync::Mutex;

use super::body::{Body, packed};
use super::error::RejectError;
use super::format::{RejectFormat, TestObject};
use super::path::{FileParts, Layout, RejectStream};
use super::read::{RejectedReader, read_rejected};
use crate::options::Waits;
use crate::storage::{Encryption, Location, PART_BYTES, Storage, StorageError, Upload, key_in};

/// Where rejected records are stored, and under which names.
#[derive(Debug, Clone)]
pub struct RejectConfig {
    /// Bucket or URL.
    pub location: Location,
    /// How they are written.
    pub format: RejectFormat,
    /// Directory of a stream, such as `{namespace}/{stream_name}/`; the format's own by default.
    pub path_format: Option<String>,
    /// Name of an object; `{date}_{timestamp}_{part_number}{format_extension}` by default.
    pub file_name_format: Option<String>,
    /// What S3 is asked to encrypt them with.
    pub encryption: Encryption,
    /// How long a request that fails for a reason that passes is repeated ([`Waits::patience`]).
    pub waits: Waits,
}

impl RejectConfig {
    /// The default format and names, encrypted as the bucket is.
    pub fn new(location: Location) -> Self {
        Self {
            location,
            format: RejectFormat::default(),
            path_format: None,
            file_name_format: None,
            encryption: Encryption::default(),
            waits: Waits::default(),
        }
    }
}

/// The store of rejected records, shared by all streams of a run.
pub struct RejectStore {
    storage: Storage,
    layout: Layout,
    format: RejectFormat,
    directories: Mutex<HashMap<String, Directory>>,
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
    /// Opens the location for a load that began at `start`; nothing is sent yet.
    ///
    /// # Errors
    /// A config error for templates or a location that cannot be.
    pub fn open(config: &RejectConfig, start: DateTime<Utc>) -> Result<Self, RejectError> {
        let storage = Storage::open(&config.location, &config.encryption)?.with_waits(config.waits);
        let path_format = config.path_format.as_deref();
        let file_name_format = config.file_name_format.as_deref();
        Ok(Self {
            storage,
            layout: Layout::new(config.format, path_format, file_name_format, start)?,
            format: config.format,
            directories: Mutex::default(),
        })
    }

    /// The store itself, with a prefix beside that of the rejected records ([`Storage::beside`]).
    #[must_use]
    pub fn beside(&self, suffix: &str) -> Storage {
        self.storage.beside(suffix)
    }

    /// Nobody waits for [`RejectStore::prove`]: it repeats what fails for a reason that passes as long
    /// as [`Waits::patience`], not 10 seconds.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.storage = self.storage.unattended();
        self
    }

    /// Proves the location: puts a test object of the format, finds it by listing its directory,
    /// deletes it. Each of these is repeated for 10 seconds at most.
    ///
    /// # Errors
    /// [`RejectError::Storage`] with the object, the cause and the cure.
    pub async fn prove(&self) -> Result<(), RejectError> {
        let TestObject {
            stream,
            name,
            content,
        } = self.format.test_object();
        let directory = self.layout.directory(self.storage.prefix(), &stream)?;
        let content = packed(content, self.format.compression())?;
        Ok(self.storage.prove(&directory, name, content).await?)
    }

    /// Whether a stream has all labels that its files and their names show.
    ///
    /// # Errors
    /// [`RejectError::Label`] with the first that it lacks.
    pub fn check(&self, stream: &RejectStream) -> Result<(), RejectError> {
        let labels = self.format.labels().iter();
        labels
            .copied()
            .try_for_each(|label| stream.label(label).map(drop))
    }

    /// Stores rejected records, at least one, in one new object, and returns where.
    ///
    /// # Errors
    /// [`RejectError::Storage`] once patience has run out; nothing is to be taken for stored then.
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
        let Some(mut body) = Body::open(self.format, stream, batches.boxed()).await? else {
            return Ok(None);
        };
        let first = body.next_part().await?;
        let directory = self.layout.directory(self.storage.prefix(), stream)?;
        let name = self.reserve(&directory, stream).await?;
        let key = if first.len() < PART_BYTES {
            self.put_small(&directory, name, first).await?
        } else {
            self.put_large(&directory, name, first, body).await?
        };
        Ok(Some(self.storage.url(key.as_ref())))
    }

    /// Reads back what was written under a prefix, or one object: by its key, or in the form that
    /// [`Self::write`] returns. `source` is the schema of the stream's source batches.
    ///
    /// # Errors
    /// [`RejectError::Storage`] if the store cannot be read, [`RejectError::Read`] for an object
    /// that is not as this version writes it.
    pub async fn read(
        &self,
        prefix: &str,
        source: SchemaRef,
    ) -> Result<BoxStream<'_, Result<RecordBatch, RejectError>>, RejectError> {
        let objects = self.storage.find(&self.storage.key_of(prefix)?).await?;
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
        let disk = |error: std::io::Error| RejectError::Temporary(error.to_string());
        let mut content = self.storage.read(&object).await?;
        let mut file = tempfile::tempfile().map_err(disk)?;
        while let Some(piece) = content.try_next().await? {
            file.write_all(&piece).map_err(disk)?;
        }
        file.rewind().map_err(disk)?;
        let format = self.format.of_name(object.filename().unwrap_or_default());
        read_rejected(BufReader::new(file), format, source)
    }

    /// A name with the directory's next part number that no known object has.
    async fn reserve(&self, directory: &str, stream: &RejectStream) -> Result<Name, RejectError> {
        let mut directories = self.directories.lock().await;
        if !directories.contains_key(directory) {
            let names = self.storage.list(directory).await?;
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
        let parts = FileParts {
            timestamp: Utc::now().timestamp_millis(),
            part_number: known.next_part,
            extension: self.format.extension(),
        };
        let base = self.layout.file_name(stream, parts)?;
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

    /// Puts an object under the first name that is free.
    async fn put_small(
        &self,
        directory: &str,
        mut name: Name,
        content: Bytes,
    ) -> Result<Path, RejectError> {
        loop {
            let key = key_in(directory, &name.free)?;
            if self.storage.create(&key, content.clone()).await? {
                return Ok(key);
            }
            name.free = self.rename(directory, &name.base).await;
        }
    }

    /// Sends a large object in parts, under the first name that is free.
    async fn put_large<E: From<RejectError>>(
        &self,
        directory: &str,
        name: Name,
        first: Bytes,
        mut body: Body<'_, E>,
    ) -> Result<Path, E> {
        let key = self.free_key(directory, name).await?;
        let mut upload = self.storage.upload(&key).await.map_err(failed)?;
        match put_parts(&mut upload, first, &mut body).await {
            Ok(()) => upload.complete().await.map_err(failed)?,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        }
        Ok(key)
    }

    async fn free_key(&self, directory: &str, mut name: Name) -> Result<Path, RejectError> {
        loop {
            let key = key_in(directory, &name.free)?;
            if !self.storage.exists(&key).await? {
                return Ok(key);
            }
            name.free = self.rename(directory, &name.base).await;
        }
    }
}

async fn put_parts<E: From<RejectError>>(
    upload: &mut Upload<'_>,
    first: Bytes,
    body: &mut Body<'_, E>,
) -> Result<(), E> {
    let mut part = first;
    while !part.is_empty() {
        upload.put(part).await.map_err(failed)?;
        part = body.next_part().await?;
    }
    Ok(())
}

fn failed<E: From<RejectError>>(error: StorageError) -> E {
    RejectError::from(error).into()
}

impl fmt::Debug for RejectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectStore")
            .field("storage", &self.storage)
            .field("format", &self.format)
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

#[cfg(test)]
mod tests;
