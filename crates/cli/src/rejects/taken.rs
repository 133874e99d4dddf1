//! Marks of the records that another run has taken: beside the files, which never change.
//!
//! A mark is there before its run makes a job, so that no record is sent twice; a run that stops is
//! gone on with by `resume`, and what it rejects again lies in its own folder.

use std::collections::HashMap;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::storage::{Storage, key_in};
use futures::TryStreamExt as _;

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
}

/// Reads all marks of a directory.
pub(super) async fn read(storage: &Storage, directory: &str) -> Result<Taken, RejectsError> {
    let mut taken = Taken::default();
    for object in storage.find(&key_in(directory, "")?).await? {
        let mut content = Vec::new();
        let mut pieces = storage.read(&object).await?;
        while let Some(piece) = pieces.try_next().await? {
            content.extend_from_slice(&piece);
        }
        let content = String::from_utf8_lossy(&content);
        let mut lines = content.lines();
        let Some(run) = lines.next() else { continue };
        let number = taken.runs.len();
        taken.runs.push(run.to_owned());
        taken
            .records
            .extend(lines.map(|id| (id.to_owned(), number)));
    }
    Ok(taken)
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
