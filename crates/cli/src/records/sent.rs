//! What a run has sent, read back from its receipts: one row a record.
//!
//! ```text
//! receipts (Parquet, a file a job) ─► what was sent ─► sorted by record ─► one row a record
//! ```
//!
//! A record has several receipts where rows of one key came in several jobs, and where a later attempt
//! sent a row once more. The value that was sent last counts, field by field.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    Array, ArrayRef, AsArray as _, RecordBatch, RecordBatchReader as _, UInt32Array,
};
use arrow_salesforce::arrow::compute::{cast, concat_batches, take};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::coerce::{CoerceError, Comparison};
use arrow_salesforce::object_store::path::Path as ObjectPath;
use arrow_salesforce::receipt::{
    RECEIPT_ACTION, RECEIPT_AT, RECEIPT_ID, RECEIPT_MARK, RECEIPT_ORDINAL,
};
use arrow_salesforce::source::{RAW, RAW_ERROR};
use arrow_salesforce::storage::{Storage, StorageError, key_in};
use datafusion::prelude::{SessionContext, col};
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::beside::{rows_a_batch, table};
use super::look::{KeyList, Keys};
use crate::error::Result;
use crate::parquet_file::{ParquetFile, WriteError};
use crate::run::{RunFolder, RunRecord, RunState};
use crate::sql::SqlError;

/// The report of an attempt.
const REPORT: &str = "report.json";

/// What the name of a column of receipts begins with where it would be one of their own.
const SOURCE_PREFIX: &str = "_source_";

/// Columns before those of the fields.
pub(crate) const ID: &str = "id";
pub(crate) const ACTION: &str = "action";
const MARK: &str = "mark";
pub(crate) const AT: &str = "at";
/// After those of the fields, while a record may have several rows.
const ORDINAL: &str = "ordinal";

/// The word of receipts for a record that a run has created.
pub(crate) const CREATED: &str = "created";

