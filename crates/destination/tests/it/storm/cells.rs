//! The tables of what may go wrong: calls of Salesforce and of the bucket, jobs and their results.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::bucket_faults::{BucketCall, Harm};

/// Which calls a fault may hit: a bit each.
pub(super) const START: u8 = 1;
pub(super) const WRITE: u8 = 2;
pub(super) const READ: u8 = 4;
pub(super) const TOKEN: u8 = 8;

const DATA: u8 = START | WRITE | READ;
const ALL: u8 = DATA | TOKEN;

/// A call of a load.
#[derive(Debug)]
pub(super) struct Call {
    /// As the simulator names it.
    pub(super) name: &'static str,
    pub(super) of: u8,
    /// The first stream of a plan whose turn it is.
    pub(super) from: From,
    /// Cells that bring a load to make the call, where it seldom does.
    pub(super) needs: &'static [&'static str],
}

/// What a stream must be for a load to make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Any,
    /// Its jobs are created, filled and closed, and its records have a key.
    Insert,
    /// Its jobs are made by one call.
    Small,
}

/// All calls.
pub(super) const CALLS: [Call; 14] = [
    call("token", TOKEN, From::Any, &[]),
    call("describe", START, From::Any, &[]),
    call("limits", START, From::Any, &[]),
    call("create", WRITE, From::Insert, &[]),
    call("create_multipart", WRITE, From::Small, &[]),
    call("upload", WRITE, From::Insert, &[]),
    call("close", WRITE, From::Insert, &[]),
    call("poll", READ, From::Any, &[]),
    call("successful_results", READ, From::Any, &["job/no_counts"]),
    call("failed_results", READ, From::Any, &["job/no_counts"]),
    call("unprocessed_records", READ, From::Any, &["job/no_counts"]),
    call("list", READ, From::Small, &["create_multipart/lose"]),
    call(
        "query",
        READ,
        From::Insert,
        &["job/no_counts", "job/withheld"],
    ),
    call("abort", WRITE, From::Insert, &["upload/502_page"]),
];

const fn call(name: &'static str, of: u8, from: From, needs: &'static [&'static str]) -> Call {
    Call {
        name,
        of,
        from,
        needs,
    }
}

/// A call, and what goes wrong with it.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) call: &'static Call,
    pub(super) kind: CallKind,
    /// Whether the process comes to its own end, since what is stopped early makes few calls.
    pub(super) is_whole: bool,
}

impl Turn {
    /// The one of a seed: many seeds have each call with each fault.
    pub(super) fn of(seed: u64) -> Self {
        let calls = CALLS.iter().flat_map(|call| {
            let kinds = call_kinds().into_iter();
            let fitting = kinds.filter(move |kind| kind.of & call.of != 0);
            fitting.map(move |kind| (call, kind))
        });
        let mut calls: Vec<(&Call, CallKind)> = calls.collect();
        // So that a few seeds in a row have many calls: it has no divisor in common with their number.
        const STRIDE: usize = 37;
        let seed = usize::try_from(seed).unwrap_or_default();
        let round = seed / calls.len();
        let (call, kind) = calls.swap_remove(seed * STRIDE % calls.len());
        Self {
            call,
            kind,
            is_whole: (seed + round).is_multiple_of(2),
        }
    }
}

/// A fault of one call.
#[derive(Debug)]
pub(super) struct CallKind {
    pub(super) name: &'static str,
    /// What is done.
    pub(super) action: Value,
    /// Which calls it hits.
    pub(super) of: u8,
    /// How often in a row, at most, while it counts as passing.
    pub(super) most: u32,
    /// Whether the work is done nevertheless.
    pub(super) after_work: bool,
}

