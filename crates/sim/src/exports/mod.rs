//! Query jobs of Bulk API 2.0: the calls on them, the running of their queries, and their results.
//!
//! What it follows are the pages on query jobs of Salesforce's [Bulk API 2.0
//! guide](https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm).

mod job;
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use self::job::{ExportJob, Request};
use self::results::{Form, Page, Results};
use crate::error::ApiError;
use crate::faults::{Action, End};
use crate::jobs::Jobs;
use crate::jobs::job::JobState;
use crate::org::user::User;
use crate::soql::Query;
use crate::usage::Usage;

pub(crate) use self::results::Wanted;

/// Jobs on a page of their list.
const LIST_JOBS: usize = 1_000;
/// Bytes of a megabyte, in which the results of a day are limited.
const MEGABYTE: u64 = 1_000_000;

/// The query jobs of an org.
#[derive(Debug)]
pub(crate) struct Exports {
    jobs: Arc<Jobs>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By Id; Ids count upward.
    jobs: BTreeMap<String, ExportJob>,
    created: Usage,
    /// Bytes of results.
    written: Usage,
}

/// Which jobs of the list a client wants.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listing {
    query_locator: Option<String>,
    job_type: Option<String>,
    is_pk_chunking_enabled: Option<bool>,
}

impl Exports {
    /// An org without query jobs.
    pub(crate) fn new(jobs: Arc<Jobs>) -> Exports {
        Exports {
            jobs,
            state: Mutex::default(),
        }
    }

    /// Forgets all query jobs.
    pub(crate) fn reset(&self) {
        *self.state.lock() = State::default();
    }

    /// How many jobs were created in a day, and how many megabytes of results they made.
    pub(crate) fn used(&self) -> (u64, u64) {
        let window = self.jobs.options().batch_window;
        let state = self.state.lock();
        let written = state.written.within(window).div_ceil(MEGABYTE);
        (state.created.within(window), written)
    }

    /// Creates a job and starts it. Returns the response.
    ///
    /// # Errors
    /// If Salesforce would refuse it.
    pub(crate) fn create(
        self: &Arc<Exports>,
        request: Request,
        user: &User,
        api_version: f64,
    ) -> Result<Value, ApiError> {
        let options = self.jobs.options();
        let (query, settings) = request.checked(user, api_version)?;
        let faults = self.jobs.faults.of_export(&query.object.name);
        let mut state = self.state.lock();
        let used = state.created.within(options.batch_window);
        if used >= options.max_query_jobs {
            // https://github.com/airbytehq/airbyte/pull/9005
            let message = format!(
                "Max bulk v2 query jobs ({}) per 24 hrs has been reached ({})",
                options.max_query_jobs,
                used + 1
            );
            return Err(ApiError::new(400, "LIMIT_EXCEEDED", &message));
        }
        state.created.add(1);
        let job = ExportJob::new(self.jobs.new_id(), settings, faults.clone());
        let (id, response) = (job.id.clone(), job.created());
        state.jobs.insert(id.clone(), job);
        drop(state);
        tokio::spawn(run(Arc::clone(self), id, query, faults));
        Ok(response)
    }

    /// The information on a job.
    pub(crate) fn info(&self, id: &str) -> Result<Value, ApiError> {
        self.with(id, ExportJob::info)
    }

    /// Aborts a job, the only change of its state that there is. Returns the response.
    pub(crate) fn change_state(&self, id: &str, wanted: &str) -> Result<Value, ApiError> {
        self.with(id, |job| {
            job.request_state(wanted)?;
            Ok(job.created())
        })?
    }

    /// Deletes a job.
    pub(crate) fn delete(&self, id: &str) -> Result<(), ApiError> {
        if !self.with(id, |job| job.state.is_terminal())? {
            let message =
                "Error encountered when deleting the job because the job is not terminated";
            return Err(ApiError::new(400, "API_ERROR", message));
        }
        self.state.lock().jobs.remove(id);
        Ok(())
    }

    /// A page of the list of jobs: the response, with `nextRecordsUrl` as a locator.
    pub(crate) fn list(&self, listing: &Listing) -> Result<(Vec<Value>, Option<String>), ApiError> {
        let is_empty = listing
            .job_type
            .as_deref()
            .is_some_and(|kind| kind != "V2Query")
            || listing.is_pk_chunking_enabled == Some(true);
        let first = results::row_of(listing.query_locator.as_deref())?;
        let state = self.state.lock();
        if is_empty {
            return Ok((Vec::new(), None));
        }
        let end = first.saturating_add(LIST_JOBS);
        let jobs = state.jobs.values().skip(first).take(LIST_JOBS);
        let next = (end < state.jobs.len()).then(|| results::locator(end));
        Ok((jobs.map(ExportJob::listed).collect(), next))
    }

