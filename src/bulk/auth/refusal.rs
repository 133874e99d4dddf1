//! Why the token endpoint refused a login: the cause and the cure.

use super::credentials::Flow;
use super::keeper::Keepers;
use crate::bulk::error::LoginRefused;
use crate::error::ErrorKind;

impl LoginRefused {
    /// Reads the cause from OAuth's code and, where several causes share one, Salesforce's words.
    pub(super) fn new(host: &str, flow: &Flow, error: &str, description: &str) -> Self {
        let words = description.to_ascii_lowercase();
        let (kind, cure) = match error {
            "invalid_grant" => invalid_grant_cure(host, flow, &words),
            _ => cure(host, flow, error),
        };
        Self {
            host: host.to_owned(),
            error: error.to_owned(),
            description: description.to_owned(),
            cure,
            kind,
        }
    }

    /// Salesforce knows no session of a ready access token.
    pub(super) fn no_session(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            error: "INVALID_SESSION_ID".to_owned(),
            description: "Session expired or invalid".to_owned(),
            cure: NO_SESSION.to_owned(),
            kind: ErrorKind::Config,
        }
    }

    /// The same with the cure of who keeps the refresh token, if it is the token that is refused.
    pub(super) fn unless_kept(mut self, keepers: &Keepers) -> Self {
        if self.cure.starts_with(DEAD_TOKEN)
            && let Some(cure) = keepers.cure()
        {
            self.cure = cure;
        }
        self
    }

    /// Whether it is the audience of a JWT that was refused.
    pub(super) fn is_of_audience(&self) -> bool {
        self.error == "invalid_grant" && self.description.to_ascii_lowercase().contains("audience")
    }
}

/// Where the org is, if it is not where the login went.
fn other_host(host: &str) -> &'static str {
    match host {
        "login.salesforce.com" => {
            "if the org is a sandbox, switch is_sandbox on, so that the login goes to \
             test.salesforce.com"
        }
        "test.salesforce.com" => {
            "if the org is not a sandbox, switch is_sandbox off, so that the login goes to \
             login.salesforce.com"
        }
        _ => "check that login_url is the My Domain of this org (a sandbox has one of its own)",
    }
}

fn cure(host: &str, flow: &Flow, error: &str) -> (ErrorKind, String) {
    use ErrorKind::{Config, Transient};
    let transient = |cure: &str| (Transient, cure.to_owned());
    let config = |cure: &str| (Config, cure.to_owned());
    match error {
        "invalid_app_access" => config(
            "the user may not use this app: in Setup, give the user's profile or a permission \
             set access to it, or let it pre-authorize users",
        ),
        "invalid_client_id" => config(&format!(
            "client_id is not the consumer key of an app of this org: copy it again from the \
             app's page in Setup; {}",
            other_host(host)
        )),
        "invalid_client" => config(
            "client_secret is not the consumer secret of the app: copy it again from the app's \
             page in Setup",
        ),
        "unsupported_grant_type" => config(&format!(
            "the app does not allow the {} flow: turn it on in its OAuth settings",
            flow.name()
        )),
        "invalid_scope" => {
            config("the app lacks the scopes api and refresh_token: add them, then authorize again")
        }
        "inactive_user" => config(INACTIVE_USER),
        "inactive_org" => config("the org is locked, closed or suspended: ask Salesforce"),
        "rate_limit_exceeded" => transient("too many logins at once: start again later"),
        "server_error" | "temporarily_unavailable" | "unknown_error" => {
            transient("the login service has a problem: start again later")
        }
        _ => config(&format!("check the credentials; {}", other_host(host))),
    }
}

const NO_SESSION: &str = "the access token has expired, was revoked or is of another org than this host's: \
    get a new one; for a load that takes longer than a session lasts, use credentials that can log in \
    again";

const INACTIVE_USER: &str = "the user is inactive: activate it in Setup > Users";

const UNDER_WAY: &str = "another login of the same token is under way: start again in a moment, and give \
    each process a token of its own";

