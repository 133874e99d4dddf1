//! Files that are read from their beginning -> tables.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow_salesforce::arrow::compute::{filter_record_batch, is_not_null, is_null};
use arrow_salesforce::arrow::datatypes::{Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::source::{RAW, RAW_ERROR, is_bookkeeping};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::file::{BatchStream, FileRecords, InputFile as _};
use super::stored::StoredFile;
use super::{InputError, schema};

/// Files of one format, and what reads them.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    reader: Arc<dyn FileRecords>,
    files: Vec<Arc<StoredFile>>,
    /// Columns of directories.
    hive: Vec<String>,
}

/// Which records of files are rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    /// Without columns of bookkeeping.
    Readable,
    /// With those columns alone.
    Unreadable,
}

/// The records of all files, one file after the other.
#[derive(Debug)]
struct Records {
    schema: SchemaRef,
    files: Files,
    which: Which,
}

impl Files {
    pub(crate) fn new(
        reader: Arc<dyn FileRecords>,
        files: Vec<Arc<StoredFile>>,
        hive: Vec<String>,
    ) -> Self {
        Self {
            reader,
            files,
            hive,
        }
    }

    /// The table of these records.
    ///
    /// # Errors
    /// [`InputError::Usage`] if DataFusion does not take it.
    pub(crate) fn table(&self, which: Which) -> Result<Arc<dyn TableProvider>, InputError> {
        let columns = self.reader.schema();
        let fields = columns.fields().iter().map(Arc::clone);
        let fields = fields.filter(|field| match which {
            Which::All => true,
            Which::Readable => !is_bookkeeping(field.name()),
            Which::Unreadable => [RAW, RAW_ERROR].contains(&field.name().as_str()),
        });
        let hive = schema::directory_fields(&self.hive, &columns);
        let hive = hive.into_iter().filter(|_| which != Which::Unreadable);
        let schema = Arc::new(Schema::new(fields.chain(hive).collect::<Vec<_>>()));
        let records = Records {
            schema: Arc::clone(&schema),
            files: self.clone(),
            which,
        };
        let table = StreamingTable::try_new(schema, vec![Arc::new(records)]);
        let table = table.map_err(|error| InputError::Usage(error.to_string()))?;
        Ok(Arc::new(table))
    }
}

impl PartitionStream for Records {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (reader, schema) = (Arc::clone(&self.files.reader), Arc::clone(&self.schema));
        let which = self.which;
        let batches = stream::iter(self.files.files.clone())
            .flat_map(move |file| of_file(reader.as_ref(), file, which, Arc::clone(&schema)))
            .map_err(|error| DataFusionError::External(Box::new(error)));
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

fn of_file(
    reader: &dyn FileRecords,
    file: Arc<StoredFile>,
    which: Which,
    schema: SchemaRef,
) -> BatchStream {
    let batches = reader.batches(file.as_ref());
    batches
        .map(move |batch| {
            let rows =
                selected(batch?, which).and_then(|batch| with_columns(&batch, &file, &schema));
            rows.map_err(|source| InputError::Batch {
                name: file.name().to_owned(),
                source,
            })
        })
        .boxed()
}

fn selected(batch: RecordBatch, which: Which) -> Result<RecordBatch, ArrowError> {
    let Some(errors) = batch.column_by_name(RAW_ERROR) else {
        return Ok(batch);
    };
    let keep = match which {
        Which::All => return Ok(batch),
        Which::Readable if errors.null_count() == errors.len() => return Ok(batch),
        Which::Readable => is_null(errors)?,
        Which::Unreadable => is_not_null(errors)?,
    };
    filter_record_batch(&batch, &keep)
}

/// The columns of the schema: those of the batch, others from the directories of the file.
fn with_columns(
    batch: &RecordBatch,
    file: &StoredFile,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns = schema.fields().iter().map(|field| {
        batch.column_by_name(field.name()).map_or_else(
            || {
                let value = file.of_directory(field.name());
                let values = std::iter::repeat_n(value.as_deref(), rows);
                Arc::new(values.collect::<StringArray>()) as ArrayRef
            },
            Arc::clone,
        )
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
}
