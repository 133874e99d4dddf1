//! The file of differences: CSV, one line a difference.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::{CliError, Result};

/// What became of a record, or of one of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A field has another value, and the record was changed since it was sent.
    Changed,
    /// A field has another value, though nobody has changed the record since: a trigger, a flow or a
    /// formula of the org did, when it was written.
    ByOrg,
    /// The record is not there.
    Gone,
    /// The record is there, though it was deleted.
    StillThere,
    /// Its Id is not known.
    NotCompared,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::ByOrg => "by_org",
            Self::Gone => "gone",
            Self::StillThere => "still_there",
            Self::NotCompared => "not_compared",
        }
    }
}

/// The columns.
const TITLES: [&str; 6] = ["Id", "key", "kind", "field", "sent", "now"];

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Id of the record; empty where it is not known.
    pub(super) id: String,
    /// Its key, where the run has found records by one that is not the Id.
    pub(super) key: String,
    pub(super) kind: Kind,
    /// The column of the jobs; empty where the whole record differs.
    pub(super) field: String,
    /// As it was sent; empty where the field was cleared.
    pub(super) sent: String,
    /// As the org has it; empty where there is nothing.
    pub(super) now: String,
}

/// A file that gets its name when it is whole.
pub(super) struct DifferencesFile {
    path: PathBuf,
    writer: csv::Writer<BufWriter<NamedTempFile>>,
}

impl DifferencesFile {
    /// Begins the file, beside the one that it takes the place of.
    ///
    /// # Errors
    /// [`CliError::Failed`] that names the file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = NamedTempFile::new_in(folder).map_err(|error| failed(path, &error))?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        let begun = writer.write_record(TITLES);
        begun.map_err(|error| failed(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
        })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`CliError::Failed`] that names the file.
    pub(super) fn add(&mut self, difference: &Difference) -> Result<()> {
        let Difference {
            id,
            key,
            kind,
            field,
            sent,
            now,
        } = difference;
        let line = [id, key, kind.as_str(), field, sent, now];
        let added = self.writer.write_record(line);
        added.map_err(|error| failed(&self.path, &error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`CliError::Failed`] that names the file.
    pub(super) fn finish(self) -> Result<()> {
        let path = self.path;
        let buffer = self.writer.into_inner();
        let buffer = buffer.map_err(|error| failed(&path, error.error()))?;
        let file = buffer.into_inner();
        let file: NamedTempFile = file.map_err(|error| failed(&path, error.error()))?;
        let kept: File = file
            .persist(&path)
            .map_err(|error| failed(&path, &error.error))?;
        kept.sync_all().map_err(|error| failed(&path, &error))
    }
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> CliError {
    CliError::failed(format!(
        "{} cannot be written: {reason}. Choose another file with --differences",
        path.display()
    ))
}
