//! The one error that leaves the crate: whose fault it is, what happened, and what to do about it.
//!
//! Each layer has its own `thiserror` enum; all convert into [`Error`], which a face turns into an
//! exit code, a TRACE message or a returned `Err`.

use std::error::Error as StdError;
use std::fmt;

/// A result whose error is [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is. Airbyte's `failure_type` has the same three values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A setting, a permission or the catalog is wrong: repeating changes nothing, the user must act.
    Config,
    /// A service or the network failed for now: the same load may go through later.
    Transient,
    /// A defect of this crate, or an answer that breaks Salesforce's own contract.
    System,
}

/// What stopped an operation: its kind and one sentence or two with the cause and the cure.
///
/// The text never holds a record's values nor a secret: it is safe to log and to share.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    stream: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error the user must act on.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// An error that may pass by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// A defect, or a broken contract.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::System, message)
    }

    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            stream: None,
            source: None,
        }
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Names the stream that failed, unless one is named already.
    #[must_use]
    pub fn with_stream(mut self, stream: impl Into<String>) -> Self {
        self.stream.get_or_insert_with(|| stream.into());
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stream that failed, where one stream did.
    pub fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
