//! Where files of rejected records lie.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use arrow_salesforce::object_store::path::Path as ObjectPath;
use arrow_salesforce::storage::{Encryption, Location, Storage, key_in};
use futures::TryStreamExt as _;
use url::Url;

use super::RejectsError;
use super::file::{Records, RejectFile};
use super::taken::{self, Taken};

/// A directory or prefix with files of rejected records, or one of its files.
#[derive(Debug)]
pub(crate) struct Place {
    storage: Storage,
    /// The only file that is meant.
    only: Option<String>,
}

/// What was found at a place.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Files of rejected records.
    pub(crate) files: u64,
    /// Names of files that hold something else, though they are CSV or JSON lines.
    pub(crate) others: Vec<String>,
}

impl Place {
    /// The place of this name: a directory, a file, or the URL of either.
    pub(crate) fn at(from: &str) -> Result<Self, RejectsError> {
        let (mut directory, mut only) = match Url::parse(from) {
            Ok(url) if from.contains("://") => (url, None),
            _ => local(from)?,
        };
        if only.is_none() && directory.scheme() != "file" {
            only = file_name(&mut directory);
        }
        let location = Location::Url(directory);
        Ok(Self {
            storage: Storage::open(&location, &Encryption::default())?,
            only,
        })
    }

    /// The files of a run.
    pub(crate) fn of(storage: Storage) -> Self {
        Self {
            storage,
            only: None,
        }
    }

    /// Which of the records another run has taken.
    pub(crate) async fn taken(&self) -> Result<Taken, RejectsError> {
        let mut taken = Taken::default();
        for object in self.marks().await? {
            taken.read(&self.storage, &object).await?;
        }
        Ok(taken)
    }

    /// Marks records as taken by a run, before it loads them: beside the files that hold them, so that
    /// the marks are found from wherever the files are.
    pub(crate) async fn mark(&self, run: &str, ids: &[String]) -> Result<(), RejectsError> {
        let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut marks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let each = self.each(|file, records| {
            let directory = file.name.rsplit_once('/').unwrap_or_default().0;
            for record in records {
                let record = record?;
                if ids.contains(record.id.as_str()) {
                    let marked = marks.entry(directory.to_owned()).or_default();
                    marked.push(record.id);
                }
            }
            Ok(())
        });
        each.await?;
        for (directory, ids) in marks {
            let key = format!("{directory}/{}/{run}", taken::DIRECTORY);
            taken::write(&self.storage, &self.storage.key_of(&key)?, run, &ids).await?;
        }
        Ok(())
    }

    /// Takes back the marks of a run that did not begin.
    pub(crate) async fn unmark(&self, run: &str) -> Result<(), RejectsError> {
        for mark in self.marks().await? {
            if mark.filename() == Some(run) {
                self.storage.delete(&mark).await?;
            }
        }
        Ok(())
    }

    /// All marks at the place and below.
    async fn marks(&self) -> Result<Vec<ObjectPath>, RejectsError> {
        let mut marks = self.storage.find(&key_in(&self.directory(), "")?).await?;
        marks.retain(|key| {
            let directory = key.parts().rev().nth(1);
            directory.is_some_and(|part| part.as_ref() == taken::DIRECTORY)
        });
        Ok(marks)
    }

    /// Hands on the records of each file in turn, the files in the order of their names.
    pub(crate) async fn each(
        &self,
        mut take: impl FnMut(&RejectFile, Records) -> Result<(), RejectsError>,
    ) -> Result<Stored, RejectsError> {
        let mut stored = Stored::default();
        let key = key_in(&self.directory(), self.only.as_deref().unwrap_or_default())?;
        for object in self.storage.find(&key).await? {
            let name = self.storage.url(object.as_ref());
            // What the program keeps beside them begins so: the ledger, the marks.
            if object.parts().any(|part| part.as_ref().starts_with('_')) {
                continue;
            }
            let Some(mut file) = RejectFile::new(name)? else {
                continue;
            };
            let mut pieces = self.storage.read(&object).await?;
            while let Some(piece) = pieces.try_next().await? {
                file.push(&piece)?;
            }
            match file.records()? {
                Some(records) => {
                    stored.files += 1;
                    take(&file, records)?;
                }
                None => stored.others.push(file.name),
            }
        }
        Ok(stored)
    }

