//! A query job: the request for it, its states, and how responses show it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::results::{Page, Results, Wanted};
use crate::csv;
use crate::error::ApiError;
use crate::faults::Action;
use crate::jobs::job::JobState;
use crate::org::user::User;
use crate::org::value::with_offset;
use crate::soql::{self, Query, What};

/// The request to create a job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    operation: Option<String>,
    query: Option<String>,
    content_type: Option<String>,
    column_delimiter: Option<String>,
    line_ending: Option<String>,
}

/// The settings of a job.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) object: String,
    /// `queryAll`.
    pub(super) with_deleted: bool,
    pub(super) delimiter: u8,
    pub(super) crlf: bool,
    delimiter_name: String,
    /// The Id of who created it.
    user: String,
    api_version: f64,
    /// Salesforce would split the query.
    is_chunked: bool,
}

impl Request {
    /// Checks the request against what the user sees.
    ///
    /// # Errors
    /// If Salesforce would refuse it.
    pub(super) fn checked(
        self,
        user: &User,
        api_version: f64,
    ) -> Result<(Query, Settings), ApiError> {
        let invalid = |message: &str| ApiError::new(400, "INVALIDJOB", message);
        let with_deleted = match self.operation.as_deref() {
            Some("query") => false,
            Some("queryAll") => true,
            _ => return Err(invalid("InvalidJob : operation is query or queryAll")),
        };
        if self.content_type.is_some_and(|kind| kind != "CSV") {
            let message = "InvalidJob : Unsupported content type, only CSV is";
            return Err(invalid(message));
        }
        let crlf = match self.line_ending.as_deref() {
            None | Some("LF") => false,
            Some("CRLF") => true,
            Some(_) => return Err(invalid("InvalidJob : lineEnding is LF or CRLF")),
        };
        let delimiter_name = self.column_delimiter.unwrap_or_else(|| "COMMA".to_owned());
        let delimiter = csv::delimiter(&delimiter_name)
            .ok_or_else(|| invalid("InvalidJob : unknown columnDelimiter"))?;
        let text = self
            .query
            .ok_or_else(|| invalid("InvalidJob : No query specified"))?;
        // Of these errors, jobs have the text, but another code.
        let of_query = |error: ApiError| ApiError::new(400, "API_ERROR", error.message());
        let query = Query::read(&text, &user.schema).map_err(of_query)?;
        check_bulk(&query).map_err(|message| ApiError::new(400, "API_ERROR", message))?;
        let settings = Settings {
            object: query.object.name.clone(),
            with_deleted,
            delimiter,
            crlf,
            delimiter_name,
            user: user.id.clone(),
            api_version,
            is_chunked: !query.is_ordered_or_limited,
        };
        Ok((query, settings))
    }
}

/// Checks that a query can be one of a job.
fn check_bulk(query: &Query) -> Result<(), &'static str> {
    let What::Fields(fields) = &query.what else {
        return Err("Aggregate Relationships not supported in Bulk V2 Query with CSV content type");
    };
    if query.has_offset {
        return Err("OFFSET is not supported in Bulk V2 Query");
    }
    let refused = fields
        .iter()
        .find_map(|field| soql::not_in_bulk(query, *field));
    refused.map_or(Ok(()), Err)
}

/// A query job.
#[derive(Debug)]
pub(super) struct ExportJob {
    pub(super) id: String,
    pub(super) settings: Arc<Settings>,
    pub(super) state: JobState,
    pub(super) results: Option<Arc<Results>>,
    message: Option<String>,
    created: DateTime<Utc>,
    modified: DateTime<Utc>,
    begun: Instant,
    milliseconds: u64,
    /// What goes wrong with it.
    faults: Vec<Action>,
    ended: Option<Instant>,
    /// Polls after its end.
    polled: u32,
    /// Pages that were read.
    read: u32,
}

impl ExportJob {
    pub(super) fn new(id: String, settings: Settings, faults: Vec<Action>) -> ExportJob {
        let now = Utc::now();
        ExportJob {
            id,
            settings: Arc::new(settings),
            state: JobState::UploadComplete,
            results: None,
            message: None,
            created: now,
            modified: now,
            begun: Instant::now(),
            milliseconds: 0,
            faults,
            ended: None,
            polled: 0,
            read: 0,
        }
    }

