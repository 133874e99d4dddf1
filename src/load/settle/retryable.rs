//! Which refused rows may pass when they are sent again.

use crate::coerce::Reason;
use crate::object::Operation;

/// What is done with a row that Salesforce refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is rejected: the same row would be refused again.
    Never,
    /// It is as the operation wanted it: a deleted row that was gone already.
    Done,
    /// It goes again at once: it fell with bad rows beside it, which stay behind.
    AtOnce,
    /// It goes again after a pause, in smaller jobs.
    Later,
    /// It goes again once, in a smaller job: a limit of its transaction was reached.
    Once,
}

/// Codes that pass. All others last.
const CODES: [(&str, Again); 9] = [
    // Another transaction held the record, or its parent, for more than 10 seconds.
    ("UNABLE_TO_LOCK_ROW", Again::Later),
    // The platform was busy, restarted, or broke while it had the row.
    ("QUERY_TIMEOUT", Again::Later),
    ("REQUEST_RUNNING_TOO_LONG", Again::Later),
    ("TXN_SECURITY_METERING_ERROR", Again::Later),
    ("SERVER_UNAVAILABLE", Again::Later),
    ("UNKNOWN_EXCEPTION", Again::Later),
    // Triggers and flows beside this row used up what a transaction, or the org, may use.
    ("TOO_MANY_APEX_REQUESTS", Again::Once),
    ("EXCEEDED_QUOTA", Again::Once),
    ("LIMIT_EXCEEDED", Again::Once),
];

/// Begins codes such as `CONCURRENT_BATCH_JOB`: too much runs at once.
const CONCURRENT: &str = "CONCURRENT";

/// The code of everything that a trigger does not let through, lasting or not. These texts in it are
/// the platform's own, in every language.
const TRIGGER: &str = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY";
const TRIGGER_TEXTS: [(&str, Again); 2] = [
    // A chunk of 200 rows was saved again without its bad rows until the platform gave up.
    ("Too many retries of batch save", Again::AtOnce),
    ("System.LimitException", Again::Once),
];

/// Words that begin an error in place of a code.
const BARE_TEXTS: [&str; 3] = [
    "TooManyLockFailure",
    "Too many concurrent",
    "Row was retrieved via a query locator",
];

impl Again {
    /// What is done with a row that was refused for this reason.
    pub(crate) fn of(reason: &Reason, operation: &Operation) -> Self {
        let code = reason.code.as_ref();
        let begins = |text: &&str| reason.message.starts_with(*text);
        if code == "ENTITY_IS_DELETED" && *operation == Operation::Delete {
            return Self::Done;
        }
        if code.starts_with(CONCURRENT)
            || (code == Reason::UNKNOWN && BARE_TEXTS.iter().any(begins))
        {
            return Self::Later;
        }
        let found = if code == TRIGGER {
            let mut texts = TRIGGER_TEXTS.iter();
            texts.find(|(text, _)| reason.message.contains(text))
        } else {
            CODES.iter().find(|(passing, _)| *passing == code)
        };
        found.map_or(Self::Never, |(_, again)| *again)
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::parse_reason;
    use super::*;

    #[test]
    fn the_code_tells_what_passes() {
        for (text, expected) in [
            (
                "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
                Again::Later,
            ),
            (
                "UNABLE_TO_LOCK_ROW:exklusiver Zugriff auf diesen Datensatz:Id --",
                Again::Later,
            ),
            ("CONCURRENT_REQUESTS_LIMIT_EXCEEDED:x:--", Again::Later),
            (
                "UNKNOWN_EXCEPTION:An unexpected error occurred:--",
                Again::Later,
            ),
            ("TooManyLockFailure : Trying again later", Again::Later),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of BeforeInsert caused by: \
                 System.LimitException: Too many SOQL queries: 101:--",
                Again::Once,
            ),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: Too many retries of batch save in the \
                 presence of Apex triggers with failures:--",
                Again::AtOnce,
            ),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: caused by: my own reason:--",
                Again::Never,
            ),
            (
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:Too many retries of batch save:--",
                Again::Never,
            ),
            (
                "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--",
                Again::Never,
            ),
            ("DUPLICATE_VALUE:UNABLE_TO_LOCK_ROW:--", Again::Never),
            ("", Again::Never),
        ] {
            let reason = parse_reason(text);
            assert_eq!(Again::of(&reason, &Operation::Insert), expected, "{text}");
        }
    }

    #[test]
    fn what_is_gone_needs_no_delete() {
        let gone = parse_reason("ENTITY_IS_DELETED:entity is deleted:--");
        assert_eq!(Again::of(&gone, &Operation::Delete), Again::Done);
        assert_eq!(Again::of(&gone, &Operation::Update), Again::Never);
        // In the recycle bin it is not yet where a hard delete wants it.
        assert_eq!(Again::of(&gone, &Operation::HardDelete), Again::Never);
    }
}
