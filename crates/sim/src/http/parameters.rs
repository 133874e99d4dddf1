//! The parameters of a request: what stands behind `?` in its address.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Parameters. Those that cannot be read are refused in the form of all other errors.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Parameters<T>, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(read)) => Ok(Parameters(read)),
            Err(error) => Err(ApiError::new(
                400,
                "INVALID_QUERY_PARAMETER",
                &error.body_text(),
            )),
        }
    }
}
