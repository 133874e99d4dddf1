//! Files of one place -> a table.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::catalog::TableProvider;

use super::concat::ConcatTable;
use super::csv::CsvRecords;
use super::environment::Environment;
use super::file::{FileRecords, InputFile};
use super::ipc::IpcRecords;
use super::jsonl::JsonRecords;
use super::parquet::ParquetTable;
use super::place::Place;
use super::records::{Files, Which};
use super::stored::StoredFile;
use super::{FileState, InputError, format, listing};
use crate::spec::{Format, ReadSpec};

/// Tables of the same files, and what is known of these.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) all: Arc<dyn TableProvider>,
    /// The same without rows that cannot be read, and without the columns for those.
    pub(crate) readable: Arc<dyn TableProvider>,
    /// Those rows, if there may be any, with those columns alone.
    pub(crate) unreadable: Vec<Arc<dyn TableProvider>>,
    /// Sentences.
    pub(crate) found: Vec<String>,
    pub(crate) states: Vec<FileState>,
    /// Rows, those that cannot be read included, where that is known.
    pub(crate) rows: Option<u64>,
}

impl Table {
    /// One behind the other, each with what its files are called.
    fn concat(tables: Vec<(String, Self)>) -> Result<Self, InputError> {
        let concat = |of: fn(&Self) -> &Arc<dyn TableProvider>| {
            let each = tables
                .iter()
                .map(|(name, table)| (name.clone(), Arc::clone(of(table))));
            let all = ConcatTable::of(each.collect())?;
            Ok::<Arc<dyn TableProvider>, InputError>(Arc::new(all))
        };
        let rows = tables.iter().map(|(_, table)| table.rows);
        Ok(Self {
            all: concat(|table| &table.all)?,
            readable: concat(|table| &table.readable)?,
            rows: rows.sum(),
            unreadable: tables
                .iter()
                .flat_map(|(_, table)| table.unreadable.clone())
                .collect(),
            found: tables
                .iter()
                .flat_map(|(_, table)| table.found.clone())
                .collect(),
            states: tables
                .into_iter()
                .flat_map(|(_, table)| table.states)
                .collect(),
        })
    }
}

/// What reads files, and what is known from reading them.
struct Surveyed {
    reader: Arc<dyn FileRecords>,
    rows: Option<u64>,
    found: Vec<String>,
    /// Whether there may be records that cannot be read.
    unreadable: bool,
}

/// Opens places as tables.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) environment: Environment,
    pub(crate) read: ReadSpec,
    /// Where standard input is kept. Other streams are kept beside it.
    pub(crate) spool: PathBuf,
    /// How many files were copied beside it, since they must be read out of order.
    pub(crate) copies: Arc<AtomicUsize>,
}

impl Opener {
    /// The files of a place, all of one format.
    ///
    /// # Errors
    /// [`InputError`] if there is none, or one cannot be read.
    pub(crate) async fn files(
        &self,
        place: &Place,
        nth: usize,
    ) -> Result<Vec<StoredFile>, InputError> {
        let copy = match place {
            Place::Stdin => self.spool.clone(),
            Place::Local(_) | Place::Remote(_) => self.copy(nth),
        };
        let files = listing::files(place, &self.environment, copy).await?;
        self.of_one_format(&files)?;
        Ok(files)
    }

    fn copy(&self, nth: usize) -> PathBuf {
        self.spool.with_added_extension(nth.to_string())
    }

    /// One table of all these files.
    ///
    /// # Errors
    /// [`InputError`] if they cannot be read, or not as one table.
    pub(crate) async fn table(&self, files: Vec<StoredFile>) -> Result<Table, InputError> {
        let mut runs: Vec<(Format, Vec<StoredFile>)> = Vec::new();
        for file in files {
            let format = self.format_of(&file)?;
            match runs.last_mut() {
                Some((last, run)) if *last == format => run.push(file),
                _ => runs.push((format, vec![file])),
            }
        }
        let mut tables = Vec::with_capacity(runs.len());
        for (format, files) in runs {
            let name = files.first().map(|file| file.name().to_owned());
            let table = self.table_of(format, files).await?;
            tables.push((name.unwrap_or_default(), table));
        }
        match tables.len() {
            1 => Ok(tables.swap_remove(0).1),
            _ => Table::concat(tables),
        }
    }

