//! Where an output lies: a file of this machine, or an object of a store.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use arrow_salesforce::object_store::local::LocalFileSystem;
use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{ObjectStore, ObjectStoreExt as _};
use bytes::Bytes;

use super::ExportError;
use crate::input::{Environment, Remote};

/// Schemes of stores that are written to.
const SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss"];

/// A file, or a directory of files, that can be written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// Where it is, if it is of this machine.
    local: Option<PathBuf>,
    shown: String,
}

impl Place {
    /// What was typed.
    ///
    /// # Errors
    /// [`ExportError::Usage`].
    pub(super) fn parse(typed: &str) -> Result<Self, ExportError> {
        let wrong = |reason: String| ExportError::Usage(format!("-o {typed}: {reason}"));
        let Some((scheme, rest)) = typed.split_once("://") else {
            return Self::local(FilePath::new(typed), typed).map_err(wrong);
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            let path = url::Url::parse(typed).ok();
            let path = path.and_then(|url| url.to_file_path().ok());
            let path = path.ok_or_else(|| wrong("write file:///path/to/file".to_owned()))?;
            return Self::local(&path, typed).map_err(wrong);
        }
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(wrong(format!(
                "records go to files, s3://, gs:// and az://, not to {scheme}://"
            )));
        }
        let url = format!("{scheme}://{rest}");
        let remote = Remote::connect(&url, &Environment::of_process());
        let remote = remote.map_err(|error| wrong(error.to_string()))?;
        let path = Path::parse(remote.key.trim_end_matches('/'));
        Ok(Self {
            store: remote.store,
            path: path.map_err(|error| wrong(error.to_string()))?,
            local: None,
            shown: typed.to_owned(),
        })
    }

    /// A file of this machine, whose directory is there.
    fn local(path: &FilePath, typed: &str) -> Result<Self, String> {
        let home = path.strip_prefix("~").ok().zip(etcetera::home_dir().ok());
        let path = home.map_or_else(|| path.to_owned(), |(rest, home)| home.join(rest));
        let path = resolved(&path)?;
        Ok(Self {
            store: Arc::new(LocalFileSystem::new()),
            path: Path::from_absolute_path(&path).map_err(|error| error.to_string())?,
            local: Some(path),
            shown: typed.to_owned(),
        })
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// As it was typed, for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// A file in it.
    pub(super) fn child(&self, name: &str) -> Self {
        Self {
            store: Arc::clone(&self.store),
            path: self.path.clone().join(name),
            local: self.local.as_ref().map(|path| path.join(name)),
            shown: format!("{}/{name}", self.shown.trim_end_matches('/')),
        }
    }

    /// Deletes files of this machine that a killed process has begun in it.
    pub(super) fn sweep(&self) {
        let Some(found) = self.local.as_ref().and_then(|path| path.read_dir().ok()) else {
            return;
        };
        for entry in found.flatten() {
            let name = entry.file_name();
            let begun = name.to_str().and_then(|name| name.rsplit_once(".parquet#"));
            if begun.is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit())) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// The whole of it; `None` if it is not there.
    pub(super) async fn content(&self) -> Result<Option<Bytes>, ExportError> {
        use arrow_salesforce::object_store::Error;
        let read = match self.store.get(&self.path).await {
            Ok(read) => read.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Writes the whole of it at once.
    pub(super) async fn put(&self, bytes: Bytes) -> Result<(), ExportError> {
        let put = self.store.put(&self.path, bytes.into()).await;
        put.map(drop).map_err(|error| self.failed(&error))
    }

    /// Deletes it, if it is there.
    pub(super) async fn delete(&self) -> Result<(), ExportError> {
        use arrow_salesforce::object_store::Error;
        match self.store.delete(&self.path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) fn failed(&self, error: &impl ToString) -> ExportError {
        ExportError::Write {
            place: self.shown.clone(),
            reason: error.to_string(),
        }
    }
}

/// The path with links followed; its directory must be there, the file need not.
fn resolved(path: &FilePath) -> Result<PathBuf, String> {
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let name = path.file_name().ok_or("it names no file")?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => FilePath::new("."),
    };
    let found = folder.canonicalize().map_err(|error| {
        format!(
            "the directory {} cannot be written: {error}",
            folder.display()
        )
    })?;
    Ok(found.join(name))
}
