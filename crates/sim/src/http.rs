//! Routes, and what every request passes: faults, the session, the charge of an API call.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::listener::Connection;
use super::oauth::{ORG_ID, USER_ID};
use super::state::{Shared, lock};
use super::{ingest, inspect, metadata, oauth, query};

/// An error of the REST API: a list of one.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> ApiError {
        ApiError {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn body(&self) -> Value {
        json!([{"errorCode": self.code, "message": self.message}])
    }

    /// The answer to a path that does not exist, or a job or object unknown.
    pub(crate) fn not_found() -> ApiError {
        ApiError::new(404, "NOT_FOUND", "The requested resource does not exist")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

/// All routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let job = get(ingest::info)
        .patch(ingest::patch)
        .delete(ingest::delete);
    let data = Router::new()
        .route("/", get(metadata::resources))
        .route("/limits", get(metadata::limits))
        .route("/sobjects", get(metadata::global))
        .route("/sobjects/{object}/describe", get(metadata::describe))
        .route("/sobjects/{object}/{id}", get(query::record))
        .route("/query", get(query::query))
        .route("/composite", post(metadata::composite))
        .route("/composite/batch", post(metadata::composite_batch))
        .route("/jobs/ingest", post(ingest::create).get(ingest::list))
        .route("/jobs/ingest/{id}", job)
        .route("/jobs/ingest/{id}/batches", put(ingest::upload))
        .route("/jobs/ingest/{id}/{result}", get(ingest::result));
    let routes = Router::new()
        .route("/services/oauth2/token", post(oauth::token))
        .route("/services/oauth2/userinfo", get(oauth::user_info))
        .route(&format!("/id/{ORG_ID}/{USER_ID}"), get(oauth::identity))
        .route("/services/oauth2/revoke", post(oauth::revoke))
        .route("/services/data", get(metadata::versions))
        .nest("/services/data/{version}", data)
        .merge(inspect::routes())
        .fallback(|| async { ApiError::not_found() })
        .with_state(Arc::clone(&shared));
    // Around all routes, so that the path is changed before it is looked up.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn_with_state(shared, gate))
}

/// The same request with one slash before its path and none behind it: Salesforce does not mind
/// more, and clients send them (`…/limits/`, `//services/data/v62.0`).
fn plain(mut request: Request) -> Request {
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}"));
    let path = uri.path().trim_matches('/');
    if let Ok(plain) = format!("/{path}{}", query.unwrap_or_default()).parse() {
        *request.uri_mut() = plain;
    }
    request
}

/// Lets a request through to its work, unless a fault or its session forbids.
async fn gate(
    State(shared): State<Arc<Shared>>,
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
    let verdict = lock(&shared.faults).of_request(request.method().as_str(), &path);
    tokio::time::sleep(verdict.delay).await;
    if verdict.expire_tokens {
        shared.state().tokens.clear();
    }
    if verdict.close {
        connection.cut();
        return StatusCode::OK.into_response();
    }
    let data_call = path.starts_with("/services/data/");
    let response = if let Some(error) = verdict.oauth_error {
        drain(request.into_body()).await;
        oauth::refused(&error.0, &error.1)
    } else if let Some((code, body, retry_after)) = verdict.status {
        drain(request.into_body()).await;
        faulty(code, body, retry_after)
    } else if let Some(error) = verdict.error {
        drain(request.into_body()).await;
        error.into_response()
    } else if data_call && !has_session(&shared, request.headers()) {
        drain(request.into_body()).await;
        ApiError::new(401, "INVALID_SESSION_ID", "Session expired or invalid").into_response()
    } else if !data_call || charge(&shared, 1) {
        next.run(request).await
    } else {
        drain(request.into_body()).await;
        let message = "TotalRequests Limit exceeded.";
        ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", message).into_response()
    };
    if verdict.lose {
        connection.cut();
    }
    if data_call {
        with_usage(&shared, response)
    } else {
        response
    }
}

/// Reads a body to its end, so that the client hears the answer.
pub(crate) async fn drain(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn faulty(code: u16, body: Option<String>, retry_after: Option<u64>) -> Response {
    let error_code = match code {
        401 => "INVALID_SESSION_ID",
        403 | 420 | 429 => "REQUEST_LIMIT_EXCEEDED",
        502..=504 => "SERVER_UNAVAILABLE",
        _ => "UNKNOWN_EXCEPTION",
    };
    let error = ApiError::new(code, error_code, "An unexpected error occurred.");
    let mut response = match body {
        Some(body) => (error.status, body).into_response(),
        None => error.into_response(),
    };
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn has_session(shared: &Shared, headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        ["Bearer", "OAuth"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
            .then_some(token)
    });
    token.is_some_and(|token| oauth::is_valid(shared, token))
}

/// Charges API calls; false if the day's are used up.
pub(crate) fn charge(shared: &Shared, calls: u64) -> bool {
    let mut state = shared.state();
    let left = state.api_calls + calls <= shared.options().max_api_calls;
    if left {
        state.api_calls += calls;
    }
    left
}

fn with_usage(shared: &Shared, mut response: Response) -> Response {
    let used = shared.state().api_calls;
    let usage = format!("api-usage={used}/{}", shared.options().max_api_calls);
    if let Ok(usage) = HeaderValue::from_str(&usage) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("sforce-limit-info"), usage);
    }
    response
}