    /// One table of files of one format.
    async fn table_of(&self, format: Format, files: Vec<StoredFile>) -> Result<Table, InputError> {
        let hive = directory_columns(&files);
        let states = files.iter().map(StoredFile::state).collect();
        let of = describe(&files, format);
        if format == Format::Parquet {
            let files = self.seekable(files).await?;
            let table = ParquetTable::open(files, &hive).await?;
            let rows = table.rows;
            let table: Arc<dyn TableProvider> = Arc::new(table);
            return Ok(Table {
                all: Arc::clone(&table),
                readable: table,
                unreadable: Vec::new(),
                found: vec![format!("{of}, {}", counted(rows))],
                states,
                rows: Some(rows),
            });
        }
        let files: Vec<Arc<StoredFile>> = files.into_iter().map(Arc::new).collect();
        let surveyed = self.survey(format, of, &files).await?;
        let files = Files::new(surveyed.reader, files, hive);
        let unreadable = surveyed.unreadable;
        let unreadable = unreadable.then(|| files.table(Which::Unreadable));
        Ok(Table {
            all: files.table(Which::All)?,
            readable: files.table(Which::Readable)?,
            unreadable: unreadable.transpose()?.into_iter().collect(),
            found: surveyed.found,
            states,
            rows: surveyed.rows,
        })
    }

    /// The same files where any part of them can be read: one that is compressed as a whole, or that
    /// its server sends only as a whole, is copied to this machine.
    async fn seekable(&self, files: Vec<StoredFile>) -> Result<Vec<StoredFile>, InputError> {
        let mut seekable = Vec::with_capacity(files.len());
        for file in files {
            seekable.push(match file.random_access() {
                Some(_) => file,
                None => {
                    let copy = self.copies.fetch_add(1, Ordering::Relaxed);
                    let copy = self.spool.with_file_name(format!("copy-{copy}.parquet"));
                    file.copied_to(copy).await?
                }
            });
        }
        Ok(seekable)
    }

    /// What reads files that are read from their beginning. `of` says which files and which format.
    async fn survey(
        &self,
        format: Format,
        of: String,
        files: &[Arc<StoredFile>],
    ) -> Result<Surveyed, InputError> {
        match format {
            Format::Csv => {
                let files = files
                    .iter()
                    .map(|file| Arc::clone(file) as Arc<dyn InputFile>);
                let records = CsvRecords::survey(&files.collect::<Vec<_>>(), &self.read).await?;
                Ok(Surveyed {
                    rows: Some(records.rows()),
                    found: records.found().to_vec(),
                    unreadable: records.rejects(),
                    reader: Arc::new(records),
                })
            }
            Format::Jsonl => {
                let records = JsonRecords::survey(files).await?;
                let mut found = vec![format!("{of}, {}", counted(records.rows()))];
                found.extend(records.found());
                Ok(Surveyed {
                    rows: Some(records.rows()),
                    found,
                    unreadable: records.unreadable() > 0,
                    reader: Arc::new(records),
                })
            }
            Format::Arrow | Format::Parquet => Ok(Surveyed {
                rows: None,
                found: vec![of],
                unreadable: false,
                reader: Arc::new(IpcRecords::survey(files).await?),
            }),
        }
    }

    /// Refuses files of several formats.
    fn of_one_format(&self, files: &[StoredFile]) -> Result<(), InputError> {
        let mut first: Option<(Format, &str)> = None;
        for file in files {
            let format = self.format_of(file)?;
            let (other, name) = *first.get_or_insert((format, file.name()));
            if other != format {
                return Err(InputError::Usage(format!(
                    "{name} is {other} and {} is {format}: name those of one format, as by *.csv",
                    file.name()
                )));
            }
        }
        Ok(())
    }

    fn format_of(&self, file: &StoredFile) -> Result<Format, InputError> {
        let name = file.name();
        if let Some((kind, cure)) = format::refused(&file.head) {
            return Err(InputError::Content {
                name: name.to_owned(),
                problem: format!("it is {kind}, which is not read here: {cure}"),
            });
        }
        format::by_magic(&file.head)
            .or_else(|| format::by_name(name))
            .or(self.read.format)
            .or_else(|| format::by_look(&file.head))
            .ok_or_else(|| {
                InputError::Usage(format!(
                    "{name} does not say its format: add --format csv, jsonl, parquet or arrow"
                ))
            })
    }
}

/// The columns that directories of any file give.
fn directory_columns(files: &[StoredFile]) -> Vec<String> {
    let mut columns = Vec::new();
    for (name, _) in files.iter().flat_map(|file| &file.hive) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

fn counted(rows: u64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn describe(files: &[StoredFile], format: Format) -> String {
    match files {
        [file] => format!("{}: {format}", file.name()),
        files => {
            let first = files.first().map_or("", |file| file.name());
            format!("{first} and {} more: {format}", files.len() - 1)
        }
    }
}
