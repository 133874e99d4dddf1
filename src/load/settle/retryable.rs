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

/// Codes of refusals that a retry may cure.
const PASSING: [(&str, RetryCause); 11] = [
    // Another transaction held the record, or its parent, for more than 10 seconds.
    ("UNABLE_TO_LOCK_ROW", Busy),
    ("RECORD_IN_USE_BY_WORKFLOW", Busy),
    // The platform was busy, restarted, or broke while it had the row.
    ("QUERY_TIMEOUT", Busy),
    ("REQUEST_RUNNING_TOO_LONG", Busy),
    ("TXN_SECURITY_METERING_ERROR", Busy),
    ("SERVER_UNAVAILABLE", Busy),
    ("PLATFORM_EVENT_PUBLISHING_UNAVAILABLE", Busy),
    ("UNKNOWN_EXCEPTION", Busy),
    // Triggers and flows beside this row used up what a transaction, or the org, may use.
    ("TOO_MANY_APEX_REQUESTS", Limit),
    ("EXCEEDED_QUOTA", Limit),
    ("LIMIT_EXCEEDED", Limit),
];

/// Begins codes such as `CONCURRENT_BATCH_JOB`: too much runs at once.
const CONCURRENT: &str = "CONCURRENT";

/// What codes of refusals that last begin with.
const LASTING: [&str; 21] = [
    "BAD_",
    "CANNOT_",
    "DELETE_FAILED",
    "DEPENDENCY_EXISTS",
    "DUPLICATE",
    "ENTITY_IS_",
    "FIELD_",
    "INACTIVE_",
    "INSUFFICIENT_",
    "INVALID_",
    "MALFORMED_",
    "MISSING_",
    "NUMBER_OUTSIDE_",
    "NUM_",
    "OP_WITH_",
    "PERMISSION_",
    "REQUIRED_",
    "SELF_REFERENCE",
    "STORAGE_LIMIT_EXCEEDED",
    "STRING_TOO_LONG",
    "TRANSFER_",
];

/// Codes of everything that a trigger or a flow does not let through, lasting or not: the cause is in
/// the text.
const WRAPPERS: [&str; 4] = [
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "CANNOT_EXECUTE_FLOW_TRIGGER",
    "FLOW_EXCEPTION",
    "APEX_ERROR",
];

/// The code of what a trigger says in words of its own.
const OWN_WORDS: &str = "FIELD_CUSTOM_VALIDATION_EXCEPTION";

/// Stands before the code that a statement of a trigger failed with, in the platform's words.
const FIRST_ERROR: &str = "first error: ";

/// Texts of the platform in what triggers and flows do not let through.
const TEXTS: [(&str, RetryCause); 9] = [
    // A chunk of 200 rows was saved again without its bad rows until the platform gave up.
    ("Too many retries of batch save", BesideBadRows),
    ("System.LimitException", Limit),
    ("Apex CPU time limit exceeded", Limit),
    ("Too many SOQL queries", Limit),
    ("Too many DML", Limit),
    ("Too many query rows", Limit),
    // A trigger reads records FOR UPDATE that another transaction holds.
    ("System.QueryException: Record Currently Unavailable", Busy),
    (
        "System.QueryException: Your query request was running for too long",
        Busy,
    ),
    ("System.DmlException: Record Currently Unavailable", Busy),
];

/// Words that begin an error in place of a code.
const BARE_TEXTS: [&str; 3] = [
    "TooManyLockFailure",
    "Too many concurrent",
    "Row was retrieved via a query locator",
];

/// What texts hold that say a record was locked.
const LOCK_TEXTS: [&str; 3] = [
    "UNABLE_TO_LOCK_ROW",
    "TooManyLockFailure",
    "Record Currently Unavailable",
];

/// Whether a row was refused since a record that it needs was locked.
pub(crate) fn found_lock(reason: &Reason, operation: &Operation) -> bool {
    let code = reason.code.as_ref();
    let says = |text: &str| LOCK_TEXTS.iter().any(|lock| text.contains(lock));
    code == LOCK_TEXTS[0]
        || Refusal::of(reason, operation, false) == Refusal::Retryable(Busy)
            && (says(&reason.message) || reason.fields.iter().any(|name| says(name)))
}

