//! Why a person's login was refused: the cause and the cure.

use super::app::Endpoint;
use crate::bulk::error::{BulkError, LoginRefused};
use crate::error::ErrorKind;

/// Longest text of Salesforce's that goes into an error, in characters.
const MAX_DETAIL: usize = 300;

/// The flow is closed, by Salesforce for new orgs or by an admin.
const NO_DEVICE: &str = "this org or app allows no login by a code on another device, as Salesforce wants it of \
    new orgs: log in at a browser";

const DEAD_CODE: &str =
    "the code is not valid any more: start again, and type it within ten minutes";

impl LoginRefused {
    /// The refusal of a login that a person began.
    pub(super) fn of_person(host: &str, error: &str, words: &str) -> Self {
        let (kind, cure) = cure(host, error, &words.to_ascii_lowercase());
        Self {
            host: host.to_owned(),
            error: short(error),
            description: short(words),
            cure,
            kind,
        }
    }
}

impl Endpoint {
    /// The error of a device that gets no code.
    pub(super) fn refused_device(&self, error: &str, words: &str) -> BulkError {
        const OF_FLOW: [&str; 5] = [
            "invalid_grant",
            "invalid_request",
            "unauthorized_client",
            "unsupported_grant_type",
            "unsupported_response_type",
        ];
        let of_flow = OF_FLOW.contains(&error) || words.to_ascii_lowercase().contains("device");
        self.refused_with(error, words, of_flow.then_some(NO_DEVICE))
    }

    /// The error of a device whose code is refused.
    pub(super) fn refused_code(&self, error: &str, words: &str) -> BulkError {
        let dead = matches!(error, "invalid_grant" | "expired_token");
        self.refused_with(error, words, dead.then_some(DEAD_CODE))
    }

    fn refused_with(&self, error: &str, words: &str, cure: Option<&str>) -> BulkError {
        let host = self.app.login_url.host_str().unwrap_or_default();
        let mut refused = LoginRefused::of_person(host, error, words);
        if let Some(cure) = cure {
            cure.clone_into(&mut refused.cure);
        }
        refused.into()
    }
}

fn cure(host: &str, error: &str, words: &str) -> (ErrorKind, String) {
    use ErrorKind::{Config, Transient};
    let config = |cure: &str| (Config, cure.to_owned());
    match error {
        "access_denied" => config(
            "the person at the browser did not allow it, or is not allowed to use the app: log in again \
             and press Allow, or let an admin give access to the app",
        ),
        "redirect_uri_mismatch" => config(
            "the callback is none of the app's: add it to the callback URLs of the app, letter for \
             letter, or log in with one of those",
        ),
        "invalid_client_id" => config(&format!(
            "the client ID is not the consumer key of an app that {host} knows: copy it again from the \
             app's page in Setup; {}",
            elsewhere(host)
        )),
        "invalid_client" => config(
            "the app asks for its consumer secret, or it is another one: give that of the app's page, or \
             let the app do without (its page in Setup: Require Secret for Web Server Flow, and for \
             Refresh Token Flow)",
        ),
        "invalid_scope" => config(
            "the app must allow the scopes api and refresh_token (offline_access): add them on its page \
             in Setup",
        ),
        "invalid_grant" if words.contains("verifier") => config(
            "what stands between here and Salesforce has changed the login: log in again, and past it",
        ),
        "invalid_grant" if words.contains("ip restricted") => config(
            "logins from this address are not allowed: add it to the app's or the profile's IP ranges, \
             or relax them",
        ),
        "invalid_grant" => config(
            "the code is not valid any more: it lives for a few minutes, and once. Log in again",
        ),
        "unsupported_grant_type" | "unsupported_response_type" | "unauthorized_client" => config(
            "the app does not allow logins at a browser: turn on its Authorization Code flow in Setup",
        ),
        "invalid_app_access" | "OAUTH_AUTHORIZATION_BLOCKED" => config(
            "the user may not use this app: in Setup, give the user's profile or a permission set \
             access to it",
        ),
        "OAUTH_APPROVAL_ERROR_GENERIC" | "OAUTH_EC_APP_NOT_FOUND" | "OAUTH_EC_APP_BLOCKED" => {
            config(
                "the org does not know the app: install it there (Setup: Connected Apps OAuth Usage), or \
             give the user the permission Approve Uninstalled Connected Apps",
            )
        }
        "inactive_user" => config("the user is inactive: activate it in Setup > Users"),
        "inactive_org" => config("the org is locked, closed or suspended: ask Salesforce"),
        "rate_limit_exceeded" => (
            Transient,
            "too many logins at once: start again later".to_owned(),
        ),
        "server_error" | "temporarily_unavailable" | "unknown_error" => (
            Transient,
            "the login service has a problem: start again later".to_owned(),
        ),
        _ => config(&format!("check the app; {}", elsewhere(host))),
    }
}

/// Where the org is, if it is not where the login went.
fn elsewhere(host: &str) -> &'static str {
    match host {
        "login.salesforce.com" => {
            "if the org is a sandbox, log in at test.salesforce.com or at its My Domain"
        }
        "test.salesforce.com" => {
            "if the org is no sandbox, log in at login.salesforce.com or at its My Domain"
        }
        _ => "check that this is the My Domain of the org (a sandbox has one of its own)",
    }
}

/// Words that came from outside, on a line and not too long.
fn short(words: &str) -> String {
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_DETAIL).collect()
}
