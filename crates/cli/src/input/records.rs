//! Files that are read from their beginning -> a table.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::{Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
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

/// The records of all files, one file after the other.
#[derive(Debug)]
struct Records {
    schema: SchemaRef,
    reader: Arc<dyn FileRecords>,
    /// Each with the values of its directories.
    files: Vec<(Arc<StoredFile>, Vec<Option<String>>)>,
}

/// The table of files, with these columns of their directories.
///
/// # Errors
/// [`InputError::Usage`] if DataFusion does not take it.
pub(crate) fn table(
    reader: Arc<dyn FileRecords>,
    files: Vec<Arc<StoredFile>>,
    hive: &[String],
) -> Result<Arc<dyn TableProvider>, InputError> {
    let columns = reader.schema();
    let hive = schema::directory_fields(hive, &columns);
    let fields = columns.fields().iter().chain(&hive).map(Arc::clone);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let values = |file: &StoredFile| {
        hive.iter()
            .map(|field| file.of_directory(field.name()))
            .collect()
    };
    let files = files.into_iter().map(|file| {
        let values = values(&file);
        (file, values)
    });
    let records = Records {
        schema: Arc::clone(&schema),
        reader,
        files: files.collect(),
    };
    let table = StreamingTable::try_new(schema, vec![Arc::new(records)]);
    let table = table.map_err(|error| InputError::Usage(error.to_string()))?;
    Ok(Arc::new(table))
}

impl PartitionStream for Records {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (reader, schema) = (Arc::clone(&self.reader), Arc::clone(&self.schema));
        let batches = stream::iter(self.files.clone())
            .flat_map(move |(file, hive)| of_file(reader.as_ref(), &file, hive, &schema))
            .map_err(|error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

fn of_file(
    reader: &dyn FileRecords,
    file: &Arc<StoredFile>,
    hive: Vec<Option<String>>,
    schema: &SchemaRef,
) -> BatchStream {
    let batches = reader.batches(file.as_ref());
    let (file, schema) = (Arc::clone(file), Arc::clone(schema));
    batches
        .map(move |batch| {
            widened(&batch?, &hive, &schema).map_err(|source| InputError::Batch {
                name: file.name().to_owned(),
                source,
            })
        })
        .boxed()
}

fn widened(
    batch: &RecordBatch,
    hive: &[Option<String>],
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let constants = hive.iter().map(|value| {
        let values = std::iter::repeat_n(value.as_deref(), rows);
        Arc::new(values.collect::<StringArray>()) as ArrayRef
    });
    let columns = batch.columns().iter().map(Arc::clone);
    RecordBatch::try_new(Arc::clone(schema), columns.chain(constants).collect())
}
