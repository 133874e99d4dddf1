//! The authorization code flow: the page where a person lets an app in, and the exchange of the
//! code.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use url::Url;

use super::super::App;
use super::pending::Code;
use super::{Form, Login, Refusal, approved, by_password, client, is_known, jwt, page};
use crate::options::AppPolicy;
use crate::org::user::User;

/// The fields of a request that its pages send again.
const FIELDS: [&str; 9] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "prompt",
];
/// What an app may ask for.
const SCOPES: [&str; 20] = [
    "address",
    "api",
    "chatter_api",
    "content",
    "custom_permissions",
    "eclair_api",
    "email",
    "full",
    "id",
    "lightning",
    "offline_access",
    "openid",
    "pardot_api",
    "phone",
    "profile",
    "refresh_token",
    "sfap_api",
    "visualforce",
    "wave_api",
    "web",
];
/// What an app is given that asks for nothing by name.
const DEFAULT_SCOPE: &str = "refresh_token api id";

/// `GET` and `POST /services/oauth2/authorize`.
pub(super) async fn authorize(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
    RawForm(form): RawForm,
) -> Response {
    let form = Form::of(&uri, &form);
    let redirect = match callback(&app, &headers, &form) {
        Ok(redirect) => redirect,
        Err((error, description)) => return page::failed(error, description),
    };
    let scope = match wanted(&app, &form) {
        Ok(scope) => scope,
        Err((error, description)) => {
            let refusal = [("error", error), ("error_description", description)];
            return back(redirect, &refusal, form.field("state"));
        }
    };
    let hidden = FIELDS.map(|name| (name, form.field(name)));
    let (user, is_allowed) = match decided(&app, &form, &hidden, (form.field("client_id"), &scope))
    {
        Ok(decided) => decided,
        Err(page) => return *page,
    };
    if !is_allowed {
        let refusal = [
            ("error", "access_denied"),
            ("error_description", "end-user denied authorization"),
        ];
        return back(redirect, &refusal, form.field("state"));
    }
    let challenge = Some(form.field("code_challenge")).filter(|text| !text.is_empty());
    let code = app.pending.lock().code(Code {
        made: Instant::now(),
        is_used: false,
        user,
        client: form.field("client_id").to_owned(),
        scope,
        redirect_uri: form.field("redirect_uri").to_owned(),
        challenge: challenge.map(str::to_owned),
    });
    back(redirect, &[("code", &code)], form.field("state"))
}

/// What a person decided of an app that asks for a scope, and who it is; the page that asks, if that
/// is open.
pub(super) fn decided(
    app: &App,
    form: &Form,
    hidden: &[(&str, &str)],
    (client, scope): (&str, &str),
) -> Result<(Arc<User>, bool), Box<Response>> {
    let options = app.options();
    let password = [form.field("pw"), form.field("password")].concat();
    let typed = || by_password(app, form.field("username"), &password);
    let is_asked = form.field("prompt").split(' ').any(|word| word == "login");
    let browser = options.signed_in.as_deref().filter(|_| !is_asked);
    let browser = browser.and_then(|name| user_named(app, name));
    let is_signed_in = browser.is_some();
    let holder = app.pending.lock().holder(form.field("ticket"));
    let Some(user) = browser.or(holder).or_else(typed) else {
        let name = [form.field("username"), form.field("login_hint")];
        let name = name.into_iter().find(|name| !name.is_empty());
        let is_wrong = form.0.iter().any(|(name, _)| name == "username");
        let page = page::login(hidden, name.unwrap_or_default(), is_wrong);
        return Err(Box::new(page));
    };
    if options.app == AppPolicy::NotInstalled {
        let description = "app must be installed into org";
        return Err(Box::new(page::failed("invalid_client", description)));
    }
    match form.field("decision").to_ascii_lowercase().as_str() {
        "deny" => Ok((user, false)),
        "allow" => Ok((user, true)),
        // Who is logged in and approved the app before is not asked again.
        _ if is_signed_in => Ok((user, true)),
        _ => {
            let ticket = app.pending.lock().ticket(Arc::clone(&user));
            let mut hidden = hidden.to_vec();
            hidden.push(("ticket", &ticket));
            let page = page::consent(&hidden, client, &user.username, scope);
            Err(Box::new(page))
        }
    }
}

/// The user of a name.
fn user_named(app: &App, name: &str) -> Option<Arc<User>> {
    if name == app.options().jwt_user {
        return Some(app.first_user());
    }
    let mut users = app.org().users.iter();
    users.find(|user| user.username == name).map(Arc::clone)
}

