//! The answers that faults give.

use std::future::ready;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;

use super::{Connection, oauth, status};
use crate::error::ApiError;
use crate::faults::{Answer, Status};
use crate::share::part;

/// Between the first part of a body and the cut, so that the part is sent.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// The response of a fault. `own` is that of the work, empty where it was not done.
pub(super) async fn given(answer: Answer, own: Response, connection: &Connection) -> Response {
    match answer {
        Answer::Cut => {
            connection.cut();
            own
        }
        Answer::Hang(time) => {
            tokio::time::sleep(time).await;
            connection.cut();
            own
        }
        Answer::CutBody => cut_body(own, connection).await,
        Answer::Truncate(share) => truncated(own, share).await,
        Answer::Status(status) => with_status(status),
        Answer::Error(error) => error.into_response(),
        Answer::OauthError(error) => oauth::refused(&error.error, &error.description),
    }
}

async fn bytes(body: Body) -> Bytes {
    body.collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default()
}

/// The first half of a response's body, and then the end of the connection.
async fn cut_body(own: Response, connection: &Connection) -> Response {
    let (mut head, body) = own.into_parts();
    let body = bytes(body).await;
    if body.is_empty() {
        connection.cut();
        return Response::from_parts(head, Body::empty());
    }
    head.headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let part = body.slice(..body.len() / 2);
    let first = stream::once(ready(Ok(part)));
    let cut = stream::once(async {
        tokio::time::sleep(CUT_AFTER).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Response::from_parts(head, Body::from_stream(first.chain(cut)))
}

/// A response with the first part of its body.
async fn truncated(own: Response, share: f64) -> Response {
    let (mut head, body) = own.into_parts();
    let body = bytes(body).await;
    let length = part(body.len(), share);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body.slice(..length)))
}

fn with_status(fault: Status) -> Response {
    let error_code = match fault.code {
        401 => "INVALID_SESSION_ID",
        403 | 420 | 429 => "REQUEST_LIMIT_EXCEEDED",
        404 => "NOT_FOUND",
        502..=504 => "SERVER_UNAVAILABLE",
        _ => "UNKNOWN_EXCEPTION",
    };
    let is_page = fault
        .body
        .as_deref()
        .is_some_and(|body| body.starts_with('<'));
    let mut response = match fault.body {
        Some(body) => (status(fault.code), body).into_response(),
        None => {
            ApiError::new(fault.code, error_code, "An unexpected error occurred.").into_response()
        }
    };
    let headers = response.headers_mut();
    if is_page {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=UTF-8"),
        );
    }
    if let Some(seconds) = fault.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(location) = fault.location.and_then(|location| location.parse().ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}
