//! What a run has sent beside what an org has now.
//!
//! ```text
//! sent: a row a record ─┐
//!                       ├─► joined by Id ─► field by field: equal or not
//! now: a row a record ──┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_salesforce::arrow::compute::kernels::cmp::distinct;
use arrow_salesforce::arrow::compute::{and, is_not_null};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::bulk::Client;
use arrow_salesforce::coerce::{CoerceError, Comparison};
use arrow_salesforce::object::ObjectSchema;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::stream::{BoxStream, TryStreamExt as _};

use super::beside::{beside, in_order, table};
use super::look::{How, Keys, Look};
use super::sent::{ID, Sent};
use crate::error::{CliError, Result};
use crate::parquet_file::ParquetFile;

/// The fields by which an org says when a record was changed last, and by whom.
const CHANGED: [&str; 2] = ["LastModifiedDate", "LastModifiedById"];

/// Columns of what an org has now, beside those of [`now_column`]; without `id` in what is joined.
pub(crate) const NOW_ID: &str = "now_id";
pub(crate) const NOW_CHANGED: &str = "now_changed";
pub(crate) const NOW_CHANGED_BY: &str = "now_changed_by";

/// The column of what an org has now in a field, by its number among those of the comparison.
pub(crate) fn now_column(field: usize) -> String {
    format!("now_{field}")
}

/// The records of a run as the org has them now: how they are read.
#[derive(Debug)]
pub(crate) struct Now {
    look: Look,
    keys: Keys,
    how: How,
    /// Where each field that is compared is among the columns that are read.
    columns: Vec<usize>,
    /// Where the last change is.
    changed: [Option<usize>; 2],
}

impl Now {
    /// Chooses how the records are read.
    ///
    /// # Errors
    /// If what was sent cannot be read.
    pub(crate) async fn of(
        client: &Client,
        object: &ObjectSchema,
        comparison: &Comparison,
        sent: &Sent,
        session: &SessionContext,
    ) -> Result<Self> {
        let mut names = vec!["Id".to_owned()];
        let mut column = |name: &str| {
            let known = names
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name));
            known.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let fields = comparison.fields().iter();
        let columns = fields.map(|field| column(&field.path)).collect();
        let changed = CHANGED.map(|name| object.field(name).map(|field| column(&field.name)));
        let look = Look {
            client: client.clone(),
            object: object.name.clone(),
            key: "Id".to_owned(),
            numeric: false,
            columns: names,
        };
        let keys = sent.ids(session).await?;
        Ok(Self {
            how: look.choose(&keys).await,
            look,
            keys,
            columns,
            changed,
        })
    }

    /// What reading takes, as half a sentence.
    pub(crate) fn said(&self) -> String {
        self.how.said()
    }

    /// Reads the records into a file in `directory`: `now_id`, `now_changed`, `now_changed_by`, then a
    /// text for each field that is compared, named by [`now_column`].
    ///
    /// # Errors
    /// Those of calls, and of writing the file.
    pub(crate) async fn read(self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join("now.parquet");
        let schema = schema(self.columns.len());
        let mut file = ParquetFile::create(&path, SchemaRef::clone(&schema))?;
        let mut rows = self.look.read(self.how, self.keys).await?;
        while let Some(batch) = rows.try_next().await? {
            let mut columns = vec![Arc::clone(batch.column(0))];
            columns.extend(self.changed.map(|index| match index {
                Some(index) => Arc::clone(batch.column(index)),
                None => new_null_array(&DataType::Utf8, batch.num_rows()),
            }));
            columns.extend(
                self.columns
                    .iter()
                    .map(|index| Arc::clone(batch.column(*index))),
            );
            let batch = RecordBatch::try_new(SchemaRef::clone(&schema), columns);
            file = file.write(batch.map_err(broken)?).await?;
        }
        file.finish().await?;
        Ok(path)
    }
}

/// What was sent beside what there is now: a row for each record that was sent. The columns are those
/// of the two files; of a record that is gone those of now are null.
///
/// # Errors
/// Those of the files, also of the items.
pub(crate) async fn joined(
    session: &SessionContext,
    sent: &Sent,
    now: &Path,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let directory = now.parent().unwrap_or(Path::new("."));
    let now = in_order(session, now, NOW_ID, directory).await?;
    let sent = table(session, &sent.path).await?;
    Ok(beside(sent, ID, vec![(now, NOW_ID)]).await?)
}

/// Which rows have another value now than the one that was sent of a field, by its number among those
/// of the comparison. What was left alone has none.
///
/// # Errors
/// [`CoerceError`] for columns that are not Utf8.
pub(crate) fn differing(
    comparison: &Comparison,
    field: usize,
    sent: &ArrayRef,
    now: &ArrayRef,
) -> Result<BooleanArray, CoerceError> {
    let canonical_sent = comparison.canonical(field, sent)?;
    let canonical_now = comparison.canonical(field, now)?;
    let differs = distinct(&canonical_sent, &canonical_now)
        .and_then(|distinct| and(&distinct, &is_not_null(sent)?));
    differs.map_err(|error| CoerceError::Evaluate(DataFusionError::from(error)))
}

/// The columns of what an org has now, with so many fields that are compared.
fn schema(fields: usize) -> SchemaRef {
    let mut names = [NOW_ID, NOW_CHANGED, NOW_CHANGED_BY]
        .map(str::to_owned)
        .to_vec();
    names.extend((0..fields).map(now_column));
    let texts = names.into_iter();
    let texts = texts.map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(texts.collect::<Vec<_>>()))
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn broken(error: ArrowError) -> CliError {
    CliError::failed(format!("records of the org cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
