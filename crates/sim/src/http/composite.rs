//! Describes in composite requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Json;
use serde_json::{Value, json};

use super::metadata::{self, LAST_MODIFIED};
use super::{App, body};
use crate::error::ApiError;
use crate::faults::Call;
use crate::org::user::User;

/// Requests in one composite request.
const MAX_SUBREQUESTS: usize = 25;

/// `POST …/composite`: counts as one API call.
pub(super) async fn composite(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let requests = subrequests(body, "compositeRequest").await?;
    let responses: Vec<Value> = requests
        .iter()
        .map(|request| {
            let since = request["httpHeaders"]["If-Modified-Since"].is_string();
            let (status, body) = subrequest(&app, &user, request, since);
            json!({"body": body, "httpStatusCode": status, "referenceId": request["referenceId"],
                "httpHeaders": {"Last-Modified": LAST_MODIFIED}})
        })
        .collect();
    Ok(Json(json!({"compositeResponse": responses})))
}

/// `POST …/composite/batch`: each of its requests counts as an API call.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let requests = subrequests(body, "batchRequests").await?;
    // The request itself was counted as the first.
    app.charge(Call::Composite, requests.len().saturating_sub(1) as u64)?;
    let responses: Vec<(u16, Value)> = requests
        .iter()
        .map(|request| subrequest(&app, &user, request, false))
        .collect();
    let has_errors = responses.iter().any(|(status, _)| *status >= 400);
    let results: Vec<Value> = responses
        .into_iter()
        .map(|(status, body)| json!({"statusCode": status, "result": body}))
        .collect();
    Ok(Json(json!({"hasErrors": has_errors, "results": results})))
}

async fn subrequests(body: Body, key: &str) -> Result<Vec<Value>, ApiError> {
    let mut body: Value = body::parse(&body::read(body).await?)?;
    match body[key].take() {
        Value::Array(requests) if (1..=MAX_SUBREQUESTS).contains(&requests.len()) => Ok(requests),
        _ => {
            let message = format!("{key} must be a list of 1 to {MAX_SUBREQUESTS} requests");
            Err(ApiError::new(400, "JSON_PARSER_ERROR", &message))
        }
    }
}

/// The status and body of a describe inside another request.
fn subrequest(app: &App, user: &User, request: &Value, if_modified: bool) -> (u16, Value) {
    let url = request["url"].as_str().unwrap_or_default();
    let path = url.split('?').next().unwrap_or_default().trim_matches('/');
    let path = path.strip_prefix("services/data/").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let described = match parts.as_slice() {
        ["sobjects", name, "describe"] => Some(*name),
        _ => None,
    };
    if let Some(error) = app.jobs.faults.of_subrequest(url, described) {
        return (error.status, error.body());
    }
    let body = match parts.as_slice() {
        ["sobjects"] => Some(metadata::described_globally(app, user)),
        ["sobjects", name, "describe"] => {
            let object = user.schema.object(name);
            object.map(|object| metadata::described(app, object))
        }
        _ => None,
    };
    match body {
        Some(_) if if_modified => (304, Value::Null),
        Some(body) => (200, body),
        None => (404, ApiError::not_found().body()),
    }
}
