//! Rejected records where they lie: read whatever their format, summed up by reason, written out for a
//! person, and made into rows again.
//!
//! ```text
//! place (run, directory, URL) ─► file ─► record ─► reasons | export | rows ─► load
//!          ▲ taken: which of them another run has taken
//! ```

mod export;
mod file;
mod place;
mod reasons;
mod record;
mod rows;
mod standing;
mod taken;

pub(crate) use export::{Columns, Export, ID_COLUMN};
pub(crate) use place::{Place, Stored};
pub(crate) use reasons::{Line, Reasons, table};
pub(crate) use record::Rejected;
pub(crate) use rows::Rows;
pub(crate) use standing::Standing;
pub(crate) use taken::Taken;

use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::reject::RejectError;
use arrow_salesforce::storage::StorageError;

use crate::error::CliError;

/// Why rejected records cannot be read, written out or marked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RejectsError {
    /// What was named is no place of rejected records.
    #[error("{0}")]
    Place(String),
    /// A store of objects failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file is not what the program, or Airbyte's connector, writes.
    #[error("{file}, record {record}: {problem}")]
    Content {
        /// The file.
        file: String,
        /// The record in it, from 1.
        record: u64,
        /// What is wrong.
        problem: String,
    },
    /// The records cannot be read with the types that they had.
    #[error("{file}: {source}")]
    Types {
        /// The file.
        file: String,
        /// The cause.
        source: RejectError,
    },
    /// The records cannot be written out.
    #[error("{file} cannot be written: {reason}")]
    Write {
        /// The file.
        file: String,
        /// The cause, and the cure where there is one.
        reason: String,
    },
    /// The disk holds no more temporary files.
    #[error("a temporary file cannot be written: {0}; make room, or set TMPDIR")]
    Temporary(std::io::Error),
    /// A batch could not be made.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl From<RejectsError> for CliError {
    fn from(error: RejectsError) -> Self {
        match error {
            RejectsError::Place(message) => Self::usage(message),
            other => Self::failed(other.to_string()),
        }
    }
}
