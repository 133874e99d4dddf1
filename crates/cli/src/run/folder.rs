//! Where runs are, and what one of them holds.

use std::fs::{File, TryLockError};
use std::path::{Path as FilePath, PathBuf};

use arrow_ipc::reader::StreamReader;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::ledger::{Ledger, LedgerError};
use arrow_salesforce::options::Waits;
use arrow_salesforce::receipt::ReceiptStore;
use arrow_salesforce::reject::airbyte::{Envelope, FileType};
use arrow_salesforce::reject::{RejectConfig, RejectError, RejectFormat, RejectStore};
use arrow_salesforce::storage::{Encryption, Location, Storage, StorageError, key_in};
use bytes::{Buf as _, Bytes};
use chrono::{DateTime, Utc};
use etcetera::{BaseStrategy as _, choose_base_strategy};
use serde::{Deserialize, Serialize};
use url::Url;

use super::record::{RunRecord, VERSION};

const RECORD: &str = "run.json";
const POSITION: &str = "position";
const SCHEMA: &str = "schema.arrow";
/// Directory with an empty object for each run, so that runs are listed without their files.
const INDEX: &str = "index/";
/// Positions that are kept: the last one may be ahead of the ledger.
const POSITIONS: usize = 4;

/// What can be wrong with runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The place cannot be.
    #[error("--run-dir {place}: {reason}")]
    Place {
        /// As it was typed.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// No run has this id.
    #[error(
        "there is no run {id:?} in {place}: `arrow-salesforce runs` lists those that are there"
    )]
    NoRun {
        /// As it was typed.
        id: String,
        /// Where it was looked for.
        place: String,
    },
    /// Several runs begin with it.
    #[error("several runs begin with {id:?}: {runs}. Type more of the id")]
    Several {
        /// As it was typed.
        id: String,
        /// Their ids.
        runs: String,
    },
    /// Its record is damaged.
    #[error("{url} is no record of a run: {reason}")]
    Damaged {
        /// The object.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A newer version has written it.
    #[error(
        "{url} has version {version} and this is for version {VERSION}: use a newer arrow-salesforce"
    )]
    Newer {
        /// The object.
        url: String,
        /// Its version.
        version: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store of rejected records failed.
    #[error(transparent)]
    Rejects(#[from] RejectError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another process works on it.
    #[error("the run {id} is at work in another process: wait until it ends, or stop it")]
    Busy {
        /// The run.
        id: String,
    },
    /// A directory on this machine cannot be deleted.
    #[error("{path} cannot be deleted: {source}. Delete it by hand: it holds records")]
    Delete {
        /// The directory.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A directory on this machine cannot be made.
    #[error("{path} cannot be made: {source}. Choose another place with --run-dir")]
    Local {
        /// The directory.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// The place where runs are kept.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    url: Url,
    storage: Storage,
    /// Where files of runs are that must be on this machine.
    local: PathBuf,
}

/// The folder of one run.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder {
    id: String,
    url: Url,
    storage: Storage,
    local: PathBuf,
    runs: Storage,
}

/// How far a run has come, and what became of the rows before that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Rows of the load that have their end.
    pub(crate) rows: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Jobs that had ended, and calls, by then.
    pub(crate) jobs: u64,
    pub(crate) api_calls: u64,
}

impl Runs {
    /// The place that was typed, or the user's own.
    ///
    /// # Errors
    /// [`RunError`] that names the place.
    pub(crate) fn open(place: Option<&str>) -> Result<Self, RunError> {
        let own = choose_base_strategy().map(|places| places.data_dir());
        let own = own.unwrap_or_else(|_| std::env::temp_dir());
        let own = own.join("arrow-salesforce").join("runs");
        let wrong = |reason: &str| RunError::Place {
            place: place.unwrap_or_default().to_owned(),
            reason: reason.to_owned(),
        };
        let (url, local) = match place {
            Some(url) if url.contains("://") => {
                let url = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
                let local = url.to_file_path().ok().filter(|_| url.scheme() == "file");
                (url, local.unwrap_or(own))
            }
            place => {
                let path = place.map_or(own, PathBuf::from);
                let path = std::path::absolute(&path).map_err(|error| wrong(&error.to_string()))?;
                let url = Url::from_directory_path(&path);
                (url.map_err(|()| wrong("it is no directory"))?, path)
            }
        };
        let url = as_directory(url);
        let storage = open(&url)?;
        Ok(Self {
            url,
            storage,
            local,
        })
    }

    /// Where they are, for messages.
    pub(crate) fn place(&self) -> String {
        shown(&self.url)
    }

    /// The folder of a run of this id, which need not be there yet.
    ///
    /// # Errors
    /// [`RunError::Place`].
    pub(crate) fn folder(&self, id: &str) -> Result<RunFolder, RunError> {
        let url = self
            .url
            .join(&format!("{id}/"))
            .map_err(|error| RunError::Place {
                place: self.place(),
                reason: error.to_string(),
            })?;
        Ok(RunFolder {
            id: id.to_owned(),
            storage: open(&url)?,
            url,
            local: self.local.join(id),
            runs: self.storage.clone(),
        })
    }

    /// Ids of all runs, oldest first.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn ids(&self) -> Result<Vec<String>, RunError> {
        let directory = format!("{}{INDEX}", directory(&self.storage));
        let mut ids = self.storage.list(&directory).await?;
        ids.sort();
        Ok(ids)
    }

    /// The run that an id, or the beginning of one, names; `last` is the one that began last.
    ///
    /// # Errors
    /// [`RunError::NoRun`], [`RunError::Several`].
    pub(crate) async fn find(&self, id: &str) -> Result<RunFolder, RunError> {
        let ids = self.ids().await?;
        if id == "last"
            && let Some(last) = ids.last()
        {
            return self.folder(last);
        }
        let found: Vec<&String> = ids
            .iter()
            .filter(|one| !id.is_empty() && one.starts_with(id))
            .collect();
        match found.as_slice() {
            [one] => self.folder(one),
            [] => Err(RunError::NoRun {
                id: id.to_owned(),
                place: self.place(),
            }),
            several => Err(RunError::Several {
                id: id.to_owned(),
                runs: several
                    .iter()
                    .map(|id| id.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// An id for a run that begins now: the time, and what distinguishes runs of the same moment.
    pub(crate) fn new_id(now: DateTime<Utc>) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("{}-{}", now.format("%Y%m%d-%H%M%S%3f"), &random[..4])
    }
}

impl RunFolder {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where a part of it is, for messages: a path on this machine, or a URL.
    pub(crate) fn shown(&self, part: &str) -> String {
        let url = self.url.join(part).unwrap_or_else(|_| self.url.clone());
        shown(&url)
    }

    /// A directory on this machine for what must be there; made if it is not.
    ///
    /// # Errors
    /// [`RunError::Local`].
    pub(crate) fn local(&self) -> Result<&FilePath, RunError> {
        std::fs::create_dir_all(&self.local).map_err(|source| RunError::Local {
            path: self.local.display().to_string(),
            source,
        })?;
        Ok(&self.local)
    }

    /// Where what must be on this machine is; the directory need not be there.
    pub(crate) fn local_path(&self) -> &FilePath {
        &self.local
    }

    /// The file with the rejected records of another run that this one loads.
    pub(crate) fn again_path(&self) -> PathBuf {
        self.local.join("again.arrow")
    }

    /// The file with the rows of the query, if they are kept.
    pub(crate) fn rows_path(&self) -> PathBuf {
        self.local.join("rows.parquet")
    }

    /// The file with the former values of the records that the run changes, if they are kept.
    pub(crate) fn snapshot_path(&self) -> PathBuf {
        self.local.join("snapshot.parquet")
    }

    /// The file with the rows that take another run back.
    pub(crate) fn undo_path(&self) -> PathBuf {
        self.local.join("undo.arrow")
    }

    /// Keeps other processes of this machine from the run while the file lives. Where the run itself is
    /// on this machine, none can be at work on it then.
    ///
    /// # Errors
    /// [`RunError::Busy`] if another one has it.
    pub(crate) async fn lock(&self) -> Result<File, RunError> {
        let path = self.local()?.join("lock");
        let wrong = |source| RunError::Local {
            path: path.display().to_string(),
            source,
        };
        let file = File::create(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunError::Busy {
                    id: self.id.clone(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(wrong(source)),
        }
        if self.url.scheme() == "file" {
            Ledger::none_at_work(self.ledger()?).await?;
        }
        Ok(file)
    }

    /// Deletes what is on this machine of a run that never began.
    pub(crate) fn discard_local(&self) {
        let _ = std::fs::remove_dir_all(&self.local);
    }

    /// The store of rejected records: JSON lines with the types of their values.
    ///
    /// # Errors
    /// [`RunError::Rejects`].
    pub(crate) fn rejects(&self, start: DateTime<Utc>) -> Result<RejectStore, RunError> {
        let config = RejectConfig {
            format: RejectFormat::Airbyte(Envelope {
                file_type: FileType::Jsonl,
                ..Envelope::default()
            }),
            path_format: Some(String::new()),
            ..RejectConfig::new(Location::Url(self.part("rejects/")))
        };
        Ok(RejectStore::open(&config, start)?)
    }

    /// The rejected records, to be read.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) fn rejected(&self) -> Result<Storage, RunError> {
        open(&self.part("rejects/"))
    }

    /// The store of receipts.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) fn receipts(&self) -> Result<ReceiptStore, RunError> {
        Ok(ReceiptStore::new(open(&self.part("receipts/"))?))
    }

    /// The receipts, to be read.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) fn received(&self) -> Result<Storage, RunError> {
        open(&self.part("receipts/"))
    }

    /// The store of the ledger.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) fn ledger(&self) -> Result<Storage, RunError> {
        open(&self.part("ledger/"))
    }

    fn part(&self, name: &str) -> Url {
        self.url.join(name).unwrap_or_else(|_| self.url.clone())
    }

    /// Makes the run known: from now on it is listed.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn begin(&self, record: &RunRecord) -> Result<(), RunError> {
        self.write(record).await?;
        let key = key_in(&format!("{}{INDEX}", directory(&self.runs)), &self.id)?;
        Ok(self.runs.put(&key, Bytes::new()).await?)
    }

    /// Writes the record over the one before.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn write(&self, record: &RunRecord) -> Result<(), RunError> {
        let text = serde_json::to_vec_pretty(record).map_err(|error| self.damaged(&error))?;
        let key = key_in(&directory(&self.storage), RECORD)?;
        Ok(self.storage.put(&key, text.into()).await?)
    }

    /// Keeps the columns of the rows, by which the types of rejected records come back.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn keep_schema(&self, schema: Vec<u8>) -> Result<(), RunError> {
        let key = key_in(&directory(&self.storage), SCHEMA)?;
        Ok(self.storage.put(&key, schema.into()).await?)
    }

    /// The columns of the rows; `None` if they were not kept.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn schema(&self) -> Result<Option<SchemaRef>, RunError> {
        let key = key_in(&directory(&self.storage), SCHEMA)?;
        let bytes = self.storage.content(&key).await?;
        let reader = bytes.and_then(|bytes| StreamReader::try_new(bytes.reader(), None).ok());
        Ok(reader.map(|reader| reader.schema()))
    }

    /// Reads the record.
    ///
    /// # Errors
    /// [`RunError::Damaged`], [`RunError::Newer`], [`RunError::NoRun`].
    pub(crate) async fn read(&self) -> Result<RunRecord, RunError> {
        let key = key_in(&directory(&self.storage), RECORD)?;
        let Some(text) = self.storage.content(&key).await? else {
            return Err(RunError::NoRun {
                id: self.id.clone(),
                place: self.shown(""),
            });
        };
        let version: Version =
            serde_json::from_slice(&text).map_err(|error| self.damaged(&error))?;
        if version.version > VERSION {
            return Err(RunError::Newer {
                url: self.shown(RECORD),
                version: version.version,
            });
        }
        serde_json::from_slice(&text).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &serde_json::Error) -> RunError {
        RunError::Damaged {
            url: self.shown(RECORD),
            reason: error.to_string(),
        }
    }

    /// Writes how far the run has come. It is written before the ledger covers the same rows, so that
    /// whatever the ledger covers has its position among the last ones.
    ///
    /// # Errors
    /// [`RunError::Storage`].
    pub(crate) async fn note(&self, positions: &mut Vec<Position>) -> Result<(), RunError> {
        let old = positions.len().saturating_sub(POSITIONS);
        positions.drain(..old);
        let text = serde_json::to_vec(&positions).map_err(|error| self.damaged(&error))?;
        let key = key_in(&directory(&self.storage), POSITION)?;
        Ok(self.storage.put(&key, text.into()).await?)
    }

    /// The last positions, oldest first.
    ///
    /// # Errors
    /// [`RunError::Damaged`].
    pub(crate) async fn positions(&self) -> Result<Vec<Position>, RunError> {
        let key = key_in(&directory(&self.storage), POSITION)?;
        match self.storage.content(&key).await? {
            Some(text) => serde_json::from_slice(&text).map_err(|error| self.damaged(&error)),
            None => Ok(Vec::new()),
        }
    }

    /// Deletes the run with all that it keeps; it is no longer listed, then.
    ///
    /// # Errors
    /// [`RunError::Storage`], [`RunError::Delete`].
    pub(crate) async fn delete(&self) -> Result<(), RunError> {
        if self.url.scheme() != "file" {
            let root = key_in(self.storage.prefix().trim_end_matches('/'), "")?;
            for key in self.storage.find(&root).await? {
                self.storage.delete(&key).await?;
            }
        }
        match std::fs::remove_dir_all(&self.local) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(RunError::Delete {
                    path: self.local.display().to_string(),
                    source,
                });
            }
            _ => {}
        }
        let key = key_in(&format!("{}{INDEX}", directory(&self.runs)), &self.id)?;
        Ok(self.runs.delete(&key).await?)
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn open(url: &Url) -> Result<Storage, RunError> {
    let location = Location::Url(url.clone());
    let storage = Storage::open(&location, &Encryption::default())?;
    Ok(storage.with_waits(Waits::default()))
}

fn as_directory(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

/// The prefix of a store, with its last slash.
fn directory(storage: &Storage) -> String {
    match storage.prefix().trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// A path on this machine without `file://`.
fn shown(url: &Url) -> String {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => path.display().to_string(),
        _ => url.to_string(),
    }
}
