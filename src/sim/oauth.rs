//! The token endpoint.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use chrono::Utc;
use serde_json::{Value, json};

use super::state::Shared;

/// The user that everything is done as: the first of the org's records.
pub(crate) const USER_ID: &str = "0055g0000000000AAA";
/// The org.
pub(crate) const ORG_ID: &str = "00D5g0000000000EAA";

/// Answers `POST /services/oauth2/token`.
pub(crate) async fn token(State(shared): State<Arc<Shared>>, RawForm(form): RawForm) -> Response {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&form).into_owned().collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let options = shared.options();
    if !matches!(field("grant_type"), "refresh_token" | "client_credentials") {
        return refused("unsupported_grant_type", "grant type not supported");
    }
    if field("client_id") != options.client_id {
        return refused("invalid_client_id", "client identifier invalid");
    }
    if field("client_secret") != options.client_secret {
        return refused("invalid_client", "invalid client credentials");
    }
    let url = &shared.url;
    let mut answer = json!({
        "instance_url": url,
        "id": format!("{url}/id/{ORG_ID}/{USER_ID}"),
        "token_type": "Bearer",
        "issued_at": Utc::now().timestamp_millis().to_string(),
        "signature": "c2ltdWxhdGVkIHNpZ25hdHVyZQ==",
        "scope": "refresh_token api",
    });
    let mut state = shared.state();
    if field("grant_type") == "refresh_token" {
        let valid = state
            .refresh_token
            .as_ref()
            .unwrap_or(&options.refresh_token);
        if field("refresh_token") != valid {
            if options.rotate_refresh_token {
                state.tokens.clear();
                state.refresh_token = Some(random("dead"));
            }
            return refused("invalid_grant", "expired access/refresh token");
        }
        if options.rotate_refresh_token {
            let next = random("5Aep861");
            answer["refresh_token"] = json!(next);
            state.refresh_token = Some(next);
        }
    }
    let token = random(&format!("{}!AQ", &ORG_ID[..15]));
    answer["access_token"] = json!(token);
    state.tokens_issued += 1;
    state.tokens.insert(token, Instant::now());
    Json(answer).into_response()
}

fn random(prefix: &str) -> String {
    format!("{prefix}.{:032x}", fastrand::u128(..))
}

fn refused(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Answers `POST /services/oauth2/revoke`.
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    RawForm(form): RawForm,
) -> StatusCode {
    for (name, value) in url::form_urlencoded::parse(&form) {
        if name == "token" {
            shared.state().tokens.remove(value.as_ref());
        }
    }
    StatusCode::OK
}

/// Answers `GET /services/oauth2/userinfo`.
pub(crate) async fn user_info() -> Json<Value> {
    let name = "loader@sim.example";
    Json(
        json!({"user_id": USER_ID, "organization_id": ORG_ID, "preferred_username": name,
        "email": name, "name": "Lena Loader"}),
    )
}

/// Whether an access token is valid; the answer to an invalid one is in `http`.
pub(crate) fn is_valid(shared: &Shared, token: &str) -> bool {
    let issued = shared.state().tokens.get(token).copied();
    issued.is_some_and(|issued| {
        shared
            .options()
            .token_lifetime
            .is_none_or(|lifetime| issued.elapsed() < lifetime)
    })
}
