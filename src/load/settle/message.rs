//! Why a job failed as a whole: its message, `Code : text` or `Code : Code : text`.
//!
//! The codes before the text decide, and two texts of the platform that come without one. Words in
//! the text do not: `Field name not found : Timeout__c` is about a column.

use super::retryable::{RetryCause, passing_code};
use crate::coerce::{Reason, Stage};

/// What the message of a job says of the rows that it did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobFault {
    /// An allocation of the day is used up.
    Quota,
    /// Records were locked by others, too often.
    Locks,
    /// Its batches took too long.
    Timeout,
    /// The platform was not there, or broke.
    Platform,
    /// Salesforce refused what was uploaded, and would again.
    Refused(Blame),
    /// None that is known. An aborted job has no message.
    Unclear,
}

/// What the message of a refused job blames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// A column: each row is refused.
    Column,
    /// What was uploaded, but no column: some rows may be at fault.
    Upload,
    /// A setting or a permission.
    Setting,
}

/// The codes of jobs, in any letter case.
const CODES: [(&str, JobFault); 19] = [
    ("ExceededQuota", JobFault::Quota),
    ("TooManyLockFailure", JobFault::Locks),
    ("Timeout", JobFault::Timeout),
    ("ApiUnavailable", JobFault::Platform),
    ("InternalServerError", JobFault::Platform),
    ("ServerUnavailable", JobFault::Platform),
    ("Unknown", JobFault::Platform),
    // The session that a job ran in ended; the next job has another.
    ("InvalidSessionId", JobFault::Platform),
    ("InvalidBatch", JobFault::Refused(Blame::Upload)),
    ("ClientInputError", JobFault::Refused(Blame::Upload)),
    ("InvalidXML", JobFault::Refused(Blame::Upload)),
    ("FeatureNotEnabled", JobFault::Refused(Blame::Setting)),
    ("InvalidJob", JobFault::Refused(Blame::Setting)),
    ("InvalidJobState", JobFault::Refused(Blame::Setting)),
    ("InvalidOperation", JobFault::Refused(Blame::Setting)),
    ("InvalidUrl", JobFault::Refused(Blame::Setting)),
    ("InvalidUser", JobFault::Refused(Blame::Setting)),
    ("MethodNotAllowed", JobFault::Refused(Blame::Setting)),
    ("NotFound", JobFault::Refused(Blame::Setting)),
];

/// Codes that begin a message without a colon behind them too.
const BARE: [&str; 5] = [
    "ExceededQuota",
    "TooManyLockFailure",
    "Timeout",
    "ApiUnavailable",
    "InternalServerError",
];

/// What texts of the platform begin with that may come without a code, in lower case.
const TEXTS: [(&str, JobFault); 2] = [
    ("too many lock failure", JobFault::Locks),
    ("batch retried too often", JobFault::Timeout),
];

/// What texts about columns hold, in lower case.
const COLUMN_TEXTS: [&str; 6] = [
    "field name not found",
    "unable to find relationship",
    "foreign key reference",
    "type is not needed",
    "type is needed",
    "header",
];

impl JobFault {
    /// What the message of a job says whose upload had these `columns`.
    pub(crate) fn of(message: Option<&str>, columns: &[String]) -> Self {
        let (faults, text) = read(message.unwrap_or_default());
        let found = |wanted: &dyn Fn(&Self) -> bool| faults.iter().copied().find(wanted);
        if let Some(passing) = found(&|fault| *fault == Self::Quota)
            .or_else(|| begins(text))
            .or_else(|| found(&|fault| fault.passes()))
        {
            return passing;
        }
        match faults.first() {
            Some(Self::Refused(Blame::Upload)) if names_column(text, columns) => {
                Self::Refused(Blame::Column)
            }
            Some(fault) => *fault,
            None => Self::Unclear,
        }
    }

