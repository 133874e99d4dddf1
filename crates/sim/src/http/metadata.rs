//! Versions, limits and describes.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::App;
use crate::error::ApiError;
use crate::org::Object;
use crate::org::describe::make_read_only;
use crate::org::user::User;

/// When every object was last modified: the org's description never changes.
pub(super) const LAST_MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";

/// The number of a version in a path, `v62.0`.
pub(super) fn api_version(path: &str) -> Result<f64, ApiError> {
    path.strip_prefix('v')
        .and_then(|number| number.parse().ok())
        .filter(|number| *number >= 20.0)
        .ok_or_else(ApiError::not_found)
}

/// `GET /services/data`.
pub(super) async fn versions() -> Json<Value> {
    let version = |number: u32| {
        json!({"label": format!("Version {number}"), "url": format!("/services/data/v{number}.0"),
            "version": format!("{number}.0")})
    };
    Json((58..=62).map(version).collect())
}

/// `GET /services/data/v62.0`.
pub(super) async fn resources(Path(version): Path<String>) -> Result<Json<Value>, ApiError> {
    api_version(&version)?;
    let base = format!("/services/data/{version}");
    Ok(Json(json!({
        "sobjects": format!("{base}/sobjects"), "limits": format!("{base}/limits"),
        "jobs": format!("{base}/jobs"), "query": format!("{base}/query"),
        "queryAll": format!("{base}/queryAll"),
        "composite": format!("{base}/composite"),
    })))
}

/// `GET …/limits`.
pub(super) async fn limits(State(app): State<Arc<App>>) -> Json<Value> {
    let options = app.options();
    let (api_calls, batches) = (app.used_calls(), app.jobs.used_batches());
    let (query_jobs, query_megabytes) = app.exports.used();
    let limit = |max: u64, used: u64| json!({"Max": max, "Remaining": max.saturating_sub(used)});
    Json(json!({
        "DailyApiRequests": limit(options.max_api_calls, api_calls),
        "DailyBulkApiBatches": limit(options.max_batches, batches),
        "DailyBulkV2QueryJobs": limit(options.max_query_jobs, query_jobs),
        "DailyBulkV2QueryFileStorageMB": limit(976_562, query_megabytes),
        "DataStorageMB": limit(10_240, 0),
        "FileStorageMB": limit(10_240, 0),
    }))
}

/// `GET …/sobjects`.
pub(super) async fn global(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
) -> Json<Value> {
    Json(described_globally(&app, &user))
}

/// The global describe with the user's rights.
pub(super) fn described_globally(app: &App, user: &User) -> Value {
    let options = app.options();
    let mut response = user.schema.global();
    for object in response["sobjects"].as_array_mut().into_iter().flatten() {
        if !options.may_write(object["name"].as_str().unwrap_or_default()) {
            make_read_only(object);
        }
    }
    response
}

/// The describe of an object with the user's rights.
pub(super) fn described(app: &App, object: &Object) -> Value {
    let mut response = object.describe();
    if !app.options().may_write(&object.name) {
        make_read_only(&mut response);
    }
    response
}

/// `GET …/sobjects/{object}/describe`.
pub(super) async fn describe(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let object = user.schema.object(&name).ok_or_else(ApiError::not_found)?;
    if headers.contains_key(header::IF_MODIFIED_SINCE) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let last_modified = [(header::LAST_MODIFIED, LAST_MODIFIED)];
    Ok((last_modified, Json(described(&app, object))).into_response())
}