/// Parts of Salesforce's words, in lower case, and what they ask for.
const GRANT_CURES: [(&str, ErrorKind, &str); 8] = [
    ("already being processed", ErrorKind::Transient, UNDER_WAY),
    // Said of the same since 2024: no flow of this crate has an authorization code.
    (
        "expired authorization code",
        ErrorKind::Transient,
        UNDER_WAY,
    ),
    (
        "not supported on this domain",
        ErrorKind::Config,
        "this login works on the org's My Domain only: set login_url to it \
         (https://<name>.my.salesforce.com)",
    ),
    (
        "no client credentials user",
        ErrorKind::Config,
        "set a Run As user for the app's client credentials flow in Setup",
    ),
    (
        "hasn't approved this consumer",
        ErrorKind::Config,
        "the user has not approved the app: authorize it, or let it pre-authorize users",
    ),
    ("inactive user", ErrorKind::Config, INACTIVE_USER),
    (
        "ip restricted",
        ErrorKind::Config,
        "logins from this address are not allowed: add it to the app's or the profile's IP \
         ranges, or relax them",
    ),
    (
        "authentication failure",
        ErrorKind::Config,
        "the user could not be authenticated: look at Setup > Login History for the reason",
    ),
];

const DEAD_TOKEN: &str = "the refresh token is not valid any more: it was revoked, has expired, was \
    replaced by a newer one (where tokens rotate, only the newest is valid, and each connection needs its \
    own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again \
    and set the new refresh_token";

