//! Rows on their way into a Parquet file of this machine: whole, or not there.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use tokio::task::{JoinError, spawn_blocking};

/// Bytes of a row group, encoded, beyond which it is written: it is in memory until then.
const GROUP_BYTES: usize = 8 << 20;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written: {reason}. Make room, or choose another place with --run-dir")]
pub(crate) struct WriteError {
    path: String,
    reason: String,
}

/// A file that gets its name when it is whole.
pub(crate) struct ParquetFile {
    path: PathBuf,
    part: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl ParquetFile {
    /// Begins a file of such rows.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) fn create(path: &Path, schema: SchemaRef) -> Result<Self, WriteError> {
        let part = path.with_extension("part");
        let failed = |reason: String| failed(path, reason);
        let file = File::create(&part).map_err(|error| failed(error.to_string()))?;
        let writer = ArrowWriter::try_new(file, schema, None);
        Ok(Self {
            writer: writer.map_err(|error| failed(error.to_string()))?,
            path: path.to_owned(),
            part,
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn write(mut self, batch: RecordBatch) -> Result<Self, WriteError> {
        let path = self.path.clone();
        let written = spawn_blocking(move || {
            self.rows += batch.num_rows() as u64;
            let written = self.writer.write(&batch).and_then(|()| {
                match self.writer.in_progress_size() > GROUP_BYTES {
                    true => self.writer.flush(),
                    false => Ok(()),
                }
            });
            match written {
                Ok(()) => Ok(self),
                Err(error) => Err(failed(&self.path, error.to_string())),
            }
        });
        written.await.map_err(|error| broken(&path, &error))?
    }

    /// Gives the file its name; returns how many rows it has.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn finish(self) -> Result<u64, WriteError> {
        let path = self.path.clone();
        let finished = spawn_blocking(move || {
            let failed = |reason: String| failed(&self.path, reason);
            let file = self
                .writer
                .into_inner()
                .map_err(|error| failed(error.to_string()))?;
            file.sync_all().map_err(|error| failed(error.to_string()))?;
            std::fs::rename(&self.part, &self.path).map_err(|error| failed(error.to_string()))?;
            Ok(self.rows)
        });
        finished.await.map_err(|error| broken(&path, &error))?
    }
}

fn failed(path: &Path, reason: String) -> WriteError {
    WriteError {
        path: path.display().to_string(),
        reason,
    }
}

fn broken(path: &Path, error: &JoinError) -> WriteError {
    failed(path, format!("writing ended early: {error}"))
}
