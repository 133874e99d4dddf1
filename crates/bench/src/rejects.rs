//! The rows that a loader says were rejected, read from its files: CSV or lines of JSON, Airbyte's
//! rejected records or any other file that has the key of each row.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::error::{At, Result};
use crate::plan::Plan;

/// A row that was named as rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// When its file was written last, in milliseconds since 1970.
    pub(crate) at: u64,
    /// It has a reason.
    pub(crate) reason: bool,
}

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    /// By key: the first time that it was named.
    pub(crate) named: BTreeMap<u64, Named>,
    /// Rows of the files that are of no record of the input.
    pub(crate) unknown: u64,
    pub(crate) files: u64,
    /// Files that could not be read to their end, and why.
    pub(crate) broken: Vec<String>,
}

/// Columns that a reason stands in, in lower case.
const REASONS: &[&str] = &["sf__error", "error", "errors", "message"];

impl Rejects {
    /// Reads all files under `folder`.
    pub(crate) fn read(plan: &Plan, folder: &Path) -> Result<Self> {
        let mut rejects = Self::default();
        rejects.read_folder(plan, folder)?;
        Ok(rejects)
    }

    fn read_folder(&mut self, plan: &Plan, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).at(folder)?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read_folder(plan, &path)?;
                continue;
            }
            let written = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .at(&path)?;
            let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let read = match path.extension().and_then(|extension| extension.to_str()) {
                Some("csv") => self.read_csv(plan, &path, at),
                Some("jsonl" | "ndjson") => self.read_lines(plan, &path, at),
                _ => continue,
            };
            self.files += 1;
            if let Err(error) = read {
                self.broken.push(format!("{}: {error}", path.display()));
            }
        }
        Ok(())
    }

    fn read_csv(&mut self, plan: &Plan, path: &Path, at: u64) -> io::Result<()> {
        let mut file = csv::ReaderBuilder::new().flexible(true).from_path(path)?;
        let header = file.headers()?.clone();
        let position = |wanted: &dyn Fn(&str) -> bool| {
            let mut names = header.iter();
            names.position(|name| wanted(&name.trim_start_matches('\u{feff}').to_lowercase()))
        };
        let key_name = plan.workload.key().to_lowercase();
        let key = position(&|name| name == key_name);
        let reason = position(&|name| REASONS.contains(&name));
        let data = position(&|name| name == "_airbyte_data");
        for row in file.records() {
            let row = row?;
            let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or_default();
            if data.is_some() {
                let data: Value = serde_json::from_str(cell(data)).unwrap_or_default();
                self.add(plan, plan.workload.key(), &data, at);
            } else {
                self.name(plan.key_of(cell(key)), !cell(reason).is_empty(), at);
            }
        }
        Ok(())
    }

    fn read_lines(&mut self, plan: &Plan, path: &Path, at: u64) -> io::Result<()> {
        for line in BufReader::new(File::open(path)?).lines() {
            let row: Value = serde_json::from_str(&line?).unwrap_or_default();
            let data = row.get("_airbyte_data").unwrap_or(&row);
            self.add(plan, plan.workload.key(), data, at);
        }
        Ok(())
    }

    /// Adds a row that is a JSON object.
    fn add(&mut self, plan: &Plan, key_name: &str, row: &Value, at: u64) {
        let key = row[key_name].as_str().and_then(|value| plan.key_of(value));
        let mut fields = row.as_object().into_iter().flatten();
        let reason = fields.any(|(name, value)| {
            REASONS.contains(&name.to_lowercase().as_str())
                && !value.is_null()
                && value.as_str() != Some("")
        });
        self.name(key, reason, at);
    }

    fn name(&mut self, key: Option<u64>, reason: bool, at: u64) {
        match key {
            None => self.unknown += 1,
            Some(key) => {
                let named = self.named.entry(key).or_insert(Named { at, reason });
                named.at = named.at.min(at);
                named.reason |= reason;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[test]
    fn files_of_any_form_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(Workload::Bad1, 100, 1);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file(
            "a/failed.csv",
            "sf__Id,sf__Error,EXT_ID__C\n,X:y:--,R-0000000001\n,,R-0000000002\n",
        );
        file(
            "airbyte.csv",
            "_airbyte_raw_id,_airbyte_data\n1,\"{\"\"sf__Error\"\":\"\"X\"\",\"\"Ext_Id__c\"\":\"\"R-0000000003\"\"}\"\n",
        );
        file(
            "b.jsonl",
            "{\"error\":\"X\",\"Ext_Id__c\":\"R-0000000004\"}\n{\"Ext_Id__c\":\"?\"}\n",
        );
        file("ledger.bin", "no rows");
        let rejects = Rejects::read(&plan, folder.path()).unwrap();
        let with_reason: Vec<(u64, bool)> = rejects
            .named
            .iter()
            .map(|(key, named)| (*key, named.reason))
            .collect();
        assert_eq!(with_reason, [(1, true), (2, false), (3, true), (4, true)]);
        assert_eq!((rejects.files, rejects.unknown), (3, 1));
        assert!(rejects.broken.is_empty(), "{:?}", rejects.broken);
    }
}