fn invalid_grant_cure(host: &str, flow: &Flow, words: &str) -> (ErrorKind, String) {
    let known = GRANT_CURES.iter().find(|(part, ..)| words.contains(part));
    if let Some((_, kind, cure)) = known {
        return (*kind, (*cure).to_owned());
    }
    let cause = match flow {
        _ if words.contains("audience") => "the login URL does not fit the org",
        Flow::RefreshToken { .. } => DEAD_TOKEN,
        Flow::ClientCredentials { .. } => {
            "check client_id and client_secret, and the Run As user of the app"
        }
        Flow::JwtBearer { .. } => {
            "check username, that the certificate of private_key is the app's, and that the app \
             pre-authorizes the user"
        }
        Flow::AccessToken { .. } => NO_SESSION,
    };
    (ErrorKind::Config, format!("{cause}; {}", other_host(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh_token() -> Flow {
        Flow::RefreshToken {
            client_secret: "s".into(),
            refresh_token: "t".into(),
        }
    }

    fn shown(host: &str, flow: &Flow, error: &str, description: &str) -> String {
        let refused = LoginRefused::new(host, flow, error, description);
        format!("{:?}: {refused}", refused.kind)
    }

    fn refused(error: &str, description: &str) -> String {
        shown("login.salesforce.com", &refresh_token(), error, description)
    }

    #[test]
    fn login_texts_say_cause_and_cure() {
        let texts = [
            refused("invalid_grant", "expired access/refresh token"),
            refused("invalid_grant", "token request is already being processed"),
            refused("invalid_grant", "request not supported on this domain"),
            refused("invalid_grant", "no client credentials user enabled"),
            refused("invalid_grant", "user hasn't approved this consumer"),
            refused("invalid_grant", "inactive user"),
            refused("invalid_grant", "ip restricted"),
            refused("invalid_grant", "authentication failure"),
            refused("invalid_grant", "Audience validation failed"),
            refused("invalid_client_id", "client identifier invalid"),
            refused("invalid_client", "invalid client credentials"),
            refused("invalid_app_access", "user is not admin approved"),
            refused("unsupported_grant_type", "grant type not supported"),
            refused("rate_limit_exceeded", "login rate exceeded"),
            refused("something_new", "?"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Config: the login at login.salesforce.com was refused (invalid_grant: expired access/refresh token); the refresh token is not valid any more: it was revoked, has expired, was replaced by a newer one (where tokens rotate, only the newest is valid, and each connection needs its own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again and set the new refresh_token; if the org is a sandbox, switch is_sandbox on, so that the login goes to test.salesforce.com
        Transient: the login at login.salesforce.com was refused (invalid_grant: token request is already being processed); another login of the same token is under way: start again in a moment, and give each process a token of its own
        Config: the login at login.salesforce.com was refused (invalid_grant: request not supported on this domain); this login works on the org's My Domain only: set login_url to it (https://<name>.my.salesforce.com)
        Config: the login at login.salesforce.com was refused (invalid_grant: no client credentials user enabled); set a Run As user for the app's client credentials flow in Setup
        Config: the login at login.salesforce.com was refused (invalid_grant: user hasn't approved this consumer); the user has not approved the app: authorize it, or let it pre-authorize users
        Config: the login at login.salesforce.com was refused (invalid_grant: inactive user); the user is inactive: activate it in Setup > Users
        Config: the login at login.salesforce.com was refused (invalid_grant: ip restricted); logins from this address are not allowed: add it to the app's or the profile's IP ranges, or relax them
        Config: the login at login.salesforce.com was refused (invalid_grant: authentication failure); the user could not be authenticated: look at Setup > Login History for the reason
        Config: the login at login.salesforce.com was refused (invalid_grant: Audience validation failed); the login URL does not fit the org; if the org is a sandbox, switch is_sandbox on, so that the login goes to test.salesforce.com
        Config: the login at login.salesforce.com was refused (invalid_client_id: client identifier invalid); client_id is not the consumer key of an app of this org: copy it again from the app's page in Setup; if the org is a sandbox, switch is_sandbox on, so that the login goes to test.salesforce.com
        Config: the login at login.salesforce.com was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup
        Config: the login at login.salesforce.com was refused (invalid_app_access: user is not admin approved); the user may not use this app: in Setup, give the user's profile or a permission set access to it, or let it pre-authorize users
        Config: the login at login.salesforce.com was refused (unsupported_grant_type: grant type not supported); the app does not allow the refresh token flow: turn it on in its OAuth settings
        Transient: the login at login.salesforce.com was refused (rate_limit_exceeded: login rate exceeded); too many logins at once: start again later
        Config: the login at login.salesforce.com was refused (something_new: ?); check the credentials; if the org is a sandbox, switch is_sandbox on, so that the login goes to test.salesforce.com
        ");
    }

    #[test]
    fn the_other_host_is_named() {
        let of = |host| shown(host, &refresh_token(), "invalid_client_id", "x");
        let texts = [
            of("login.salesforce.com"),
            of("test.salesforce.com"),
            of("acme.my.salesforce.com"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Config: the login at login.salesforce.com was refused (invalid_client_id: x); client_id is not the consumer key of an app of this org: copy it again from the app's page in Setup; if the org is a sandbox, switch is_sandbox on, so that the login goes to test.salesforce.com
        Config: the login at test.salesforce.com was refused (invalid_client_id: x); client_id is not the consumer key of an app of this org: copy it again from the app's page in Setup; if the org is not a sandbox, switch is_sandbox off, so that the login goes to login.salesforce.com
        Config: the login at acme.my.salesforce.com was refused (invalid_client_id: x); client_id is not the consumer key of an app of this org: copy it again from the app's page in Setup; check that login_url is the My Domain of this org (a sandbox has one of its own)
        ");
    }

    #[test]
    fn each_flow_has_its_own_cure() {
        let app = Flow::ClientCredentials {
            client_secret: "s".into(),
        };
        let signed = Flow::JwtBearer {
            username: "u".to_owned(),
            private_key: "k".into(),
        };
        let host = "acme.my.salesforce.com";
        let texts = [
            shown(host, &app, "invalid_grant", "x"),
            shown(host, &signed, "invalid_grant", "x"),
            shown(host, &signed, "unsupported_grant_type", "x"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Config: the login at acme.my.salesforce.com was refused (invalid_grant: x); check client_id and client_secret, and the Run As user of the app; check that login_url is the My Domain of this org (a sandbox has one of its own)
        Config: the login at acme.my.salesforce.com was refused (invalid_grant: x); check username, that the certificate of private_key is the app's, and that the app pre-authorizes the user; check that login_url is the My Domain of this org (a sandbox has one of its own)
        Config: the login at acme.my.salesforce.com was refused (unsupported_grant_type: x); the app does not allow the JWT bearer flow: turn it on in its OAuth settings
        ");
    }
}