    /// Moves to another state, unless the job has ended.
    pub(super) fn enter(&mut self, state: JobState) {
        if self.state.is_terminal() {
            return;
        }
        self.state = state;
        self.ended = state.is_terminal().then(Instant::now);
        self.modified = Utc::now();
        let took = self.begun.elapsed().as_millis();
        self.milliseconds = u64::try_from(took).unwrap_or(u64::MAX);
    }

    pub(super) fn complete(&mut self, results: Results) {
        if !self.state.is_terminal() {
            self.results = Some(Arc::new(results));
            self.enter(JobState::JobComplete);
        }
    }

    pub(super) fn fail(&mut self, message: String) {
        if !self.state.is_terminal() {
            self.message = Some(message);
            self.enter(JobState::Failed);
        }
    }

    /// Moves to the state that a client wants.
    pub(super) fn request_state(&mut self, wanted: &str) -> Result<(), ApiError> {
        if wanted != "Aborted" {
            let message = "InvalidJob : the state of a query job can be set to Aborted only";
            return Err(ApiError::new(400, "INVALIDJOB", message));
        }
        if self.state.is_terminal() {
            let name = match self.state {
                JobState::JobComplete => "Completed",
                state => state.name(),
            };
            let message = format!("Aborting already {name} Job not allowed");
            return Err(ApiError::new(400, "INVALIDJOBSTATE", &message));
        }
        self.enter(JobState::Aborted);
        Ok(())
    }

    /// The response to POST and PATCH.
    pub(super) fn created(&self) -> Value {
        let Settings {
            object,
            with_deleted,
            crlf,
            delimiter_name,
            user,
            api_version,
            ..
        } = &*self.settings;
        json!({
            "id": self.id,
            "operation": if *with_deleted { "queryAll" } else { "query" },
            "object": object,
            "createdById": user,
            "createdDate": with_offset(self.created),
            "systemModstamp": with_offset(self.modified),
            "state": self.state.name(),
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": api_version,
            "lineEnding": if *crlf { "CRLF" } else { "LF" },
            "columnDelimiter": delimiter_name,
        })
    }

    /// An entry of the list of jobs.
    pub(super) fn listed(&self) -> Value {
        let mut info = self.created();
        info["jobType"] = json!("V2Query");
        info
    }

    /// The response to GET.
    pub(super) fn info(&mut self) -> Value {
        self.polled += u32::from(self.ended.is_some());
        self.inspected()
    }

    /// The job as it is, which is not counted as a poll.
    pub(super) fn inspected(&self) -> Value {
        let mut info = self.listed();
        if let Some(records) = self.shown_records() {
            info["numberRecordsProcessed"] = json!(records);
        }
        info["retries"] = json!(0);
        info["totalProcessingTime"] = json!(self.milliseconds);
        info["isPkChunkingSupported"] = json!(self.settings.is_chunked);
        if let Some(message) = &self.message {
            info["errorMessage"] = json!(message);
        }
        info
    }

    /// `numberRecordsProcessed`.
    fn shown_records(&self) -> Option<i64> {
        let records = self.results.as_ref().map_or(0, |results| results.records());
        let mut shown = i64::try_from(records).unwrap_or(i64::MAX);
        for fault in &self.faults {
            match fault {
                Action::NoCounts {} => return None,
                Action::WrongCounts { processed, .. } => {
                    shown = shown.saturating_add(*processed).max(0);
                }
                Action::LagCounts { ms, readings } => {
                    let time = Duration::from_millis(*ms);
                    let lags = |ended: Instant| self.polled <= *readings || ended.elapsed() < time;
                    shown = if self.ended.is_some_and(lags) {
                        0
                    } else {
                        shown
                    };
                }
                _ => {}
            }
        }
        Some(shown)
    }

    /// A page of its results; nothing if it has none.
    ///
    /// # Errors
    /// If the locator is none of it, or the results are gone.
    pub(super) fn page(&mut self, wanted: &Wanted<'_>) -> Result<Option<Page>, ApiError> {
        let Some(results) = self.results.clone() else {
            return Ok(None);
        };
        if self.is_expired() {
            return Err(ApiError::not_found());
        }
        self.read += 1;
        results.page(wanted).map(Some)
    }

    /// Whether its results are gone.
    pub(super) fn is_expired(&self) -> bool {
        self.faults.iter().any(|fault| match fault {
            Action::ExpireResults { ms, pages } => {
                let time = Duration::from_millis(*ms);
                self.read >= *pages && self.ended.is_some_and(|ended| ended.elapsed() >= time)
            }
            _ => false,
        })
    }
}
