//! What can be wrong with inputs.

use arrow_salesforce::arrow::error::ArrowError;

/// Why inputs cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// A file, a URL or standard input cannot be read.
    #[error("{name} cannot be read: {reason}")]
    Read {
        /// The file, as the user calls it.
        name: String,
        /// The cause, and the cure where there is one.
        reason: String,
    },
    /// What was typed is not there.
    #[error("{name} cannot be read: {reason}")]
    Missing {
        /// The file, directory, glob or URL, as the user calls it.
        name: String,
        /// What is not there.
        reason: &'static str,
    },
    /// The bytes are not what they should be.
    #[error("{name}: {problem}")]
    Content {
        /// The file, as the user calls it.
        name: String,
        /// What is wrong, where, and what to do.
        problem: String,
    },
    /// What was typed about inputs cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A batch could not be made.
    #[error("{name}: {source}")]
    Batch {
        /// The file, as the user calls it.
        name: String,
        /// The cause.
        source: ArrowError,
    },
}
