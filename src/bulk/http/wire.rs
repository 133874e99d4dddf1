//! Waiting for bytes, reading them, and naming what broke.

use std::error::Error as _;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{LOCATION, RETRY_AFTER};

use super::body::{BodyError, Progress};
use super::clock::{Clock, IDLE_TIMEOUT};
use super::date::parse_retry_after;
use crate::bulk::error::BulkError;

/// Why no answer came.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The HTTP client's error.
    Failed(reqwest::Error),
    /// Nothing moved for too long.
    Idle,
}

/// Waits for `work`, but not longer than `idle` without progress.
pub(super) async fn within_idle<T>(
    idle: Duration,
    work: impl Future<Output = Result<T, reqwest::Error>>,
    progress: Option<&Progress>,
) -> Result<T, NoAnswer> {
    let sent = || progress.map_or(0, Progress::bytes);
    let mut work = std::pin::pin!(work);
    loop {
        let before = sent();
        match tokio::time::timeout(idle, work.as_mut()).await {
            Ok(done) => return done.map_err(NoAnswer::Failed),
            Err(_) if sent() > before => {}
            Err(_) => return Err(NoAnswer::Idle),
        }
    }
}

/// Longest answer that is read into memory: describes of the largest objects, and lists of all objects
/// of an org, have a few megabytes.
const MOST_BYTES: usize = 32 << 20;

/// Reads the body of an answer into memory.
///
/// # Errors
/// [`BulkError::Network`]; [`BulkError::Answer`] if it is longer than any answer.
pub(in crate::bulk) async fn read_body(
    action: &str,
    clock: &Clock,
    answer: &mut Response,
) -> Result<Vec<u8>, BulkError> {
    let mut body = Vec::new();
    while let Some(piece) = next_piece(action, clock, answer).await? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err(BulkError::Answer {
                action: action.to_owned(),
                reason: format!("it is longer than {} MiB", MOST_BYTES >> 20),
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The next piece of a body; none at its end.
async fn next_piece(
    action: &str,
    clock: &Clock,
    answer: &mut Response,
) -> Result<Option<Bytes>, BulkError> {
    let piece = within_idle(clock.idle_timeout(), answer.chunk(), None).await;
    piece.map_err(|failed| {
        let host = answer.url().host_str().unwrap_or_default();
        network_error(action, host, failed)
    })
}

/// Writes the body of an answer to `into` as it comes.
///
/// # Errors
/// [`BulkError::Network`]; [`BulkError::Spool`] if `into` fails.
pub(in crate::bulk) async fn receive(
    action: &str,
    clock: &Clock,
    answer: &mut Response,
    into: &mut impl Write,
) -> Result<(), BulkError> {
    while let Some(piece) = next_piece(action, clock, answer).await? {
        into.write_all(&piece).map_err(|source| BulkError::Spool {
            action: action.to_owned(),
            source: Arc::new(source),
        })?;
    }
    Ok(())
}

/// How long the answer asks to wait.
pub(in crate::bulk) fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?;
    parse_retry_after(value.to_str().ok()?, chrono::Utc::now())
}

/// Scheme and host that an answer redirects to, relative ones to its own.
pub(in crate::bulk) fn redirect_target(answer: &Response) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let target = answer.url().join(location).ok()?;
    Some(target.origin().ascii_serialization())
}

/// The error of an answer that did not come.
pub(super) fn network_error(action: &str, host: &str, failed: NoAnswer) -> BulkError {
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
pub(super) fn reason_of(error: &reqwest::Error) -> String {
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
pub(in crate::bulk) fn parse_json<T: serde::de::DeserializeOwned>(
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
