//! Why the token endpoint refused a login: the cause and the cure.

use crate::error::ErrorKind;

/// The token endpoint's refusal, in OAuth's terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the login at {host} was refused ({error}: {description}); {cure}")]
pub struct LoginRefused {
    /// Host of the login URL.
    pub host: String,
    /// OAuth's error code.
    pub error: String,
    /// Salesforce's words.
    pub description: String,
    /// What to do.
    pub cure: &'static str,
    /// Whose fault it is.
    pub kind: ErrorKind,
}

impl LoginRefused {
    /// Reads the cause from OAuth's code and, where several causes share one, Salesforce's words.
    pub(crate) fn new(host: &str, error: &str, description: &str) -> Self {
        let (kind, cure) = login_cure(error, &description.to_ascii_lowercase());
        Self {
            host: host.to_owned(),
            error: error.to_owned(),
            description: description.to_owned(),
            cure,
            kind,
        }
    }
}

fn login_cure(error: &str, description: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Transient};
    match error {
        "invalid_grant" => invalid_grant_cure(description),
        "invalid_app_access" => (
            Config,
            "the user may not use this app: in Setup, give the user's profile or a permission \
             set access to it, or let it pre-authorize users",
        ),
        "invalid_client_id" => (
            Config,
            "client_id is not the consumer key of an app of this org: check it, and check the \
             sandbox switch (is_sandbox), since an app of a sandbox is unknown to production and \
             the reverse",
        ),
        "invalid_client" => (
            Config,
            "client_secret is not the consumer secret of the app: copy it again from the app's \
             page in Setup",
        ),
        "unsupported_grant_type" => (
            Config,
            "the app does not allow the refresh token flow: turn it on in its OAuth settings",
        ),
        "invalid_scope" => (
            Config,
            "the app lacks the scopes api and refresh_token: add them, then authorize again",
        ),
        "inactive_user" => (Config, "the user is inactive: activate it in Setup > Users"),
        "inactive_org" => (
            Config,
            "the org is locked, closed or suspended: ask Salesforce",
        ),
        "rate_limit_exceeded" => (Transient, "too many logins at once: start again later"),
        "server_error" | "temporarily_unavailable" | "unknown_error" => (
            Transient,
            "the login service has a problem: start again later",
        ),
        _ => (
            Config,
            "check client_id, client_secret, refresh_token and the sandbox switch (is_sandbox)",
        ),
    }
}

fn invalid_grant_cure(description: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Transient};
    const CURES: [(&str, ErrorKind, &str); 8] = [
        (
            "already being processed",
            Transient,
            "another login of the same token is under way: start again in a moment, and give \
             each process a token of its own",
        ),
        (
            "not supported on this domain",
            Config,
            "this login works on the org's My Domain only: set login_url to it",
        ),
        (
            "no client credentials user",
            Config,
            "set a Run As user for the app's client credentials flow in Setup",
        ),
        (
            "hasn't approved this consumer",
            Config,
            "the user has not approved the app: authorize it, or let it pre-authorize users",
        ),
        (
            "inactive user",
            Config,
            "the user is inactive: activate it in Setup > Users",
        ),
        (
            "ip restricted",
            Config,
            "logins from this address are not allowed: add it to the app's or the profile's IP \
             ranges, or relax them",
        ),
        (
            "audience",
            Config,
            "the login URL does not fit the org: check the sandbox switch (is_sandbox)",
        ),
        (
            "authentication failure",
            Config,
            "the user could not be authenticated: look at Setup > Login History for the reason",
        ),
    ];
    CURES
        .iter()
        .find(|(part, ..)| description.contains(part))
        .map_or(
            (
                Config,
                "the refresh token was revoked, has expired, was replaced by a newer one, or \
                 belongs to the other kind of org: check the sandbox switch (is_sandbox), then \
                 authorize again and set the new refresh_token",
            ),
            |(_, kind, cure)| (*kind, cure),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str, description: &str) -> String {
        let refused = LoginRefused::new("login.salesforce.com", error, description);
        format!("{:?}: {refused}", refused.kind)
    }

    #[test]
    fn login_texts_say_cause_and_cure() {
        let texts = [
            refused("invalid_grant", "expired access/refresh token"),
            refused("invalid_grant", "token request is already being processed"),
            refused("invalid_grant", "request not supported on this domain"),
            refused("invalid_grant", "user hasn't approved this consumer"),
            refused("invalid_grant", "inactive user"),
            refused("invalid_grant", "ip restricted"),
            refused("invalid_grant", "Audience validation failed"),
            refused("invalid_client_id", "client identifier invalid"),
            refused("invalid_client", "invalid client credentials"),
            refused("invalid_app_access", "user is not admin approved"),
            refused("rate_limit_exceeded", "login rate exceeded"),
            refused("something_new", "?"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Config: the login at login.salesforce.com was refused (invalid_grant: expired access/refresh token); the refresh token was revoked, has expired, was replaced by a newer one, or belongs to the other kind of org: check the sandbox switch (is_sandbox), then authorize again and set the new refresh_token
        Transient: the login at login.salesforce.com was refused (invalid_grant: token request is already being processed); another login of the same token is under way: start again in a moment, and give each process a token of its own
        Config: the login at login.salesforce.com was refused (invalid_grant: request not supported on this domain); this login works on the org's My Domain only: set login_url to it
        Config: the login at login.salesforce.com was refused (invalid_grant: user hasn't approved this consumer); the user has not approved the app: authorize it, or let it pre-authorize users
        Config: the login at login.salesforce.com was refused (invalid_grant: inactive user); the user is inactive: activate it in Setup > Users
        Config: the login at login.salesforce.com was refused (invalid_grant: ip restricted); logins from this address are not allowed: add it to the app's or the profile's IP ranges, or relax them
        Config: the login at login.salesforce.com was refused (invalid_grant: Audience validation failed); the login URL does not fit the org: check the sandbox switch (is_sandbox)
        Config: the login at login.salesforce.com was refused (invalid_client_id: client identifier invalid); client_id is not the consumer key of an app of this org: check it, and check the sandbox switch (is_sandbox), since an app of a sandbox is unknown to production and the reverse
        Config: the login at login.salesforce.com was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup
        Config: the login at login.salesforce.com was refused (invalid_app_access: user is not admin approved); the user may not use this app: in Setup, give the user's profile or a permission set access to it, or let it pre-authorize users
        Transient: the login at login.salesforce.com was refused (rate_limit_exceeded: login rate exceeded); too many logins at once: start again later
        Config: the login at login.salesforce.com was refused (something_new: ?); check client_id, client_secret, refresh_token and the sandbox switch (is_sandbox)
        ");
    }
}
