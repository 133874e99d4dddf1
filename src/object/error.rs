//! What can be wrong with a describe, or with the columns meant for an object.

use crate::error::{Error, ErrorKind};

/// An object or a header that a load cannot use.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The describe could not be read.
    #[error("the describe of the object could not be read: {reason}")]
    Describe {
        /// What the parser said.
        reason: String,
    },
    /// The list of objects could not be read.
    #[error("the list of objects of the org could not be read: {reason}")]
    List {
        /// What the parser said.
        reason: String,
    },
    /// Columns that no field of the object takes; each entry names the column and what is near it.
    #[error("object {object}: {}", problems.join("; "))]
    Columns {
        /// API name of the object.
        object: String,
        /// One sentence a column: what is wrong, and what to do.
        problems: Vec<String>,
    },
    /// This user may not do the operation on the object.
    #[error(
        "object {object}: the user may not {operation} its records; grant {permission} in a \
         profile or permission set of the integration user"
    )]
    Operation {
        /// API name of the object.
        object: String,
        /// Word of the operation.
        operation: &'static str,
        /// What the operation takes, in the words of Setup.
        permission: &'static str,
    },
}

impl ObjectError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Describe { .. } | Self::List { .. } => ErrorKind::System,
            Self::Columns { .. } | Self::Operation { .. } => ErrorKind::Config,
        }
    }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
