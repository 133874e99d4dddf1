//! What can go wrong with an object store, and whose fault it is.

use super::Cause;
use crate::error::{Error, ErrorKind};

/// A location that cannot be, or a store that refused or could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A location that cannot be opened.
    #[error("cannot store in {location}: {reason}")]
    Location {
        /// Bucket or URL, without secrets.
        location: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Settings that make no client of S3.
    #[error(
        "cannot store in {location}: no S3 client can be made from the settings (region {region}); \
         check the bucket, its region, the endpoint, the key of the encryption, and that both keys are set \
         or neither"
    )]
    Client {
        /// Bucket or URL, without secrets.
        location: String,
        /// The region, or `not set`.
        region: String,
    },
    /// A store other than S3 is asked to encrypt.
    #[error("{location} cannot be encrypted as S3 does; leave the encryption out, or store in S3")]
    Encryption {
        /// URL, without secrets.
        location: String,
    },
    /// A key that no object can have.
    #[error("no object can have the key {key:?}: {reason}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refused or could not be reached.
    #[error("cannot {action} {object}: {cause}")]
    Request {
        /// What was tried: `write`, `list`, `read`, `delete`.
        action: &'static str,
        /// The object or directory, bucket included.
        object: String,
        /// Why it failed.
        cause: Cause,
    },
    /// The test object was written, and the listing does not show it.
    #[error(
        "{object} was written, but listing its directory does not show it; allow the key to list \
         the bucket (s3:ListBucket) under this prefix"
    )]
    NotListed {
        /// The test object.
        object: String,
    },
    /// Another process made an object of the same key during an upload in parts.
    #[error(
        "{object} was created by another upload in the meantime; nothing was overwritten, try again"
    )]
    Taken {
        /// The object.
        object: String,
    },
}

impl StorageError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Location { .. }
            | Self::Client { .. }
            | Self::Encryption { .. }
            | Self::Key { .. }
            | Self::NotListed { .. } => ErrorKind::Config,
            Self::Taken { .. } => ErrorKind::Transient,
            Self::Request { cause, .. } => cause.kind(),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
