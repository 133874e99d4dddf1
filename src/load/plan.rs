//! What a load does, fixed before its first row.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::datatypes::Schema;

use crate::bulk::JobTarget;
use crate::chunk::{Chunk, Chunker, Grouping};
use crate::coerce::{Coercion, Key, KeyForm};
use crate::error::Result;
use crate::ledger::SentColumn;
use crate::object::ObjectSchema;
use crate::options::{LoadOptions, ValueOptions};
use crate::receipt::{ReceiptColumns, ReceiptError, ReceiptFile, ReceiptStore, ReceiptStream};
use crate::reject::{RejectStore, RejectStream};

/// Where rejected records go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Rejects {
    /// Into the load's [`Events`](super::Events), before the checkpoint behind them is
    /// acknowledged.
    Events,
    /// Into files of a store; checkpoints wait until they are written.
    Store {
        /// The store.
        store: Arc<RejectStore>,
        /// The stream that the files belong to.
        stream: RejectStream,
    },
    /// Nowhere: they are only counted, by reason.
    Count,
}

/// Where receipts of accepted rows go: which record each became.
///
/// Of inserts and upserts this takes the results of all jobs; all else is read as without.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Receipts {
    /// Nowhere.
    #[default]
    None,
    /// Into the load's [`Events`](super::Events), before the checkpoint behind them is acknowledged.
    Events,
    /// Into files of a store, with a report at the end; checkpoints wait until they are written.
    Store {
        /// The store.
        store: Arc<ReceiptStore>,
        /// The load that the files belong to.
        stream: ReceiptStream,
    },
}

/// Receipts that are wanted.
#[derive(Debug)]
pub(super) struct ReceiptsPlan {
    pub(super) to: Receipts,
    pub(super) columns: ReceiptColumns,
}

impl ReceiptsPlan {
    /// The plan of receipts; none where they are not wanted.
    ///
    /// # Errors
    /// [`ReceiptError`] if the source lacks a column that is asked for, or Parquet its type.
    pub(super) fn of(
        to: Receipts,
        source: &Schema,
        asked: &[String],
        coercion: &Coercion,
    ) -> Result<Option<Self>, ReceiptError> {
        if matches!(to, Receipts::None) {
            return Ok(None);
        }
        let key = coercion
            .key()
            .map(|key| &coercion.header().columns[key.column]);
        let columns = ReceiptColumns::of(source, asked, key.map(|key| key.source))?;
        if matches!(to, Receipts::Store { .. }) {
            // What is wrong with a column is said now, rather than when the first job has ended.
            ReceiptFile::try_columns(&columns)?;
        }
        Ok(Some(Self { to, columns }))
    }
}

/// How the rows of one schema go into one object by one operation.
#[derive(Debug)]
pub(super) struct Plan {
    /// Name of the load in reports and logs.
    pub(super) name: String,
    pub(super) target: JobTarget,
    pub(super) coercion: Arc<Coercion>,
    /// The columns of the cells, as entries of the ledger name them.
    pub(super) sent_columns: Vec<SentColumn>,
    /// Where the cells have an external ID of the object.
    pub(super) external_id: Option<ExternalId>,
    /// What groups its rows, if anything does.
    pub(super) grouping: Option<Grouping>,
    pub(super) rejects: Rejects,
    pub(super) receipts: Option<ReceiptsPlan>,
    pub(super) options: LoadOptions,
    pub(super) values: ValueOptions,
}

/// A column of the cells that records can be found by.
#[derive(Debug)]
pub(super) struct ExternalId {
    /// API name of the field.
    pub(super) field: String,
    pub(super) numeric: bool,
    pub(super) key: Key,
}

impl ExternalId {
    /// The first column of the cells that is an external ID of the object, rather a unique one.
    pub(super) fn of(coercion: &Coercion, object: &ObjectSchema) -> Option<Self> {
        let columns = coercion.cells_schema().fields().iter().enumerate();
        let found = columns.filter_map(|(column, cells)| {
            let field = object.field(cells.name())?;
            field.external_id.then_some((column, field))
        });
        let (column, field) =
            found.max_by_key(|(column, field)| (field.unique, Reverse(*column)))?;
        let form = KeyForm::of(field);
        Some(Self {
            field: field.name.clone(),
            numeric: matches!(form, KeyForm::Number { .. }),
            key: Key { column, form },
        })
    }
}

/// The columns of the cells, in the order of their names.
pub(super) fn sent_columns(coercion: &Coercion) -> Vec<SentColumn> {
    let columns = coercion.forms().map(|(name, form)| SentColumn {
        name: name.to_owned(),
        form: form.to_owned(),
    });
    let mut columns: Vec<SentColumn> = columns.collect();
    columns.sort();
    columns
}

impl Plan {
    /// The column that groups the rows.
    pub(super) fn grouped_by(&self) -> Option<String> {
        let column = self.grouping.as_ref()?.by.column;
        let field = self.coercion.cells_schema().fields().get(column)?;
        Some(field.name().clone())
    }

    /// The rows of a chunk in the order in which they are sent. Takes long for many rows.
    pub(super) fn ordered(&self, chunk: Chunk) -> Result<Chunk> {
        match &self.grouping {
            Some(grouping) => Ok(chunk.grouped(grouping)?),
            None => Ok(chunk),
        }
    }

    /// Memory that ordering the rows of a chunk takes for a while.
    pub(super) fn ordering_bytes(&self, rows: u64) -> usize {
        match &self.grouping {
            Some(_) => rows as usize * Grouping::ROW_BYTES,
            None => 0,
        }
    }

    /// A chunker of this load's cells.
    pub(super) fn chunker(&self) -> Result<Chunker> {
        let (bytes, rows) = (self.options.max_job_bytes, self.options.most_rows());
        Ok(Chunker::new(self.coercion.cells_schema(), bytes, rows)?)
    }
}
