//! Logins: the token endpoint, and what is beside it.

mod authorize;
mod device;
mod identity;
mod jwt;
mod page;
mod pending;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde_json::json;

use super::session::Approval;
use super::{App, body};
use crate::org::ORG_ID;
use crate::org::user::{Client, User};

pub(super) use self::pending::Pending;

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

/// The fields of a request.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(fields: &[u8]) -> Form {
        Form(url::form_urlencoded::parse(fields).into_owned().collect())
    }

    /// The fields of a request's body, then those of its address.
    fn of(uri: &Uri, body: &[u8]) -> Form {
        let mut form = Form::read(body);
        let query = uri.query().unwrap_or_default();
        form.0.extend(Form::read(query.as_bytes()).0);
        form
    }

    /// A field; empty if it is absent.
    fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Who logs in, and what comes with the session.
struct Login {
    user: Arc<User>,
    /// The number of the approval that the session belongs to.
    approval: Option<usize>,
    scope: String,
    /// A new refresh token.
    refresh_token: Option<String>,
}

impl Login {
    /// A login by a grant that knows no approval.
    fn of(user: Arc<User>) -> Login {
        let scope = "api".to_owned();
        Login {
            user,
            approval: None,
            scope,
            refresh_token: None,
        }
    }
}

/// The routes of logins.
pub(super) fn routes() -> Router<Arc<App>> {
    let authorize = get(authorize::authorize).post(authorize::authorize);
    let connect = get(device::connect).post(device::connect);
    let revoke = get(identity::revoke).post(identity::revoke);
    let user_info = get(identity::user_info).post(identity::user_info);
    Router::new()
        .route("/services/oauth2/token", post(token))
        .route("/services/oauth2/authorize", authorize)
        .route("/services/oauth2/success", get(page::success))
        .route(page::ERROR_PATH, get(page::oauth_error))
        .route(device::CONNECT_PATH, connect)
        .route("/services/oauth2/revoke", revoke)
        .route("/services/oauth2/userinfo", user_info)
        .route(&format!("/id/{ORG_ID}/{{user}}"), get(identity::identity))
}

/// `POST /services/oauth2/token`.
async fn token(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    app.sessions.lock().requests += 1;
    let mut form = Form::read(&form);
    form.0.extend(basic(&headers).into_iter().flatten());
    if form.field("response_type") == "device_code" {
        return device::begin(&app, &headers, &form);
    }
    let checked = match form.field("grant_type") {
        "refresh_token" => refresh(&app, &form).await,
        "authorization_code" => authorize::exchange(&app, &form),
        "device" => device::poll(&app, &form),
        "client_credentials" => client(&app, &form, true).map(Login::of),
        "password" => password(&app, &form).map(Login::of),
        JWT_BEARER => assertion(&app, &headers, form.field("assertion")).map(Login::of),
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    };
    match checked {
        Ok(login) => issue(&app, &headers, login),
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

/// Issues an access token, with the new refresh token if there is one.
fn issue(app: &App, headers: &HeaderMap, login: Login) -> Response {
    let id = identity::url(app, headers, &login.user);
    let token = session(app, login.user, login.approval);
    let mut body = json!({
        "access_token": token,
        "instance_url": app.instance_url(headers),
        "id": id,
        "token_type": "Bearer",
        "issued_at": Utc::now().timestamp_millis().to_string(),
        "signature": "c2ltdWxhdGVkIHNpZ25hdHVyZQ==",
        "scope": login.scope,
    });
    if let Some(refresh_token) = login.refresh_token {
        body["refresh_token"] = json!(refresh_token);
    }
    Json(body).into_response()
}

/// The login that a user approved: with a refresh token, if the scope has one.
fn approved(app: &App, client: &str, user: Arc<User>, scope: String) -> Login {
    let has_refresh = |part: &str| ["refresh_token", "offline_access"].contains(&part);
    if !scope.split(' ').any(has_refresh) {
        return Login {
            scope,
            ..Login::of(user)
        };
    }
    let refresh_token = random("5Aep861");
    let approval = Approval {
        client: client.to_owned(),
        user: Arc::clone(&user),
        scope: scope.clone(),
        refresh_token: refresh_token.clone(),
    };
    let number = app
        .sessions
        .lock()
        .approve(approval, app.options().approvals);
    Login {
        user,
        approval: Some(number),
        scope,
        refresh_token: Some(refresh_token),
    }
}

/// A new session of a user, of an approval if it comes from one: its access token.
pub(super) fn session(app: &App, user: Arc<User>, approval: Option<usize>) -> String {
    let token = random(&format!("{}!AQ", &ORG_ID[..15]));
    app.sessions.lock().add(token.clone(), user, approval);
    token
}

/// Whether an app has this client id.
fn is_known(app: &App, client_id: &str) -> bool {
    client_id == app.options().client_id || user_of_client(app, client_id).is_some()
}

/// The user whom an app logs in as without one. Its secret is checked; one that need not come with
/// it may be absent.
fn client(app: &App, form: &Form, needs_secret: bool) -> Result<Arc<User>, Refusal> {
    let options = app.options();
    let is_right = |secret: &str| {
        let given = form.field("client_secret");
        given == secret || (given.is_empty() && !needs_secret)
    };
    let id = form.field("client_id");
    let (user, secret) = match user_of_client(app, id) {
        Some((user, client)) => (Arc::clone(user), client.secret.as_str()),
        None if id == options.client_id => (app.first_user(), options.client_secret.as_str()),
        None => return Err(("invalid_client_id", "client identifier invalid")),
    };
    if is_right(secret) {
        Ok(user)
    } else {
        Err(("invalid_client", "invalid client credentials"))
    }
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
    client(app, form, true)?;
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
async fn refresh(app: &App, form: &Form) -> Result<Login, Refusal> {
    let options = app.options();
    let user = client(app, form, options.require_secret)?;
    let (given, client_id) = (form.field("refresh_token"), form.field("client_id"));
    let refreshing = Refreshing::begin(app, given)?;
    tokio::time::sleep(options.token_time).await;
    drop(refreshing);
    let fixed = match &user.client {
        Some(client) => client.refresh_token.as_deref(),
        None => Some(options.refresh_token.as_str()),
    };
    let next = options.rotate_refresh_token.then(|| random("5Aep861"));
    let mut sessions = app.sessions.lock();
    if fixed == Some(given) {
        sessions.give(Approval {
            client: client_id.to_owned(),
            user,
            scope: "refresh_token api".to_owned(),
            refresh_token: given.to_owned(),
        });
    }
    let used = sessions.refresh(given, client_id, next.clone());
    let (number, approval) = used.ok_or(("invalid_grant", "expired access/refresh token"))?;
    Ok(Login {
        user: approval.user,
        approval: Some(number),
        scope: approval.scope,
        refresh_token: next,
    })
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
