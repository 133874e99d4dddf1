//! The token endpoint.

use std::sync::Arc;

use axum::extract::{Path, RawForm, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use chrono::Utc;
use serde_json::{Value, json};

use super::{App, body, gate, jwt};
use crate::error::ApiError;
use crate::org::ORG_ID;
use crate::org::user::{Client, User};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Login URLs that an assertion may be for, besides the org's own.
const AUDIENCES: [&str; 2] = [
    "https://login.salesforce.com",
    "https://test.salesforce.com",
];
/// The longest life of an assertion in seconds, with some tolerance for clocks.
const ASSERTION_SECONDS: i64 = 180 + 30;

/// Why no token is issued: `error` and `error_description`.
type Refusal = (&'static str, &'static str);

/// The fields of a token request.
struct Form(Vec<(String, String)>);

impl Form {
    fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// `POST /services/oauth2/token`.
pub(super) async fn token(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    app.sessions.lock().requests += 1;
    let mut form = Form(url::form_urlencoded::parse(&form).into_owned().collect());
    form.0.extend(basic(&headers).into_iter().flatten());
    let checked = match form.field("grant_type") {
        "refresh_token" => refresh(&app, &form).await,
        "client_credentials" => client(&app, &form).map(|user| (user, None)),
        "password" => password(&app, &form).map(|user| (user, None)),
        JWT_BEARER => assertion(&app, &headers, form.field("assertion")).map(|user| (user, None)),
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    };
    match checked {
        Ok((user, refresh_token)) => issue(&app, &headers, user, refresh_token),
        Err((error, description)) => refused(error, description),
    }
}

/// The client's id and secret, if they are in a header, as simple-salesforce sends them.
fn basic(headers: &HeaderMap) -> Option<[(String, String); 2]> {
    let value = body::header(headers, header::AUTHORIZATION)?;
    let decoded = String::from_utf8(jwt::base64(value.strip_prefix("Basic ")?)?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some([("client_id", id), ("client_secret", secret)].map(|(k, v)| (k.to_owned(), v.to_owned())))
}

/// Issues an access token, with the refresh token of a rotation.
fn issue(
    app: &App,
    headers: &HeaderMap,
    user: Arc<User>,
    refresh_token: Option<String>,
) -> Response {
    let id = identity_url(app, headers, &user);
    let token = session(app, user);
    let mut body = json!({
        "access_token": token,
        "instance_url": app.instance_url(headers),
        "id": id,
        "token_type": "Bearer",
        "issued_at": Utc::now().timestamp_millis().to_string(),
        "signature": "c2ltdWxhdGVkIHNpZ25hdHVyZQ==",
        "scope": "refresh_token api",
    });
    if let Some(refresh_token) = refresh_token {
        body["refresh_token"] = json!(refresh_token);
    }
    Json(body).into_response()
}

/// A new session of a user: its access token.
pub(super) fn session(app: &App, user: Arc<User>) -> String {
    let token = random(&format!("{}!AQ", &ORG_ID[..15]));
    app.sessions.lock().add(token.clone(), user);
    token
}

/// The user whom a client logs in as, if it is known.
fn client(app: &App, form: &Form) -> Result<Arc<User>, Refusal> {
    let options = app.options();
    let wrong_secret = Err(("invalid_client", "invalid client credentials"));
    if let Some((user, client)) = user_of_client(app, form.field("client_id")) {
        if form.field("client_secret") != client.secret {
            return wrong_secret;
        }
        return Ok(Arc::clone(user));
    }
    if form.field("client_id") != options.client_id {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    if form.field("client_secret") != options.client_secret {
        return wrong_secret;
    }
    Ok(app.first_user())
}

/// A user of the org's file, by the Id of the client that logs in as the user.
fn user_of_client<'a>(app: &'a App, id: &str) -> Option<(&'a Arc<User>, &'a Client)> {
    let mut users = app.org().users.iter();
    users.find_map(|user| {
        let client = user.client.as_ref().filter(|client| client.id == id)?;
        Some((user, client))
    })
}

/// Checks a user's name and password.
fn password(app: &App, form: &Form) -> Result<Arc<User>, Refusal> {
    client(app, form)?;
    let user = by_password(app, form.field("username"), form.field("password"));
    user.ok_or(("invalid_grant", "authentication failure"))
}

/// The user of a name and a password, which the user's security token may follow.
pub(super) fn by_password(app: &App, name: &str, password: &str) -> Option<Arc<User>> {
    let options = app.options();
    if !password.starts_with(&options.password) {
        return None;
    }
    if name == options.jwt_user {
        return Some(app.first_user());
    }
    let mut users = app.org().users.iter();
    users.find(|user| user.username == name).map(Arc::clone)
}

/// The use of a refresh token, until it is dropped.
struct Refreshing<'a>(&'a App, &'a str);

impl<'a> Refreshing<'a> {
    fn begin(app: &'a App, token: &'a str) -> Result<Refreshing<'a>, Refusal> {
        if app.sessions.lock().begin_refresh(token) {
            Ok(Refreshing(app, token))
        } else {
            Err(("invalid_grant", "token request is already being processed"))
        }
    }
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.0.sessions.lock().end_refresh(self.1);
    }
}

/// Checks a refresh token. If they rotate, ends it and returns the next one.
async fn refresh(app: &App, form: &Form) -> Result<(Arc<User>, Option<String>), Refusal> {
    let user = client(app, form)?;
    if let Some(client) = &user.client {
        if client.refresh_token.as_deref() != Some(form.field("refresh_token")) {
            return Err(("invalid_grant", "expired access/refresh token"));
        }
        return Ok((user, None));
    }
    let options = app.options();
    let given = form.field("refresh_token");
    let refreshing = Refreshing::begin(app, given)?;
    tokio::time::sleep(options.token_time).await;
    drop(refreshing);
    let mut sessions = app.sessions.lock();
    let valid = sessions.refresh_token.as_ref();
    if given != valid.unwrap_or(&options.refresh_token) {
        if options.rotate_refresh_token {
            sessions.clear();
            sessions.refresh_token = Some(random("dead"));
        }
        return Err(("invalid_grant", "expired access/refresh token"));
    }
    if !options.rotate_refresh_token {
        return Ok((user, None));
    }
    let next = random("5Aep861");
    sessions.refresh_token = Some(next.clone());
    Ok((user, Some(next)))
}

/// Checks the assertion of a JWT bearer grant.
fn assertion(app: &App, headers: &HeaderMap, assertion: &str) -> Result<Arc<User>, Refusal> {
    let options = app.options();
    let key = options.jwt_public_key.as_deref();
    let claims = key
        .and_then(|key| jwt::verified(assertion, key))
        .ok_or(("invalid_grant", "invalid assertion"))?;
    let left = claims.exp - Utc::now().timestamp();
    let other = user_of_client(app, &claims.iss).map(|(user, _)| Arc::clone(user));
    let username = other
        .as_ref()
        .map_or(&options.jwt_user, |user| &user.username);
    if claims.iss != options.client_id && other.is_none() {
        Err(("invalid_client_id", "client identifier invalid"))
    } else if claims.aud != app.url_for(headers) && !AUDIENCES.contains(&claims.aud.as_str()) {
        Err(("invalid_grant", "audience is invalid"))
    } else if !(0..=ASSERTION_SECONDS).contains(&left) {
        Err(("invalid_grant", "assertion is expired, or lives too long"))
    } else if claims.sub != *username {
        Err(("invalid_grant", "user hasn't approved this consumer"))
    } else {
        Ok(other.unwrap_or_else(|| app.first_user()))
    }
}

fn random(prefix: &str) -> String {
    format!("{prefix}.{:032x}", fastrand::u128(..))
}

/// The response that refuses a token.
pub(super) fn refused(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// `POST /services/oauth2/revoke`.
pub(super) async fn revoke(State(app): State<Arc<App>>, RawForm(form): RawForm) -> StatusCode {
    for (name, value) in url::form_urlencoded::parse(&form) {
        if name == "token" {
            app.sessions.lock().end(&value);
        }
    }
    StatusCode::OK
}

/// `GET /services/oauth2/userinfo`: of the session's user, or of the first without one.
pub(super) async fn user_info(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<Value> {
    let user = gate::session(&app, &headers).unwrap_or_else(|_| app.first_user());
    let User {
        id, username, name, ..
    } = &*user;
    Json(
        json!({"user_id": id, "organization_id": ORG_ID, "preferred_username": username,
        "email": username, "name": name}),
    )
}

/// `GET /id/{org}/{user}`, which is the `id` of a token's response.
pub(super) async fn identity(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let user = app.org().users.iter().find(|user| user.id == id);
    let user = user.ok_or_else(ApiError::not_found)?;
    let User {
        id, username, name, ..
    } = &**user;
    let url = identity_url(&app, &headers, user);
    Ok(Json(
        json!({"id": url, "user_id": id, "organization_id": ORG_ID,
        "username": username, "display_name": name, "email": username, "active": true,
        "user_type": "STANDARD"}),
    ))
}

fn identity_url(app: &App, headers: &HeaderMap, user: &User) -> String {
    format!("{}/id/{ORG_ID}/{}", app.url_for(headers), user.id)
}
