//! The calls of a client, by what they do.

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `POST /services/oauth2/token`.
    Token,
    /// `/services/oauth2/authorize`, and what a person types at `/setup/connect`.
    Authorize,
    /// `/services/oauth2/revoke`.
    Revoke,
    /// `GET /services/oauth2/userinfo`.
    Userinfo,
    /// `GET …/limits`.
    Limits,
    /// `GET …/sobjects`: the list of objects.
    Sobjects,
    /// `GET …/sobjects/{object}/describe`, alone or in a composite request.
    Describe,
    /// `POST …/composite`.
    Composite,
    /// `GET …/query` or `GET …/queryAll`, and their further pages.
    Query,
    /// `POST …/jobs/ingest` without data.
    Create,
    /// `POST …/jobs/ingest` with data.
    CreateMultipart,
    /// `PUT …/jobs/ingest/{id}/batches`.
    Upload,
    /// `PATCH …/jobs/ingest/{id}` to `UploadComplete`.
    Close,
    /// `PATCH …/jobs/ingest/{id}` to `Aborted`.
    Abort,
    /// `GET …/jobs/ingest/{id}`.
    Poll,
    /// `GET …/jobs/ingest`.
    List,
    /// `GET …/jobs/ingest/{id}/successfulResults`.
    SuccessfulResults,
    /// `GET …/jobs/ingest/{id}/failedResults`.
    FailedResults,
    /// `GET …/jobs/ingest/{id}/unprocessedrecords`.
    UnprocessedRecords,
    /// `DELETE …/jobs/ingest/{id}`.
    Delete,
    /// `POST …/jobs/query`.
    QueryCreate,
    /// `GET …/jobs/query/{id}`.
    QueryPoll,
    /// `PATCH …/jobs/query/{id}` to `Aborted`.
    QueryAbort,
    /// `GET …/jobs/query`.
    QueryList,
    /// `GET …/jobs/query/{id}/results`.
    QueryResults,
    /// `GET …/jobs/query/{id}/resultPages`.
    QueryPages,
    /// `DELETE …/jobs/query/{id}`.
    QueryDelete,
    /// Any other.
    Other,
}

impl Call {
    /// What a request asks for, by its method, its path without query, and what its body holds.
    pub(crate) fn of(method: &str, path: &str, body: &Content) -> Call {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (method, parts.as_slice()) {
            ("POST", ["services", "oauth2", "token"]) => Call::Token,
            (_, ["services", "oauth2", "authorize"] | ["setup", "connect"]) => Call::Authorize,
            (_, ["services", "oauth2", "revoke"]) => Call::Revoke,
            (_, ["services", "oauth2", "userinfo"]) => Call::Userinfo,
            (_, ["services", "data", _, rest @ ..]) => Call::of_data(method, rest, body),
            _ => Call::Other,
        }
    }

    /// Whether it changes jobs or reads what became of them, unlike a client that waits.
    pub(crate) fn acts_on_jobs(self) -> bool {
        matches!(
            self,
            Call::Create
                | Call::CreateMultipart
                | Call::Upload
                | Call::Close
                | Call::Abort
                | Call::SuccessfulResults
                | Call::FailedResults
                | Call::UnprocessedRecords
                | Call::Query
                | Call::QueryCreate
                | Call::QueryResults
                | Call::QueryPages
        )
    }

    fn of_data(method: &str, path: &[&str], body: &Content) -> Call {
        match (method, path) {
            ("GET", ["limits"]) => Call::Limits,
            ("GET", ["sobjects"]) => Call::Sobjects,
            ("GET", ["sobjects", _, "describe"]) => Call::Describe,
            ("POST", ["composite"] | ["composite", "batch"]) => Call::Composite,
            ("GET", ["query" | "queryAll", ..]) => Call::Query,
            ("GET", ["jobs", "query"]) => Call::QueryList,
            ("POST", ["jobs", "query"]) => Call::QueryCreate,
            ("GET", ["jobs", "query", _]) => Call::QueryPoll,
            ("PATCH", ["jobs", "query", _]) => Call::QueryAbort,
            ("DELETE", ["jobs", "query", _]) => Call::QueryDelete,
            ("GET", ["jobs", "query", _, "results"]) => Call::QueryResults,
            ("GET", ["jobs", "query", _, "resultPages"]) => Call::QueryPages,
            ("GET", ["jobs", "ingest"]) => Call::List,
            ("POST", ["jobs", "ingest"]) if body.has_data => Call::CreateMultipart,
            ("POST", ["jobs", "ingest"]) => Call::Create,
            ("PUT", ["jobs", "ingest", _, "batches"]) => Call::Upload,
            ("GET", ["jobs", "ingest", _]) => Call::Poll,
            ("DELETE", ["jobs", "ingest", _]) => Call::Delete,
            ("PATCH", ["jobs", "ingest", _]) => match body.state.as_deref() {
                Some("UploadComplete") => Call::Close,
                Some("Aborted") => Call::Abort,
                _ => Call::Other,
            },
            ("GET", ["jobs", "ingest", _, file]) => match file.to_ascii_lowercase().as_str() {
                "successfulresults" => Call::SuccessfulResults,
                "failedresults" => Call::FailedResults,
                "unprocessedrecords" => Call::UnprocessedRecords,
                _ => Call::Other,
            },
            _ => Call::Other,
        }
    }
}

/// What decides of a request's body which call it is.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// A job comes with its data.
    pub(crate) has_data: bool,
    /// The state that a job is to have.
    pub(crate) state: Option<String>,
}

/// A request, as faults see it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) call: Call,
    /// The Id of the job that it is about.
    pub(crate) job: Option<String>,
    /// The object that it is about.
    pub(crate) object: Option<String>,
}
