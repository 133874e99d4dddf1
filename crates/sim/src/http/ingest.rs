//! The calls on ingest jobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::Parameters;
use super::{App, body, metadata};
use crate::error::ApiError;
use crate::faults::ResultFile;
use crate::jobs::{Filter, Request, Upload};
use crate::org::user::User;

/// Characters of the `content` part when a job is created with its data.
const MAX_CONTENT_CHARS: usize = 100_000;

/// `POST …/jobs/ingest`, with JSON or with multipart form data.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let body = body::read(body).await?;
    let content_type = body::header(&headers, header::CONTENT_TYPE).unwrap_or_default();
    let (request, content): (Request, _) = match content_type.split(';').next().map(str::trim) {
        Some("application/json") => (body::parse(&body)?, None),
        Some("multipart/form-data") => {
            let invalid = |message: &str| ApiError::new(400, "INVALIDJOB", message);
            let (job, content) = body::multipart(content_type, &body)
                .ok_or_else(|| invalid("InvalidJob : parts job and content are needed"))?;
            if content.chars().count() > MAX_CONTENT_CHARS {
                let message = "InvalidJob : content is over 100,000 characters";
                return Err(invalid(message));
            }
            (body::parse(job.as_bytes())?, Some(content))
        }
        _ => {
            let message = "Content-Type must be application/json or multipart/form-data";
            return Err(ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
        }
    };
    let version = metadata::api_version(&version)?;
    app.jobs.create(request, &user, version, content).map(Json)
}

/// `PUT …/jobs/ingest/{id}/batches`.
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let begun = check_csv(&headers).and_then(|()| Upload::begin(&app.jobs, &job_id));
    let upload = match begun {
        Ok(upload) => upload,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let declared = body::header(&headers, header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.parse().ok());
    let limit = usize::try_from(app.options().max_upload_bytes).unwrap_or(usize::MAX);
    upload.complete(body::receive(body, declared, limit).await?)?;
    Ok(StatusCode::CREATED)
}

fn check_csv(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_csv = body::header(headers, header::CONTENT_TYPE)
        .is_some_and(|value| value.starts_with("text/csv"));
    let encoding = body::header(headers, header::CONTENT_ENCODING);
    if !is_csv || encoding.is_some_and(|value| value != "identity") {
        let message = "Content-Type must be text/csv, without Content-Encoding";
        return Err(ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    Ok(())
}

/// `PATCH …/jobs/ingest/{id}`.
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let wanted: Value = body::parse(&body::read(body).await?)?;
    let state = wanted["state"].as_str().unwrap_or_default();
    app.jobs.change_state(&job_id, state).map(Json)
}

/// `GET …/jobs/ingest/{id}`.
pub(super) async fn info(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.jobs.info(&job_id).map(Json)
}

/// The parameters of the list of jobs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    query_locator: Option<String>,
    job_type: Option<String>,
    is_pk_chunking_enabled: Option<bool>,
}

/// `GET …/jobs/ingest`: in no order, up to 1,000 jobs per page.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(version): Path<String>,
    Parameters(listing): Parameters<Listing>,
) -> Result<Json<Value>, ApiError> {
    let (jobs, locator) = app.jobs.list(&Filter {
        locator: listing.query_locator,
        has_ingest_jobs: listing.job_type.is_none_or(|kind| kind == "V2Ingest")
            && listing.is_pk_chunking_enabled != Some(true),
    })?;
    let next = locator
        .map(|locator| format!("/services/data/{version}/jobs/ingest?queryLocator={locator}"));
    Ok(Json(
        json!({"done": next.is_none(), "records": jobs, "nextRecordsUrl": next}),
    ))
}

/// `DELETE …/jobs/ingest/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    app.jobs.delete(&job_id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parameter of a result file.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    locator: Option<String>,
}

/// `GET …/jobs/ingest/{id}/successfulResults` and the two others.
pub(super) async fn result(
    State(app): State<Arc<App>>,
    Path((_, job_id, name)): Path<(String, String, String)>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, ApiError> {
    let which = ResultFile::parse(&name).ok_or_else(ApiError::not_found)?;
    let written = tokio::task::spawn_blocking(move || {
        app.jobs.result(&job_id, which, page.locator.as_deref())
    });
    let (csv, locator) = written
        .await
        .map_err(|error| ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()))??;
    let mut response = ([(header::CONTENT_TYPE, "text/csv; charset=UTF-8")], csv).into_response();
    if let Some(locator) = locator.and_then(|locator| locator.parse().ok()) {
        response.headers_mut().insert("Sforce-Locator", locator);
    }
    Ok(response)
}
