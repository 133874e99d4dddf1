//! Fields that have changed since the run, in a file for people.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result};

/// Conflicts, a line each.
pub(crate) struct Conflicts {
    path: PathBuf,
    /// Begun with the first.
    writer: Option<csv::Writer<File>>,
}

/// A field that was changed after the run had written it.
pub(super) struct Conflict<'a> {
    pub(super) id: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) field: &'a str,
    pub(super) former: Option<String>,
    pub(super) sent: Option<String>,
    pub(super) now: Option<String>,
}

impl Conflicts {
    /// A file that is written if there are conflicts; one of an earlier time is deleted.
    pub(crate) fn at(path: PathBuf) -> Self {
        let _ = std::fs::remove_file(&path);
        Self { path, writer: None }
    }

    pub(super) fn push(&mut self, conflict: &Conflict<'_>) -> Result<()> {
        let path = &self.path;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let mut writer = csv::Writer::from_path(path).map_err(|e| failed(path, &e))?;
                let header = ["Id", "key", "field", "before", "sent", "now"];
                writer.write_record(header).map_err(|e| failed(path, &e))?;
                none.insert(writer)
            }
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let record = [
            conflict.id.to_owned(),
            conflict.key.unwrap_or_default().to_owned(),
            conflict.field.to_owned(),
            text(&conflict.former),
            text(&conflict.sent),
            text(&conflict.now),
        ];
        writer.write_record(record).map_err(|e| failed(path, &e))
    }

    /// Ends the file; where it is, if there were conflicts.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(self) -> Result<Option<PathBuf>> {
        let Some(mut writer) = self.writer else {
            return Ok(None);
        };
        let flushed = writer.flush();
        flushed.map_err(|error| failed(&self.path, &error.into()))?;
        Ok(Some(self.path))
    }
}

fn failed(path: &Path, error: &csv::Error) -> CliError {
    CliError::failed(format!(
        "{} cannot be written: {error}. Make room, or choose another place with --run-dir",
        path.display()
    ))
}
