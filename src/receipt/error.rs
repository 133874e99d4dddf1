//! What can go wrong with receipts, and whose fault it is.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::error::{Error, ErrorKind};
use crate::storage::StorageError;

/// Receipts that could not be made or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The store refused or could not be reached. It is no source of the error: its words are in the
    /// text.
    #[error("receipts: {0}")]
    Storage(StorageError),
    /// Columns are asked for that the source has not.
    #[error(
        "receipt_columns names columns that the source has not: {columns}; it has {known}. Correct \
         the names, or leave receipt_columns out to have the key"
    )]
    Columns {
        /// The names.
        columns: String,
        /// The names that the source has.
        known: String,
    },
    /// A column of a type that Parquet has not.
    #[error(
        "a column of the receipts cannot be written as Parquet: {reason}; leave it out of \
         receipt_columns"
    )]
    Type {
        /// What is wrong.
        reason: String,
    },
    /// Parquet refused to write the rows.
    #[error("receipts could not be written as Parquet: {0}; report it, it is a defect")]
    Parquet(#[from] ParquetError),
    /// Arrow refused to build the rows.
    #[error("receipts could not be built: {0}; report it, it is a defect")]
    Arrow(#[from] ArrowError),
}

impl ReceiptError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Columns { .. } | Self::Type { .. } => ErrorKind::Config,
            Self::Parquet(_) | Self::Arrow(_) => ErrorKind::System,
        }
    }
}

impl From<StorageError> for ReceiptError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<ReceiptError> for Error {
    fn from(error: ReceiptError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