/// All faults of one call, each of which passes.
pub(super) fn call_kinds() -> Vec<CallKind> {
    let status = |code: u16| json!({"status": {"code": code}});
    let page = |code: u16| json!({"page": {"code": code}});
    let error = |status: u16, code: &str, message: &str| json!({"api_error": {"status": status, "code": code, "message": message}});
    let concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded.";
    let unknown = "An unexpected error occurred. Please include this ErrorId: 1-2";
    let absent = "The requested resource does not exist";
    let kind = |name, action, of, most| CallKind {
        name,
        action,
        of,
        most,
        after_work: false,
    };
    let mut kinds = vec![
        kind("close", json!({"close": {}}), ALL, 5),
        kind("lose", json!({"lose": {}}), DATA, 3),
        kind("cut_body", json!({"cut_body": {}}), DATA, 3),
        kind("truncate", json!({"truncate": {}}), READ, 2),
        kind("hang", json!({"hang": {"ms": 150}}), ALL, 2),
        kind("refuse", json!({"refuse": {"ms": 250}}), ALL, 1),
        kind("delay", json!({"delay": {"ms": 200}}), ALL, 3),
        kind("200_page", page(200), READ, 3),
        kind("302", json!({"redirect": {}}), READ, 1),
        kind("400_page", page(400), READ, 4),
        kind(
            "400_unknown",
            error(400, "UNKNOWN_EXCEPTION", unknown),
            READ,
            3,
        ),
        kind("401", json!({"expire_tokens": {}}), DATA, 2),
        kind("403_page", page(403), READ, 4),
        kind(
            "403_concurrent",
            error(403, "REQUEST_LIMIT_EXCEEDED", concurrent),
            DATA,
            3,
        ),
        kind("404", error(404, "NOT_FOUND", absent), READ, 3),
        kind("404_page", page(404), READ, 3),
        kind("408", page(408), DATA, 3),
        kind("420", status(420), READ, 3),
        kind("429", status(429), ALL, 4),
        kind(
            "429_after",
            json!({"status": {"code": 429, "retry_after": 2}}),
            ALL,
            2,
        ),
        kind("500", status(500), ALL, 4),
        kind("502_page", page(502), ALL, 6),
        kind("503", status(503), ALL, 8),
        kind("504_page", page(504), ALL, 5),
        kind("move_host", json!({"move_host": {"code": 307}}), READ, 1),
    ];
    kinds.push(CallKind {
        after_work: true,
        ..kind("504_after_work", page(504), DATA, 2)
    });
    kinds
}

/// A fault of jobs.
#[derive(Debug)]
pub(super) struct JobKind {
    pub(super) name: &'static str,
    pub(super) action: Value,
    /// How many jobs it hits at most; 0 for all.
    pub(super) most: u32,
    /// Whether it takes attempts, of which rows have few.
    pub(super) takes_attempts: bool,
}

