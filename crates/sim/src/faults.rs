//! Faults on demand: which requests or jobs they hit, and what happens to those.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::http::ApiError;

/// A fault: what it hits, how often, and what it does.
///
/// As JSON: `{"method":"PATCH","path":"*/jobs/ingest/*","skip":1,"times":1,"do":{"lose":{}}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The HTTP method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The path and query of the request, where `*` stands for any text; any when absent.
    #[serde(default)]
    pub path: Option<String>,
    /// For faults of jobs: the object's name; any when absent.
    #[serde(default)]
    pub object: Option<String>,
    /// Matches that pass untouched before the first one hit.
    #[serde(default)]
    pub skip: u32,
    /// Matches that are hit; 0 for all.
    #[serde(default = "once")]
    pub times: u32,
    /// The share of matches that is hit, drawn from the simulator's seed.
    #[serde(default = "always")]
    pub chance: f64,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Action,
}

fn once() -> u32 {
    1
}

fn always() -> f64 {
    1.0
}

/// What a fault does to a request or, from `FailJob` on, to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answers without doing the work.
    Status {
        /// HTTP status.
        code: u16,
        /// Body; an error list of Salesforce's kind when absent.
        #[serde(default)]
        body: Option<String>,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answers an error of the REST API without doing the work; with a path, also to a describe
    /// inside a composite request.
    ApiError {
        /// HTTP status; 400 when absent.
        #[serde(default = "bad_request")]
        status: u16,
        /// `errorCode`.
        code: String,
        /// `message`.
        #[serde(default)]
        message: String,
    },
    /// Answers an error of the token endpoint, 400, without doing the work; it hits no other
    /// request.
    OauthError {
        /// `error`.
        error: String,
        /// `error_description`.
        #[serde(default)]
        description: String,
    },
    /// Closes the connection without doing the work.
    Close {},
    /// Does the work, then closes the connection without an answer.
    Lose {},
    /// Waits before doing the work.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Makes all access tokens unknown before the request is looked at.
    ExpireTokens {},
    /// The job ends Failed after some of its internal batches; the rest stays unprocessed.
    FailJob {
        /// Internal batches of 10,000 records that are processed before.
        after_batches: usize,
        /// The job's `errorMessage`.
        #[serde(default = "too_many_locks")]
        message: String,
    },
    /// A share of rows fails with `UNABLE_TO_LOCK_ROW`.
    LockRows {
        /// From 0 to 1.
        share: f64,
        /// The share is drawn by the rows' values, and a row fails this many times, in whichever
        /// jobs it comes; when absent, it is drawn for each job anew.
        #[serde(default)]
        attempts: Option<u32>,
    },
    /// A share of rows fails with the error given.
    FailRows {
        /// From 0 to 1.
        share: f64,
        /// `CODE:message:Field --`.
        error: String,
        /// As in `LockRows`.
        #[serde(default)]
        attempts: Option<u32>,
    },
    /// In 200 rows with a bad one the good ones fail too, with "Too many retries of batch save".
    TooManyRetries {},
    /// The share of failed rows with a known record whose result has the Id in `sf__Id`; half of
    /// them without this fault.
    FailedIds {
        /// From 0 to 1.
        share: f64,
    },
    /// The job's information has no counts.
    NoCounts {},
    /// The job's counts are off.
    WrongCounts {
        /// Added to `numberRecordsProcessed`.
        #[serde(default)]
        processed: i64,
        /// Added to `numberRecordsFailed`.
        #[serde(default)]
        failed: i64,
    },
    /// A result of the job lacks its last rows.
    WithholdRows {
        /// Rows.
        count: usize,
        /// In this result only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// The first rows of each result come back with other values.
    AlterRows {
        /// Rows.
        count: usize,
    },
    /// The first rows of a result come twice.
    RepeatRows {
        /// Rows.
        count: usize,
        /// In this result only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// A result has more rows, which were never uploaded.
    ForeignRows {
        /// Rows.
        count: usize,
        /// In this result only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// The columns of results come back in another letter case and order.
    OtherHeader {
        /// Upper case when absent.
        #[serde(default)]
        case: Case,
        /// The other way round when absent.
        #[serde(default)]
        order: Order,
    },
    /// Results lack some of the uploaded columns.
    DropColumns(Chosen),
    /// Some of the uploaded columns come back without values.
    BlankColumns(Chosen),
    /// Values of processed rows come back in another form, as far as their fields can read them.
    Reformat {
        /// `912260031` as `9.12260031E8`; also the default of the simulator.
        #[serde(default = "yes")]
        numbers: bool,
        /// `2024-01-31` as `2024-01-31T00:00:00.000Z`.
        #[serde(default = "yes")]
        dates: bool,
        /// `2024-01-31T10:00:00Z` as `2024-01-31T10:00:00.000+0000`.
        #[serde(default = "yes")]
        date_times: bool,
        /// `true` as `TRUE` in one column, as `1` in the next.
        #[serde(default = "yes")]
        booleans: bool,
    },
    /// A result without rows has no header either.
    EmptyBody {},
    /// Results come in pages, with a `Sforce-Locator`.
    Pages {
        /// Rows of a page.
        rows: usize,
    },
}

/// A result file of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultFile {
    /// `successfulResults`.
    Successful,
    /// `failedResults`.
    Failed,
    /// `unprocessedrecords`.
    Unprocessed,
}

/// The letter case of a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// `LASTNAME`.
    #[default]
    Upper,
    /// `lastname`.
    Lower,
    /// As uploaded, without quotes.
    Kept,
}

/// The order of columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From the last to the first.
    #[default]
    Reversed,
    /// By name.
    Sorted,
    /// As uploaded.
    Kept,
}