/// Where the browser is to go. As long as that is not known to be the app's, errors are shown to
/// the person alone.
fn callback(app: &App, headers: &HeaderMap, form: &Form) -> Result<Url, Refusal> {
    let options = app.options();
    if options.app == AppPolicy::NotFound {
        let description = "external client app is not installed in this org";
        return Err(("invalid_client", description));
    }
    if !is_known(app, form.field("client_id")) {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    let given = form.field("redirect_uri");
    if given.is_empty() {
        return Err(("redirect_uri_missing", "redirect_uri not provided"));
    }
    let mismatch = (
        "redirect_uri_mismatch",
        "redirect_uri must match configuration",
    );
    let redirect = Url::parse(given).map_err(|_| mismatch)?;
    let is_loopback = redirect.scheme() == "http"
        && matches!(
            redirect.host_str(),
            Some("localhost" | "127.0.0.1" | "[::1]")
        );
    let own = format!("{}/services/oauth2/success", app.url_for(headers));
    let registered = &options.redirect_uris;
    let is_registered = registered.iter().any(|known| known == given)
        || (registered.is_empty() && (is_loopback || given == own));
    if is_registered {
        Ok(redirect)
    } else {
        Err(mismatch)
    }
}

/// What the app is to be given. Errors go to the app.
fn wanted(app: &App, form: &Form) -> Result<String, Refusal> {
    if form.field("response_type") != "code" {
        return Err(("unsupported_response_type", "response type must be code"));
    }
    let challenge = form.field("code_challenge");
    if challenge.is_empty() {
        if app.options().require_pkce {
            return Err(("invalid_request", "missing required code challenge"));
        }
    } else if !["", "S256"].contains(&form.field("code_challenge_method")) {
        return Err(("invalid_request", "code challenge method must be S256"));
    } else if jwt::base64(challenge).is_none_or(|hash| hash.len() != SHA256.output_len()) {
        return Err(("invalid_request", "invalid code challenge"));
    }
    scope(form)
}

/// The scope that a request asks for.
pub(super) fn scope(form: &Form) -> Result<String, Refusal> {
    let scope = form.field("scope").split_whitespace();
    let scope: Vec<&str> = scope.collect();
    if scope.iter().any(|part| !SCOPES.contains(part)) {
        return Err(("invalid_scope", "the requested scope is not allowed"));
    }
    if scope.is_empty() {
        return Ok(DEFAULT_SCOPE.to_owned());
    }
    Ok(scope.join(" "))
}

/// Sends the browser back to the app.
fn back(mut redirect: Url, answer: &[(&str, &str)], state: &str) -> Response {
    let mut query = redirect.query_pairs_mut();
    query.extend_pairs(answer);
    if !state.is_empty() {
        query.append_pair("state", state);
    }
    drop(query);
    page::found(redirect.as_str())
}

/// Exchanges a code: once, within its time, by the app and with the address that it was given to.
pub(super) fn exchange(app: &App, form: &Form) -> Result<Login, Refusal> {
    let options = app.options();
    client(app, form, options.require_secret)?;
    let code = app.pending.lock().use_code(form.field("code"));
    let invalid = ("invalid_grant", "invalid authorization code");
    let code = code.ok_or(invalid)?;
    if code.is_used || code.made.elapsed() >= options.code_lifetime {
        return Err(("invalid_grant", "expired authorization code"));
    }
    if code.client != form.field("client_id") {
        return Err(invalid);
    }
    if code.redirect_uri != form.field("redirect_uri") {
        return Err((
            "redirect_uri_mismatch",
            "redirect_uri must match configuration",
        ));
    }
    match &code.challenge {
        Some(challenge) if !verifies(form.field("code_verifier"), challenge) => {
            return Err(("invalid_grant", "invalid code verifier"));
        }
        // Without a secret and without a proof anybody could use a code that was seen.
        None if form.field("client_secret").is_empty() => {
            return Err(("invalid_client", "invalid client credentials"));
        }
        _ => {}
    }
    Ok(approved(app, &code.client, code.user, code.scope))
}

/// Whether a verifier of at least 43 characters is the one that a challenge was made of. Salesforce
/// takes longer ones than the standard, such as those of jsforce: 128 bytes in Base64.
fn verifies(verifier: &str, challenge: &str) -> bool {
    let hash = digest(&SHA256, verifier.as_bytes());
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    verifier.len() >= 43
        && verifier.bytes().all(is_allowed)
        && URL_SAFE_NO_PAD.encode(hash) == challenge.trim_end_matches('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_checked_against_its_challenge() {
        // The example of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies(verifier, challenge));
        assert!(!verifies(&verifier.replace('d', "e"), challenge));
        assert!(!verifies(
            "short",
            &URL_SAFE_NO_PAD.encode(digest(&SHA256, b"short"))
        ));
    }
}
