//! The faults of the fault tables, in the words of the simulator.

use std::path::Path;

use serde_json::{Value, json};

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// A few times, within the patience that is set.
    Passes,
    /// Always.
    Lasts,
}

/// A kind of fault: its name in the table, and what happens.
pub const FAULTS: [(&str, &str); 33] = [
    ("refused", "connections refused"),
    ("cut", "cut before the answer, nothing done"),
    ("cut_body", "cut within the answer"),
    ("lost", "done, and the answer lost"),
    ("no_answer", "no answer"),
    ("301", "301"),
    ("302", "302"),
    ("307", "307"),
    ("308", "308"),
    ("400_lasting", "400 with a lasting code"),
    ("400_unknown", "400 `UNKNOWN_EXCEPTION`"),
    ("400_page", "400, a page"),
    ("401", "401"),
    ("403_daily", "403, the daily limit"),
    ("403_concurrent", "403, the limit of requests at once"),
    ("403_lasting", "403 with a lasting code"),
    ("403_page", "403, a page"),
    ("404", "404"),
    ("404_page", "404, a page"),
    ("408", "408"),
    ("409", "409"),
    ("413_page", "413, a page"),
    ("420", "420"),
    ("429", "429"),
    ("429_wait", "429 with `Retry-After`"),
    ("500", "500 `UNKNOWN_EXCEPTION`"),
    ("501_page", "501, a page"),
    ("502_page", "502, a page"),
    ("503_page", "503, a page"),
    ("504_page", "504, a page"),
    ("504_done", "504, a page, though it was done"),
    ("200_page", "200, a page of HTML"),
    ("truncated", "200, and the answer short"),
];

/// What the simulator does in place of an answer, or to it.
fn action(fault: &str) -> Value {
    let page = |code: u16| json!({"page": {"code": code}});
    let status = |code: u16| json!({"status": {"code": code}});
    let error = |status: u16, code: &str, message: &str| json!({"api_error": {"status": status, "code": code, "message": message}});
    match fault {
        "cut" => json!({"close": {}}),
        "cut_body" => json!({"cut_body": {}}),
        "lost" => json!({"lose": {}}),
        "no_answer" => json!({"hang": {"ms": 120_000}}),
        "301" | "302" | "307" | "308" => {
            json!({"redirect": {"code": fault.parse::<u16>().unwrap()}})
        }
        "400_lasting" => error(
            400,
            "FEATURENOTENABLED",
            "feature is not enabled for this organization",
        ),
        "400_unknown" => error(400, "UNKNOWN_EXCEPTION", "An unexpected error occurred"),
        "403_daily" => error(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        ),
        "403_concurrent" => error(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentPerOrgLongTxn Limit exceeded.",
        ),
        "403_lasting" => error(403, "INSUFFICIENT_ACCESS", "insufficient access rights"),
        "429_wait" => json!({"status": {"code": 429, "retry_after": 2}}),
        "504_done" | "504_page" => page(504),
        "200_page" => page(200),
        "truncated" => json!({"truncate": {}}),
        _ => match fault.split_once('_') {
            Some((code, "page")) => page(code.parse().unwrap()),
            _ => status(fault.parse().unwrap()),
        },
    }
}

/// A fault of some calls, which hits none of the first `skip`. Its name is `cell`.
pub fn fault(name: &str, calls: &[&str], skip: u32, course: Course) -> Value {
    let at_login = calls == ["token"];
    let (times, milliseconds) = match (course, name) {
        (Course::Lasts, _) => (0, 4_000),
        (Course::Passes, "refused" | "no_answer") => (1, 50),
        (Course::Passes, "404" | "404_page" | "420") => (3, 0),
        (Course::Passes, _) => (2, 0),
    };
    let mut fault = json!({"name": "cell", "calls": calls, "skip": skip, "times": times});
    fault["do"] = if name == "refused" {
        json!({"refuse": {"ms": milliseconds}})
    } else if name == "400_lasting" && at_login {
        json!({"oauth_error": {"error": "invalid_client", "description": "invalid client credentials"}})
    } else {
        action(name)
    };
    fault["after_work"] = json!(name == "504_done");
    fault
}

/// Fails unless the file at `path` has `table` between two markers. `UPDATE_DOCS=1` writes it anew.
pub fn hold_table(path: &Path, [begin, end]: [&str; 2], table: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let made = [before, begin, table, end, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).unwrap();
        return;
    }
    assert!(
        text == made,
        "{} is not what cells.tsv says; UPDATE_DOCS=1 writes it anew",
        path.display()
    );
}
