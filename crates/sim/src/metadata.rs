//! Versions, limits and describe calls, alone and in composite requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::describe;
use super::http::{ApiError, charge};
use super::ingest::read;
use super::org::Object;
use super::request::api_version;
use super::state::{Shared, lock};

/// When every object was last modified; the org's description never changes.
const LAST_MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
/// Requests in one composite request.
const MAX_SUBREQUESTS: usize = 25;

/// `GET /services/data`.
pub(crate) async fn versions() -> Json<Value> {
    let version = |number: u32| {
        json!({"label": format!("Version {number}"), "url": format!("/services/data/v{number}.0"),
            "version": format!("{number}.0")})
    };
    Json((58..=62).map(version).collect())
}

/// `GET /services/data/v62.0`.
pub(crate) async fn resources(Path(version): Path<String>) -> Result<Json<Value>, ApiError> {
    api_version(&version).ok_or_else(ApiError::not_found)?;
    let base = format!("/services/data/{version}");
    Ok(Json(json!({
        "sobjects": format!("{base}/sobjects"), "limits": format!("{base}/limits"),
        "jobs": format!("{base}/jobs"), "query": format!("{base}/query"),
        "composite": format!("{base}/composite"),
    })))
}

/// `GET …/limits`.
pub(crate) async fn limits(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let options = shared.options();
    let state = shared.state();
    let limit = |max: u64, used: u64| json!({"Max": max, "Remaining": max.saturating_sub(used)});
    Json(json!({
        "DailyApiRequests": limit(options.max_api_calls, state.api_calls),
        "DailyBulkApiBatches": limit(options.max_batches, state.batches),
        "DailyBulkV2QueryJobs": limit(10_000, 0),
        "DailyBulkV2QueryFileStorageMB": limit(976_562, 0),
        "DataStorageMB": limit(10_240, 0),
        "FileStorageMB": limit(10_240, 0),
    }))
}

/// `GET …/sobjects`.
pub(crate) async fn global(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(seen_globally(&shared))
}

/// The global describe with the user's rights.
fn seen_globally(shared: &Shared) -> Value {
    let options = shared.options();
    let mut answer = shared.org.global();
    for object in answer["sobjects"].as_array_mut().into_iter().flatten() {
        if !options.may_write(object["name"].as_str().unwrap_or_default()) {
            describe::make_read_only(object);
        }
    }
    answer
}

/// The describe of an object with the user's rights.
fn seen(shared: &Shared, object: &Object) -> Value {
    let mut answer = object.describe();
    if !shared.options().may_write(&object.name) {
        describe::make_read_only(&mut answer);
    }
    answer
}

/// `GET …/sobjects/{object}/describe`.
pub(crate) async fn describe(
    State(shared): State<Arc<Shared>>,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let object = shared.org.object(&name).ok_or_else(ApiError::not_found)?;
    if headers.contains_key(header::IF_MODIFIED_SINCE) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let last_modified = [(header::LAST_MODIFIED, LAST_MODIFIED)];
    Ok((last_modified, Json(seen(&shared, object))).into_response())
}

/// `POST …/composite`: charged as one call.
pub(crate) async fn composite(
    State(shared): State<Arc<Shared>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let requests = subrequests(body, "compositeRequest").await?;
    let answers: Vec<Value> = requests
        .iter()
        .map(|request| {
            let since = request["httpHeaders"]["If-Modified-Since"].is_string();
            let (status, body) = subrequest(&shared, request, since);
            json!({"body": body, "httpStatusCode": status, "referenceId": request["referenceId"],
                "httpHeaders": {"Last-Modified": LAST_MODIFIED}})
        })
        .collect();
    Ok(Json(json!({"compositeResponse": answers})))
}

/// `POST …/composite/batch`: each of its requests is charged as a call.
pub(crate) async fn composite_batch(
    State(shared): State<Arc<Shared>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let requests = subrequests(body, "batchRequests").await?;
    // The request itself was charged as the first.
    if !charge(&shared, requests.len().saturating_sub(1) as u64) {
        let message = "TotalRequests Limit exceeded.";
        return Err(ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", message));
    }
    let answers: Vec<(u16, Value)> = requests
        .iter()
        .map(|request| subrequest(&shared, request, false))
        .collect();
    let has_errors = answers.iter().any(|(status, _)| *status >= 400);
    let results: Vec<Value> = answers
        .into_iter()
        .map(|(status, body)| json!({"statusCode": status, "result": body}))
        .collect();
    Ok(Json(json!({"hasErrors": has_errors, "results": results})))
}

async fn subrequests(body: Body, key: &str) -> Result<Vec<Value>, ApiError> {
    let body = read(body, 1 << 20).await?;
    let mut body: Value = serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))?;
    match body[key].take() {
        Value::Array(requests) if (1..=MAX_SUBREQUESTS).contains(&requests.len()) => Ok(requests),
        _ => {
            let message = format!("{key} must be a list of 1 to {MAX_SUBREQUESTS} requests");
            Err(ApiError::new(400, "JSON_PARSER_ERROR", &message))
        }
    }
}

/// Answers a describe inside another request.
fn subrequest(shared: &Shared, request: &Value, if_modified: bool) -> (u16, Value) {
    let url = request["url"].as_str().unwrap_or_default();
    if let Some(error) = lock(&shared.faults).of_subrequest(url) {
        return (error.status(), error.body());
    }
    let path = url.split('?').next().unwrap_or_default().trim_matches('/');
    let path = path.strip_prefix("services/data/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let body = match parts.as_slice() {
        ["sobjects"] => Some(seen_globally(shared)),
        ["sobjects", name, "describe"] => {
            shared.org.object(name).map(|object| seen(shared, object))
        }
        _ => None,
    };
    match body {
        Some(_) if if_modified => (304, Value::Null),
        Some(body) => (200, body),
        None => (404, ApiError::not_found().body()),
    }
}
