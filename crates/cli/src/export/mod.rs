//! Records that leave an org: a file of any format, the parts of a directory, stdout, or a table.
//!
//! `target` is what was typed and `place` where that lies; `encode` makes bytes of records and `sink`
//! brings them there; `file` is one file of them, `parts` many, which can be gone on with; `table` is
//! for people. `cells` has the texts of values.

mod cells;
mod encode;
mod file;
mod parts;
mod place;
mod sink;
mod state;
mod table;
mod target;

pub(crate) use parts::Parts;
pub(crate) use place::Place;
pub(crate) use state::{Asked, PartsState};
pub(crate) use table::{ROWS as TABLE_ROWS, Shown};
pub(crate) use target::{Target, To};

/// What can be wrong with the place that records go to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// What was typed cannot be.
    #[error("{0}")]
    Usage(String),
    /// It cannot be written.
    #[error("{place} cannot be written: {reason}. Make room, or choose another place with -o")]
    Write {
        /// The file.
        place: String,
        /// The cause.
        reason: String,
    },
    /// Whoever read the records has seen enough.
    #[error("nobody reads the records any more")]
    Closed,
    /// A record cannot be written in this format.
    #[error("{place}: {reason}")]
    Encode {
        /// The file.
        place: String,
        /// The cause.
        reason: String,
    },
    /// What says how far the parts have come cannot be read.
    #[error("{place} is not what was written there: {reason}. Begin anew with --overwrite")]
    State {
        /// The file.
        place: String,
        /// The cause.
        reason: String,
    },
}
