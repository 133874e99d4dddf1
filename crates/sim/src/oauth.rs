//! The token endpoint.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use chrono::Utc;
use serde_json::{Value, json};

use super::jwt;
use super::state::Shared;

/// The user that everything is done as: the first of the org's records.
pub(crate) const USER_ID: &str = "0055g0000000000AAA";
/// The org.
pub(crate) const ORG_ID: &str = "00D5g0000000000EAA";

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Login URLs that an assertion may be for, besides the org's own.
const AUDIENCES: [&str; 2] = [
    "https://login.salesforce.com",
    "https://test.salesforce.com",
];
/// The longest life of an assertion in seconds, with some room for clocks.
const ASSERTION_SECONDS: i64 = 180 + 30;

/// Why no token is given: `error` and `error_description`.
type Refusal = (&'static str, &'static str);

/// The fields of a token request.
struct Form(Vec<(String, String)>);

impl Form {
    fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Answers `POST /services/oauth2/token`.
pub(crate) async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    shared.state().token_requests += 1;
    let mut form = Form(url::form_urlencoded::parse(&form).into_owned().collect());
    form.0.extend(basic(&headers).into_iter().flatten());
    let answer = match form.field("grant_type") {
        "refresh_token" => refresh(&shared, &form).await,
        "client_credentials" => client(&shared, &form).map(|()| None),
        JWT_BEARER => assertion(&shared, form.field("assertion")).map(|()| None),
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    };
    match answer {
        Ok(refresh_token) => issue(&shared, refresh_token),
        Err((error, description)) => refused(error, description),
    }
}

/// The client's id and secret where they come in a header, as simple-salesforce sends them.
fn basic(headers: &HeaderMap) -> Option<[(String, String); 2]> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = String::from_utf8(jwt::base64(value.strip_prefix("Basic ")?)?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some([("client_id", id), ("client_secret", secret)].map(|(k, v)| (k.to_owned(), v.to_owned())))
}

/// Gives an access token, and the refresh token that a rotation made.
fn issue(shared: &Shared, refresh_token: Option<String>) -> Response {
    let url = &shared.url;
    let token = random(&format!("{}!AQ", &ORG_ID[..15]));
    let mut answer = json!({
        "access_token": token,
        "instance_url": url,
        "id": identity_url(shared),
        "token_type": "Bearer",
        "issued_at": Utc::now().timestamp_millis().to_string(),
        "signature": "c2ltdWxhdGVkIHNpZ25hdHVyZQ==",
        "scope": "refresh_token api",
    });
    if let Some(refresh_token) = refresh_token {
        answer["refresh_token"] = json!(refresh_token);
    }
    let mut state = shared.state();
    state.tokens_issued += 1;
    state.tokens.insert(token, Instant::now());
    Json(answer).into_response()
}

/// Checks who the client is.
fn client(shared: &Shared, form: &Form) -> Result<(), Refusal> {
    let options = shared.options();
    if form.field("client_id") != options.client_id {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    if form.field("client_secret") != options.client_secret {
        return Err(("invalid_client", "invalid client credentials"));
    }
    Ok(())
}

/// A refresh under way, until it is dropped.
struct Refreshing<'a>(&'a Shared, &'a str);

impl<'a> Refreshing<'a> {
    fn begin(shared: &'a Shared, token: &'a str) -> Result<Refreshing<'a>, Refusal> {
        if shared.state().refreshing.insert(token.to_owned()) {
            Ok(Refreshing(shared, token))
        } else {
            Err(("invalid_grant", "token request is already being processed"))
        }
    }
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.0.state().refreshing.remove(self.1);
    }
}

/// Checks a refresh token and, where they rotate, kills it and makes the next one.
async fn refresh(shared: &Shared, form: &Form) -> Result<Option<String>, Refusal> {
    client(shared, form)?;
    let options = shared.options();
    let shown = form.field("refresh_token");
    let refreshing = Refreshing::begin(shared, shown)?;
    tokio::time::sleep(options.token_time).await;
    drop(refreshing);
    let mut state = shared.state();
    let valid = state.refresh_token.as_ref();
    if shown != valid.unwrap_or(&options.refresh_token) {
        if options.rotate_refresh_token {
            state.tokens.clear();
            state.refresh_token = Some(random("dead"));
        }
        return Err(("invalid_grant", "expired access/refresh token"));
    }
    if !options.rotate_refresh_token {
        return Ok(None);
    }
    let next = random("5Aep861");
    state.refresh_token = Some(next.clone());
    Ok(Some(next))
}

/// Checks the assertion of a JWT bearer grant.
fn assertion(shared: &Shared, assertion: &str) -> Result<(), Refusal> {
    let options = shared.options();
    let key = options.jwt_public_key.as_deref();
    let claims = key
        .and_then(|key| jwt::verified(assertion, key))
        .ok_or(("invalid_grant", "invalid assertion"))?;
    let left = claims.exp - Utc::now().timestamp();
    if claims.iss != options.client_id {
        Err(("invalid_client_id", "client identifier invalid"))
    } else if claims.aud != shared.url && !AUDIENCES.contains(&claims.aud.as_str()) {
        Err(("invalid_grant", "audience is invalid"))
    } else if !(0..=ASSERTION_SECONDS).contains(&left) {
        Err(("invalid_grant", "assertion is expired, or lives too long"))
    } else if claims.sub != options.jwt_user {
        Err(("invalid_grant", "user hasn't approved this consumer"))
    } else {
        Ok(())
    }
}

fn random(prefix: &str) -> String {
    format!("{prefix}.{:032x}", fastrand::u128(..))
}

/// Refuses a token.
pub(crate) fn refused(error: &str, description: &str) -> Response {
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

/// Name, e-mail address and user name of the user.
const USER: (&str, &str) = ("Lena Loader", "loader@sim.example");

/// Answers `GET /services/oauth2/userinfo`.
pub(crate) async fn user_info() -> Json<Value> {
    let (name, email) = USER;
    Json(
        json!({"user_id": USER_ID, "organization_id": ORG_ID, "preferred_username": email,
        "email": email, "name": name}),
    )
}

/// Answers `GET /id/{org}/{user}`, which is the `id` of a token's answer.
pub(crate) async fn identity(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (name, email) = USER;
    Json(
        json!({"id": identity_url(&shared), "user_id": USER_ID, "organization_id": ORG_ID,
        "username": email, "display_name": name, "email": email, "active": true,
        "user_type": "STANDARD"}),
    )
}

fn identity_url(shared: &Shared) -> String {
    format!("{}/id/{ORG_ID}/{USER_ID}", shared.url)
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
