//! What a load left behind, read where it is: the files of rejected records, and the org, which is
//! asked over HTTP. The loader itself is not asked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;

/// Why records were rejected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason {
    pub(crate) stream: String,
    pub(crate) stage: String,
    pub(crate) code: String,
    pub(crate) fields: String,
}

/// The files of rejected records under a folder.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    /// Each file with its records.
    pub(crate) files: Vec<(PathBuf, u64)>,
    pub(crate) reasons: BTreeMap<Reason, u64>,
    /// `_airbyte_data` of one of them.
    pub(crate) sample: Option<String>,
}

impl Rejected {
    /// Reads all files under `folder`.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut rejected = Self::default();
        rejected.read_folder(folder)?;
        Ok(rejected)
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> u64 {
        self.files.iter().map(|(_, records)| records).sum()
    }

    fn read_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut paths = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read_folder(&path)?;
            } else {
                let records = self.read_file(&path).map_err(io::Error::other)?;
                self.files.push((path, records));
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> arrow::error::Result<u64> {
        // The folder of a file is named after its stream.
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        let stream = folder.to_string_lossy();
        let columns = [
            "_airbyte_raw_id",
            "_airbyte_extracted_at",
            "_airbyte_meta",
            "_airbyte_generation_id",
            "_airbyte_data",
        ];
        let fields: Vec<Field> = columns
            .map(|name| Field::new(name, DataType::Utf8, true))
            .into_iter()
            .collect();
        let reader = ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .build(File::open(path)?)?;
        let mut records = 0;
        for batch in reader {
            records += self.read_batch(&stream, &batch?);
        }
        Ok(records)
    }

    fn read_batch(&mut self, stream: &str, batch: &RecordBatch) -> u64 {
        for meta in batch.column(2).as_string::<i32>().iter().flatten() {
            let meta: Value = serde_json::from_str(meta).unwrap_or_default();
            let rejected = &meta["rejected"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let fields: Vec<String> = rejected["fields"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect();
            let reason = Reason {
                stream: stream.to_owned(),
                stage: text(&rejected["stage"]),
                code: text(&rejected["code"]),
                fields: fields.join(", "),
            };
            *self.reasons.entry(reason).or_default() += 1;
        }
        let data = batch.column(4).as_string::<i32>();
        self.sample = self
            .sample
            .take()
            .or_else(|| data.iter().flatten().next().map(str::to_owned));
        batch.num_rows() as u64
    }
}

/// What the simulator at `url` responds to a GET of `path`.
pub(crate) async fn ask(url: &str, path: &str) -> Result<Value, reqwest::Error> {
    let client = reqwest::Client::new();
    client
        .get(format!("{url}{path}"))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await
}
