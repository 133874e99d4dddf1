//! A file where it lies.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arrow_salesforce::object_store::local::LocalFileSystem;
use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{ObjectMeta, ObjectStore};
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::TryStreamExt as _;

use super::InputError;
use super::bytes::{self, CHANGED};
use super::file::{ByteStream, InputFile};
use super::format;
use super::state::FileState;

/// Columns that the directories of a file give, in the order of the directories: `year=2024`.
pub(crate) type Hive = Vec<(String, Option<String>)>;

/// A file of an input.
#[derive(Debug, Clone)]
pub(crate) struct StoredFile {
    name: String,
    origin: Origin,
    pub(crate) meta: ObjectMeta,
    compression: FileCompressionType,
    pub(crate) hive: Hive,
    /// The first bytes, no longer compressed.
    pub(crate) head: Vec<u8>,
    /// What it is a copy of.
    original: Option<FileState>,
}

#[derive(Debug, Clone)]
enum Origin {
    Local(PathBuf),
    Remote {
        store: Arc<dyn ObjectStore>,
        /// Whether it gives parts of a file.
        parts: bool,
    },
}

impl StoredFile {
    /// A file of this machine.
    ///
    /// # Errors
    /// [`InputError::Read`] if it cannot be read.
    pub(crate) async fn local(path: PathBuf, name: String, hive: Hive) -> Result<Self, InputError> {
        let wrong = |error: io::Error| bytes::of_io(&name, error);
        let absolute = tokio::fs::canonicalize(&path).await.map_err(wrong)?;
        let found = tokio::fs::metadata(&absolute).await.map_err(wrong)?;
        let location =
            Path::from_absolute_path(&absolute).map_err(|error| wrong(io::Error::other(error)))?;
        let meta = ObjectMeta {
            location,
            last_modified: found.modified().map_err(wrong)?.into(),
            size: found.len(),
            e_tag: None,
            version: None,
        };
        let file = Self {
            name: name.clone(),
            origin: Origin::Local(absolute),
            meta,
            compression: FileCompressionType::UNCOMPRESSED,
            hive,
            head: Vec::new(),
            original: None,
        };
        file.looked_into().await
    }

    /// An object of a store, as it was listed.
    ///
    /// # Errors
    /// [`InputError::Read`] if it cannot be read.
    pub(crate) async fn remote(
        store: Arc<dyn ObjectStore>,
        name: String,
        meta: ObjectMeta,
        hive: Hive,
        parts: bool,
    ) -> Result<Self, InputError> {
        let file = Self {
            name,
            origin: Origin::Remote { store, parts },
            meta,
            compression: FileCompressionType::UNCOMPRESSED,
            hive,
            head: Vec::new(),
            original: None,
        };
        file.looked_into().await
    }

    /// Finds the compression, and what else the first bytes say.
    async fn looked_into(mut self) -> Result<Self, InputError> {
        self.head = self.first_bytes(format::HEAD as u64).await?;
        self.compression = format::compression(&self.head);
        if self.compression.is_compressed() {
            let block = self.bytes().try_next().await?.unwrap_or_default();
            self.head = block.iter().copied().take(format::HEAD).collect();
        }
        Ok(self)
    }

    /// So many bytes as they are stored, or fewer.
    async fn first_bytes(&self, length: u64) -> Result<Vec<u8>, InputError> {
        let mut bytes = match &self.origin {
            Origin::Local(_) => self.bytes(),
            Origin::Remote { store, parts } => bytes::remote(
                self.name.clone(),
                Arc::clone(store),
                self.meta.location.clone(),
                parts.then_some(self.meta.size.min(length)),
                self.meta.e_tag.clone(),
            ),
        };
        let block = bytes.try_next().await?.unwrap_or_default();
        Ok(block.iter().copied().take(format::HEAD).collect())
    }

    /// The store that reads any part of it by its location; none if it is compressed, or its store
    /// gives no parts.
    pub(crate) fn random_access(&self) -> Option<Arc<dyn ObjectStore>> {
        match &self.origin {
            _ if self.compression.is_compressed() => None,
            Origin::Local(_) => Some(Arc::new(LocalFileSystem::new())),
            Origin::Remote { parts: false, .. } => None,
            Origin::Remote { store, .. } => Some(Arc::clone(store)),
        }
    }

