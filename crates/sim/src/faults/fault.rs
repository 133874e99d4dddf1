//! What a fault is: as a client of this library builds it, and as JSON.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::page::PageFault;

/// A fault: what it hits, how often, and what it does.
///
/// As JSON: `{"calls":["close"],"skip":1,"times":1,"do":{"lose":{}}}`. Only `do` is required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A name, by which its counters are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The calls that it hits; any when empty.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// The HTTP method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The path and query of the request, where `*` stands for any text; any when absent.
    #[serde(default)]
    pub path: Option<String>,
    /// The name of the object that a request or job is about; any when absent.
    #[serde(default)]
    pub object: Option<String>,
    /// The Id of the job that a request is about; any when absent.
    #[serde(default)]
    pub job: Option<String>,
    /// How many matches pass untouched before the first hit.
    #[serde(default)]
    pub skip: u32,
    /// How many matches are hit; 0 for all.
    #[serde(default = "once")]
    pub times: u32,
    /// The share of matches, 0 to 1, that is hit, drawn from the simulator's seed.
    #[serde(default = "always")]
    pub chance: f64,
    /// Milliseconds from when it is set, during which it hits nothing.
    #[serde(default)]
    pub after_ms: u64,
    /// Milliseconds from its first hit, after which it hits nothing more; no end when absent.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// For faults that answer a request: the work is done first, and the fault answers in place
    /// of it.
    #[serde(default)]
    pub after_work: bool,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Action,
}

