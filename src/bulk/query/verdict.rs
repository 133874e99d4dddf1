//! What the message of a query job that failed says about the next one.

use crate::bulk::error::BulkError;
use crate::bulk::ingest::JobState;
use crate::error::ErrorKind;

/// Characters of a message at most.
const MESSAGE_CHARS: usize = 500;

/// What to do about a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was too much for one job.
    TooMuch,
    /// It may go by itself.
    Passes,
    /// It stays whatever is done.
    Lasts,
}

/// Parts of messages of a query that takes too long, or finds too much, in small letters and without `_`.
const TOO_MUCH: [&str; 6] = [
    "querytimeout",
    "running for too long",
    "retried more than",
    "operationtoolarge",
    "exceededmaxsize",
    "txnsecuritymeteringerror",
];

/// Parts of messages that name what stays.
const LASTING: [&str; 22] = [
    "apidisabledfororg",
    "aggregate relationships",
    "compound data",
    "clientinputerror",
    "didn't understand relationship",
    "entity is not",
    "exceededquota",
    "featurenotenabled",
    "functionalitynotenabled",
    "insufficientaccess",
    "invalidentity",
    "invalidfield",
    "invalidjob",
    "invalidoperation",
    "invalidqueryfilteroperator",
    "invalidquerylocator",
    "invalidtype",
    "malformedid",
    "malformedquery",
    "no such column",
    "not supported",
    "unexpected token",
];

impl Verdict {
    /// What a message says.
    pub(super) fn of(message: &str) -> Self {
        let message = message.to_lowercase().replace('_', "");
        let has = |part: &str| message.contains(part);
        if TOO_MUCH.iter().any(|part| has(part)) {
            Self::TooMuch
        } else if LASTING.iter().any(|part| has(part)) {
            Self::Lasts
        } else {
            Self::Passes
        }
    }

    /// The error of a job that ended in this state, with this message.
    pub(super) fn error(self, id: &str, state: JobState, message: &str) -> BulkError {
        let message: String = message.trim().chars().take(MESSAGE_CHARS).collect();
        let (cure, kind) = match self {
            Self::TooMuch => (
                "it was too much for one job: select fewer records by a condition on an indexed field, \
                 and leave ORDER BY and LIMIT out, so that the query can be split",
                ErrorKind::Config,
            ),
            Self::Passes => ("ask the query again later", ErrorKind::Transient),
            Self::Lasts => (
                "correct the query, or give the user access to what it selects",
                ErrorKind::Config,
            ),
        };
        BulkError::QueryFailed {
            id: id.to_owned(),
            state: state.as_str(),
            detail: message,
            cure,
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_by_what_they_say() {
        for (message, expected) in [
            ("", Verdict::Passes),
            ("InternalServerError : try later", Verdict::Passes),
            ("ApiUnavailable : The service is down", Verdict::Passes),
            (
                "QUERY_TIMEOUT: Your query request was running for too long.",
                Verdict::TooMuch,
            ),
            (
                "InternalServerError: Retried more than fifteen times",
                Verdict::TooMuch,
            ),
            (
                "INVALID_FIELD: No such column 'X' on entity 'Contact'.",
                Verdict::Lasts,
            ),
            (
                "InvalidBatch : Failed to process query: MALFORMED_QUERY: unexpected token: 'x'",
                Verdict::Lasts,
            ),
        ] {
            assert_eq!(Verdict::of(message), expected, "{message}");
        }
    }
}