/// Faults of jobs that pass.
pub(super) fn job_kinds() -> Vec<JobKind> {
    const LOCKS: &str = "TooManyLockFailure : Too many lock failure 200 Trying again later";
    const INTERNAL: &str = "InternalServerError : Unable to process the batch";
    const IN_A_TRIGGER: &str = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of AfterInsert \
         caused by: System.DmlException: Update failed. First exception on row 0 with id {id}; first \
         error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record or 1 records: \
         {id}: []:--";
    const IN_A_FLOW: &str = "CANNOT_EXECUTE_FLOW_TRIGGER:We can't save this record because the Count \
         process failed. This error occurred: UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to \
         this record or 1 records: {id}. You can look up ExceptionCodes in the SOAP API Developer \
         Guide.:--";
    let fail = |batches: usize, message: &str| json!({"fail_job": {"after_batches": batches, "message": message}});
    let end = |state: &str, rows: usize, message: &str| json!({"end_job": {"state": state, "after_rows": rows, "message": message}});
    let rows = |error: &str| json!({"fail_rows": {"share": 0.3, "attempts": 1, "error": error}});
    let takes = |name, action, most| JobKind {
        name,
        action,
        most,
        takes_attempts: true,
    };
    let free = |name, action, most| JobKind {
        name,
        action,
        most,
        takes_attempts: false,
    };
    vec![
        takes("failed_locks", fail(0, LOCKS), 2),
        takes("failed_locks_partly", end("failed", 7, LOCKS), 2),
        takes(
            "failed_unavailable",
            fail(
                0,
                "ApiUnavailable : ApiUnavailable : Please try again later",
            ),
            2,
        ),
        takes("failed_internal", fail(0, INTERNAL), 2),
        takes("failed_internal_partly", end("failed", 3, INTERNAL), 2),
        takes(
            "failed_timeout",
            fail(0, "Timeout : Batch failed: retried too often"),
            2,
        ),
        takes("aborted", end("aborted", 0, ""), 1),
        takes("aborted_partly", end("aborted", 5, ""), 1),
        takes(
            "locked_rows",
            json!({"lock_rows": {"share": 0.4, "attempts": 2}}),
            0,
        ),
        takes("locked_in_a_trigger", rows(IN_A_TRIGGER), 0),
        takes("locked_in_a_flow", rows(IN_A_FLOW), 0),
        takes(
            "rows_query_timeout",
            rows("QUERY_TIMEOUT:Your query request was running for too long.:--"),
            0,
        ),
        takes(
            "rows_unknown",
            rows("UNKNOWN_EXCEPTION:An unexpected error occurred. ErrorId 1-2 (3):--"),
            0,
        ),
        takes("too_many_retries", json!({"too_many_retries": {}}), 2),
        free("failed_ids", json!({"failed_ids": {"share": 0.0}}), 0),
        free("no_counts", json!({"no_counts": {}}), 0),
        free("lag_counts", json!({"lag_counts": {"ms": 40}}), 0),
        free(
            "lag_counts_by_readings",
            json!({"lag_counts": {"readings": 1}}),
            0,
        ),
        free(
            "lag_results",
            json!({"lag_results": {"ms": 60, "share": 0.5}}),
            0,
        ),
        free(
            "lag_successes",
            json!({"lag_results": {"readings": 1, "share": 0.0, "result": "successful"}}),
            0,
        ),
        free("late_rows", json!({"late_rows": {"count": 3, "ms": 30}}), 0),
        free("slow_job", json!({"slow_job": {"ms": 900}}), 2),
        free(
            "other_header",
            json!({"other_header": {"case": "lower", "order": "sorted"}}),
            0,
        ),
        free("reformat", json!({"reformat": {}}), 0),
        free("empty_body", json!({"empty_body": {}}), 0),
        free("pages", json!({"pages": {"rows": 7}}), 3),
    ]
}

/// Faults of jobs whose results cannot be true, or that spend what the org allows in a day.
pub(super) fn odd_kinds() -> Vec<(&'static str, Value)> {
    vec![
        (
            "wrong_processed",
            json!({"wrong_counts": {"processed": -1}}),
        ),
        ("wrong_failed", json!({"wrong_counts": {"failed": 1}})),
        ("withheld", json!({"withhold_rows": {"count": 1}})),
        ("altered", json!({"alter_rows": {"count": 2}})),
        ("repeated", json!({"repeat_rows": {"count": 1}})),
        ("foreign", json!({"foreign_rows": {"count": 1}})),
        ("dropped_columns", json!({"drop_columns": {"share": 0.5}})),
        ("blank_columns", json!({"blank_columns": {"share": 0.5}})),
    ]
}

/// Rules of the org that refuse rows for good.
pub(super) fn refusals() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "refused_rows",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:Refused by a rule of this org:--",
        ),
        (
            "refused_by_a_trigger",
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of BeforeInsert caused by: \
             System.DmlException: Insert failed. First exception on row 0; first error: \
             FIELD_CUSTOM_VALIDATION_EXCEPTION, not in this month: []:--",
        ),
    ]
}

/// A fault that does not pass.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) cell: &'static str,
    pub(super) fault: Value,
    /// The kinds of error that it may end with.
    pub(super) ends: &'static [&'static str],
}

pub(super) const CONFIG: &[&str] = &["config_error"];
pub(super) const TRANSIENT: &[&str] = &["transient_error"];

