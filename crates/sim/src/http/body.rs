//! Bodies of requests.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::AsHeaderName;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;
use crate::faults::Content;
use crate::soql;

/// The longest JSON or multipart body in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A header as text.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a body to its end and drops it: a client that is still sending may miss the response.
pub(super) async fn drain(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Reads a JSON or multipart body.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(broken()),
    }
}

/// What decides of a body which call it belongs to, and the object that it names.
pub(super) fn content(content_type: &str, body: &[u8]) -> (Content, Option<String>) {
    let parts = multipart(content_type, body);
    let has_data = parts.is_some();
    let json: Value = match parts {
        Some((job, _)) => serde_json::from_str(&job),
        None => serde_json::from_slice(body),
    }
    .unwrap_or_default();
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let content = Content {
        has_data,
        state: text("state"),
    };
    let queried = || soql::object_of(&text("query")?);
    let object = text("object").or_else(queried);
    (content, object)
}

/// Reads JSON.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))
}

/// Reads an upload of up to `limit` bytes, of which `declared` are announced. A longer one is read
/// to its end too, and refused.
pub(super) async fn receive(
    mut body: Body,
    declared: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let mut data = Vec::with_capacity(declared.filter(|length| *length <= limit).unwrap_or(0));
    let mut is_over = false;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| broken())?.into_data() else {
            continue;
        };
        is_over = is_over || data.len() + chunk.len() > limit;
        if !is_over {
            data.extend_from_slice(&chunk);
        }
    }
    if is_over { Err(too_large()) } else { Ok(data) }
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

/// Finds the parts `job` and `content` of multipart form data.
pub(super) fn multipart(content_type: &str, body: &[u8]) -> Option<(String, String)> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let body = std::str::from_utf8(body).ok()?;
    // With a line end before it, the first boundary looks like the others.
    let body = format!("\r\n{body}");
    let (mut job, mut content) = (None, None);
    for part in body.split(&format!("\r\n--{boundary}")).skip(1) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let disposition = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition"));
        let is_named = |name: &str| {
            disposition.is_some_and(|line| {
                line.contains(&format!("; name=\"{name}\""))
                    || line.contains(&format!("; name={name}"))
            })
        };
        if is_named("job") {
            job = Some(value.to_owned());
        } else if is_named("content") {
            content = Some(value.to_owned());
        }
    }
    Some((job?, content?))
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
