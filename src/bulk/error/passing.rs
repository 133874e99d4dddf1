//! Which errors may pass, and of what kind each is.

use super::BulkError;
use crate::error::ErrorKind;

/// Kinds of errors that may pass. How long each is waited for is for the call's policy to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bulk) enum Passing {
    /// No answer came.
    Network,
    /// A server error.
    Unavailable,
    /// Too many requests at once.
    Throttled,
    /// HTTP 420: too many requests, or an org that is no more.
    Calm,
    /// An answer of another form.
    Unreadable,
    /// A login that is refused for now.
    Login,
    /// A session that has just been opened is refused.
    Session,
    /// What is asked for is not there.
    Missing,
    /// It is elsewhere.
    Moved,
    /// The login is elsewhere.
    LoginMoved,
    /// The state of a job does not allow the call.
    Conflict,
    /// An error that is not in Salesforce's form: something before it has answered.
    Odd,
    /// A code of Salesforce's that is not known.
    Unlisted,
    /// An allocation is used up.
    DailyLimit,
}

/// Codes that last, in capitals and without `_` (REST API Developer Guide, "Status Codes and Error
/// Responses"; Bulk API 2.0 Developer Guide, "Errors").
const LASTING: [&str; 32] = [
    "APIDISABLEDFORORG",
    "APICURRENTLYDISABLED",
    "APIERROR",
    "CLIENTINPUTERROR",
    "CLIENTNOTACCESSIBLEFORUSER",
    "EXCEEDEDQUOTA",
    "FEATURENOTENABLED",
    "FUNCTIONALITYNOTENABLED",
    "INSUFFICIENTACCESS",
    "INSUFFICIENTACCESSORREADONLY",
    "INVALIDBATCH",
    "INVALIDCONTENTTYPE",
    "INVALIDENTITY",
    "INVALIDFIELD",
    "INVALIDJOB",
    "INVALIDOPERATION",
    "INVALIDQUERYFILTEROPERATOR",
    "INVALIDTYPE",
    "INVALIDURL",
    "INVALIDUSER",
    "INVALIDVERSION",
    "INVALIDXML",
    "JSONPARSERERROR",
    "LIMITEXCEEDED",
    "MALFORMEDID",
    "MALFORMEDQUERY",
    "METHODNOTALLOWED",
    "REQUIREDFIELDMISSING",
    "STORAGELIMITEXCEEDED",
    "UNSUPPORTEDAPIVERSION",
    "UNSUPPORTEDMEDIATYPE",
    "URITOOLONG",
];

/// What a refusal by this status and code says about the next one.
fn refusal(status: u16, code: &str) -> Option<Passing> {
    let code: String = code
        .chars()
        .filter(|character| *character != '_')
        .map(|character| character.to_ascii_uppercase())
        .collect();
    match (status, code.as_str()) {
        (409, _) | (_, "INVALIDJOBSTATE") => Some(Passing::Conflict),
        (_, "INVALIDSESSIONID") => Some(Passing::Session),
        (_, "") => Some(Passing::Odd),
        (_, code) if LASTING.contains(&code) => None,
        (404, _) => Some(Passing::Missing),
        _ => Some(Passing::Unlisted),
    }
}

impl BulkError {
    /// What kind of error this is, if it may pass.
    pub(in crate::bulk) fn passing(&self) -> Option<Passing> {
        match self {
            Self::Network { .. } => Some(Passing::Network),
            Self::Unavailable { .. } => Some(Passing::Unavailable),
            Self::Throttled { status: 420, .. } => Some(Passing::Calm),
            Self::Throttled { .. } => Some(Passing::Throttled),
            Self::Answer { .. } | Self::Results { .. } | Self::UnknownState { .. } => {
                Some(Passing::Unreadable)
            }
            Self::LoginUrl { .. } => Some(Passing::Missing),
            Self::Login(refused) if refused.kind == ErrorKind::Transient => Some(Passing::Login),
            Self::Session { .. } => Some(Passing::Session),
            Self::Moved { .. } => Some(Passing::Moved),
            Self::LoginRedirect { .. } => Some(Passing::LoginMoved),
            Self::DailyLimit { .. } => Some(Passing::DailyLimit),
            Self::Refused { status, code, .. } => refusal(*status, code),
            _ => None,
        }
    }

    /// Whether the answer is one that a new login may cure: the session, or the host it is for.
    pub(in crate::bulk) fn asks_for_login(&self) -> bool {
        matches!(self.passing(), Some(Passing::Session | Passing::Moved))
    }

    /// Whether the same call may succeed in a moment.
    pub(in crate::bulk) fn is_retryable(&self) -> bool {
        matches!(
            self.passing(),
            Some(
                Passing::Network
                    | Passing::Unavailable
                    | Passing::Throttled
                    | Passing::Calm
                    | Passing::Unreadable
                    | Passing::Login
            )
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_by_status_and_code() {
        for (status, code, expected) in [
            (400, "", Some(Passing::Odd)),
            (403, "", Some(Passing::Odd)),
            (404, "", Some(Passing::Odd)),
            (404, "NOT_FOUND", Some(Passing::Missing)),
            (400, "INVALIDJOBSTATE", Some(Passing::Conflict)),
            (409, "", Some(Passing::Conflict)),
            (403, "INVALID_SESSION_ID", Some(Passing::Session)),
            (405, "", Some(Passing::Odd)),
            (413, "", Some(Passing::Odd)),
            (415, "UNSUPPORTED_MEDIA_TYPE", None),
            (400, "SOMETHING_NEW", Some(Passing::Unlisted)),
            (400, "InvalidBatch", None),
            (400, "INVALID_FIELD", None),
            (403, "INSUFFICIENT_ACCESS", None),
            (400, "ExceededQuota", None),
        ] {
            assert_eq!(refusal(status, code), expected, "{status} {code}");
        }
    }
}