/// Faults that do not pass.
pub(super) fn lasting() -> Vec<Lasting> {
    let unavailable = json!({"page": {"code": 503}});
    let revoked = json!({"oauth_error": {"error": "invalid_grant", "description": "expired access/refresh token"}});
    let denied = json!({"api_error": {"status": 403, "code": "API_CURRENTLY_DISABLED", "message": "API is disabled for this User"}});
    let failed = |message: &str| json!({"fail_job": {"after_batches": 0, "message": message}});
    let column = "InvalidBatch : Field name not found : Secret__c";
    let spent = "ExceededQuota : ApiBatchItems Limit exceeded";
    let never = json!({"end_job": {"state": "in_progress", "after_rows": 0}});
    let lasting = |cell, fault, ends| Lasting { cell, fault, ends };
    vec![
        lasting(
            "token/revoked",
            json!({"calls": ["token"], "do": revoked}),
            CONFIG,
        ),
        lasting(
            "create/denied",
            json!({"calls": ["create", "create_multipart"], "do": denied}),
            CONFIG,
        ),
        lasting(
            "poll/for_ever_503",
            json!({"calls": ["poll"], "skip": 2, "do": unavailable}),
            TRANSIENT,
        ),
        lasting(
            "upload/for_ever_cut",
            json!({"calls": ["upload", "create_multipart"], "skip": 1, "do": {"close": {}}}),
            TRANSIENT,
        ),
        lasting(
            "results/for_ever_503",
            json!({"calls": ["failed_results"], "do": unavailable}),
            TRANSIENT,
        ),
        lasting(
            "job/refused_column",
            json!({"skip": 1, "do": failed(column)}),
            CONFIG,
        ),
        lasting(
            "job/spent",
            json!({"skip": 1, "do": failed(spent)}),
            TRANSIENT,
        ),
        lasting(NEVER_ENDS, json!({"skip": 1, "do": never}), TRANSIENT),
    ]
}

/// Calls of the bucket.
pub(super) const BUCKET_CALLS: [(&str, BucketCall); 4] = [
    ("put", BucketCall::Put),
    ("list", BucketCall::List),
    ("get", BucketCall::Get),
    ("delete", BucketCall::Delete),
];

/// Faults of the bucket that pass, and how often in a row they hit a call at most.
pub(super) const BUCKET_KINDS: [(&str, Harm, u32); 5] = [
    ("503", Harm::Error(503, "SlowDown"), 6),
    ("500", Harm::Error(500, "InternalError"), 4),
    ("close", Harm::Cut, 4),
    ("lose", Harm::Lose, 3),
    ("hang", Harm::Hang(Duration::from_millis(150)), 2),
];

/// Faults of the bucket that do not pass, and the kinds of error that they end with.
pub(super) const BUCKET_LASTING: [(&str, Harm, &[&str]); 2] = [
    ("denied", Harm::Error(403, "AccessDenied"), CONFIG),
    ("for_ever_503", Harm::Error(503, "SlowDown"), TRANSIENT),
];

/// The name of the fault that lets jobs be in progress for ever.
pub(super) const NEVER_ENDS: &str = "job/never_ends";
/// The name of the fault that all calls meet for a while.
pub(super) const SPAN: &str = "all/503_span";
/// The same of the bucket.
pub(super) const BUCKET_SPAN: &str = "bucket/503_span";

/// All cells that can be drawn, so that the report shows those that never were.
pub(super) fn all() -> Vec<String> {
    let kinds = call_kinds();
    let calls = CALLS.iter().flat_map(|call| {
        let fitting = kinds.iter().filter(move |kind| kind.of & call.of != 0);
        fitting.map(move |kind| format!("{}/{}", call.name, kind.name))
    });
    let mut cells: Vec<String> = calls.collect();
    let jobs = job_kinds().into_iter().map(|kind| kind.name);
    let odd = odd_kinds().into_iter().map(|(kind, _)| kind);
    let refusals = refusals().into_iter().map(|(kind, _)| kind);
    let jobs = jobs.chain(odd).chain(refusals);
    cells.extend(jobs.map(|kind| format!("job/{kind}")));
    cells.extend(lasting().iter().map(|lasting| lasting.cell.to_owned()));
    for (call, _) in BUCKET_CALLS {
        cells.extend(BUCKET_KINDS.map(|(kind, ..)| format!("bucket_{call}/{kind}")));
    }
    cells.extend(BUCKET_LASTING.map(|(kind, ..)| format!("bucket/{kind}")));
    cells.extend([SPAN, BUCKET_SPAN].map(str::to_owned));
    cells
}
