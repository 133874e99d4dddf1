//! Taking a run back: of each record, what it was, what was sent and what is there now decide what is
//! done.
//!
//! ```text
//! snapshot (former) ─┐
//! receipts (sent) ───┼─► joined by Id ─► judge ─► records to restore, to delete, conflicts
//! org (now) ─────────┘
//! ```

mod conflicts;
mod join;
mod judge;
mod rows;
mod show;

pub(crate) use conflicts::Conflicts;
pub(crate) use join::{BY_ORG, Sources, joined};
pub(crate) use judge::{Decided, Judge};
pub(crate) use rows::{Deletes, Restores};
pub(crate) use show::Counts;
