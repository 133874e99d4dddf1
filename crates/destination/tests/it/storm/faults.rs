//! The faults of a plan, drawn from tables of what may go wrong at which call.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use testkit::bucket_faults::{BucketCall, BucketFault, Harm};

use super::plan::StreamPlan;

/// A fault of the org.
#[derive(Debug)]
pub(super) struct OrgFault {
    /// Where and what, as the report names it.
    pub(super) cell: String,
    /// As the simulator takes it.
    pub(super) fault: Value,
    /// Whether it makes the org refuse rows for good though nothing is wrong with them.
    pub(super) refuses_rows: bool,
}

impl OrgFault {
    /// Whether it can hit rows of an object.
    pub(super) fn concerns(&self, object: &str) -> bool {
        let own = &self.fault["object"];
        own.is_null() || own == object
    }
}

/// What faults let a process come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// All faults pass.
    Passes,
    /// The process ends with an error of one of these kinds, unless the fault finds nothing to hit.
    Fails(&'static [&'static str]),
    /// Results say what cannot be true: it may end either way.
    Open,
}

/// What was drawn.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) org: Vec<OrgFault>,
    pub(super) bucket: Vec<BucketFault>,
    pub(super) fate: Fate,
}

/// Which calls a fault may hit: a bit each.
const START: u8 = 1;
const WRITE: u8 = 2;
const READ: u8 = 4;
const TOKEN: u8 = 8;

/// The calls of a load: name, what it is, how often a fault that passes may hit it in a row.
const CALLS: [(&str, u8); 13] = [
    ("token", TOKEN),
    ("describe", START),
    ("limits", START),
    ("create", WRITE),
    ("create_multipart", WRITE),
    ("upload", WRITE),
    ("close", WRITE),
    ("poll", READ),
    ("successful_results", READ),
    ("failed_results", READ),
    ("unprocessed_records", READ),
    ("list", READ),
    ("abort", WRITE),
];

const ALL: u8 = START | WRITE | READ | TOKEN;
const DATA: u8 = START | WRITE | READ;

