//! What can stop the cutting or writing of chunks.

use arrow::error::ArrowError;

use crate::error::{Error, ErrorKind};

/// Cells that cannot be cut into chunks or written as CSV.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The names of the columns alone are too long.
    #[error(
        "the header of the job has {length} {unit} and may have {limit}; load fewer columns{}",
        if *unit == "bytes" { " or raise max_job_bytes" } else { "" }
    )]
    Header {
        /// Length found.
        length: u64,
        /// Longest allowed.
        limit: u64,
        /// What is counted: `bytes` or `characters`.
        unit: &'static str,
    },
    /// A batch of cells has other columns than the first.
    #[error("cells have other columns than the header of their job: a defect of this program")]
    Schema,
    /// A column of cells is not text.
    #[error("cells of column {column} are not text: a defect of this program")]
    NotText {
        /// Name of the column.
        column: String,
    },
    /// arrow-csv refused the cells.
    #[error("cells could not be written as CSV: {0}")]
    Csv(#[from] ArrowError),
    /// arrow refused to join cells.
    #[error("rows of one key could not be merged: {0}")]
    Merge(#[source] ArrowError),
}

impl ChunkError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Header { .. } => ErrorKind::Config,
            Self::Schema | Self::NotText { .. } | Self::Csv(_) | Self::Merge(_) => {
                ErrorKind::System
            }
        }
    }
}

impl From<ChunkError> for Error {
    fn from(error: ChunkError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