/// What can be wrong with receipts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiptsError {
    /// There are none.
    #[error(
        "the run {run} has no receipts: it was loaded with --no-receipts, or they were deleted. What it \
         has sent cannot be known"
    )]
    None {
        /// The run.
        run: String,
    },
    /// They have no values.
    #[error(
        "the receipts of the run {run} do not have the values that were sent ({columns}): an older \
         version of arrow-salesforce has loaded it. What it has sent cannot be known"
    )]
    NoValues {
        /// The run.
        run: String,
        /// The columns that are not there.
        columns: String,
    },
    /// A file is none of receipts.
    #[error("{file} cannot be read as receipts: {reason}")]
    Damaged {
        /// The object.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// They cannot be sorted.
    #[error(transparent)]
    Sort(#[from] SqlError),
    /// There is no room for what is made of them.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Values cannot be made of them.
    #[error(transparent)]
    Values(#[from] CoerceError),
    /// Rows cannot be made of them.
    #[error("receipts cannot be read: {0}")]
    Rows(#[from] ArrowError),
}

/// The receipts of a run.
#[derive(Debug)]
pub(crate) struct Receipts {
    storage: Storage,
    files: Vec<ObjectPath>,
    source: SchemaRef,
}

/// What was sent: a row a record.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// The file: `id`, `action`, `mark`, `at`, then a text for each field that is compared, named by
    /// [`sent_column`]: null where the field was left alone, `#N/A` where it was cleared. Sorted by Id;
    /// rows without one are the last.
    pub(crate) path: PathBuf,
    /// Rows of it.
    pub(crate) records: u64,
    /// Those of them whose Id is not known.
    pub(crate) without_id: u64,
}

impl Sent {
    /// The Ids of the records, where they are few enough to be listed.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) async fn ids(&self, session: &SessionContext) -> Result<Keys> {
        let rows = table(session, &self.path).await?;
        let rows = rows.select_columns(&[ID]).map_err(SqlError::Run)?;
        let mut rows = rows.execute_stream().await.map_err(SqlError::Run)?;
        let mut ids = KeyList::default();
        while let Some(batch) = rows.try_next().await.map_err(SqlError::Run)? {
            let mut known = batch.column(0).as_string::<i32>().iter().flatten();
            if !known.all(|id| ids.push(id)) {
                break;
            }
        }
        Ok(ids.finish())
    }
}

/// The column of what was sent for a field, by its number among those of the comparison.
pub(crate) fn sent_column(field: usize) -> String {
    format!("sent_{field}")
}

impl Receipts {
    /// Finds the receipts of a run. One without accepted records has none.
    ///
    /// # Errors
    /// [`ReceiptsError`] for a run whose receipts do not say what was sent; those of the store.
    pub(crate) async fn find(folder: &RunFolder, record: &RunRecord) -> Result<Self> {
        let storage = folder.received()?;
        let files = files(&storage).await?;
        let run = || record.id.clone();
        if files.is_empty() && (record.counts.accepted > 0 || record.spec.write.no_receipts) {
            return Err(ReceiptsError::None { run: run() }.into());
        }
        let columns = folder.schema().await?.map(|kept| written(&kept));
        let source = columns.filter(|source| !source.fields().is_empty());
        let source = source.ok_or_else(|| ReceiptsError::NoValues {
            run: run(),
            columns: "no column is known".to_owned(),
        })?;
        if let Some(first) = files.first() {
            let reader = open(&storage, first, folder.local()?).await?;
            let there = reader.schema();
            let lacking = source
                .fields()
                .iter()
                .filter(|field| position(&there, field.name()).is_none());
            let lacking: Vec<&str> = lacking.map(|field| field.name().as_str()).collect();
            if !lacking.is_empty() {
                return Err(ReceiptsError::NoValues {
                    run: run(),
                    columns: lacking.join(", "),
                }
                .into());
            }
        }
        Ok(Self {
            storage,
            files,
            source: Arc::new(source),
        })
    }

    /// What the reports of a run's attempts say.
    ///
    /// # Errors
    /// [`ReceiptsError::Storage`].
    pub(crate) async fn reported(&self, record: &RunRecord) -> Result<Reported, ReceiptsError> {
        let mut reports = Vec::new();
        for object in objects(&self.storage).await? {
            if object.filename() == Some(REPORT) {
                let text = self.storage.content(&object).await?.unwrap_or_default();
                reports.extend(serde_json::from_slice::<Report>(&text));
            }
        }
        let last = record.attempts.last();
        let last = last.and_then(|last| reports.iter().find(|of| of.attempt == last.id));
        let is_whole = reports.len() >= record.attempts.len();
        Ok(Reported {
            may_be_merged: !is_whole || reports.iter().any(|report| report.merged > 0),
            is_settled: record.state == RunState::Finished
                || last.is_some_and(|last| last.without_end == 0),
        })
    }

    /// The columns of the rows that were sent.
    pub(crate) fn source(&self) -> &SchemaRef {
        &self.source
    }

    /// What was sent of each record, as a file in `directory`. `comparison` is of [`Receipts::source`].
    ///
    /// # Errors
    /// [`ReceiptsError`].
    pub(crate) async fn sent(
        &self,
        comparison: &Arc<Comparison>,
        session: &SessionContext,
        directory: &Path,
    ) -> Result<Sent, ReceiptsError> {
        let rows = directory.join("receipts.parquet");
        let mut file = ParquetFile::create(&rows, schema(comparison, true))?;
        for object in &self.files {
            let mut reader = open(&self.storage, object, directory).await?;
            loop {
                let source = SchemaRef::clone(&self.source);
                let of = Arc::clone(comparison);
                let read = spawn_blocking(move || {
                    let batch = reader.next().map(|batch| cells(&batch?, &source, &of));
                    batch.transpose().map(|batch| (batch, reader))
                });
                let (batch, back) = read.await.map_err(|error| damaged(object, &error))??;
                let Some(batch) = batch else {
                    break;
                };
                file = file.write(batch).await?;
                reader = back;
            }
        }
        file.finish().await?;
        let sent = merged(comparison, session, &rows, directory).await;
        // It is in the way of what is made next, and goes with the directory otherwise.
        let _ = std::fs::remove_file(&rows);
        sent
    }
}

/// One row a record, of the rows of receipts.
async fn merged(
    comparison: &Comparison,
    session: &SessionContext,
    rows: &Path,
    directory: &Path,
) -> Result<Sent, ReceiptsError> {
    // Jobs that write one record follow each other, as attempts do.
    let by = [ID, AT, ORDINAL].map(|name| col(name).sort(true, false));
    let sorted = table(session, rows).await?.sort(by.to_vec());
    let sorted = sorted.map_err(SqlError::Run)?;
    let mut sorted = sorted.execute_stream().await.map_err(SqlError::Run)?;
    let path = directory.join("sent.parquet");
    let schema = schema(comparison, false);
    let mut file = ParquetFile::create(&path, SchemaRef::clone(&schema))?;
    let (mut last, mut without_id) = (RecordBatch::new_empty(schema), 0);
    while let Some(batch) = sorted.next().await {
        let batch = batch.map_err(SqlError::Run)?;
        let batch = batch.project(&(0..last.num_columns()).collect::<Vec<_>>())?;
        without_id += batch.column(0).null_count() as u64;
        let batch = one_each(&concat_batches(&last.schema(), [&last, &batch])?)?;
        // The next batch may have more rows of the last record.
        let whole = batch.num_rows().saturating_sub(1);
        last = batch.slice(whole, batch.num_rows() - whole);
        file = file.write(batch.slice(0, whole)).await?;
    }
    let records = file.write(last).await?.finish().await?;
    Ok(Sent {
        path,
        records,
        without_id,
    })
}

/// One row a record, of rows that stand together by record, the last one last.
fn one_each(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let ids = rows.column(0).as_string::<i32>();
    let is_same = |row: usize| {
        row > 0
            && ids.is_valid(row)
            && ids.is_valid(row - 1)
            && ids.value(row) == ids.value(row - 1)
    };
    let mut starts: Vec<usize> = (0..rows.num_rows()).filter(|row| !is_same(*row)).collect();
    if starts.len() == rows.num_rows() {
        return Ok(rows.clone());
    }
    starts.push(rows.num_rows());
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| {
        let picked = starts.windows(2).map(|ends| {
            let mut of_record = ends[0]..ends[1];
            let picked = match field.name().as_str() {
                // A record that was created and then updated is new.
                ACTION => of_record.find(|row| is_created(column, *row)),
                _ => of_record.rfind(|row| column.is_valid(*row)),
            };
            picked.unwrap_or(ends[1] - 1) as u32
        });
        take(column, &UInt32Array::from_iter_values(picked), None)
    });
    let columns: Result<Vec<ArrayRef>, ArrowError> = columns.collect();
    RecordBatch::try_new(schema, columns?)
}

