//! What goes from the intake to the jobs.

use crate::chunk::Chunk;
use crate::reject::RejectedRow;
use crate::rows::{MergedRow, RowSet};

use super::keys::KeysInFlight;
use super::org::{Reservation, Staging, UnderWay};
use super::turns::Turn;

/// A closed chunk on its way into a job, with what hangs on it.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) chunk: Chunk,
    /// Rows that are not sent, each with the row of the chunk that it was merged into.
    pub(super) merged: Vec<MergedRow>,
    /// The keys of its rows.
    pub(super) keys: Option<KeysInFlight>,
    /// Rows that the row store takes as closed when the job is, those rejected here included.
    pub(super) rows: RowSet,
    pub(super) rejects: Vec<RejectedRow>,
    /// Memory of the cells.
    pub(super) cells: Reservation,
    /// Absent while it waits for its turn.
    pub(super) staging: Option<Staging>,
    /// Where chunks that may share a parent go one after the other.
    pub(super) turn: Option<Turn>,
    /// Kept until its rows have their end.
    pub(super) under_way: UnderWay,
}