    /// The value that its directories give for a column.
    pub(crate) fn of_directory(&self, column: &str) -> Option<String> {
        let found = self.hive.iter().find(|(name, _)| name == column);
        found.and_then(|(_, value)| value.clone())
    }

    /// Reads a copy on this machine from now on, by the name and the state of the original.
    ///
    /// # Errors
    /// [`InputError::Read`].
    pub(crate) async fn copied_to(self, to: PathBuf) -> Result<Self, InputError> {
        bytes::keep(self.bytes(), to.clone()).await?;
        let original = Some(self.state());
        let copy = Self::local(to, self.name, self.hive).await?;
        Ok(Self { original, ..copy })
    }

    /// The file of this machine that standard input was copied to.
    ///
    /// # Errors
    /// [`InputError::Read`].
    pub(crate) async fn of_stream(copy: PathBuf, name: &str) -> Result<Self, InputError> {
        let file = Self::local(copy, name.to_owned(), Hive::new()).await?;
        let original = FileState {
            name: name.to_owned(),
            size: file.meta.size,
            etag: None,
            modified: None,
        };
        Ok(Self {
            original: Some(original),
            ..file
        })
    }

    /// What it was when it was opened; a copy, what its original was.
    pub(crate) fn state(&self) -> FileState {
        if let Some(original) = &self.original {
            return original.clone();
        }
        let modified = self.meta.last_modified;
        FileState {
            name: match &self.origin {
                Origin::Local(path) => path.display().to_string(),
                Origin::Remote { .. } => self.name.clone(),
            },
            size: self.meta.size,
            etag: self.meta.e_tag.clone(),
            modified: (self.meta.e_tag.is_none() && modified != DateTime::UNIX_EPOCH)
                .then(|| modified.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        }
    }

    /// Proves that the file is what it was when it was opened.
    ///
    /// # Errors
    /// [`InputError::Read`] if it is not.
    pub(crate) async fn unchanged(&self) -> Result<(), InputError> {
        use arrow_salesforce::object_store::ObjectStoreExt as _;

        let same = match &self.origin {
            Origin::Local(path) => {
                let (path, meta) = (path.clone(), self.meta.clone());
                let open = move || open_unchanged(&path, &meta);
                let opened = tokio::task::spawn_blocking(open).await;
                let opened = opened.map_err(io::Error::other).flatten();
                return opened
                    .map(drop)
                    .map_err(|error| bytes::of_io(&self.name, error));
            }
            // Each read of it asks for this content.
            Origin::Remote { .. } if self.meta.e_tag.is_some() => true,
            // Not all web servers answer this. What is gone cannot be read either.
            Origin::Remote { store, .. } => match store.head(&self.meta.location).await {
                Ok(now) => {
                    // A header says it in whole seconds, a list more exactly.
                    now.size == self.meta.size
                        && now.last_modified.timestamp() == self.meta.last_modified.timestamp()
                }
                Err(_) => true,
            },
        };
        same.then_some(()).ok_or_else(|| InputError::Read {
            name: self.name.clone(),
            reason: CHANGED.to_owned(),
        })
    }
}

impl InputFile for StoredFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> ByteStream {
        match &self.origin {
            Origin::Local(path) => {
                let (path, meta) = (path.clone(), self.meta.clone());
                let open = move || open_unchanged(&path, &meta);
                bytes::local(self.name.clone(), self.compression, open)
            }
            Origin::Remote { store, parts } => {
                let stored = bytes::remote(
                    self.name.clone(),
                    Arc::clone(store),
                    self.meta.location.clone(),
                    parts.then_some(self.meta.size),
                    self.meta.e_tag.clone(),
                );
                bytes::unpacked(self.name.clone(), self.compression, stored)
            }
        }
    }
}

fn open_unchanged(path: &std::path::Path, was: &ObjectMeta) -> io::Result<File> {
    let file = File::open(path)?;
    let is = file.metadata()?;
    let modified: Result<DateTime<Utc>, _> = is.modified().map(SystemTime::into);
    match modified {
        Ok(modified) if modified == was.last_modified && is.len() == was.size => Ok(file),
        _ => Err(io::Error::other(CHANGED)),
    }
}
