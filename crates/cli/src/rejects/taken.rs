//! Marks of the records that another run has taken: beside the files, which never change.
//!
//! A mark is there before its run makes a job, so that no record is sent twice; a run that stops is
//! gone on with by `resume`, and what it rejects again lies in its own folder.

use std::collections::HashMap;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::storage::Storage;

use super::RejectsError;

/// Name of the directory of marks.
pub(super) const DIRECTORY: &str = "_taken";

/// Which records were taken, and by which run.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    runs: Vec<String>,
    /// Numbers of the runs above, by the id of the record.
    records: HashMap<String, usize>,
}

impl Taken {
    /// The run that has taken a record.
    pub(crate) fn run_of(&self, id: &str) -> Option<&str> {
        let run = self.records.get(id)?;
        self.runs.get(*run).map(String::as_str)
    }

    /// Reads the marks of a run.
    pub(super) async fn read(
        &mut self,
        storage: &Storage,
        mark: &Path,
    ) -> Result<(), RejectsError> {
        let content = storage.content(mark).await?.unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let mut lines = content.lines();
        if let Some(run) = lines.next() {
            let number = self.runs.len();
            self.runs.push(run.to_owned());
            self.records.extend(lines.map(|id| (id.to_owned(), number)));
        }
        Ok(())
    }
}

/// Writes the marks of a run: its id, then those of the records, a line each.
pub(super) async fn write(
    storage: &Storage,
    key: &Path,
    run: &str,
    ids: &[String],
) -> Result<(), RejectsError> {
    let mut content = format!("{run}\n");
    for id in ids {
        content.push_str(id);
        content.push('\n');
    }
    Ok(storage.put(key, content.into()).await?)
}
