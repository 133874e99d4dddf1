//! The device flow: a person lets a device in with a code, in a browser of another one.

use std::sync::Arc;

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use super::super::App;
use super::pending::{Answer, Polled};
use super::{Form, Login, Refusal, approved, authorize, is_known, page, refused};

/// Where a person types the code.
pub(super) const CONNECT_PATH: &str = "/setup/connect";

/// Why an app may not use the flow. Newer orgs [answer so][seen] to apps whose admins did not switch
/// it on.
///
/// [seen]: https://github.com/forcedotcom/code-builder-feedback/issues/263
const BLOCKED: Refusal = ("invalid_grant", "device flow is not enabled for the app");

/// `response_type=device_code` at the token endpoint: begins the login of a device.
pub(super) fn begin(app: &App, headers: &HeaderMap, form: &Form) -> Response {
    let options = app.options();
    let client = form.field("client_id");
    let checked = if !is_known(app, client) {
        Err(("invalid_client_id", "client identifier invalid"))
    } else if options.device_flow {
        authorize::scope(form)
    } else {
        Err(BLOCKED)
    };
    let scope = match checked {
        Ok(scope) => scope,
        Err((error, description)) => return refused(error, description),
    };
    let (device_code, user_code) = app.pending.lock().device(client, scope);
    let url = app.url_for(headers);
    Json(json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{url}{CONNECT_PATH}"),
        "interval": options.device_interval.as_secs(),
    }))
    .into_response()
}

/// `grant_type=device`: a device asks whether it was let in.
pub(super) fn poll(app: &App, form: &Form) -> Result<Login, Refusal> {
    let options = app.options();
    if !options.device_flow {
        return Err(BLOCKED);
    }
    let client = form.field("client_id");
    if !is_known(app, client) {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    let (life, interval) = (options.device_lifetime, options.device_interval);
    let name = form.field("code");
    let polled = app.pending.lock().poll(name, client, life, interval);
    match polled {
        Polled::Unknown => Err(("invalid_grant", "invalid device code")),
        Polled::TooSoon => Err(("slow_down", "polling too quickly")),
        Polled::Waits => Err(("authorization_pending", "awaiting approval")),
        Polled::Denied => Err(("access_denied", "end-user denied authorization")),
        Polled::Allowed { user, scope } => Ok(approved(app, client, user, scope)),
    }
}

/// `GET` and `POST /setup/connect`: asks for the code, for a login, and for the person's consent.
pub(super) async fn connect(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    RawForm(form): RawForm,
) -> Response {
    let form = Form::of(&uri, &form);
    let user_code = form.field("user_code");
    if method != Method::POST {
        return page::connect(user_code, false);
    }
    let life = app.options().device_lifetime;
    let found = {
        let mut pending = app.pending.lock();
        let device = pending.waiting(user_code, life);
        device.map(|device| (device.client.clone(), device.scope.clone()))
    };
    let Some((client, scope)) = found else {
        return page::connect(user_code, true);
    };
    let hidden = ["user_code", "prompt"].map(|name| (name, form.field(name)));
    let (user, is_allowed) = match authorize::decided(&app, &form, &hidden, (&client, &scope)) {
        Ok(decided) => decided,
        Err(page) => return *page,
    };
    if let Some(device) = app.pending.lock().waiting(user_code, life) {
        device.answer(if is_allowed {
            Answer::Allowed(user)
        } else {
            Answer::Denied
        });
    }
    page::connected(is_allowed)
}
