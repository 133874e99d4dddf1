//! Errors of a command, and the streams that they are about.

use arrow_salesforce::error::{Error, Result};

use crate::protocol::StreamDescriptor;

/// An error, and the stream that failed where one did.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) stream: Option<StreamDescriptor>,
}

impl Failure {
    /// An error of `stream`.
    pub(crate) fn of(error: Error, stream: &StreamDescriptor) -> Self {
        Self {
            error,
            stream: Some(stream.clone()),
        }
    }

    pub(crate) fn log(&self) {
        let error = &self.error;
        match &self.stream {
            Some(stream) => tracing::error!(%stream, "{error}"),
            None => tracing::error!("{error}"),
        }
    }
}

/// What is wrong with several streams: the first failure ends the command, others are logged.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    first: Option<Failure>,
}

impl Failures {
    pub(crate) fn add(&mut self, failure: Failure) {
        match &self.first {
            None => self.first = Some(failure),
            // A login that is refused fails all streams alike.
            Some(first) if first.error.to_string() == failure.error.to_string() => {}
            Some(_) => failure.log(),
        }
    }

    /// `fine`, if nothing failed.
    pub(crate) fn or<T>(self, fine: T) -> Result<T, Failure> {
        self.first.map_or(Ok(fine), Err)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            stream: None,
        }
    }
}
