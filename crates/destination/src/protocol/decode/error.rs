//! What can be wrong with the streams a decoder is asked for. Lines cannot fail: see
//! [`Line`](super::Line).

use arrow_salesforce::error::{Error, ErrorKind};

/// A catalog that no decoder can be built for.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no stream.
    #[error("the catalog has no streams; configure at least one in the connection")]
    NoStreams,
    /// Two streams cannot be distinguished.
    #[error("stream {stream} appeared multiple times in the catalog; configure it once")]
    DuplicateStream {
        /// Namespace and name.
        stream: String,
    },
    /// The JSON schema of a stream names no columns.
    #[error(
        "stream {stream}: its json_schema has no properties, so there is no column to write; \
         map at least one field"
    )]
    NoProperties {
        /// Namespace and name.
        stream: String,
    },
    /// The JSON schema of a stream is not JSON.
    #[error("stream {stream}: its json_schema could not be read: {reason}")]
    Schema {
        /// Namespace and name.
        stream: String,
        /// What the parser said.
        reason: String,
    },
}

impl CatalogError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
