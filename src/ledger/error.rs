//! What can go wrong with the ledger, and what to do.

use super::format::FormatError;
use crate::error::{Error, ErrorKind};
use crate::storage::StorageError;

/// A ledger that cannot be written or read, or that another attempt holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store refused or could not be reached.
    #[error("the ledger: {0}")]
    Storage(#[from] StorageError),
    /// An object of the ledger cannot be read.
    #[error(
        "the ledger's object {object} cannot be read: {source}. Rows that it names may be in \
         Salesforce; check them, and then set ledger: forget"
    )]
    Unreadable {
        /// The object.
        object: String,
        /// Why not.
        source: FormatError,
    },
    /// An object that only this attempt makes is there with another content.
    #[error(
        "{object} of the ledger is there already, with another content; nothing was overwritten, try \
         again"
    )]
    Taken {
        /// The object.
        object: String,
    },
    /// Another attempt loads the same.
    #[error(
        "another attempt of this sync is at work ({attempt}): two at once would insert rows twice. \
         Wait for its end, or stop it"
    )]
    Busy {
        /// The other attempt.
        attempt: String,
    },
    /// Another attempt has taken this load over.
    #[error(
        "a later attempt of this sync has taken over, since this one showed no sign of life for a \
         minute; it sends what this one has not"
    )]
    Lost,
    /// A temporary file cannot be written or read.
    #[error(
        "rows of an earlier attempt do not fit in memory, and cannot be kept in a temporary file: \
         {reason}; give the directory of TMPDIR more space, or raise memory_limit_bytes"
    )]
    Disk {
        /// What the system says.
        reason: String,
    },
}

impl LedgerError {
    /// A temporary file failed.
    pub(super) fn of_disk(error: std::io::Error) -> Self {
        Self::Disk {
            reason: error.to_string(),
        }
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Unreadable { .. } => ErrorKind::Config,
            Self::Taken { .. } | Self::Busy { .. } | Self::Lost | Self::Disk { .. } => {
                ErrorKind::Transient
            }
        }
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Config => Error::config(text),
            ErrorKind::Transient => Error::transient(text),
            ErrorKind::System => Error::system(text),
        }
        .with_source(error)
    }
}