    fn directory(&self) -> String {
        let parts = self.storage.prefix().split('/');
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(|part| format!("{part}/")).collect()
    }
}

/// A path of this machine, as the URL of its directory and the name of the file if it is one.
fn local(from: &str) -> Result<(Url, Option<String>), RejectsError> {
    let missing = |reason: String| {
        RejectsError::Place(format!(
            "{from} is no run, directory or URL ({reason}); `arrow-salesforce runs` lists the runs"
        ))
    };
    let path = Path::new(from).canonicalize();
    let path = path.map_err(|error| missing(error.to_string()))?;
    let (directory, only) = match path.parent() {
        Some(parent) if path.is_file() => (parent, path.file_name()),
        _ => (path.as_path(), None),
    };
    let url = Url::from_directory_path(directory);
    let url = url.map_err(|()| missing("its path is not absolute".to_owned()))?;
    Ok((url, only.map(|name| name.to_string_lossy().into_owned())))
}

/// Takes the name of a file off a URL, if it ends with one.
fn file_name(url: &mut Url) -> Option<String> {
    let name = url.path_segments()?.next_back()?.to_owned();
    if !name.contains(".jsonl") && !name.contains(".csv") {
        return None;
    }
    url.path_segments_mut().ok()?.pop().push("");
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"_airbyte_raw_id":"r1","_airbyte_meta":{"rejected":{"stage":"coerce","code":"C","message":"m","fields":[]}},"_airbyte_data":{"a":"1"}}"#;

    async fn ids(place: &Place) -> Vec<String> {
        let mut ids = Vec::new();
        let read = place.each(|_, records| {
            for record in records {
                ids.push(record?.id);
            }
            Ok(())
        });
        read.await.unwrap();
        ids
    }

    #[tokio::test]
    async fn a_directory_and_its_files_are_places() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("7/Contact");
        std::fs::create_dir_all(&below).unwrap();
        let file = below.join("1.jsonl");
        std::fs::write(&file, format!("{LINE}\n")).unwrap();
        std::fs::write(below.join("2.jsonl"), "{\"other\":1}\n").unwrap();
        std::fs::create_dir(directory.path().join("_ledger")).unwrap();
        std::fs::write(directory.path().join("_ledger/1.jsonl"), "{").unwrap();
        let place = Place::at(directory.path().to_str().unwrap()).unwrap();
        assert_eq!(ids(&place).await, ["r1"]);
        let stored = place.each(|_, _| Ok(())).await.unwrap();
        assert_eq!((stored.files, stored.others.len()), (1, 1));
        let place = Place::at(file.to_str().unwrap()).unwrap();
        assert_eq!(ids(&place).await, ["r1"]);
    }

    #[tokio::test]
    async fn marks_are_found_again_and_name_the_run() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("7/Contact");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("1.jsonl"), format!("{LINE}\n")).unwrap();
        let place = Place::at(directory.path().to_str().unwrap()).unwrap();
        assert_eq!(place.taken().await.unwrap().run_of("r1"), None);
        place.mark("run-2", &["r1".to_owned()]).await.unwrap();
        let taken = place.taken().await.unwrap();
        assert_eq!(taken.run_of("r1"), Some("run-2"));
        assert_eq!(taken.run_of("r2"), None);
        assert_eq!(ids(&place).await, ["r1"], "marks are no records");
        for nearer in [below.clone(), below.join("1.jsonl")] {
            let taken = Place::at(nearer.to_str().unwrap()).unwrap().taken().await;
            assert_eq!(taken.unwrap().run_of("r1"), Some("run-2"));
        }
        place.unmark("run-2").await.unwrap();
        assert_eq!(place.taken().await.unwrap().run_of("r1"), None);
    }

    #[test]
    fn what_is_nowhere_is_named() {
        let error = Place::at("/nowhere/at/all").unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/at/all is no run, directory or URL"),
            "{error}"
        );
    }

    #[test]
    fn a_url_may_name_a_file() {
        let mut url = Url::parse("s3://bucket/a/b/1.jsonl.gz").unwrap();
        assert_eq!(file_name(&mut url).as_deref(), Some("1.jsonl.gz"));
        assert_eq!(url.as_str(), "s3://bucket/a/b/");
        assert_eq!(file_name(&mut url), None);
    }
}
