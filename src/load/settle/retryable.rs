//! Which refused rows a retry may cure.

use crate::coerce::Reason;
use crate::object::Operation;
use RetryCause::{BesideBadRows, Busy, Limit};

/// What a refusal means for its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The same row would be refused again.
    Lasting,
    /// The row is as the operation wanted it: a deleted row that was gone already.
    Fulfilled,
    /// A retry may cure it.
    Retryable(RetryCause),
}

/// Why rows are retried, which says when and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RetryCause {
    /// A record was locked, or the platform was busy: after a pause, in smaller jobs.
    Busy,
    /// They fell with bad rows beside them, which stay behind: at once, in smaller jobs.
    BesideBadRows,
    /// A limit of their transaction was reached: once, in a smaller job.
    Limit,
    /// Salesforce did not get to them: at once.
    Unprocessed,
}

/// Codes of refusals that a retry may cure. All others last.
const CODES: [(&str, RetryCause); 9] = [
    // Another transaction held the record, or its parent, for more than 10 seconds.
    ("UNABLE_TO_LOCK_ROW", Busy),
    // The platform was busy, restarted, or broke while it had the row.
    ("QUERY_TIMEOUT", Busy),
    ("REQUEST_RUNNING_TOO_LONG", Busy),
    ("TXN_SECURITY_METERING_ERROR", Busy),
    ("SERVER_UNAVAILABLE", Busy),
    ("UNKNOWN_EXCEPTION", Busy),
    // Triggers and flows beside this row used up what a transaction, or the org, may use.
    ("TOO_MANY_APEX_REQUESTS", Limit),
    ("EXCEEDED_QUOTA", Limit),
    ("LIMIT_EXCEEDED", Limit),
];

/// Begins codes such as `CONCURRENT_BATCH_JOB`: too much runs at once.
const CONCURRENT: &str = "CONCURRENT";

/// The code of everything that a trigger does not let through, lasting or not. These texts in it are
/// the platform's own, in every language.
const TRIGGER: &str = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY";
const TRIGGER_TEXTS: [(&str, RetryCause); 2] = [
    // A chunk of 200 rows was saved again without its bad rows until the platform gave up.
    ("Too many retries of batch save", BesideBadRows),
    ("System.LimitException", Limit),
];

/// Words that begin an error in place of a code.
const BARE_TEXTS: [&str; 3] = [
    "TooManyLockFailure",
    "Too many concurrent",
    "Row was retrieved via a query locator",
];

impl Refusal {
    /// What it means that a row was refused for this reason.
    pub(crate) fn of(reason: &Reason, operation: &Operation) -> Self {
        let code = reason.code.as_ref();
        let begins = |text: &&str| reason.message.starts_with(*text);
        if code == "ENTITY_IS_DELETED" && *operation == Operation::Delete {
            return Self::Fulfilled;
        }
        if code.starts_with(CONCURRENT)
            || (code == Reason::UNKNOWN && BARE_TEXTS.iter().any(begins))
        {
            return Self::Retryable(Busy);
        }
        let found = if code == TRIGGER {
            let mut texts = TRIGGER_TEXTS.iter();
            texts.find(|(text, _)| reason.message.contains(text))
        } else {
            CODES.iter().find(|(retryable, _)| *retryable == code)
        };
        found.map_or(Self::Lasting, |(_, cause)| Self::Retryable(*cause))
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::parse_reason;
    use super::*;

    #[test]
    fn the_code_says_what_is_retryable() {
        for (text, expected) in [
            (
                "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--",
                Refusal::Retryable(Busy),
            ),
            (
                "UNABLE_TO_LOCK_ROW:exklusiver Zugriff auf diesen Datensatz:Id --",
                Refusal::Retryable(Busy),
            ),
            (
                "CONCURRENT_REQUESTS_LIMIT_EXCEEDED:x:--",
                Refusal::Retryable(Busy),
            ),
            (
                "UNKNOWN_EXCEPTION:An unexpected error occurred:--",
                Refusal::Retryable(Busy),
            ),
            (
                "TooManyLockFailure : Trying again later",
                Refusal::Retryable(Busy),
            ),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of BeforeInsert caused by: \
                 System.LimitException: Too many SOQL queries: 101:--",
                Refusal::Retryable(Limit),
            ),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: Too many retries of batch save in the \
                 presence of Apex triggers with failures:--",
                Refusal::Retryable(BesideBadRows),
            ),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: caused by: my own reason:--",
                Refusal::Lasting,
            ),
            (
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:Too many retries of batch save:--",
                Refusal::Lasting,
            ),
            (
                "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--",
                Refusal::Lasting,
            ),
            ("DUPLICATE_VALUE:UNABLE_TO_LOCK_ROW:--", Refusal::Lasting),
            ("", Refusal::Lasting),
        ] {
            let reason = parse_reason(text);
            assert_eq!(Refusal::of(&reason, &Operation::Insert), expected, "{text}");
        }
    }

    #[test]
    fn what_is_gone_needs_no_delete() {
        let gone = parse_reason("ENTITY_IS_DELETED:entity is deleted:--");
        assert_eq!(Refusal::of(&gone, &Operation::Delete), Refusal::Fulfilled);
        assert_eq!(Refusal::of(&gone, &Operation::Update), Refusal::Lasting);
        // In the recycle bin it is not yet where a hard delete wants it.
        assert_eq!(Refusal::of(&gone, &Operation::HardDelete), Refusal::Lasting);
    }
}
