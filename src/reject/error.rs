//! What can go wrong with rejected records, and whose fault it is.

use crate::error::{Error, ErrorKind};
use crate::storage::StorageError;

/// Rejected records that could not be rendered or stored.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// A template names a variable that does not exist.
    #[error("{setting} has the unknown variable {{{variable}}}; it may use {allowed}")]
    Variable {
        /// The setting that holds the template.
        setting: &'static str,
        /// The name between the braces.
        variable: String,
        /// All names that the setting may use.
        allowed: String,
    },
    /// A stream lacks what its files show.
    #[error(
        "the stream {stream} lacks the label {label}, which its rejected records show; give it one"
    )]
    Label {
        /// Name of the stream.
        stream: String,
        /// Name of the label.
        label: &'static str,
    },
    /// The object store failed, or is none. It is no source of the error: its words are in the text.
    #[error("{}", words(.0))]
    Storage(StorageError),
    /// An object that is to be read back is not as this version writes it.
    #[error("rejected record {record} of the file cannot be read: {reason}")]
    Read {
        /// Number of the record in its file, from 1; 0 for the header.
        record: u64,
        /// What does not fit, without the record's values, and what to do.
        reason: String,
    },
    /// A column of a type that cannot be read back.
    #[error(
        "column {column} cannot be read from rejected records: they hold no values of the type \
         {data_type}; leave the column out of the schema"
    )]
    Type {
        /// Name of the column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// The temporary file that an object is read by way of failed.
    #[error(
        "rejected records could not be kept in a temporary file ({0}); give the directory of TMPDIR \
         more space"
    )]
    Temporary(String),
    /// Source rows and reasons that do not belong together, or a batch of another schema.
    #[error("this is not a batch of rejected records: {reason}; report it, it is a defect")]
    Batch {
        /// What does not fit.
        reason: String,
    },
    /// Arrow refused to build or to print the rows.
    #[error("rejected records could not be rendered: {0}; report it, it is a defect")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl RejectError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Variable { .. } | Self::Label { .. } | Self::Read { .. } | Self::Type { .. } => {
                ErrorKind::Config
            }
            Self::Storage(error) => error.kind(),
            Self::Temporary(_) => ErrorKind::Transient,
            Self::Batch { .. } | Self::Arrow(_) => ErrorKind::System,
        }
    }
}

impl From<StorageError> for RejectError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<RejectError> for Error {
    fn from(error: RejectError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

/// What an error of the store means for rejected records.
fn words(error: &StorageError) -> String {
    match error {
        StorageError::Location { location, reason } => {
            format!("rejected records cannot be stored in {location}: {reason}")
        }
        StorageError::Client { location, region } => format!(
            "rejected records cannot be stored in {location}: no S3 client can be made from the \
             settings (region {region}); check the bucket, s3_bucket_region, s3_endpoint, \
             rejected_records_kms_key_id, and that both keys are set or neither"
        ),
        StorageError::Encryption { location } => format!(
            "rejected records cannot be stored in {location}: rejected_records_encryption is for \
             S3 alone; leave it out, or store them in S3"
        ),
        StorageError::Key { key, reason } => format!(
            "rejected records cannot be stored under the key {key:?}: {reason}; change \
             bucket_path, path_format or file_name_format"
        ),
        StorageError::Request {
            action,
            object,
            cause,
        } => format!("cannot {action} {object} for rejected records: {cause}"),
        StorageError::Taken { object } => format!(
            "{object} was created by another upload in the meantime; \
             nothing was overwritten, try again (or put {{timestamp}} into file_name_format)"
        ),
        StorageError::NotListed { .. } => error.to_string(),
    }
}
