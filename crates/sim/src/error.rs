//! The errors of the REST API.

use serde_json::{Value, json};

/// An error that the REST API returns.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    /// HTTP status.
    pub(crate) status: u16,
    code: String,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> ApiError {
        ApiError {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The error code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A path, a job or an object that does not exist.
    pub(crate) fn not_found() -> ApiError {
        ApiError::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// The body of the response: a list of one error.
    pub(crate) fn body(&self) -> Value {
        json!([{"errorCode": self.code, "message": self.message}])
    }
}
