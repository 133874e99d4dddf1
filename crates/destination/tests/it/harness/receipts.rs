//! Receipts read back, without the library's help.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::process::Job;

/// A line of a receipt.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) ordinal: usize,
    pub(crate) id: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) mark: Option<String>,
    pub(crate) job: String,
    pub(crate) attempt: Option<String>,
    /// Columns of the stream, as texts.
    pub(crate) columns: BTreeMap<String, Option<String>>,
    /// Path of the file, below the folder of receipts.
    pub(crate) file: String,
}

/// Columns that are not of the stream.
const OWN: [&str; 7] = [
    "ordinal",
    "sf__Id",
    "action",
    "mark",
    "job_id",
    "attempt",
    "written_at",
];

/// The receipts of a job that stores them in its folder, in the order of attempts and ordinals.
pub(crate) fn receipts(job: &Job) -> Vec<Receipt> {
    receipts_below(&job.receipt_folder())
}

/// The receipts below a folder, in the same order.
pub(crate) fn receipts_below(folder: &Path) -> Vec<Receipt> {
    let mut all = Vec::new();
    for file in paths(folder) {
        if file
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            all.extend(read(folder, &file));
        }
    }
    all.sort_by(|a, b| (&a.attempt, a.ordinal).cmp(&(&b.attempt, b.ordinal)));
    all
}

/// The reports beside them, by stream and attempt.
pub(crate) fn reports(job: &Job) -> Vec<Value> {
    let files = paths(&job.receipt_folder()).into_iter();
    let mut reports: Vec<Value> = files
        .filter(|file| file.ends_with("report.json"))
        .map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
        .collect();
    let text = |report: &Value, key: &str| report[key].as_str().unwrap_or_default().to_owned();
    reports.sort_by_key(|report| (text(report, "stream"), text(report, "attempt")));
    reports
}

/// All files below a folder.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| match path.is_dir() {
        true => paths(&path),
        false => vec![path],
    });
    below.collect()
}

fn read(folder: &Path, file: &Path) -> Vec<Receipt> {
    let name = file.strip_prefix(folder).unwrap().to_str().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    batches.flat_map(|batch| of_batch(&batch, name)).collect()
}

fn of_batch(batch: &RecordBatch, file: &str) -> Vec<Receipt> {
    let text = |name: &str, row: usize| {
        let column = batch.column_by_name(name).unwrap();
        if column.is_null(row) {
            return None;
        }
        Some(match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
            _ => arrow::util::display::array_value_to_string(column, row).unwrap(),
        })
    };
    let ordinals = batch.column_by_name("ordinal").unwrap();
    let ordinals = ordinals.as_primitive::<Int64Type>();
    let schema = batch.schema();
    let names = || schema.fields().iter().map(|field| field.name());
    let receipt = |row: usize| Receipt {
        ordinal: usize::try_from(ordinals.value(row)).unwrap(),
        id: text("sf__Id", row),
        action: text("action", row),
        mark: text("mark", row),
        job: text("job_id", row).unwrap(),
        attempt: text("attempt", row),
        columns: names()
            .filter(|name| !OWN.contains(&name.as_str()))
            .map(|name| (name.clone(), text(name, row)))
            .collect(),
        file: file.to_owned(),
    };
    (0..batch.num_rows()).map(receipt).collect()
}
