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
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, a permission or the catalog is wrong: repeating changes nothing, the user must act.
    Config,
    /// A service or the network failed for now: the same load may go through later.
    Transient,
    /// A defect of this crate, or an answer that breaks Salesforce's own contract.
    System,
}

/// What stopped an operation: its kind, one sentence or two with the cause and the cure, and the
/// context it happened in.
///
/// Neither the text nor the context holds a record's values or a secret: both are safe to log and
/// to share. `Display` is the text alone.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    stopped: bool,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Key of the context that names the stream, or the load, that failed.
    pub const STREAM: &'static str = "stream";
    /// Key of the context that names the job that failed, by its Id.
    pub const JOB: &'static str = "job";
    /// Key of the context that says how many jobs or calls were tried.
    pub const ATTEMPTS: &'static str = "attempts";
    /// Key of the context that says how long the load had run, in seconds.
    pub const ELAPSED: &'static str = "elapsed";

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
            stopped: false,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Says where it happened. A key that is there keeps its value: who stood nearest knows best.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        if self.find(key).is_none() {
            self.context.push((key, value.to_string()));
        }
        self
    }

    /// Says that the load was only stopped: another error, or whoever stopped it, is the cause.
    #[must_use]
    pub(crate) fn with_stopped(mut self) -> Self {
        self.stopped = true;
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where it happened, as pairs of key and value: [`Error::STREAM`], [`Error::JOB`],
    /// [`Error::ATTEMPTS`] and [`Error::ELAPSED`], as far as they are known.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.context
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
    }

    /// The stream that failed, where one stream did.
    pub fn stream(&self) -> Option<&str> {
        self.find(Self::STREAM)
    }

    /// Whether this only says that a load was stopped before its end: then another error, or
    /// whoever stopped it, is the cause.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the same operation may go through later, with nothing changed.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Transient
    }

    fn find(&self, key: &str) -> Option<&str> {
        let mut context = self.context();
        context.find_map(|(known, value)| (known == key).then_some(value))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_stands_beside_the_message_and_its_first_value_stays() {
        let error = Error::transient("the org is away; try again later")
            .with_context(Error::JOB, "750")
            .with_context(Error::STREAM, "contacts")
            .with_context(Error::STREAM, "accounts")
            .with_context(Error::ATTEMPTS, &3);
        assert_eq!(error.to_string(), "the org is away; try again later");
        assert_eq!(error.stream(), Some("contacts"));
        let context: Vec<_> = error.context().collect();
        assert_eq!(
            context,
            [("job", "750"), ("stream", "contacts"), ("attempts", "3")]
        );
        assert!(error.is_retryable() && !error.is_stopped());
        assert!(!Error::config("no").is_retryable());
    }
}