impl Fault {
    /// A fault that hits the first request, or the first job, that `action` can hit.
    pub fn new(action: Action) -> Fault {
        Fault {
            name: None,
            calls: Vec::new(),
            method: None,
            path: None,
            object: None,
            job: None,
            skip: 0,
            times: once(),
            chance: always(),
            after_ms: 0,
            for_ms: None,
            after_work: false,
            action,
        }
    }
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
    /// Returns a status without doing the work.
    Status {
        /// HTTP status.
        code: u16,
        /// Body; a list of errors as Salesforce sends it when absent.
        #[serde(default)]
        body: Option<String>,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Returns a page of HTML of several lines, with commas in them.
    Page {
        /// HTTP status; 200 when absent.
        #[serde(default = "ok")]
        code: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Redirects.
    Redirect {
        /// HTTP status; 302 when absent.
        #[serde(default = "found")]
        code: u16,
        /// `Location`; a page of another host when absent.
        #[serde(default)]
        location: Option<String>,
    },
    /// Returns an error of the REST API without doing the work. With a path, also for a describe
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
    /// Returns an error of the token endpoint, with status 400, without doing the work. It hits no
    /// other request.
    OauthError {
        /// `error`.
        error: String,
        /// `error_description`.
        #[serde(default)]
        description: String,
    },
    /// Closes the connection without doing the work.
    Close {},
    /// Does the work, then closes the connection without a response.
    Lose {},
    /// Does the work, then closes the connection within the body of the response; before the
    /// response, if it has no body.
    CutBody {},
    /// Does the work, and returns the first part of the response's body as if it were all.
    Truncate {
        /// How much of the body, from 0 to 1; half when absent.
        #[serde(default = "half")]
        share: f64,
    },
    /// Never answers: closes the connection after some time, without doing the work.
    Hang {
        /// Milliseconds.
        ms: u64,
    },
    /// Refuses all connections for some time, and closes that of the request, without doing the
    /// work.
    Refuse {
        /// Milliseconds.
        ms: u64,
    },
    /// Waits before doing the work.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Ends all sessions before the session of the request is checked.
    ExpireTokens {},
    /// The org moves to another host, which logins answer from then on. The old one answers all
    /// further data calls, that of the request too, without doing the work.
    MoveHost {
        /// With this status and, if it redirects, with the new host's address of the call.
        #[serde(default = "found")]
        code: u16,
        /// Logins too.
        #[serde(default)]
        login: bool,
    },
    /// Does the work, and spoils a page of results of a query job. It hits no other request.
    ResultPage(PageFault),
    /// The job ends as `Failed` after some of its internal batches; the rest stays unprocessed.
    FailJob {
        /// How many internal batches of 10,000 records are processed before.
        after_batches: usize,
        /// The job's `errorMessage`.
        #[serde(default = "too_many_locks")]
        message: String,
    },
    /// The job ends, or stays, before all of its rows are processed.
    EndJob {
        /// How it ends; `Failed` when absent.
        #[serde(default)]
        state: End,
        /// How many rows are processed before. A query job ends so only if it finds more records.
        #[serde(default)]
        after_rows: usize,
        /// The job's `errorMessage`.
        #[serde(default = "too_many_locks")]
        message: String,
        /// Its unprocessed rows are in no result file.
        #[serde(default)]
        unrecorded: bool,
    },
    /// Of a job that was aborted or failed, some more rows are processed after its end: their
    /// batches were in flight.
    LateRows {
        /// How many rows.
        count: usize,
        /// Milliseconds from the end of the job.
        #[serde(default)]
        ms: u64,
    },
    /// The job is `InProgress` for some time before its first row.
    SlowJob {
        /// Milliseconds.
        ms: u64,
    },
    /// The job fails as a whole if its file has a text anywhere.
    RefuseFile {
        /// The text.
        text: String,
        /// The job's `errorMessage`.
        #[serde(default = "not_processed")]
        message: String,
    },
    /// The counts of the job lag: from its end on they grow from 0 to what is true.
    LagCounts {
        /// Milliseconds until they are true.
        #[serde(default)]
        ms: u64,
        /// How many polls after the end of the job show 0.
        #[serde(default)]
        readings: u32,
    },
    /// Result files lag: they have only the first of their rows.
    LagResults {
        /// Milliseconds from the end of the job, during which they do.
        #[serde(default)]
        ms: u64,
        /// How many readings of each file do.
        #[serde(default)]
        readings: u32,
        /// The share of rows that they have, from 0 to 1.
        #[serde(default)]
        share: f64,
        /// This result file only; each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// A share of rows fails with `UNABLE_TO_LOCK_ROW`.
    LockRows {
        /// From 0 to 1.
        share: f64,
        /// In how many jobs a row fails; the rows are drawn by their values. When absent, the
        /// rows are drawn for each job by itself.
        #[serde(default)]
        attempts: Option<u32>,
    },
    /// A share of rows fails with the error given.
    FailRows {
        /// From 0 to 1.
        share: f64,
        /// `CODE:message:Field --`. `{id}` in it stands for the Id of the row's record, or of
        /// another record where the row has none.
        error: String,
        /// As in `LockRows`.
        #[serde(default)]
        attempts: Option<u32>,
    },
    /// One bad row makes the good rows of its 200 fail too, with "Too many retries of batch save".
    TooManyRetries {},
    /// How many failed rows whose record is known have its Id in `sf__Id`; half of them without
    /// this fault.
    FailedIds {
        /// From 0 to 1.
        share: f64,
    },
    /// The job's information lacks its counts.
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
    /// A result file lacks its last rows.
    WithholdRows {
        /// How many rows.
        count: usize,
        /// In this result file only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// The first rows of each result file have other values than were uploaded.
    AlterRows {
        /// How many rows.
        count: usize,
    },
    /// The first rows of a result file are listed twice.
    RepeatRows {
        /// How many rows.
        count: usize,
        /// In this result file only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// A result file has additional rows, which were never uploaded.
    ForeignRows {
        /// How many rows.
        count: usize,
        /// In this result file only; in each when absent.
        #[serde(default)]
        result: Option<ResultFile>,
    },
    /// The columns of result files have another letter case and order.
    OtherHeader {
        /// Upper case when absent.
        #[serde(default)]
        case: Case,
        /// Reversed when absent.
        #[serde(default)]
        order: Order,
    },
    /// Result files lack some of the uploaded columns.
    DropColumns(Chosen),
    /// Some of the uploaded columns have no values in result files.
    BlankColumns(Chosen),
    /// Values of processed rows have another form in result files, where their fields can read
    /// them.
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
    /// A result file without rows has no header either.
    EmptyBody {},
    /// Result files come in pages, with a `Sforce-Locator`; pages of a query job are smaller than
    /// asked for.
    Pages {
        /// Rows per page.
        rows: usize,
    },
    /// The results of a query job are gone some time after its end.
    ExpireResults {
        /// Milliseconds.
        #[serde(default)]
        ms: u64,
        /// How many pages are read before, too.
        #[serde(default)]
        pages: u32,
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

impl ResultFile {
    /// By the last part of its URL, in any letter case.
    pub(crate) fn parse(name: &str) -> Option<ResultFile> {
        Some(match name.to_ascii_lowercase().as_str() {
            "successfulresults" => ResultFile::Successful,
            "failedresults" => ResultFile::Failed,
            "unprocessedrecords" => ResultFile::Unprocessed,
            _ => return None,
        })
    }
}

/// How a job ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As `Failed`.
    #[default]
    Failed,
    /// As `Aborted`.
    Aborted,
    /// It stays `InProgress`.
    InProgress,
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
    /// Of the other columns, this share, 0 to 1, drawn from the seed.
    pub share: f64,
}

fn ok() -> u16 {
    200
}

fn found() -> u16 {
    302
}

pub(super) fn half() -> f64 {
    0.5
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

fn not_processed() -> String {
    "InvalidBatch : Records not processed".to_owned()
}

impl Action {
    /// Whether it hits jobs; the others hit requests.
    pub(super) fn hits_jobs(&self) -> bool {
        !matches!(
            self,
            Action::Status { .. }
                | Action::ApiError { .. }
                | Action::OauthError { .. }
                | Action::Page { .. }
                | Action::Redirect { .. }
                | Action::Close {}
                | Action::Lose {}
                | Action::CutBody {}
                | Action::Truncate { .. }
                | Action::Hang { .. }
                | Action::Refuse { .. }
                | Action::Delay { .. }
                | Action::ExpireTokens {}
                | Action::MoveHost { .. }
                | Action::ResultPage(_)
        )
    }
}
