//! The calls on query jobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::Parameters;
use super::{App, body, metadata};
use crate::error::ApiError;
use crate::exports::{ExportRequest, Listing, Wanted};
use crate::faults::PageFault;
use crate::org::user::User;

/// `POST …/jobs/query`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path(version): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: ExportRequest = body::parse(&body::read(body).await?)?;
    let version = metadata::api_version(&version)?;
    app.exports.create(request, &user, version).map(Json)
}

/// `GET …/jobs/query`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(version): Path<String>,
    Parameters(listing): Parameters<Listing>,
) -> Result<Json<Value>, ApiError> {
    let (jobs, locator) = app.exports.list(&listing)?;
    let next = locator
        .map(|locator| format!("/services/data/{version}/jobs/query?queryLocator={locator}"));
    Ok(Json(
        json!({"done": next.is_none(), "records": jobs, "nextRecordsUrl": next}),
    ))
}

/// `GET …/jobs/query/{id}`.
pub(super) async fn info(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.exports.info(&job_id).map(Json)
}

/// `PATCH …/jobs/query/{id}`.
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let wanted: Value = body::parse(&body::read(body).await?)?;
    let state = wanted["state"].as_str().unwrap_or_default();
    app.exports.change_state(&job_id, state).map(Json)
}

/// `DELETE …/jobs/query/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    app.exports.delete(&job_id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parameters of results.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Window {
    locator: Option<String>,
    max_records: Option<usize>,
}

/// `GET …/jobs/query/{id}/results`: 204 while there are none.
pub(super) async fn results(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
    Parameters(window): Parameters<Window>,
    fault: Option<Extension<PageFault>>,
) -> Result<Response, ApiError> {
    let fault = fault.map(|Extension(fault)| fault);
    let wanted = Wanted {
        locator: window.locator.as_deref(),
        most: window.max_records,
        fault: fault.as_ref(),
    };
    let Some(page) = app.exports.results(&job_id, &wanted)? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let next = page.locator.unwrap_or_else(|| "null".to_owned());
    let mut response = ([(header::CONTENT_TYPE, "text/csv")], page.csv).into_response();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    if fault != Some(PageFault::NoLocator {}) {
        add("sforce-locator", &next);
    }
    if fault != Some(PageFault::NoCount {}) {
        add("sforce-numberofrecords", &page.records.to_string());
    }
    Ok(response)
}

/// `GET …/jobs/query/{id}/resultPages`: the addresses of the next five pages.
pub(super) async fn pages(
    State(app): State<Arc<App>>,
    Path((version, job_id)): Path<(String, String)>,
    Parameters(window): Parameters<Window>,
) -> Result<Json<Value>, ApiError> {
    let (pages, next) = app.exports.pages(&job_id, window.locator.as_deref())?;
    let job = format!("/services/data/{version}/jobs/query/{job_id}");
    let pages: Vec<Value> = pages
        .iter()
        .map(|locator| json!({"resultUrl": format!("{job}/results?locator={locator}")}))
        .collect();
    let next = next.map(|locator| format!("{job}/resultPages?locator={locator}"));
    Ok(Json(
        json!({"resultPages": pages, "nextRecordsUrl": next, "done": next.is_none()}),
    ))
}
