//! What can go wrong between this process and Salesforce: the cause and the cure.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// A login, a call or a job that failed.
///
/// The texts hold no secret and no record's value: what Salesforce said is cut short, HTML pages
/// are left out, and tokens are blotted out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The login URL cannot be used.
    #[error(
        "login_url {url}: {reason}; give https://login.salesforce.com, \
         https://test.salesforce.com for a sandbox, or the org's My Domain \
         (https://<name>.my.salesforce.com)"
    )]
    LoginUrl {
        /// The URL as given, without a user part.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The token endpoint refused the login.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// The login answered an instance that is not Salesforce's: the token is not sent there.
    #[error(
        "the login answered the instance {host}, which is not one of Salesforce's hosts over \
         https ({reason}); check login_url"
    )]
    Instance {
        /// Host that the answer named.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No answer came: DNS, connection, TLS, or a time limit.
    #[error(
        "{action}: no answer from {host}: {reason}; check the network, the proxy variables and \
         Salesforce's status, then start again"
    )]
    Network {
        /// What was being done.
        action: String,
        /// Host that was asked.
        host: String,
        /// What failed.
        reason: String,
        /// The request cannot have reached Salesforce.
        unsent: bool,
    },
    /// Salesforce or something before it answered with a server error.
    #[error(
        "{action}: Salesforce is unavailable (HTTP {status}: {detail}); this passes, start again \
         later"
    )]
    Unavailable {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's words.
        detail: String,
        /// How long Salesforce asks to wait.
        retry_after: Option<Duration>,
    },
    /// Too many requests at once; nothing was done.
    #[error(
        "{action}: Salesforce takes no more requests for now (HTTP {status}: {detail}); use \
         fewer jobs in flight, or start again later"
    )]
    Throttled {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's words.
        detail: String,
        /// How long Salesforce asks to wait.
        retry_after: Option<Duration>,
    },
    /// The org's API calls of the last 24 hours are used up.
    #[error(
        "{action}: the org's daily limit of API requests is used up ({detail}); start again when \
         Setup > Company Information shows free requests, or ask Salesforce for more"
    )]
    DailyLimit {
        /// What was being done.
        action: String,
        /// Salesforce's words.
        detail: String,
    },
    /// The object is not there for this user.
    #[error(
        "object {object} does not exist or the user may not see it; check the API name, or grant \
         the object permission in a profile or permission set of the integration user"
    )]
    ObjectNotFound {
        /// API name as given.
        object: String,
    },
    /// Salesforce refused the call, and would again.
    #[error("{action}: Salesforce refused it (HTTP {status} {code}: {detail}); {cure}")]
    Refused {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's error code.
        code: String,
        /// Salesforce's words.
        detail: String,
        /// What to do.
        cure: &'static str,
        /// Whose fault it is.
        kind: ErrorKind,
    },
    /// A session that has just been opened is refused.
    #[error(
        "{action}: Salesforce refuses the session it has just opened; check that the user has \
         the permission API Enabled, and the app's and the profile's IP ranges"
    )]
    Session {
        /// What was being done.
        action: String,
    },
    /// The answer is not what the API promises.
    #[error("{action}: Salesforce's answer cannot be read: {reason}")]
    Answer {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A job is in a state this version does not know.
    #[error(
        "job {id} is in the state {state}, which this version does not know; look at Setup > \
         Bulk Data Load Jobs, and use a newer version"
    )]
    UnknownState {
        /// Id of the job.
        id: String,
        /// Salesforce's word.
        state: String,
    },
    /// A job is in a state that what was asked does not allow.
    #[error("job {id} is {state}, so it cannot be {wanted}; someone else has changed it")]
    WrongState {
        /// Id of the job.
        id: String,
        /// Salesforce's word for the state.
        state: &'static str,
        /// What was asked.
        wanted: &'static str,
    },
    /// Whether a job was closed cannot be found out: its rows may be loaded, now or later.
    #[error(
        "job {id}: whether it was closed is not known, so its rows may have been loaded; look at \
         Setup > Bulk Data Load Jobs before they are sent again: {source}"
    )]
    CloseUnclear {
        /// Id of the job.
        id: String,
        /// Why it cannot be found out.
        source: Box<BulkError>,
    },
    /// A result file does not parse.
    #[error("{action}: the file cannot be read as CSV: {reason}")]
    Results {
        /// Which file of which job.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A temporary file failed.
    #[error("{action}: a temporary file failed: {source}; check the space in the temporary folder")]
    Spool {
        /// What was being done.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A chunk could not be written as CSV.
    #[error("{action}: the rows could not be written as CSV: {reason}")]
    Serialize {
        /// What was being done.
        action: String,
        /// What failed.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {reason}")]
    Setup {
        /// What failed.
        reason: String,
    },
}

impl BulkError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LoginUrl { .. }
            | Self::Instance { .. }
            | Self::ObjectNotFound { .. }
            | Self::Session { .. } => ErrorKind::Config,
            Self::Login(refused) => refused.kind,
            Self::Refused { kind, .. } => *kind,
            Self::Network { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::DailyLimit { .. }
            | Self::WrongState { .. }
            | Self::CloseUnclear { .. } => ErrorKind::Transient,
            Self::Answer { .. }
            | Self::UnknownState { .. }
            | Self::Results { .. }
            | Self::Spool { .. }
            | Self::Serialize { .. }
            | Self::Setup { .. } => ErrorKind::System,
        }
    }

    /// Whether the same call may go through in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Network { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::Answer { .. } => true,
            Self::Login(refused) => refused.kind == ErrorKind::Transient,
            _ => false,
        }
    }

    /// Whether it is certain that Salesforce has not acted on the call.
    pub(crate) fn not_done(&self) -> bool {
        match self {
            Self::Network { unsent, .. } => *unsent,
            Self::Unavailable { .. } | Self::Answer { .. } | Self::CloseUnclear { .. } => false,
            _ => true,
        }
    }

    /// How long Salesforce asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Throttled { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// HTTP status of the answer, where it was the answer that failed.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Unavailable { status, .. }
            | Self::Throttled { status, .. }
            | Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether Salesforce said that the job's state does not allow the call.
    pub(crate) fn is_state_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, code, .. }
            if *status == 409 || code == "INVALIDJOBSTATE")
    }
}

impl From<BulkError> for Error {
    fn from(error: BulkError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

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

    #[test]
    fn kind_and_text_survive_the_conversion() {
        let error = BulkError::ObjectNotFound {
            object: "Kontakt".to_owned(),
        };
        let text = error.to_string();
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), text);
    }
}
