//! What a load does, fixed before its first row.

use std::cmp::Reverse;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::bulk::JobTarget;
use crate::chunk::{Chunk, Chunker, Grouping};
use crate::coerce::{Coercion, Key, KeyForm};
use crate::error::Result;
use crate::ledger::SentColumn;
use crate::object::ObjectSchema;
use crate::options::{LoadOptions, ValueOptions};
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
    let columns = coercion.written().map(|(name, written)| SentColumn {
        name: name.to_owned(),
        form: format!("{:016x}", xxh3_64(written.as_bytes())),
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
