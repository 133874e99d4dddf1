//! Waiting for bytes, reading them, and naming what broke.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use reqwest::Response;

use super::body::{BodyError, Progress};
use super::error::BulkError;

/// Longest time without a byte in either direction. Salesforce stores an upload of 100 MB before
/// it answers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The HTTP client's error.
    Failed(reqwest::Error),
    /// Nothing moved for [`IDLE_TIMEOUT`].
    Idle,
}

/// Waits for `work`, but not longer than [`IDLE_TIMEOUT`] without progress.
pub(crate) async fn within_idle<T>(
    work: impl Future<Output = Result<T, reqwest::Error>>,
    progress: Option<&Progress>,
) -> Result<T, NoAnswer> {
    let sent = || progress.map_or(0, Progress::bytes);
    let mut work = std::pin::pin!(work);
    loop {
        let before = sent();
        match tokio::time::timeout(IDLE_TIMEOUT, work.as_mut()).await {
            Ok(done) => return done.map_err(NoAnswer::Failed),
            Err(_) if sent() > before => {}
            Err(_) => return Err(NoAnswer::Idle),
        }
    }
}

/// Reads the rest of an answer.
pub(crate) async fn read_body(
    action: &str,
    host: &str,
    answer: &mut Response,
) -> Result<Vec<u8>, BulkError> {
    let mut body = Vec::new();
    while let Some(piece) = next_piece(action, host, answer).await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Reads a piece of an answer; none at its end.
pub(crate) async fn next_piece(
    action: &str,
    host: &str,
    answer: &mut Response,
) -> Result<Option<bytes::Bytes>, BulkError> {
    within_idle(answer.chunk(), None)
        .await
        .map_err(|failed| network_error(action, host, failed))
}

/// The host that answered.
pub(crate) fn host_of(answer: &Response) -> String {
    answer.url().host_str().unwrap_or_default().to_owned()
}

/// The error of an answer that did not come.
pub(crate) fn network_error(action: &str, host: &str, failed: NoAnswer) -> BulkError {
    let action = action.to_owned();
    let (reason, unsent) = match failed {
        NoAnswer::Idle => {
            let seconds = IDLE_TIMEOUT.as_secs();
            (format!("nothing moved for {seconds} s"), false)
        }
        NoAnswer::Failed(error) => {
            if let Some(BodyError(reason)) = body_error(&error) {
                return BulkError::Serialize {
                    action,
                    reason: reason.clone(),
                };
            }
            (reason_of(&error), error.is_connect())
        }
    };
    BulkError::Network {
        action,
        host: host.to_owned(),
        reason,
        unsent,
    }
}

fn body_error(error: &reqwest::Error) -> Option<&BodyError> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// The innermost cause: the outer ones only say that a request failed, and name its URL.
pub(crate) fn reason_of(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    let mut reason = if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    while let Some(inner) = cause {
        reason = inner.to_string();
        cause = inner.source();
    }
    reason
}

/// Reads a JSON answer; an error names the place in it, not its content.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(
    action: &str,
    body: &[u8],
) -> Result<T, BulkError> {
    serde_json::from_slice(body).map_err(|error| BulkError::Answer {
        action: action.to_owned(),
        reason: match body.trim_ascii() {
            [] => "it is empty".to_owned(),
            _ => format!(
                "JSON of another form at line {} column {}",
                error.line(),
                error.column()
            ),
        },
    })
}
