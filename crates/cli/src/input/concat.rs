//! Tables of several formats -> one, each behind the other.

use std::sync::Arc;

use arrow_salesforce::arrow::datatypes::{Schema, SchemaRef};
use arrow_salesforce::source::is_explicit_null_flag;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as QueryResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{InputError, schema};

/// The rows of all tables, in their order.
#[derive(Debug)]
pub(crate) struct ConcatTable {
    schema: SchemaRef,
    tables: Vec<Arc<dyn TableProvider>>,
}

impl ConcatTable {
    /// Of tables, each with what its files are called. A column that is text in one is text in all.
    ///
    /// # Errors
    /// [`InputError::Content`] if their columns do not fit each other.
    pub(crate) fn of(tables: Vec<(String, Arc<dyn TableProvider>)>) -> Result<Self, InputError> {
        let schemas = tables
            .iter()
            .map(|(name, table)| (name.as_str(), table.schema()));
        let merged = schema::merge_as_text(schemas)?;
        // Only some formats distinguish a null from a value left out.
        let fields = merged.fields().iter();
        let fields = fields.filter(|field| !is_explicit_null_flag(field.name()));
        let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        let tables = tables.into_iter().map(|(_, table)| table).collect();
        Ok(Self { schema, tables })
    }
}

#[async_trait]
impl TableProvider for ConcatTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
        let mut plans = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            plans.push(table.scan(state, None, &[], None).await?);
        }
        let rows = Rows {
            schema: Arc::clone(&self.schema),
            plans,
        };
        let schema = Arc::clone(&self.schema);
        let rows: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(rows)];
        let scan = StreamingTableExec::try_new(schema, rows, projection, [], false, limit)?;
        Ok(Arc::new(scan))
    }
}

#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    plans: Vec<Arc<dyn ExecutionPlan>>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let partitions: Vec<_> = self.plans.iter().flat_map(partitions).collect();
        let schema = Arc::clone(&self.schema);
        let rows = stream::iter(partitions)
            .map(move |(plan, partition)| plan.execute(partition, Arc::clone(&context)))
            .try_flatten()
            .map(move |batch| schema::fit(&batch?, &schema).map_err(DataFusionError::from));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        ))
    }
}

fn partitions(
    plan: &Arc<dyn ExecutionPlan>,
) -> impl Iterator<Item = (Arc<dyn ExecutionPlan>, usize)> {
    let count = plan.properties().partitioning.partition_count();
    (0..count).map(|partition| (Arc::clone(plan), partition))
}
