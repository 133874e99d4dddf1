//! Who a session belongs to, and how it ends.

use std::sync::Arc;

use axum::extract::{Path, RawForm, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::super::{App, body, gate};
use super::Form;
use crate::error::ApiError;
use crate::org::ORG_ID;
use crate::org::user::User;

/// `GET` and `POST /services/oauth2/revoke`: ends the session of an access token, or the approval of
/// a refresh token with all its sessions. The refusal is a form, [as of real
/// orgs](https://github.com/omniphx/forrest/issues/213).
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    uri: Uri,
    RawForm(form): RawForm,
) -> Response {
    let form = Form::of(&uri, &form);
    if app.sessions.lock().end(form.field("token")) {
        return StatusCode::OK.into_response();
    }
    let (error, description) = if form.field("token").is_empty() {
        (
            "invalid_request",
            "missing%20required%20parameter%3A%20token",
        )
    } else {
        (
            "unsupported_token_type",
            "this%20token%20type%20is%20not%20supported",
        )
    };
    let kind = [(header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
    let text = format!("error={error}&error_description={description}");
    (StatusCode::BAD_REQUEST, kind, text).into_response()
}

/// The user of a session. What has none is refused in plain text.
fn caller(app: &App, headers: &HeaderMap) -> Result<Arc<User>, (StatusCode, &'static str)> {
    let text = match body::header(headers, header::AUTHORIZATION) {
        Some(_) => "Bad_OAuth_Token",
        None => "Missing_OAuth_Token",
    };
    gate::session(app, headers).map_err(|_| (StatusCode::FORBIDDEN, text))
}

/// `GET /services/oauth2/userinfo`.
pub(super) async fn user_info(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<Value>, (StatusCode, &'static str)> {
    let user = caller(&app, &headers)?;
    let mut shown = shared(&app, &headers, &user);
    shown["sub"] = json!(url(&app, &headers, &user));
    shown["preferred_username"] = json!(user.username);
    shown["nickname"] = json!(user.username.split('@').next());
    shown["name"] = json!(user.name);
    shown["email_verified"] = json!(true);
    shown["zoneinfo"] = json!("America/Los_Angeles");
    Ok(Json(shown))
}

/// `GET /id/{org}/{user}`, which is the `id` of a token's response.
pub(super) async fn identity(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Response> {
    caller(&app, &headers).map_err(IntoResponse::into_response)?;
    let user = app.org().users.iter().find(|user| user.id == id);
    let user = user.ok_or_else(|| ApiError::not_found().into_response())?;
    let mut shown = shared(&app, &headers, user);
    shown["id"] = json!(url(&app, &headers, user));
    shown["asserted_user"] = json!(true);
    shown["username"] = json!(user.username);
    shown["nick_name"] = json!(user.username.split('@').next());
    shown["display_name"] = json!(user.name);
    shown["timezone"] = json!("America/Los_Angeles");
    Ok(Json(shown))
}

/// What both answers say of a user.
fn shared(app: &App, headers: &HeaderMap, user: &User) -> Value {
    let host = app.instance_url(headers);
    let data = format!("{host}/services/data/v{{version}}");
    json!({
        "user_id": user.id,
        "organization_id": ORG_ID,
        "email": user.username,
        "active": true,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": -28_800_000,
        "urls": {
            "rest": format!("{data}/"),
            "sobjects": format!("{data}/sobjects/"),
            "query": format!("{data}/query/"),
            "profile": format!("{host}/{}", user.id),
            "custom_domain": host,
        },
    })
}

/// The address of a user's identity.
pub(super) fn url(app: &App, headers: &HeaderMap, user: &User) -> String {
    format!("{}/id/{ORG_ID}/{}", app.url_for(headers), user.id)
}
