//! What a query gives: its columns, and how they are found in the results of its jobs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::columns::{Column, Selected};
use super::options::QueryOptions;
use super::soql::Soql;
use super::values;
use crate::bulk::error::BulkError;

/// What a query gives, fixed before its first job.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) soql: Soql,
    /// API name of the object.
    pub(super) object: String,
    pub(super) schema: SchemaRef,
    /// The columns of the results: those of the query, and `Id` if that was added.
    columns: Vec<Column>,
    /// Which of them is `Id`.
    id: Option<usize>,
    pub(super) deleted: bool,
    pub(super) page_rows: Option<usize>,
    pub(super) keep_jobs: bool,
}

impl Plan {
    pub(super) fn new(soql: Soql, selected: Selected, options: &QueryOptions) -> Self {
        let Selected {
            object,
            mut columns,
        } = selected;
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(&column.name, column.kind.data_type(), true))
            .collect();
        let id_of = |columns: &[Column]| {
            columns
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case("Id"))
        };
        if id_of(&columns).is_none() && object.field("Id").is_some() {
            columns.push(Column::id());
        }
        Self {
            id: id_of(&columns),
            soql,
            object: object.name,
            schema: Arc::new(Schema::new(fields)),
            columns,
            deleted: options.deleted,
            page_rows: options.page_rows,
            keep_jobs: options.keep_jobs,
        }
    }

    /// Whether the results have the Id of each record.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// Whether its rows are those of its parts by ranges of Ids.
    pub(super) fn can_be_split(&self) -> bool {
        self.has_id() && !self.soql.is_whole
    }

    /// The text of a job of this query.
    pub(super) fn text(&self, also: Option<&str>) -> String {
        let selected: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.text.clone())
            .collect();
        self.soql.with(&selected, also)
    }

    /// Where each column of the query stands in a file of this header; none if it is of another query.
    pub(super) fn order(&self, header: &Schema) -> Option<Vec<usize>> {
        let names = header.fields();
        if names.len() != self.columns.len() {
            return None;
        }
        let mut free = vec![true; names.len()];
        let mut order: Vec<Option<usize>> = Vec::with_capacity(names.len());
        for column in &self.columns {
            let found =
                (0..names.len()).find(|index| free[*index] && column.is(names[*index].name()));
            if let Some(index) = found {
                free[index] = false;
            }
            order.push(found);
        }
        // How functions are named is not documented: they stand where the query has them.
        let mut rest = (0..names.len()).filter(|index| free[*index]);
        let columns = self.columns.iter().zip(order);
        columns
            .map(|(column, found)| match found {
                None if column.is_field => None,
                None => rest.next(),
                found => found,
            })
            .collect()
    }

    /// A batch of the query, of one of a file whose columns are in this order.
    pub(super) fn batch(
        &self,
        texts: &RecordBatch,
        order: &[usize],
    ) -> Result<RecordBatch, BulkError> {
        let ids = self.id.map(|id| texts.column(order[id]).as_string::<i32>());
        let column = |(index, column): (usize, &Column)| -> Result<ArrayRef, BulkError> {
            let texts = texts.column(order[index]).as_string::<i32>();
            column.kind.read(texts).map_err(|row| BulkError::Value {
                field: column.name.clone(),
                record: ids
                    .filter(|ids| ids.is_valid(row))
                    .map(|ids| ids.value(row).to_owned()),
                shape: values::shape(texts.value(row)),
                wanted: column.kind.data_type(),
            })
        };
        let shown = self.columns.iter().take(self.schema.fields().len());
        let columns: Vec<ArrayRef> = shown.enumerate().map(column).collect::<Result<_, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(texts.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows);
        batch.map_err(|error| BulkError::Results {
            action: "reading the results of a query".to_owned(),
            reason: error.to_string(),
        })
    }
}