impl Refusal {
    /// What it means that a row was refused for this reason. `may_be_done` says that a job before may
    /// have done what the row asks for.
    pub(crate) fn of(reason: &Reason, operation: &Operation, may_be_done: bool) -> Self {
        let (code, text) = (reason.code.as_ref(), reason.message.as_str());
        let deletes = matches!(operation, Operation::Delete | Operation::HardDelete);
        let is_gone = code == "ENTITY_IS_DELETED" && *operation == Operation::Delete;
        let may_be_gone = ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"].contains(&code);
        if is_gone || (may_be_gone && deletes && may_be_done) {
            return Self::Fulfilled;
        }
        let begins = |begin: &&str| text.starts_with(*begin);
        let cause = if WRAPPERS.contains(&code) {
            // A code that ends the text is read as a field.
            let last = || reason.fields.iter().find_map(|name| passing_code(name));
            wrapped(text).unwrap_or_else(last)
        } else if code == OWN_WORDS {
            let failed = text.split_once(FIRST_ERROR);
            failed.and_then(|(_, error)| leading_cause(error))
        } else if code == Reason::UNKNOWN {
            BARE_TEXTS.iter().any(begins).then_some(Busy)
        } else {
            passing_code(code)
        };
        cause.map_or(Self::Lasting, Self::Retryable)
    }
}

/// Why rows are retried that were refused with this code; none if the refusal lasts.
pub(super) fn passing_code(code: &str) -> Option<RetryCause> {
    if code.starts_with(CONCURRENT) {
        return Some(Busy);
    }
    let mut passing = PASSING.iter();
    passing
        .find(|(passing, _)| *passing == code)
        .map(|(_, cause)| *cause)
}

/// What it means that a trigger or a flow did not let a row through: the first code or text of the
/// platform in it that is no wrapper itself decides, if there is one.
fn wrapped(text: &str) -> Option<Option<RetryCause>> {
    let by_text = TEXTS.iter().filter_map(|(words, cause)| {
        let at = text.find(words)?;
        Some((at, Some(*cause)))
    });
    let by_code = codes(text).filter_map(|(at, code)| Some((at, meaning(code)?)));
    let first = by_text.chain(by_code).min_by_key(|(at, _)| *at);
    first.map(|(_, cause)| cause)
}

/// The cause that a statement failed with, whose error this is; wrappers are looked into.
fn leading_cause(error: &str) -> Option<RetryCause> {
    let (at, code) = codes(error).next()?;
    if at > 0 {
        return None;
    }
    if WRAPPERS.contains(&code) {
        wrapped(&error[code.len()..]).flatten()
    } else {
        passing_code(code)
    }
}

/// What a code in a text means: a cause that passes, or none, which lasts. Wrappers and names that
/// look like codes mean nothing.
fn meaning(code: &str) -> Option<Option<RetryCause>> {
    if WRAPPERS.contains(&code) {
        return None;
    }
    let passing = passing_code(code);
    let lasts = || LASTING.iter().any(|begin| code.starts_with(begin));
    (passing.is_some() || lasts()).then_some(passing)
}

