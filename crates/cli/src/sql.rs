//! Tables -> the rows of a load: a query or all of the input, a condition, a limit.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use arrow_salesforce::source::RAW_ERROR;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext, ident};
use futures::StreamExt as _;

use crate::parquet_file::{ParquetFile, WriteError};
use crate::spec::LoadSpec;

/// The name by which queries know the inputs that have none of their own.
pub(crate) const INPUT: &str = "input";

/// Rows of a batch.
pub(crate) const BATCH_ROWS: usize = 8_192;

/// Consumers of memory that an error names.
const NAMED_CONSUMERS: usize = 3;

/// What can be wrong with a query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    /// It cannot be planned.
    #[error("{part}: {}", plain(.source))]
    Plan {
        /// The flag it was given by.
        part: &'static str,
        /// The cause.
        source: DataFusionError,
    },
    /// Several inputs have names, and nothing says which rows are meant.
    #[error(
        "the inputs have names of their own: say by --sql which rows of them are loaded, or leave the \
         names out to load all of them"
    )]
    Named,
    /// Its rows cannot be kept.
    #[error(transparent)]
    Keep(#[from] WriteError),
    /// It failed while it ran.
    #[error("the rows cannot be read: {}", plain(.0))]
    Run(DataFusionError),
}

/// What DataFusion says, without its own words around it.
fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = [
        "Error during planning: ",
        "Schema error: ",
        "External error: ",
    ]
    .iter()
    .fold(text.as_str(), |text, word| {
        text.strip_prefix(word).unwrap_or(text)
    })
    .to_owned();
    if text.starts_with("Resources exhausted") {
        return format!("{text}. Give it more memory (--memory)");
    }
    text
}

/// A session whose queries take so many bytes of memory at most, and put the rest on disk.
///
/// Without a query of the user's there is one partition, so that rows come in the order of the files,
/// the same each time.
///
/// # Errors
/// If the session cannot be made.
pub(crate) fn session(memory: usize, in_order: bool) -> Result<SessionContext, SqlError> {
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false);
    if in_order {
        config = config
            .with_target_partitions(1)
            .with_repartition_file_scans(false);
    }
    let options = config.options_mut();
    // Columns of files have capitals; `select Email` means `Email`.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.schema_force_view_types = false;
    options.execution.collect_statistics = false;
    let pool = TrackConsumersPool::new(
        FairSpillPool::new(memory),
        NonZeroUsize::new(NAMED_CONSUMERS).unwrap_or(NonZeroUsize::MIN),
    );
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .build_arc()
        .map_err(SqlError::Run)?;
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

/// The rows of a load, before columns are mapped.
///
/// # Errors
/// [`SqlError::Plan`] with the flag that is wrong.
pub(crate) async fn rows(session: &SessionContext, spec: &LoadSpec) -> Result<DataFrame, SqlError> {
    let planned = |part| move |source| SqlError::Plan { part, source };
    let mut rows = match &spec.sql {
        Some(sql) => {
            let plan = session.state().create_logical_plan(sql).await;
            let plan = plan.map_err(planned("--sql"))?;
            only_reads(&plan).map_err(planned("--sql"))?;
            DataFrame::new(session.state(), plan)
        }
        None => match session.table_exist(INPUT) {
            Ok(false) => return Err(SqlError::Named),
            _ => session.table(INPUT).await.map_err(planned("INPUT"))?,
        },
    };
    if let Some(filter) = &spec.filter {
        let mut condition = rows.parse_sql_expr(filter).map_err(planned("--where"))?;
        // A record that cannot be read fits no condition, and is rejected whatever the condition.
        if rows.schema().has_column_with_unqualified_name(RAW_ERROR) {
            condition = condition.or(ident(RAW_ERROR).is_not_null());
        }
        rows = rows.filter(condition).map_err(planned("--where"))?;
    }
    if let Some(limit) = spec.limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        rows = rows.limit(0, Some(limit)).map_err(planned("--limit"))?;
    }
    Ok(rows)
}

/// The rows of a query, and those that it does not see, since they cannot be read: they are rejected.
///
/// # Errors
/// [`SqlError::Plan`].
pub(crate) fn with_unreadable(
    session: &SessionContext,
    mut rows: DataFrame,
    unreadable: Vec<Arc<dyn TableProvider>>,
) -> Result<DataFrame, SqlError> {
    for table in unreadable {
        rows = session
            .read_table(table)
            .and_then(|unreadable| rows.union_by_name(unreadable))
            .map_err(|source| SqlError::Plan {
                part: "--sql",
                source,
            })?;
    }
    Ok(rows)
}

/// Fails if the rows cannot be made, such as for types that do not fit, before anything is loaded.
///
/// # Errors
/// [`SqlError::Plan`].
pub(crate) async fn check(rows: &DataFrame, spec: &LoadSpec) -> Result<(), SqlError> {
    let planned = rows.clone().create_physical_plan().await;
    let part = match (&spec.filter, &spec.sql) {
        (Some(_), _) => "--where",
        (None, Some(_)) => "--sql",
        (None, None) => "INPUT",
    };
    planned.map_err(|source| SqlError::Plan { part, source })?;
    Ok(())
}

/// Fails for statements that change something.
fn only_reads(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    match plan {
        LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_) => Err(DataFusionError::Plan(
            "only a query can be loaded: SELECT, VALUES or WITH".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Whether the rows may be others each time, such as with `random()` or `now()`.
pub(crate) fn is_volatile(rows: &DataFrame) -> bool {
    let mut volatile = false;
    let walked = rows.logical_plan().apply_with_subqueries(|plan| {
        plan.apply_expressions(|expression| {
            volatile |= expression.is_volatile() || names_now(expression);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if volatile {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    volatile || walked.is_err()
}

/// Functions that are the same within a query, but not in the next.
const OF_THE_MOMENT: &[&str] = &[
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "today",
];

fn names_now(expression: &datafusion::logical_expr::Expr) -> bool {
    use datafusion::logical_expr::Expr;
    let mut named = false;
    let walked = expression.apply(|inner| {
        if let Expr::ScalarFunction(call) = inner {
            named |= OF_THE_MOMENT.contains(&call.name());
        }
        Ok(if named {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    named || walked.is_err()
}

/// Writes the rows as Parquet and returns them as they are read from there: from then on in one order.
/// A file of this name is whole.
///
/// # Errors
/// [`SqlError::Keep`] if it cannot be written.
pub(crate) async fn keep(
    session: &SessionContext,
    rows: DataFrame,
    path: &Path,
) -> Result<DataFrame, SqlError> {
    let schema = Arc::new(rows.schema().as_arrow().clone());
    let mut file = ParquetFile::create(path, schema)?;
    let mut batches = rows.execute_stream().await.map_err(SqlError::Run)?;
    while let Some(batch) = batches.next().await {
        file = file.write(batch.map_err(SqlError::Run)?).await?;
    }
    file.finish().await?;
    read_kept(session, path).await
}

/// Rows that were kept before.
///
/// # Errors
/// [`SqlError::Run`].
pub(crate) async fn read_kept(
    session: &SessionContext,
    path: &Path,
) -> Result<DataFrame, SqlError> {
    let options = ParquetReadOptions::default();
    let rows = session
        .read_parquet(path.display().to_string(), options)
        .await;
    rows.map_err(SqlError::Run)
}
