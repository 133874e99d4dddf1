//! The calls on ingest jobs.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::ResultFile;
use super::http::ApiError;
use super::job::{Data, Job, JobState};
use super::request::{Request, api_version};
use super::state::{Shared, lock};
use super::{id, process, results};

/// Characters of the `content` part when a job is created with its data.
const MAX_CONTENT_CHARS: usize = 100_000;
/// Jobs on a page of their list.
const LIST_JOBS: usize = 1_000;
/// Bytes of a JSON or multipart body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// `POST …/jobs/ingest`, with JSON or with multipart form data.
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read(body, MAX_BODY_BYTES).await?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default();
    let (request, content) = match content_type.split(';').next().map(str::trim) {
        Some("application/json") => (parse(&body)?, None),
        Some("multipart/form-data") => {
            let (job, content) = multipart(content_type, &body).ok_or_else(|| {
                ApiError::new(
                    400,
                    "INVALIDJOB",
                    "InvalidJob : parts job and content are needed",
                )
            })?;
            if content.chars().count() > MAX_CONTENT_CHARS {
                let message = "InvalidJob : content is over 100,000 characters";
                return Err(ApiError::new(400, "INVALIDJOB", message));
            }
            (parse(job.as_bytes())?, Some(content))
        }
        _ => {
            let message = "Content-Type must be application/json or multipart/form-data";
            return Err(ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
        }
    };
    let request: Request = request;
    let version = api_version(&version).ok_or_else(ApiError::not_found)?;
    let settings = request.settings(&shared.org, &shared.options(), version)?;
    let faults = lock(&shared.faults).of_job(&settings.object.name);
    let mut state = shared.state();
    state.jobs_created += 1;
    let mut job = Job::new(id::make("750", state.jobs_created), settings, faults);
    let closed = content.is_some();
    if let Some(content) = content {
        job.uploading = true;
        job.bytes = content.len() as u64;
        job.data = Data::Raw(content.into_bytes());
        job.enter(JobState::UploadComplete);
    }
    let (job_id, answer) = (job.id.clone(), job.created());
    state.add_job(job);
    drop(state);
    if closed {
        tokio::spawn(process::run(shared, job_id));
    }
    Ok(Json(answer).into_response())
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))
}

/// Reads a body that must not be longer than a limit.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(broken()),
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        413,
        "EXCEEDED_MAX_SIZE_REQUEST",
        "Request size exceeded the maximum allowed",
    )
}

fn broken() -> ApiError {
    ApiError::new(400, "UNKNOWN_EXCEPTION", "The request's body ended early")
}

/// Finds the parts `job` and `content` of a form.
fn multipart(content_type: &str, body: &[u8]) -> Option<(String, String)> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let body = std::str::from_utf8(body).ok()?;
    // A leading line end, so that the first boundary looks like the others.
    let body = format!("\r\n{body}");
    let (mut job, mut content) = (None, None);
    for part in body.split(&format!("\r\n--{boundary}")).skip(1) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let disposition = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition"));
        let names = |name: &str| {
            disposition.is_some_and(|line| {
                line.contains(&format!("; name=\"{name}\""))
                    || line.contains(&format!("; name={name}"))
            })
        };
        if names("job") {
            job = Some(value.to_owned());
        } else if names("content") {
            content = Some(value.to_owned());
        }
    }
    Some((job?, content?))
}

/// `PUT …/jobs/ingest/{id}/batches`.
pub(crate) async fn upload(
    State(shared): State<Arc<Shared>>,
    Path((_, job_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let refused = check_upload(&shared, &job_id, &headers);
    if let Err(error) = refused {
        super::http::drain(body).await;
        return Err(error);
    }
    let mut uploading = Uploading::begin(&shared, &job_id);
    let data = receive(&shared, &headers, body).await?;
    let mut state = shared.state();
    let job = state
        .jobs
        .get_mut(&job_id)
        .ok_or_else(ApiError::not_found)?;
    if job.state != JobState::Open {
        return Err(not_open());
    }
    job.bytes = data.len() as u64;
    job.data = Data::Raw(data);
    uploading.complete = true;
    Ok(StatusCode::CREATED)
}

fn not_open() -> ApiError {
    let message = "The job is not open, or has its data already: one upload a job";
    ApiError::new(400, "INVALIDJOBSTATE", message)
}

fn check_upload(shared: &Shared, job_id: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_csv = header(header::CONTENT_TYPE).is_some_and(|value| value.starts_with("text/csv"));
    if !is_csv || header(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "Content-Type must be text/csv, without Content-Encoding";
        return Err(ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let mut state = shared.state();
    let job = state.jobs.get_mut(job_id).ok_or_else(ApiError::not_found)?;
    if job.state != JobState::Open || job.uploading {
        return Err(not_open());
    }
    job.uploading = true;
    Ok(())
}

/// Counts an upload while it is under way; one that breaks off leaves the job open for another.
struct Uploading<'a> {
    shared: &'a Shared,
    job_id: &'a str,
    complete: bool,
}

impl<'a> Uploading<'a> {
    fn begin(shared: &'a Shared, job_id: &'a str) -> Uploading<'a> {
        let mut state = shared.state();
        state.uploads += 1;
        state.max_uploads = state.max_uploads.max(state.uploads);
        drop(state);
        Uploading {
            shared,
            job_id,
            complete: false,
        }
    }
}

impl Drop for Uploading<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.uploads = state.uploads.saturating_sub(1);
        if let (false, Some(job)) = (self.complete, state.jobs.get_mut(self.job_id)) {
            job.uploading = false;
        }
    }
}

