//! The rows that a loader says were rejected, read from its files: CSV or lines of JSON, Airbyte's
//! rejected records or any other file that has the key of each row.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use csv::StringRecord;
use serde_json::Value;

use crate::plan::Plan;
use crate::sizes::{DEPTH, Sizes};

/// A row that was named as rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// When it was in its file, in milliseconds since 1970.
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

/// When the rows of a file were written.
struct Written<'a> {
    path: &'a Path,
    sizes: &'a Sizes,
    /// When it was changed last, in milliseconds since 1970.
    last: u64,
}

impl Written<'_> {
    /// When the row that ends there was.
    fn at(&self, end: u64) -> u64 {
        let seen = self.sizes.reached(self.path, end);
        seen.map_or(self.last, |seen| seen.min(self.last))
    }
}

/// Columns that a reason stands in, in lower case.
const REASONS: &[&str] = &["sf__error", "error", "errors", "message"];

impl Rejects {
    /// Reads all files under `folder`, which grew as `sizes` say. What is no file, or cannot be
    /// read, is named in `broken`: it is the loader's.
    pub(crate) fn read(plan: &Plan, folder: &Path, sizes: &Sizes) -> Self {
        let mut rejects = Self::default();
        rejects.read_folder(plan, folder, sizes, DEPTH);
        rejects
    }

    fn read_folder(&mut self, plan: &Plan, folder: &Path, sizes: &Sizes, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.broken.push(format!("{}: {error}", folder.display())),
        };
        let mut entries: Vec<DirEntry> = entries.flatten().collect();
        entries.sort_by_key(DirEntry::path);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().ok();
            if kind.is_some_and(|kind| kind.is_dir()) && depth > 0 {
                self.read_folder(plan, &path, sizes, depth - 1);
                continue;
            }
            let form = path.extension().and_then(|extension| extension.to_str());
            let Some(form) = form.filter(|form| ["csv", "jsonl", "ndjson"].contains(form)) else {
                continue;
            };
            self.files += 1;
            // Whoever opens a pipe waits for its other end.
            let read = if !kind.is_some_and(|kind| kind.is_file()) {
                Err(io::Error::other("it is no plain file"))
            } else {
                File::open(&path).and_then(|file| {
                    // The moment of a change cannot be set, as that of a writing can.
                    let metadata = file.metadata()?;
                    let changed = metadata.ctime() * 1_000 + metadata.ctime_nsec() / 1_000_000;
                    let written = Written {
                        path: &path,
                        sizes,
                        last: u64::try_from(changed).unwrap_or_default(),
                    };
                    if form == "csv" {
                        self.read_csv(plan, file, &written)
                    } else {
                        self.read_lines(plan, file, &written)
                    }
                })
            };
            if let Err(error) = read {
                self.broken.push(format!("{}: {error}", path.display()));
            }
        }
    }

    fn read_csv(&mut self, plan: &Plan, file: File, written: &Written) -> io::Result<()> {
        let mut file = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = file.headers()?.clone();
        let position = |wanted: &dyn Fn(&str) -> bool| {
            let mut names = header.iter();
            names.position(|name| wanted(&name.trim_start_matches('\u{feff}').to_lowercase()))
        };
        let key_name = plan.workload.key().to_lowercase();
        let key = position(&|name| name == key_name);
        let reason = position(&|name| REASONS.contains(&name));
        let data = position(&|name| name == "_airbyte_data");
        let mut row = StringRecord::new();
        while file.read_record(&mut row)? {
            let at = written.at(file.position().byte());
            let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or_default();
            if data.is_some() {
                let data: Value = serde_json::from_str(cell(data)).unwrap_or_default();
                self.add(plan, plan.workload.key(), &data, at);
            } else {
                let has_reason = !cell(reason).trim().is_empty();
                self.name(plan.key_of(cell(key)), has_reason, at);
            }
        }
        Ok(())
    }

    fn read_lines(&mut self, plan: &Plan, file: File, written: &Written) -> io::Result<()> {
        let mut lines = BufReader::new(file);
        let (mut line, mut end) = (String::new(), 0);
        loop {
            line.clear();
            let read = lines.read_line(&mut line)?;
            if read == 0 {
                return Ok(());
            }
            end += read as u64;
            let row: Value = serde_json::from_str(&line).unwrap_or_default();
            let data = row.get("_airbyte_data").unwrap_or(&row);
            self.add(plan, plan.workload.key(), data, written.at(end));
        }
    }

    /// Adds a row that is a JSON object.
    fn add(&mut self, plan: &Plan, key_name: &str, row: &Value, at: u64) {
        let key = row[key_name].as_str().and_then(|value| plan.key_of(value));
        let mut fields = row.as_object().into_iter().flatten();
        let reason = fields.any(|(name, value)| {
            REASONS.contains(&name.to_lowercase().as_str())
                && !value.is_null()
                && value.as_str().is_none_or(|text| !text.trim().is_empty())
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
        file("c.csv", "Ext_Id__c,error\nR-0000000005, \n");
        let link = |from: &str, name: &str| {
            std::os::unix::fs::symlink(from, folder.path().join(name)).unwrap();
        };
        link(".", "loop");
        link("nowhere", "gone.csv");
        let rejects = Rejects::read(&plan, folder.path(), &Sizes::default());
        let with_reason: Vec<(u64, bool)> = rejects
            .named
            .iter()
            .map(|(key, named)| (*key, named.reason))
            .collect();
        assert_eq!(
            with_reason,
            [(1, true), (2, false), (3, true), (4, true), (5, false)]
        );
        assert_eq!((rejects.files, rejects.unknown), (5, 1));
        let [broken] = &rejects.broken[..] else {
            panic!("{:?}", rejects.broken);
        };
        assert!(broken.contains("gone.csv: it is no plain file"));
        // A folder that is gone names nobody.
        let gone = Rejects::read(&plan, &folder.path().join("none"), &Sizes::default());
        assert!(gone.named.is_empty() && gone.broken.len() == 1);
    }
}
