//! The three sides of each record in one row.

use std::fs::File;
use std::path::Path;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::coerce::{ComparedField, Comparison};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionContext, ident, lit};
use futures::stream::BoxStream;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{CliError, Result};
use crate::records::beside::{beside, in_order, table};
use crate::records::sent::{self, sent_column};
use crate::sql::SqlError;

/// When a record was changed last and by whom, when it was created and by whom.
pub(crate) const BY_ORG: [&str; 4] = [
    "LastModifiedDate",
    "LastModifiedById",
    "CreatedDate",
    "CreatedById",
];

/// Id of the record, as its receipt has it.
pub(super) const ID: &str = "id";
/// The same, if it is still there.
pub(super) const NOW_ID: &str = "now_id";
/// The same, if it was there before the run.
pub(super) const BEFORE_ID: &str = "before_id";
/// What became of it: `created` or `updated`.
pub(super) const ACTION: &str = "action";
/// When the run's write was known.
pub(super) const AT: &str = "at";
/// When the record was changed last, and by whom.
pub(super) const MODIFIED: &str = "modified";
pub(super) const MODIFIED_BY: &str = "modified_by";
/// When it was created, and by whom.
pub(super) const CREATED: &str = "created";
pub(super) const CREATED_BY: &str = "created_by";

/// Files with the three sides; each has the Ids of records in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) sent: &'a Path,
    pub(crate) now: &'a Path,
    /// Inserts have none.
    pub(crate) before: Option<&'a Path>,
}

/// Columns of a field: what was sent, what its path shows now, what is now in the field that it fills
/// and what was there before.
pub(super) fn of_field(index: usize) -> [String; 4] {
    ["sent", "now", "current", "former"].map(|side| format!("{side}_{index}"))
}

/// The records of the run, in the order of their Ids.
///
/// # Errors
/// If the files cannot be read; also of the items.
pub(crate) async fn joined(
    sources: Sources<'_>,
    comparison: &Comparison,
    session: &SessionContext,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    if let Some(path) = sources.before {
        whole(path, comparison)?;
    }
    let directory = sources.now.parent().unwrap_or(Path::new("."));
    let now = in_order(session, sources.now, "Id", directory).await?;
    let before = match sources.before {
        Some(before) => Some(in_order(session, before, "Id", directory).await?),
        None => None,
    };
    let sent = table(session, sources.sent).await?;
    let fields = comparison.fields();
    let planned = || {
        let mut others = vec![(of_now(&now, fields)?, NOW_ID)];
        if let Some(before) = &before {
            others.push((of_before(before, fields)?, BEFORE_ID));
        }
        Ok((of_sent(&sent, fields, before.is_some())?, others))
    };
    let (sent, others) = planned().map_err(SqlError::Run)?;
    Ok(beside(sent, ID, others).await?)
}

/// Fails if a file is no snapshot with all fields.
fn whole(path: &Path, comparison: &Comparison) -> Result<()> {
    let failed = |reason: String| {
        CliError::failed(format!(
            "{} cannot be read as former values: {reason}. Without it nothing can be taken back",
            path.display()
        ))
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file);
    let reader = reader.map_err(|error| failed(error.to_string()))?;
    let fields = comparison.fields().iter().map(|field| &field.fills.name);
    let lacking = fields.filter(|name| reader.schema().index_of(name).is_err());
    let lacking: Vec<&str> = lacking.map(String::as_str).collect();
    match lacking.as_slice() {
        [] => Ok(()),
        lacking => Err(failed(format!("it lacks {}", lacking.join(", ")))),
    }
}

/// What was sent. Without a snapshot no record was there before.
fn of_sent(
    rows: &DataFrame,
    fields: &[ComparedField],
    has_before: bool,
) -> Result<DataFrame, DataFusionError> {
    let own = [(sent::ID, ID), (sent::ACTION, ACTION), (sent::AT, AT)];
    let mut columns = own.map(|(name, of)| ident(name).alias(of)).to_vec();
    let no_former = || lit(ScalarValue::Utf8(None));
    if !has_before {
        columns.push(no_former().alias(BEFORE_ID));
    }
    for index in 0..fields.len() {
        let [sent, _, _, former] = of_field(index);
        columns.push(ident(sent_column(index)).alias(sent));
        if !has_before {
            columns.push(no_former().alias(former));
        }
    }
    rows.clone().select(columns)
}

/// What the org has now.
fn of_now(rows: &DataFrame, fields: &[ComparedField]) -> Result<DataFrame, DataFusionError> {
    let mut columns = vec![ident("Id").alias(NOW_ID)];
    // Not each object says it.
    let of_org = BY_ORG
        .into_iter()
        .zip([MODIFIED, MODIFIED_BY, CREATED, CREATED_BY]);
    columns.extend(of_org.map(|(name, of)| {
        let is_there = rows.schema().has_column_with_unqualified_name(name);
        match is_there {
            true => ident(name).alias(of),
            false => lit(ScalarValue::Utf8(None)).alias(of),
        }
    }));
    for (index, field) in fields.iter().enumerate() {
        let [_, now, current, _] = of_field(index);
        columns.push(ident(&field.path).alias(now));
        columns.push(ident(&field.fills.name).alias(current));
    }
    rows.clone().select(columns)
}

/// What was there before.
fn of_before(rows: &DataFrame, fields: &[ComparedField]) -> Result<DataFrame, DataFusionError> {
    let mut columns = vec![ident("Id").alias(BEFORE_ID)];
    for (index, field) in fields.iter().enumerate() {
        let [_, _, _, former] = of_field(index);
        columns.push(ident(&field.fills.name).alias(former));
    }
    rows.clone().select(columns)
}
