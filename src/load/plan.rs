//! What a load does, fixed before its first row.

use std::sync::Arc;

use crate::bulk::JobTarget;
use crate::chunk::Chunker;
use crate::coerce::Coercion;
use crate::error::Result;
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
    pub(super) rejects: Rejects,
    pub(super) options: LoadOptions,
    pub(super) values: ValueOptions,
}

impl Plan {
    /// A chunker of this load's cells.
    pub(super) fn chunker(&self) -> Result<Chunker> {
        let (bytes, rows) = (self.options.max_job_bytes, self.options.max_job_rows);
        Ok(Chunker::new(self.coercion.cells_schema(), bytes, rows)?)
    }
}
