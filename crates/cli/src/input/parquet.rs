//! Parquet files -> a table, read by DataFusion.

use std::sync::Arc;

use arrow_salesforce::arrow::datatypes::{Schema, SchemaRef};
use arrow_salesforce::object_store::ObjectMeta;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::parquet_to_arrow_schema;

use super::file::InputFile;
use super::files_store::FilesStore;
use super::stored::StoredFile;
use super::{InputError, schema};

/// Footers that are read at once.
const AT_ONCE: usize = 16;

/// Files that DataFusion reads.
#[derive(Debug)]
pub(crate) struct ParquetTable {
    store: Arc<FilesStore>,
    /// By what DataFusion knows the store.
    store_url: ObjectStoreUrl,
    files: Vec<StoredFile>,
    columns: TableSchema,
    pub(crate) rows: u64,
}

impl ParquetTable {
    /// Of files with these columns of their directories.
    ///
    /// # Errors
    /// [`InputError`] if one cannot be read, or the files do not fit each other.
    pub(crate) async fn open(files: Vec<StoredFile>, hive: &[String]) -> Result<Self, InputError> {
        let stores = files.iter().map(|file| {
            let store = file.random_access().ok_or_else(|| {
                InputError::Usage(format!("{} can only be read as a whole", file.name()))
            })?;
            Ok((store, file.meta.clone()))
        });
        let store = FilesStore::new(stores.collect::<Result<_, InputError>>()?);
        let store = Arc::new(store);
        let footers = files.iter().zip(store.files());
        let footers = footers.map(|(file, meta)| footer(Arc::clone(&store), file.clone(), meta));
        let footers: Vec<_> = footers.collect();
        let footers = stream::iter(footers).buffered(AT_ONCE);
        let footers: Vec<(SchemaRef, u64)> = footers.try_collect().await?;
        let rows = footers.iter().map(|(_, rows)| rows).sum();
        let schemas = footers.into_iter().map(|(schema, _)| schema);
        let merged = schema::merge(files.iter().map(InputFile::name).zip(schemas))?;
        let hive = schema::directory_fields(hive, &merged);
        Ok(Self {
            store,
            store_url: store_url()?,
            columns: TableSchema::builder(merged)
                .with_table_partition_cols(hive)
                .build(),
            files,
            rows,
        })
    }

    fn partitioned(&self, file: &StoredFile, meta: ObjectMeta) -> PartitionedFile {
        let mut partitioned = PartitionedFile::new_from_meta(meta);
        let columns = self.columns.table_partition_cols().iter();
        partitioned.partition_values = columns
            .map(|column| ScalarValue::Utf8(file.of_directory(column.name())))
            .collect();
        partitioned
    }
}

/// A URL that no other store of this process has.
fn store_url() -> Result<ObjectStoreUrl, InputError> {
    let url = format!("input://{}", uuid::Uuid::new_v4().simple());
    ObjectStoreUrl::parse(url).map_err(|error| InputError::Usage(error.to_string()))
}

/// Columns and rows of a file.
async fn footer(
    store: Arc<FilesStore>,
    file: StoredFile,
    meta: ObjectMeta,
) -> Result<(SchemaRef, u64), InputError> {
    let wrong = |reason: String| InputError::Content {
        name: file.name().to_owned(),
        problem: format!("it is no Parquet file, or its end is missing ({reason})"),
    };
    let metadata = DFParquetMetadata::new(store.as_ref(), &meta)
        .fetch_metadata()
        .await;
    let metadata = metadata.map_err(|error| wrong(error.to_string()))?;
    let metadata = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(metadata.schema_descr(), metadata.key_value_metadata());
    let schema = schema.map_err(|error| wrong(error.to_string()))?;
    let fields: Vec<_> = schema.fields().iter().map(Arc::clone).collect();
    let rows = u64::try_from(metadata.num_rows()).unwrap_or_default();
    Ok((Arc::new(Schema::new(fields)), rows))
}

#[async_trait]
impl TableProvider for ParquetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.columns.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        for file in &self.files {
            let unchanged = file.unchanged().await;
            unchanged.map_err(|error| DataFusionError::External(Box::new(error)))?;
        }
        let runtime = state.runtime_env();
        let store = Arc::clone(&self.store);
        runtime.register_object_store(self.store_url.as_ref(), store);
        let partitions = state.config().target_partitions();
        let files = self.files.iter().zip(self.store.files());
        let files: Vec<_> = files
            .map(|(file, meta)| self.partitioned(file, meta))
            .collect();
        let mut statistics = Statistics::new_unknown(self.columns.table_schema());
        statistics.num_rows = Precision::Inexact(usize::try_from(self.rows).unwrap_or(usize::MAX));
        let source = ParquetSource::new(self.columns.clone());
        let scan = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(FileGroup::new(files).split_files(partitions))
            .with_preserve_order(partitions == 1)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