/// The words of a text that are written as codes are, with what stands behind one: capitals, digits
/// and underscores before a comma, a colon, a bracket, or the end. Each with its place.
fn codes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let own = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find(own)?;
        let end = text[begin..].find(|c| !own(c));
        at = end.map_or(text.len(), |end| begin + end);
        Some((begin, &text[begin..at]))
    })
    .filter(|(at, word)| {
        let written = |byte: u8| !byte.is_ascii_lowercase();
        let rest = text[at + word.len()..].trim_start();
        let behind = rest.chars().next();
        word.contains('_')
            && word.bytes().all(written)
            // The name of a trigger.
            && !rest.starts_with(": execution of ")
            && behind.is_none_or(|c| matches!(c, ',' | ':' | ';' | ')' | ']' | '.' | '-'))
    })
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
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:UNABLE_TO_LOCK_ROW, no name of ours:--",
                Refusal::Lasting,
            ),
            (
                "FIELD_CUSTOM_VALIDATION_EXCEPTION:Update failed. First exception on row 0 with id \
                 0010; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access: []:--",
                Refusal::Retryable(Busy),
            ),
            (
                "STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--",
                Refusal::Lasting,
            ),
            ("DUPLICATE_VALUE:UNABLE_TO_LOCK_ROW:--", Refusal::Lasting),
            ("", Refusal::Lasting),
        ] {
            let reason = parse_reason(text);
            assert_eq!(
                Refusal::of(&reason, &Operation::Insert, false),
                expected,
                "{text}"
            );
            let locked = expected == Refusal::Retryable(Busy)
                && (text.contains("LOCK") || text.contains("Lock"));
            assert_eq!(found_lock(&reason, &Operation::Insert), locked, "{text}");
        }
    }

    #[test]
    fn what_triggers_and_flows_do_not_let_through_has_its_cause_in_the_text() {
        let trigger = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:ACCOUNT_TRIGGER: execution of AfterInsert \
                       caused by: System.DmlException: Update failed. First exception on row 0 with \
                       id 0010; first error: ";
        let flow = "CANNOT_EXECUTE_FLOW_TRIGGER:We can't save this record because the \u{201c}Totals\u{201d} \
                    process failed. This error occurred when the flow tried to update records: ";
        for (error, expected) in [
            (
                "UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record or 1 records: \
                 0010: []",
                Refusal::Retryable(Busy),
            ),
            (
                "UNABLE_TO_LOCK_ROW: exklusiver Zugriff.",
                Refusal::Retryable(Busy),
            ),
            ("QUERY_TIMEOUT, too long: []", Refusal::Retryable(Busy)),
            ("TXN_SECURITY_METERING_ERROR: x", Refusal::Retryable(Busy)),
            ("REQUEST_RUNNING_TOO_LONG", Refusal::Retryable(Busy)),
            ("LIMIT_EXCEEDED: many: []", Refusal::Retryable(Limit)),
            (
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY, Other: execution of BeforeUpdate caused by: \
                 System.DmlException: Update failed; first error: UNABLE_TO_LOCK_ROW, unable: []: []",
                Refusal::Retryable(Busy),
            ),
            (
                "CANNOT_EXECUTE_FLOW_TRIGGER, the flow failed: System.LimitException: Apex CPU time \
                 limit exceeded: []",
                Refusal::Retryable(Limit),
            ),
            (
                "FIELD_CUSTOM_VALIDATION_EXCEPTION, no UNABLE_TO_LOCK_ROW, please: []",
                Refusal::Lasting,
            ),
            (
                "REQUIRED_FIELD_MISSING, Required fields are missing: [QUERY_TIMEOUT]: [QUERY_TIMEOUT]",
                Refusal::Lasting,
            ),
            ("the record is locked by its owner", Refusal::Lasting),
            ("do not write UNABLE_TO_LOCK_ROW here", Refusal::Lasting),
            ("Query_Timeout__c: Timeout__c: unknown", Refusal::Lasting),
        ] {
            for wrapper in [trigger, flow] {
                let reason = parse_reason(&format!("{wrapper}{error}:--"));
                assert_eq!(
                    Refusal::of(&reason, &Operation::Insert, false),
                    expected,
                    "{error}"
                );
            }
        }
        for (error, expected) in [
            (
                "System.QueryException: Record Currently Unavailable: The record is being modified",
                Refusal::Retryable(Busy),
            ),
            (
                "System.QueryException: List has no rows for assignment to SObject",
                Refusal::Lasting,
            ),
            (
                "System.LimitException: Too many DML rows: 10001",
                Refusal::Retryable(Limit),
            ),
            ("MyException: not today", Refusal::Lasting),
        ] {
            let text = format!(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:T: execution of BeforeInsert caused by: {error}:--"
            );
            let reason = parse_reason(&text);
            assert_eq!(
                Refusal::of(&reason, &Operation::Insert, false),
                expected,
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_gone_needs_no_delete() {
        let gone = parse_reason("ENTITY_IS_DELETED:entity is deleted:--");
        let of = |reason, operation, again| Refusal::of(reason, &operation, again);
        assert_eq!(of(&gone, Operation::Delete, false), Refusal::Fulfilled);
        assert_eq!(of(&gone, Operation::Update, true), Refusal::Lasting);
        // In the recycle bin it is not yet where a hard delete wants it.
        assert_eq!(of(&gone, Operation::HardDelete, false), Refusal::Lasting);
        assert_eq!(of(&gone, Operation::HardDelete, true), Refusal::Fulfilled);
        // An Id that never was, or that a job before has deleted.
        let unknown = parse_reason("INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--");
        for operation in [Operation::Delete, Operation::HardDelete] {
            assert_eq!(of(&unknown, operation.clone(), false), Refusal::Lasting);
            assert_eq!(of(&unknown, operation, true), Refusal::Fulfilled);
        }
        assert_eq!(of(&unknown, Operation::Update, true), Refusal::Lasting);
    }
}