    /// Whether a retry may cure it.
    pub(crate) fn passes(self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// What a message is as the reason of a row: its first code, and the text behind all of them.
pub(crate) fn as_reason(message: &str) -> Reason {
    let (_, text) = read(message);
    let code = message.trim().split(':').next().unwrap_or_default().trim();
    let known = by_code(code).is_some();
    Reason {
        stage: Stage::Salesforce,
        code: if known {
            code.to_owned().into()
        } else {
            Reason::UNKNOWN.into()
        },
        message: if text.is_empty() {
            message.trim().to_owned()
        } else {
            text.to_owned()
        },
        fields: Vec::new(),
    }
}

/// The codes that a message begins with, and the text behind them.
fn read(message: &str) -> (Vec<JobFault>, &str) {
    let mut faults = Vec::new();
    let mut rest = message.trim();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(fault) = by_code(word) else {
            return (faults, rest);
        };
        let after = after.trim_start();
        let bare = faults.is_empty() && BARE.iter().any(|code| code.eq_ignore_ascii_case(word));
        match after.strip_prefix(':') {
            Some(text) => {
                faults.push(fault);
                rest = text.trim_start();
            }
            None if after.is_empty() || bare => {
                faults.push(fault);
                return (faults, after);
            }
            None => return (faults, rest),
        }
    }
}

fn by_code(word: &str) -> Option<JobFault> {
    let mut codes = CODES.iter();
    let known = codes.find(|(code, _)| code.eq_ignore_ascii_case(word));
    known.map(|(_, fault)| *fault).or_else(|| {
        let fault = match (word, passing_code(word)?) {
            ("UNABLE_TO_LOCK_ROW", _) => JobFault::Locks,
            (_, RetryCause::Limit) => JobFault::Timeout,
            _ => JobFault::Platform,
        };
        Some(fault)
    })
}

fn begins(text: &str) -> Option<JobFault> {
    let text = text.to_ascii_lowercase();
    let mut texts = TEXTS.iter();
    let found = texts.find(|(begin, _)| text.starts_with(begin));
    found.map(|(_, fault)| *fault)
}

/// Whether a text is about a column: by Salesforce's words, or since it ends with its name.
fn names_column(text: &str, columns: &[String]) -> bool {
    let lower = text.to_ascii_lowercase();
    let (_, last) = text.rsplit_once(':').unwrap_or_default();
    COLUMN_TEXTS.iter().any(|about| lower.contains(about))
        || columns
            .iter()
            .any(|name| name.eq_ignore_ascii_case(last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_before_the_text_decide() {
        use JobFault::{Locks, Platform, Quota, Refused, Timeout, Unclear};
        let (column, upload) = (Refused(Blame::Column), Refused(Blame::Upload));
        for (message, expected) in [
            ("ExceededQuota : ApiBatchItems Limit exceeded", Quota),
            ("TooManyLockFailure : Too many", Locks),
            ("TooManyLockFailure", Locks),
            ("Too many lock failure 200 Trying again later", Locks),
            (
                "InvalidBatch : Too many lock failure 200 Trying again later",
                Locks,
            ),
            (
                "UNABLE_TO_LOCK_ROW : unable to obtain exclusive access",
                Locks,
            ),
            ("Timeout : batch", Timeout),
            ("Timeout waiting for a batch", Timeout),
            ("Batch retried too often", Timeout),
            ("InternalServerError : InternalServerError : 500", Platform),
            ("InternalServerError 500", Platform),
            ("ApiUnavailable : later", Platform),
            ("Unknown : ?", Platform),
            ("InternalServerError:UNKNOWN_EXCEPTION:?", Platform),
            ("InvalidBatch : Field name not found : Timeout__c", column),
            ("InvalidBatch : Field name not found : Timeout", column),
            (
                "InvalidBatch : InvalidBatch : Field name not found : Unknown",
                column,
            ),
            (
                "InvalidBatch : Unable to find relationship: TooManyLockFailure",
                column,
            ),
            (
                "InvalidBatch : type is not needed for non polymorphic foreign key references: Parent",
                column,
            ),
            ("InvalidBatch : Not writable : Stage__C", column),
            ("InvalidBatch : Timeout__c : is odd", upload),
            (
                "InvalidBatch : Failed to parse CSV. Found unescaped quote. A value with quote should \
                 be within a quote",
                upload,
            ),
            (
                "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
                upload,
            ),
            ("InvalidUser : no", Refused(Blame::Setting)),
            ("Unknown column", Unclear),
            ("Something else : Timeout", Unclear),
            ("", Unclear),
        ] {
            let columns = ["Name".to_owned(), "Stage__c".to_owned()];
            assert_eq!(JobFault::of(Some(message), &columns), expected, "{message}");
        }
        assert_eq!(JobFault::of(None, &[]), Unclear);
    }

    #[test]
    fn a_message_is_the_reason_of_the_row_at_fault() {
        for (message, code, text) in [
            (
                "InvalidBatch : Failed to parse: x",
                "InvalidBatch",
                "Failed to parse: x",
            ),
            (
                "InvalidBatch : InvalidBatch : Failed",
                "InvalidBatch",
                "Failed",
            ),
            ("InvalidBatch", "InvalidBatch", "InvalidBatch"),
            ("Something else : x", Reason::UNKNOWN, "Something else : x"),
        ] {
            let reason = as_reason(message);
            assert_eq!(
                (reason.code.as_ref(), reason.message.as_str()),
                (code, text)
            );
        }
    }
}
