//! What is kept of a run: a folder, or a prefix of an object store.
//!
//! ```text
//! <runs>/<id>/run.json     what was asked for, how far it came, how it ended
//! <runs>/<id>/position     rows that need not be read again, of all but inserts
//! <runs>/<id>/schema.arrow the columns of the rows
//! <runs>/<id>/rejects/     rejected records
//! <runs>/<id>/receipts/    which record each row became
//! <runs>/<id>/ledger/      what jobs were given, until all rows have their end
//! <runs>/<id>/stdin        what came on stdin: always on this machine
//! <runs>/<id>/rows.parquet rows that --materialize keeps: always on this machine
//! <runs>/<id>/again.arrow  rejected records of another run that are loaded again: always on this machine
//! <runs>/<id>/lock         held by the process that works on it
//! ```

mod folder;
mod record;

pub(crate) use folder::{Position, RunError, RunFolder, Runs};
pub(crate) use record::{AttemptRecord, RunCounts, RunRecord, RunState, VERSION};