async fn receive(
    shared: &Shared,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<Vec<u8>, ApiError> {
    let limit = usize::try_from(shared.options().max_upload_bytes).unwrap_or(usize::MAX);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|length| length.parse::<usize>().ok());
    let mut data = Vec::with_capacity(declared.filter(|length| *length <= limit).unwrap_or(0));
    let mut over = false;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| broken())?.into_data() else {
            continue;
        };
        over = over || data.len() + chunk.len() > limit;
        if !over {
            data.extend_from_slice(&chunk);
        }
    }
    if over { Err(too_large()) } else { Ok(data) }
}

/// `PATCH …/jobs/ingest/{id}`.
pub(crate) async fn patch(
    State(shared): State<Arc<Shared>>,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let body = read(body, MAX_BODY_BYTES).await?;
    let wanted: Value = parse(&body)?;
    let mut state = shared.state();
    let job = state
        .jobs
        .get_mut(&job_id)
        .ok_or_else(ApiError::not_found)?;
    let no_task = job.state != JobState::InProgress;
    job.ask(wanted["state"].as_str().unwrap_or_default())?;
    let answer = job.brief();
    let closed = job.state == JobState::UploadComplete;
    if no_task && !closed && shared.options().forget {
        state.forget_job(&job_id);
    }
    drop(state);
    if closed {
        tokio::spawn(process::run(shared, job_id));
    }
    Ok(Json(answer))
}

/// `GET …/jobs/ingest/{id}`.
pub(crate) async fn info(
    State(shared): State<Arc<Shared>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let state = shared.state();
    state
        .jobs
        .get(&job_id)
        .map(|job| Json(job.info()))
        .ok_or_else(ApiError::not_found)
}

/// Where a page of the list of jobs begins, and which jobs it holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listing {
    query_locator: Option<String>,
    job_type: Option<String>,
    is_pk_chunking_enabled: Option<bool>,
}

/// `GET …/jobs/ingest`: in no order, up to 1,000 a page.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(version): Path<String>,
    Query(listing): Query<Listing>,
) -> Result<Json<Value>, ApiError> {
    let of_ours = listing.job_type.is_none_or(|kind| kind == "V2Ingest")
        && listing.is_pk_chunking_enabled != Some(true);
    let first = listing
        .query_locator
        .as_deref()
        .map_or(Some(0), results::row_of_locator);
    let first = first.ok_or_else(ApiError::not_found)?;
    let mut jobs: Vec<Value> = if of_ours {
        shared.state().jobs.values().map(Job::created).collect()
    } else {
        Vec::new()
    };
    let end = (first + LIST_JOBS).min(jobs.len());
    let mut page: Vec<Value> = jobs.drain(first.min(end)..end).collect();
    fastrand::Rng::with_seed(shared.options().seed).shuffle(&mut page);
    let more = end < jobs.len() + page.len();
    let next = more.then(|| format!("/services/data/{version}/jobs/ingest?queryLocator=row-{end}"));
    Ok(Json(
        json!({"done": next.is_none(), "records": page, "nextRecordsUrl": next}),
    ))
}

/// `DELETE …/jobs/ingest/{id}`.
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut state = shared.state();
    let job = state.jobs.get(&job_id).ok_or_else(ApiError::not_found)?;
    if matches!(job.state, JobState::Open | JobState::InProgress) {
        let message = format!("Deleting {} Job not allowed", job.state.name());
        return Err(ApiError::new(400, "INVALIDJOBSTATE", &message));
    }
    state.jobs.remove(&job_id);
    Ok(StatusCode::NO_CONTENT)
}

/// Where a page of a result begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    locator: Option<String>,
}

/// `GET …/jobs/ingest/{id}/successfulResults` and the two others.
pub(crate) async fn result(
    State(shared): State<Arc<Shared>>,
    Path((_, job_id, name)): Path<(String, String, String)>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let which = ResultFile::parse(&name).ok_or_else(ApiError::not_found)?;
    let first = page
        .locator
        .as_deref()
        .map_or(Some(0), results::row_of_locator);
    let first = first.ok_or_else(ApiError::not_found)?;
    let written =
        tokio::task::spawn_blocking(move || results::write(&shared, &job_id, which, first));
    let (csv, locator) = written
        .await
        .map_err(|error| ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()))??;
    let mut response = ([(header::CONTENT_TYPE, "text/csv; charset=UTF-8")], csv).into_response();
    if let Some(locator) = locator.and_then(|locator| locator.parse().ok()) {
        response.headers_mut().insert("Sforce-Locator", locator);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_form_are_found() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"job\"\r\n\
            Content-Type: application/json\r\n\r\n{}\r\n--x\r\n\
            Content-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n\
            Content-Type: text/csv\r\n\r\nA\nb\n\r\n--x--\r\n";
        let parts = multipart("multipart/form-data; boundary=x", body.as_bytes());
        assert_eq!(parts, Some(("{}".to_owned(), "A\nb\n".to_owned())));
        assert_eq!(multipart("multipart/form-data", body.as_bytes()), None);
    }
}