/// Faults of one call: name, what is done, which calls it hits, how often in a row at most while
/// it counts as passing.
fn kinds() -> Vec<(&'static str, Value, u8, u32)> {
    let status = |code: u16| json!({"status": {"code": code}});
    let page = |code: u16| json!({"page": {"code": code}});
    let error = |status: u16, code: &str, message: &str| json!({"api_error": {"status": status, "code": code, "message": message}});
    vec![
        ("close", json!({"close": {}}), ALL, 5),
        ("lose", json!({"lose": {}}), DATA, 3),
        ("cut_body", json!({"cut_body": {}}), DATA, 3),
        ("truncate", json!({"truncate": {}}), READ, 2),
        ("hang", json!({"hang": {"ms": 150}}), ALL, 2),
        ("refuse", json!({"refuse": {"ms": 250}}), ALL, 1),
        ("delay", json!({"delay": {"ms": 200}}), ALL, 3),
        ("302", json!({"redirect": {}}), READ, 1),
        ("400_page", page(400), READ, 4),
        (
            "400_unknown",
            error(400, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
            READ,
            3,
        ),
        ("401", json!({"expire_tokens": {}}), DATA, 2),
        ("403_page", page(403), READ, 4),
        (
            "403_concurrent",
            error(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            ),
            DATA,
            3,
        ),
        (
            "404",
            error(404, "NOT_FOUND", "The requested resource does not exist"),
            READ,
            3,
        ),
        ("404_page", page(404), READ, 3),
        ("408", page(408), DATA, 3),
        ("420", status(420), READ, 3),
        ("429", status(429), ALL, 4),
        (
            "429_after",
            json!({"status": {"code": 429, "retry_after": 2}}),
            ALL,
            2,
        ),
        ("500", status(500), ALL, 4),
        ("502_page", page(502), ALL, 6),
        ("503", status(503), ALL, 8),
        ("504_page", page(504), ALL, 5),
        ("200_page", page(200), READ, 3),
    ]
}

/// Faults of a job that pass: name, what is done, how many jobs it hits at most.
fn job_kinds() -> Vec<(&'static str, Value, u32)> {
    let fail = |batches: usize, message: &str| json!({"fail_job": {"after_batches": batches, "message": message}});
    let rows = |error: &str| json!({"fail_rows": {"share": 0.3, "attempts": 1, "error": error}});
    vec![
        (
            "failed_locks",
            fail(
                0,
                "TooManyLockFailure : Too many lock failure 200 Trying again later",
            ),
            2,
        ),
        (
            "failed_locks_partly",
            fail(
                1,
                "TooManyLockFailure : Too many lock failure 200 Trying again later",
            ),
            2,
        ),
        (
            "failed_unavailable",
            fail(
                0,
                "ApiUnavailable : ApiUnavailable : Please try again later",
            ),
            2,
        ),
        (
            "failed_internal",
            fail(0, "InternalServerError : Unable to process the batch"),
            2,
        ),
        (
            "failed_timeout",
            fail(0, "Timeout : Batch failed: retried too often"),
            2,
        ),
        (
            "locked_rows",
            json!({"lock_rows": {"share": 0.4, "attempts": 2}}),
            0,
        ),
        (
            "rows_query_timeout",
            rows("QUERY_TIMEOUT:Your query request was running for too long.:--"),
            0,
        ),
        (
            "rows_unknown",
            rows("UNKNOWN_EXCEPTION:An unexpected error occurred. ErrorId 1-2 (3):--"),
            0,
        ),
        ("too_many_retries", json!({"too_many_retries": {}}), 2),
        ("failed_ids", json!({"failed_ids": {"share": 0.0}}), 0),
        ("no_counts", json!({"no_counts": {}}), 0),
        (
            "other_header",
            json!({"other_header": {"case": "lower", "order": "sorted"}}),
            0,
        ),
        ("reformat", json!({"reformat": {}}), 0),
        ("empty_body", json!({"empty_body": {}}), 0),
        ("pages", json!({"pages": {"rows": 7}}), 3),
    ]
}

/// Faults of a job whose results cannot be true.
fn odd_kinds() -> Vec<(&'static str, Value)> {
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

/// Faults that do not pass: name, the fault, the kinds of error that it ends with.
fn lasting() -> Vec<(&'static str, Value, &'static [&'static str])> {
    const CONFIG: &[&str] = &["config_error"];
    const TRANSIENT: &[&str] = &["transient_error"];
    let unavailable = json!({"page": {"code": 503}});
    let revoked = json!({"oauth_error": {"error": "invalid_grant", "description": "expired access/refresh token"}});
    let denied = json!({"api_error": {"status": 403, "code": "API_CURRENTLY_DISABLED", "message": "API is disabled for this User"}});
    let column = "InvalidBatch : Field name not found : Secret__c";
    let spent = "ExceededQuota : ApiBatchItems Limit exceeded";
    let failed = |message: &str| json!({"fail_job": {"after_batches": 0, "message": message}});
    vec![
        (
            "token/revoked",
            json!({"calls": ["token"], "do": revoked}),
            CONFIG,
        ),
        (
            "create/denied",
            json!({"calls": ["create", "create_multipart"], "do": denied}),
            CONFIG,
        ),
        (
            "poll/for_ever_503",
            json!({"calls": ["poll"], "skip": 2, "do": unavailable}),
            TRANSIENT,
        ),
        (
            "upload/for_ever_cut",
            json!({"calls": ["upload", "create_multipart"], "skip": 1, "do": {"close": {}}}),
            TRANSIENT,
        ),
        (
            "results/for_ever_503",
            json!({"calls": ["failed_results"], "do": unavailable}),
            TRANSIENT,
        ),
        (
            "job/refused_column",
            json!({"skip": 1, "do": failed(column)}),
            CONFIG,
        ),
        (
            "job/spent",
            json!({"skip": 1, "do": failed(spent)}),
            TRANSIENT,
        ),
    ]
}

/// Draws the faults of a plan.
pub(super) fn draw(random: &mut Rng, streams: &[StreamPlan], rotates: bool, bucket: bool) -> Drawn {
    let mut drawn = Drawn {
        org: Vec::new(),
        bucket: Vec::new(),
        fate: Fate::Passes,
    };
    let kinds = kinds();
    for _ in 0..random.usize(..5) {
        drawn.call(random, &kinds, rotates);
    }
    if random.u8(..8) == 0 {
        drawn.span(random);
    }
    for _ in 0..random.usize(..3).saturating_sub(usize::from(random.bool())) {
        drawn.job(random, streams);
    }
    if bucket {
        for _ in 0..random.usize(..4) {
            drawn.bucket(random);
        }
    }
    match random.u8(..12) {
        0 => drawn.lasting(random, bucket),
        1 => drawn.odd(random, streams),
        2 => drawn.refused_rows(random, streams),
        _ => {}
    }
    drawn
}

impl Drawn {
    fn add(&mut self, cell: String, mut fault: Value, refuses_rows: bool) {
        // Two faults of one name could not be distinguished.
        if self.org.iter().all(|known| known.cell != cell) {
            fault["name"] = json!(cell);
            self.org.push(OrgFault {
                cell,
                fault,
                refuses_rows,
            });
        }
    }

    /// A fault of one call that passes.
    fn call(&mut self, random: &mut Rng, kinds: &[(&str, Value, u8, u32)], rotates: bool) {
        let (call, of) = CALLS[random.usize(..CALLS.len())];
        let fitting = kinds.iter().filter(|(name, _, calls, _)| {
            // A token that is lost with its answer is lost for good.
            let kept = of != TOKEN || !rotates || !matches!(*name, "lose" | "hang");
            calls & of != 0 && kept
        });
        let fitting: Vec<_> = fitting.collect();
        let (kind, action, _, most) = fitting[random.usize(..fitting.len())];
        // At the start there is nothing yet that patience could save.
        let most = if of == START { (*most).min(2) } else { *most };
        let cell = format!("{call}/{kind}");
        // What one call meets in a row must be few of each sort: one fault a call.
        let known = self
            .org
            .iter()
            .any(|fault| fault.cell.starts_with(&format!("{call}/")));
        if !known {
            let times = random.u32(1..=most);
            let skip = random.u32(..6);
            self.add(
                cell,
                json!({"calls": [call], "skip": skip, "times": times, "do": action}),
                false,
            );
        }
    }

    /// All calls fail for a while.
    fn span(&mut self, random: &mut Rng) {
        let fault = json!({
            "skip": random.u32(2..40),
            "times": 0,
            "for_ms": random.u32(200..1_500),
            "do": {"page": {"code": 503}},
        });
        self.add("all/503_span".to_owned(), fault, false);
    }

    fn job(&mut self, random: &mut Rng, streams: &[StreamPlan]) {
        let kinds = job_kinds();
        let (kind, action, most) = &kinds[random.usize(..kinds.len())];
        let object = streams[random.usize(..streams.len())].shape.object;
        // Attempts are few: one fault that takes some of them.
        let takes = |cell: &str| {
            !["ids", "counts", "header", "reformat", "body", "pages"]
                .iter()
                .any(|free| cell.ends_with(free))
        };
        let cell = format!("job/{kind}");
        if takes(&cell)
            && self
                .org
                .iter()
                .any(|fault| fault.cell.starts_with("job/") && takes(&fault.cell))
        {
            return;
        }
        let times = if *most == 0 { 0 } else { random.u32(1..=*most) };
        let skip = random.u32(..4);
        self.add(
            cell,
            json!({"object": object, "skip": skip, "times": times, "do": action}),
            false,
        );
    }

    fn odd(&mut self, random: &mut Rng, streams: &[StreamPlan]) {
        let kinds = odd_kinds();
        let (kind, action) = &kinds[random.usize(..kinds.len())];
        let object = streams[random.usize(..streams.len())].shape.object;
        let fault = json!({"object": object, "times": 2, "do": action});
        self.add(format!("job/{kind}"), fault, false);
        self.fate = Fate::Open;
    }

    /// Rows that a rule of the org refuses for good.
    fn refused_rows(&mut self, random: &mut Rng, streams: &[StreamPlan]) {
        let object = streams[random.usize(..streams.len())].shape.object;
        let error = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Refused by a rule of this org:--";
        let action = json!({"fail_rows": {"share": 0.3, "error": error}});
        let fault = json!({"object": object, "times": 0, "do": action});
        self.add("job/refused_rows".to_owned(), fault, true);
    }

    fn lasting(&mut self, random: &mut Rng, bucket: bool) {
        if bucket && random.u8(..3) == 0 {
            let (harm, kinds): (_, &[&str]) = if random.bool() {
                (Harm::Error(403, "AccessDenied"), &["config_error"])
            } else {
                (Harm::Error(503, "SlowDown"), &["transient_error"])
            };
            let word = if matches!(harm, Harm::Error(403, _)) {
                "denied"
            } else {
                "for_ever_503"
            };
            self.bucket.clear();
            self.bucket.push(BucketFault {
                name: format!("bucket/{word}"),
                call: None,
                skip: random.u32(..5),
                times: None,
                span: None,
                harm,
            });
            self.fate = Fate::Fails(kinds);
            return;
        }
        let faults = lasting();
        let (cell, fault, kinds) = &faults[random.usize(..faults.len())];
        let mut fault = fault.clone();
        fault["times"] = json!(0);
        self.add((*cell).to_owned(), fault, false);
        self.fate = Fate::Fails(kinds);
    }

    /// A fault of the bucket that passes.
    fn bucket(&mut self, random: &mut Rng) {
        let calls = [
            ("put", BucketCall::Put),
            ("list", BucketCall::List),
            ("get", BucketCall::Get),
            ("delete", BucketCall::Delete),
        ];
        let harms = [
            ("503", Harm::Error(503, "SlowDown"), 6),
            ("500", Harm::Error(500, "InternalError"), 4),
            ("close", Harm::Cut, 4),
            ("lose", Harm::Lose, 3),
            ("hang", Harm::Hang(Duration::from_millis(150)), 2),
        ];
        let (call_name, call) = calls[random.usize(..calls.len())];
        let (harm_name, harm, most) = harms[random.usize(..harms.len())];
        let name = format!("bucket_{call_name}/{harm_name}");
        if self.bucket.iter().any(|known| known.call == Some(call)) {
            return;
        }
        self.bucket.push(BucketFault {
            name,
            call: Some(call),
            skip: random.u32(..3),
            times: Some(random.u32(1..=most)),
            span: None,
            harm,
        });
    }
}

/// All cells that can be drawn, so that the report shows those that never were.
pub(super) fn cells() -> Vec<String> {
    let kinds = kinds();
    let calls = CALLS.iter().flat_map(|(call, of)| {
        let fitting = kinds.iter().filter(move |(_, _, calls, _)| calls & of != 0);
        fitting.map(move |(kind, ..)| format!("{call}/{kind}"))
    });
    let mut cells: Vec<String> = calls.collect();
    cells.push("all/503_span".to_owned());
    cells.push("job/refused_rows".to_owned());
    cells.extend(job_kinds().iter().map(|(kind, ..)| format!("job/{kind}")));
    cells.extend(odd_kinds().iter().map(|(kind, _)| format!("job/{kind}")));
    cells.extend(lasting().iter().map(|(cell, ..)| (*cell).to_owned()));
    for call in ["put", "list", "get", "delete"] {
        for harm in ["503", "500", "close", "lose", "hang"] {
            cells.push(format!("bucket_{call}/{harm}"));
        }
    }
    cells.extend(["bucket/denied", "bucket/for_ever_503"].map(str::to_owned));
    cells
}