    /// A page of the results of a job; nothing if it has none.
    ///
    /// # Errors
    /// If there is no such job, the locator is none of it, or the results are gone.
    pub(crate) fn results(&self, id: &str, wanted: &Wanted<'_>) -> Result<Option<Page>, ApiError> {
        self.with(id, |job| job.page(wanted))?
    }

    /// The locators of the next pages of the results of a job, at most five, and that of the pages
    /// after them.
    ///
    /// # Errors
    /// If there is no such job, it is not complete, or the locator is none of it.
    pub(crate) fn pages(
        &self,
        id: &str,
        locator: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), ApiError> {
        if self.with(id, |job| job.is_expired())? {
            return Err(ApiError::not_found());
        }
        let results = self.with(id, |job| job.results.clone())?.ok_or_else(|| {
            let message = "The job is not complete: its results have no pages yet";
            ApiError::new(400, "INVALIDJOBSTATE", message)
        })?;
        Ok(results.locators(results::row_of(locator)?))
    }

    /// The name of the object of a job.
    pub(crate) fn object_of(&self, id: &str) -> Option<String> {
        let object = self.with(id, |job| job.settings.object.clone());
        object.ok()
    }

    /// All jobs, for the inspection API.
    pub(crate) fn inspected(&self) -> Value {
        let state = self.state.lock();
        json!(
            state
                .jobs
                .values()
                .map(ExportJob::inspected)
                .collect::<Vec<_>>()
        )
    }

    fn with<T>(&self, id: &str, what: impl FnOnce(&mut ExportJob) -> T) -> Result<T, ApiError> {
        let mut state = self.state.lock();
        let job = state.jobs.get_mut(id).ok_or_else(ApiError::not_found)?;
        Ok(what(job))
    }
}

/// Runs the query of a job.
async fn run(exports: Arc<Exports>, id: String, query: Query, faults: Vec<Action>) {
    let slow = faults.iter().map(|fault| match fault {
        Action::SlowJob { ms } => Duration::from_millis(*ms),
        _ => Duration::ZERO,
    });
    let options = exports.jobs.options();
    let wait = options.job_time + slow.sum::<Duration>();
    // A job that is gone meanwhile needs no state.
    let _ = exports.with(&id, |job| job.enter(JobState::InProgress));
    tokio::time::sleep(wait).await;
    exports.jobs.released().await;
    let early = faults.iter().find_map(|fault| match fault {
        Action::EndJob {
            state,
            message,
            after_rows,
            ..
        } => Some((*state, message.clone(), *after_rows)),
        _ => None,
    });
    if let Some((state, message, 0)) = early {
        end(&exports, &id, state, message);
        return;
    }
    let Ok(settings) = exports.with(&id, |job| Arc::clone(&job.settings)) else {
        return;
    };
    let form = Form {
        delimiter: settings.delimiter,
        crlf: settings.crlf,
        numbers: options.reformat_numbers,
        page_records: faults
            .iter()
            .filter_map(|fault| match fault {
                Action::Pages { rows } => Some(*rows),
                _ => None,
            })
            .fold(options.query_page_records, usize::min)
            .max(1),
        is_bare_if_empty: faults.contains(&Action::EmptyBody {}),
    };
    let jobs = Arc::clone(&exports.jobs);
    let found = tokio::task::spawn_blocking(move || {
        let found = query.run(&jobs.org, settings.with_deleted);
        Results::new(&query, &found, form)
    });
    let ended = match found.await {
        Ok(results)
            if early
                .as_ref()
                .is_some_and(|(_, _, rows)| results.records() > *rows) =>
        {
            if let Some((state, message, _)) = early {
                end(&exports, &id, state, message);
            }
            return;
        }
        Ok(results) => {
            exports.state.lock().written.add(results.bytes());
            exports.with(&id, |job| job.complete(results))
        }
        Err(error) => {
            tracing::error!(job = id, %error, "a simulated query broke");
            let message = "InternalServerError : the simulator broke".to_owned();
            exports.with(&id, |job| job.fail(message))
        }
    };
    // A job that was deleted meanwhile has no results.
    let _ = ended;
}

/// Ends a job before its results, or lets it stay as it is. A job that is gone meanwhile needs no
/// state.
fn end(exports: &Exports, id: &str, state: End, message: String) {
    let _ = exports.with(id, |job| match state {
        End::InProgress => {}
        End::Failed => job.fail(message),
        End::Aborted => job.enter(JobState::Aborted),
    });
}

pub(crate) use self::job::Request as ExportRequest;