/// Some of the uploaded columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chosen {
    /// By name, in any letter case.
    pub names: Vec<String>,
    /// Of all others, this share, drawn from the seed.
    pub share: f64,
}

fn bad_request() -> u16 {
    400
}

fn yes() -> bool {
    true
}

fn too_many_locks() -> String {
    "TooManyLockFailure : Too many lock failure 200 Trying again later".to_owned()
}

impl Action {
    fn is_of_jobs(&self) -> bool {
        !matches!(
            self,
            Action::Status { .. }
                | Action::ApiError { .. }
                | Action::OauthError { .. }
                | Action::Close {}
                | Action::Lose {}
                | Action::Delay { .. }
                | Action::ExpireTokens {}
        )
    }
}

/// All faults with what is left of them.
#[derive(Debug)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u32,
    hit: u32,
}

/// What happens to one request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) expire_tokens: bool,
    pub(crate) close: bool,
    pub(crate) lose: bool,
    pub(crate) status: Option<(u16, Option<String>, Option<u64>)>,
    pub(crate) error: Option<ApiError>,
    /// `error` and `error_description` of the token endpoint.
    pub(crate) oauth_error: Option<(String, String)>,
}

impl Faults {
    pub(crate) fn new(faults: &[Fault], seed: u64) -> Faults {
        let mut new = Faults {
            armed: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        };
        new.add(faults);
        new
    }

    pub(crate) fn add(&mut self, faults: &[Fault]) {
        self.armed.extend(faults.iter().map(|fault| Armed {
            fault: fault.clone(),
            seen: 0,
            hit: 0,
        }));
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// What happens to a request.
    pub(crate) fn of_request(&mut self, method: &str, path: &str) -> Verdict {
        let mut verdict = Verdict::default();
        let for_tokens = path.starts_with("/services/oauth2/token");
        let matches = |fault: &Fault| {
            !fault.action.is_of_jobs()
                && (for_tokens || !matches!(fault.action, Action::OauthError { .. }))
                && fault
                    .method
                    .as_deref()
                    .is_none_or(|known| known.eq_ignore_ascii_case(method))
                && fault
                    .path
                    .as_deref()
                    .is_none_or(|pattern| matches_pattern(pattern, path))
        };
        for action in self.hits(matches) {
            match action {
                Action::Status {
                    code,
                    body,
                    retry_after,
                } => {
                    verdict.status = Some((code, body, retry_after));
                }
                Action::ApiError {
                    status,
                    code,
                    message,
                } => verdict.error = Some(ApiError::new(status, &code, &message)),
                Action::OauthError { error, description } => {
                    verdict.oauth_error = Some((error, description));
                }
                Action::Close {} => verdict.close = true,
                Action::Lose {} => verdict.lose = true,
                Action::Delay { ms } => verdict.delay += Duration::from_millis(ms),
                Action::ExpireTokens {} => verdict.expire_tokens = true,
                _ => {}
            }
        }
        verdict
    }

    /// The error of a describe inside another request: of faults that name its path.
    pub(crate) fn of_subrequest(&mut self, path: &str) -> Option<ApiError> {
        let matches = |fault: &Fault| {
            let pattern = fault.path.as_deref();
            matches!(fault.action, Action::ApiError { .. })
                && pattern.is_some_and(|pattern| matches_pattern(pattern, path))
        };
        self.hits(matches)
            .into_iter()
            .find_map(|action| match action {
                Action::ApiError {
                    status,
                    code,
                    message,
                } => Some(ApiError::new(status, &code, &message)),
                _ => None,
            })
    }

    /// What happens to a job of an object.
    pub(crate) fn of_job(&mut self, object: &str) -> Vec<Action> {
        self.hits(|fault| {
            fault.action.is_of_jobs()
                && fault
                    .object
                    .as_deref()
                    .is_none_or(|known| known.eq_ignore_ascii_case(object))
        })
    }

    fn hits(&mut self, matches: impl Fn(&Fault) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        for armed in &mut self.armed {
            let Fault {
                skip,
                times,
                chance,
                ..
            } = armed.fault;
            if !matches(&armed.fault) || (times > 0 && armed.hit >= times) {
                continue;
            }
            armed.seen += 1;
            if armed.seen > skip && (chance >= 1.0 || self.random.f64() < chance) {
                armed.hit += 1;
                actions.push(armed.fault.action.clone());
            }
        }
        actions
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*/failedResults*", "/x/failedResults/?locator=1", true),
            (
                "*/jobs/ingest/*/batches",
                "/v/jobs/ingest/750/batches",
                true,
            ),
            ("*/jobs/ingest", "/v/jobs/ingest/750", false),
            ("*a", "ba", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_fault_hits_as_often_as_it_says() {
        let faults: Vec<Fault> = serde_json::from_str(
            r#"[{"method":"GET","path":"/x*","skip":1,"times":2,"do":{"close":{}}},
                {"object":"Contact","do":{"lock_rows":{"share":0.5}}},
                {"times":0,"do":{"status":{"code":503,"retry_after":2}}}]"#,
        )
        .unwrap();
        let mut faults = Faults::new(&faults, 1);
        let closed: Vec<bool> = (0..4)
            .map(|_| faults.of_request("GET", "/x1").close)
            .collect();
        assert_eq!(closed, [false, true, true, false]);
        let status = faults.of_request("POST", "/y").status;
        assert_eq!(status, Some((503, None, Some(2))));
        assert_eq!(faults.of_job("Account"), []);
        assert_eq!(
            faults.of_job("contact"),
            [Action::LockRows {
                share: 0.5,
                attempts: None
            }]
        );
        assert_eq!(faults.of_job("contact"), []);
    }
}
