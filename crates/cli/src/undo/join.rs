//! The three sides of each record in one row.

use std::path::Path;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::Schema;
use arrow_salesforce::coerce::Comparison;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use futures::stream::{BoxStream, StreamExt as _};

use super::judge::{LAST_MODIFIED, LAST_MODIFIED_BY};
use crate::error::Result;
use crate::records::sent::{self, sent_column};
use crate::sql::SqlError;

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

/// The records of the run.
///
/// # Errors
/// If the files cannot be read; also of the items.
pub(crate) async fn joined(
    sources: Sources<'_>,
    comparison: &Comparison,
    session: &SessionContext,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let sides = [
        ("sent", Some(sources.sent)),
        ("now", Some(sources.now)),
        ("before", sources.before),
    ];
    for (name, path) in sides {
        if let Some(path) = path {
            let path = path.display().to_string();
            let options = ParquetReadOptions::default();
            let known = session.register_parquet(name, path, options).await;
            known.map_err(SqlError::Run)?;
        }
    }
    let now = session.table_provider("now").await.map_err(SqlError::Run)?;
    let query = query(comparison, &now.schema(), sources.before.is_some());
    let rows = session.sql(&query).await.map_err(SqlError::Run)?;
    let rows = rows.execute_stream().await.map_err(SqlError::Run)?;
    let read = rows.map(|batch| Ok(batch.map_err(SqlError::Run)?));
    Ok(read.boxed())
}

/// The join. Without a snapshot no record was there before.
fn query(comparison: &Comparison, now: &Schema, has_before: bool) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut columns = vec![
        format!("sent.{} AS {ID}", quoted(sent::ID)),
        format!("sent.{} AS {ACTION}", quoted(sent::ACTION)),
        format!("sent.{} AS {AT}", quoted(sent::AT)),
        format!("now.\"Id\" AS {NOW_ID}"),
    ];
    // Not each object says it.
    let last_change = [(LAST_MODIFIED, MODIFIED), (LAST_MODIFIED_BY, MODIFIED_BY)];
    columns.extend(
        last_change.map(|(name, of)| match now.field_with_name(name) {
            Ok(_) => format!("now.{} AS {of}", quoted(name)),
            Err(_) => format!("CAST(NULL AS VARCHAR) AS {of}"),
        }),
    );
    let of_before = |name: &str, of: String| match has_before {
        true => format!("before.{} AS {of}", quoted(name)),
        false => format!("CAST(NULL AS VARCHAR) AS {of}"),
    };
    columns.push(of_before("Id", BEFORE_ID.to_owned()));
    for (index, field) in comparison.fields().iter().enumerate() {
        let [sent, now, current, former] = of_field(index);
        columns.push(format!("sent.{} AS {sent}", quoted(&sent_column(index))));
        columns.push(format!("now.{} AS {now}", quoted(&field.path)));
        columns.push(format!("now.{} AS {current}", quoted(&field.fills.name)));
        columns.push(of_before(&field.fills.name, former));
    }
    let id = quoted(sent::ID);
    let mut query = format!(
        "SELECT {} FROM sent LEFT JOIN now ON sent.{id} = now.\"Id\"",
        columns.join(", ")
    );
    if has_before {
        query.push_str(&format!(" LEFT JOIN before ON sent.{id} = before.\"Id\""));
    }
    query.push_str(&format!(" ORDER BY {ID}"));
    query
}
