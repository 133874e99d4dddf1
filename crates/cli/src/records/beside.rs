//! Tables of records side by side, sorted by Id: memory holds some rows of each, and the rest is on disk.
//!
//! DataFusion would hold one side as a whole (`HashJoinExec`) where there is one partition, and needs
//! several times the memory where there are several; so the plan is made by hand.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::compute::SortOptions;
use datafusion::common::{JoinType, NullEquality};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::expressions::col as physical_column;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{ParquetReadOptions, SessionContext, ident};
use futures::stream::{BoxStream, StreamExt as _};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use crate::error::Result;
use crate::parquet_file::ParquetFile;
use crate::sql::{BATCH_ROWS, SqlError};

/// Bytes of a batch, as far as the widths of rows can be known.
const BATCH_BYTES: u64 = 2 << 20;

/// The rows of a Parquet file, which may be wide: the session makes its batches of fewer rows then.
///
/// # Errors
/// [`SqlError::Run`] if it cannot be read.
pub(crate) async fn table(session: &SessionContext, path: &Path) -> Result<DataFrame, SqlError> {
    let reader = File::open(path)
        .map_err(DataFusionError::from)
        .and_then(|file| Ok(SerializedFileReader::new(file)?));
    let most = rows_a_batch(reader.map_err(SqlError::Run)?.metadata());
    narrow(session, most);
    let rows = session.read_parquet(path.display().to_string(), ParquetReadOptions::default());
    rows.await.map_err(SqlError::Run)
}

/// The same rows in the order of a column of Ids, from a file of their own in `directory`: one side is
/// sorted at a time, so that it has all the memory.
///
/// # Errors
/// [`SqlError`] if they cannot be read, sorted or kept.
pub(crate) async fn in_order(
    session: &SessionContext,
    path: &Path,
    id: &str,
    directory: &Path,
) -> Result<DataFrame, SqlError> {
    let rows = table(session, path).await?;
    let rows = rows.sort(vec![ident(id).sort(true, false)]);
    let rows = rows.map_err(SqlError::Run)?;
    let schema = Arc::new(rows.schema().as_arrow().clone());
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let sorted = directory.join(format!("{name}-in-order.parquet"));
    let mut file = ParquetFile::create(&sorted, schema)?;
    let mut rows = rows.execute_stream().await.map_err(SqlError::Run)?;
    while let Some(batch) = rows.next().await {
        file = file.write(batch.map_err(SqlError::Run)?).await?;
    }
    file.finish().await?;
    table(session, &sorted).await
}

/// Makes batches of so many rows at most.
fn narrow(session: &SessionContext, most: usize) {
    let state = session.state_ref();
    let mut state = state.write();
    let config = state.config_mut();
    *config = config
        .clone()
        .with_batch_size(most.min(config.batch_size()));
}

/// How many rows of a file make a batch.
pub(crate) fn rows_a_batch(metadata: &ParquetMetaData) -> usize {
    let widths = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter();
        let bytes = columns.map(|column| {
            let texts = column.unencoded_byte_array_data_bytes();
            let bytes = texts.unwrap_or_default().max(column.uncompressed_size());
            u64::try_from(bytes).unwrap_or_default()
        });
        bytes.sum::<u64>() / u64::try_from(group.num_rows()).unwrap_or(1).max(1)
    });
    let rows = BATCH_BYTES / widths.max().unwrap_or_default().max(1);
    usize::try_from(rows)
        .unwrap_or(BATCH_ROWS)
        .clamp(1, BATCH_ROWS)
}

/// The rows of `first`, which come in the order of its column `id`, and beside each the row of the same
/// Id of each of `others`, whose Ids are in a column of the name that comes with it; nulls where there
/// is none. All columns have names of their own. `others` come in the order of theirs; each Id is there
/// once.
///
/// # Errors
/// [`SqlError::Run`], also of the items.
pub(crate) async fn beside(
    first: DataFrame,
    id: &str,
    others: Vec<(DataFrame, &str)>,
) -> Result<BoxStream<'static, Result<RecordBatch>>, SqlError> {
    let rows = stream(first, id, others).await.map_err(SqlError::Run)?;
    Ok(rows)
}

async fn stream(
    first: DataFrame,
    id: &str,
    others: Vec<(DataFrame, &str)>,
) -> Result<BoxStream<'static, Result<RecordBatch>>, DataFusionError> {
    let context = Arc::new(first.task_ctx());
    let mut rows = first.create_physical_plan().await?;
    for (other, other_id) in others {
        let other = other.create_physical_plan().await?;
        rows = merged(rows, id, other, other_id)?;
    }
    let rows = execute_stream(rows, context)?;
    let rows = rows.map(|batch| Ok(batch.map_err(SqlError::Run)?));
    Ok(rows.boxed())
}

/// Two plans of one partition each, both in the order of their Ids.
fn merged(
    left: Arc<dyn ExecutionPlan>,
    left_id: &str,
    right: Arc<dyn ExecutionPlan>,
    right_id: &str,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let ids = (
        physical_column(left_id, &left.schema())?,
        physical_column(right_id, &right.schema())?,
    );
    let order = SortOptions {
        descending: false,
        nulls_first: false,
    };
    let joined = SortMergeJoinExec::try_new(
        left,
        right,
        vec![ids],
        None,
        JoinType::Left,
        vec![order],
        NullEquality::NullEqualsNothing,
    );
    Ok(Arc::new(joined?))
}