fn is_created(actions: &ArrayRef, row: usize) -> bool {
    let actions = actions.as_string::<i32>();
    actions.is_valid(row) && actions.value(row) == CREATED
}

/// The columns of what was sent.
fn schema(comparison: &Comparison, in_receipts: bool) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let at = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![text(ID), text(ACTION), text(MARK), Field::new(AT, at, true)];
    fields.extend((0..comparison.fields().len()).map(|field| text(&sent_column(field))));
    if in_receipts {
        fields.push(Field::new(ORDINAL, DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

/// What receipts say was sent.
fn cells(
    receipts: &RecordBatch,
    source: &SchemaRef,
    comparison: &Comparison,
) -> Result<RecordBatch, ReceiptsError> {
    let there = receipts.schema();
    let column = |at: Option<usize>, data_type: &DataType| -> Result<ArrayRef, ArrowError> {
        let at = at.ok_or_else(|| ArrowError::SchemaError("a column is not there".to_owned()))?;
        let column = receipts.column(at);
        match column.data_type() == data_type {
            true => Ok(Arc::clone(column)),
            false => cast(column, data_type),
        }
    };
    let rows = source.fields().iter();
    let rows = rows.map(|field| column(position(&there, field.name()), field.data_type()));
    let rows = RecordBatch::try_new(SchemaRef::clone(source), rows.collect::<Result<_, _>>()?)?;
    let schema = schema(comparison, true);
    let own = |name: &str, of: &str| {
        let data_type = schema.field_with_name(of)?.data_type();
        column(there.index_of(name).ok(), data_type)
    };
    let mut columns = vec![
        own(RECEIPT_ID, ID)?,
        own(RECEIPT_ACTION, ACTION)?,
        own(RECEIPT_MARK, MARK)?,
        own(RECEIPT_AT, AT)?,
    ];
    columns.extend(comparison.sent(&rows)?.columns().iter().cloned());
    columns.push(own(RECEIPT_ORDINAL, ORDINAL)?);
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The columns of the rows of a load that receipts have.
fn written(kept: &Schema) -> Schema {
    let fields = kept.fields().iter();
    let fields = fields.filter(|field| field.name() != RAW && field.name() != RAW_ERROR);
    // Receipts may have nulls wherever rows have none.
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// Where receipts have a column of the rows.
fn position(receipts: &Schema, column: &str) -> Option<usize> {
    let prefixed = format!("{SOURCE_PREFIX}{column}");
    let named = receipts.index_of(&prefixed);
    named.or_else(|_| receipts.index_of(column)).ok()
}

/// What is read of the report of an attempt.
#[derive(Deserialize)]
struct Report {
    attempt: String,
    merged: u64,
    without_end: u64,
}

/// What the reports of a run's attempts say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reported {
    /// Whether rows of one key may have become one, whose receipt shows the last of them.
    pub(crate) may_be_merged: bool,
    /// Whether all that was sent has its receipt.
    pub(crate) is_settled: bool,
}

/// The objects beside each other: files of receipts, and reports of attempts.
async fn objects(storage: &Storage) -> Result<Vec<ObjectPath>, ReceiptsError> {
    let prefix = key_in(storage.prefix().trim_matches('/'), "")?;
    Ok(storage.find(&prefix).await?)
}

/// The files of receipts.
async fn files(storage: &Storage) -> Result<Vec<ObjectPath>, ReceiptsError> {
    let mut files = objects(storage).await?;
    files.retain(|file| file.extension() == Some("parquet"));
    Ok(files)
}

/// A file of receipts, by a copy of it that goes when it is read.
async fn open(
    storage: &Storage,
    object: &ObjectPath,
    directory: &Path,
) -> Result<ParquetRecordBatchReader, ReceiptsError> {
    let broken = |error: std::io::Error| damaged(object, &error);
    let mut copy = tempfile::tempfile_in(directory).map_err(broken)?;
    let mut pieces = storage.read(object).await?;
    while let Some(piece) = pieces.try_next().await? {
        copy.write_all(&piece).map_err(broken)?;
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(copy).and_then(|reader| {
        let rows = rows_a_batch(reader.metadata());
        reader.with_batch_size(rows).build()
    });
    reader.map_err(|error| damaged(object, &error))
}

fn damaged(object: &ObjectPath, reason: &dyn std::fmt::Display) -> ReceiptsError {
    ReceiptsError::Damaged {
        file: object.to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
