//! What every request passes before its handler: faults, the check of its session, and the count
//! of an API call.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Connection, body, oauth, status};
use crate::error::ApiError;
use crate::faults::{Status, Verdict};

/// The same request with one slash before its path and none after it. Salesforce accepts others,
/// and clients send them (`…/limits/`, `//services/data/v62.0`).
fn plain(mut request: Request) -> Request {
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}"));
    let path = uri.path().trim_matches('/');
    if let Ok(plain) = format!("/{path}{}", query.unwrap_or_default()).parse() {
        *request.uri_mut() = plain;
    }
    request
}

/// Passes a request on to its handler, unless a fault prevents it or it has no session.
pub(super) async fn gate(
    State(app): State<Arc<App>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let request = plain(request);
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    if path.starts_with("/sim/") {
        return next.run(request).await;
    }
    let mut verdict = app.jobs.faults.of_request(request.method().as_str(), &path);
    tokio::time::sleep(verdict.delay).await;
    if verdict.expire_tokens {
        app.sessions.lock().clear();
    }
    if verdict.close {
        connection.cut();
        return StatusCode::OK.into_response();
    }
    let data_call = path.starts_with("/services/data/");
    let refusal = faulty(&mut verdict).or_else(|| {
        let checked = if data_call {
            check_session(&app, request.headers()).and_then(|()| app.charge(1))
        } else {
            Ok(())
        };
        checked.err().map(IntoResponse::into_response)
    });
    let response = match refusal {
        Some(refusal) => {
            body::drain(request.into_body()).await;
            refusal
        }
        None => next.run(request).await,
    };
    if verdict.lose {
        connection.cut();
    }
    if data_call {
        with_usage(&app, response)
    } else {
        response
    }
}

/// The response that a fault sends in place of the work.
fn faulty(verdict: &mut Verdict) -> Option<Response> {
    if let Some(error) = verdict.oauth_error.take() {
        return Some(oauth::refused(&error.error, &error.description));
    }
    if let Some(status) = verdict.status.take() {
        return Some(with_status(status));
    }
    verdict.error.take().map(IntoResponse::into_response)
}

fn with_status(fault: Status) -> Response {
    let error_code = match fault.code {
        401 => "INVALID_SESSION_ID",
        403 | 420 | 429 => "REQUEST_LIMIT_EXCEEDED",
        502..=504 => "SERVER_UNAVAILABLE",
        _ => "UNKNOWN_EXCEPTION",
    };
    let mut response = match fault.body {
        Some(body) => (status(fault.code), body).into_response(),
        None => {
            ApiError::new(fault.code, error_code, "An unexpected error occurred.").into_response()
        }
    };
    if let Some(seconds) = fault.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn check_session(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let value = body::header(headers, header::AUTHORIZATION);
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        ["Bearer", "OAuth"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
            .then_some(token)
    });
    let lifetime = app.options().token_lifetime;
    if token.is_some_and(|token| app.sessions.lock().is_valid(token, lifetime)) {
        return Ok(());
    }
    let message = "Session expired or invalid";
    Err(ApiError::new(401, "INVALID_SESSION_ID", message))
}

/// Adds how many API calls were used.
fn with_usage(app: &App, mut response: Response) -> Response {
    let used = *app.api_calls.lock();
    let usage = format!("api-usage={used}/{}", app.options().max_api_calls);
    if let Ok(usage) = HeaderValue::from_str(&usage) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("sforce-limit-info"), usage);
    }
    response
}
