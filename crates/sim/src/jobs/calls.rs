//! The calls on ingest jobs, as HTTP clients make them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::job::{Data, Job, JobState};
use super::request::Request;
use super::store::Jobs;
use super::{process, results};
use crate::error::ApiError;
use crate::faults::{Call, ResultFile};
use crate::org::user::User;

/// Jobs on a page of their list.
const LIST_JOBS: usize = 1_000;

/// Which page of the list of jobs a client wants.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) locator: Option<String>,
    /// Whether ingest jobs of Bulk API 2.0 belong to it.
    pub(crate) has_ingest_jobs: bool,
}

impl Jobs {
    /// Creates a job, which is closed at once if it has its data with it. Returns the response.
    pub(crate) fn create(
        self: &Arc<Jobs>,
        request: Request,
        user: &User,
        api_version: f64,
        content: Option<String>,
    ) -> Result<Value, ApiError> {
        let settings = request.settings(user, &self.options(), api_version)?;
        let faults = self.faults.of_job(&settings.object.name);
        let mut state = self.state();
        let mut job = Job::new(state.next_id(), settings, faults);
        let closed = content.is_some();
        if let Some(content) = content {
            job.uploading = true;
            job.bytes = content.len() as u64;
            job.data = Data::Raw(content.into_bytes());
            job.enter(JobState::UploadComplete);
        }
        let (job_id, response) = (job.id.clone(), job.created());
        state.add_job(job);
        drop(state);
        if closed {
            tokio::spawn(process::run(Arc::clone(self), job_id));
        }
        Ok(response)
    }

    /// Moves a job to the state that a client wants. Returns the response.
    pub(crate) fn change_state(
        self: &Arc<Jobs>,
        job_id: &str,
        wanted: &str,
    ) -> Result<Value, ApiError> {
        let mut state = self.state();
        let job = state.jobs.get_mut(job_id).ok_or_else(ApiError::not_found)?;
        let has_no_task = job.state != JobState::InProgress;
        job.request_state(wanted)?;
        let response = job.brief();
        let closed = job.state == JobState::UploadComplete;
        if has_no_task && !closed && self.options().forget {
            state.forget_job(job_id);
        }
        drop(state);
        if closed {
            tokio::spawn(process::run(Arc::clone(self), job_id.to_owned()));
        }
        Ok(response)
    }

    /// Counts a request about a job. Returns the name of the job's object.
    pub(crate) fn asked(&self, job_id: &str, call: Call) -> Option<String> {
        let mut state = self.state();
        let job = state.jobs.get_mut(job_id)?;
        *job.requests.entry(call).or_default() += 1;
        Some(job.settings.object.name.clone())
    }

    /// The information on a job.
    pub(crate) fn info(&self, job_id: &str) -> Result<Value, ApiError> {
        let mut state = self.state();
        let job = state.jobs.get_mut(job_id);
        let job = job.ok_or_else(ApiError::not_found)?;
        let (info, has_ended) = (job.info(), job.state.is_terminal());
        drop(state);
        if has_ended {
            self.clock.see(process::number(job_id));
        }
        Ok(info)
    }

    /// A page of the list of jobs, in no order. Returns the jobs, and the locator of the next page.
    pub(crate) fn list(&self, filter: &Filter) -> Result<(Vec<Value>, Option<String>), ApiError> {
        let first = first_row(filter.locator.as_deref())?;
        let mut jobs: Vec<Value> = if filter.has_ingest_jobs {
            self.state().jobs.values().map(Job::created).collect()
        } else {
            Vec::new()
        };
        let end = (first + LIST_JOBS).min(jobs.len());
        let has_more = end < jobs.len();
        let mut page: Vec<Value> = jobs.drain(first.min(end)..end).collect();
        fastrand::Rng::with_seed(self.options().seed).shuffle(&mut page);
        Ok((page, has_more.then(|| format!("row-{end}"))))
    }

    /// Deletes a job.
    pub(crate) fn delete(&self, job_id: &str) -> Result<(), ApiError> {
        let mut state = self.state();
        let job = state.jobs.get(job_id).ok_or_else(ApiError::not_found)?;
        if matches!(job.state, JobState::Open | JobState::InProgress) {
            let message = format!("Deleting {} Job not allowed", job.state.name());
            return Err(ApiError::new(400, "INVALIDJOBSTATE", &message));
        }
        state.jobs.remove(job_id);
        Ok(())
    }

    /// A page of a result file, and the locator of the next one, if there are pages. It is slow
    /// work: not for a thread that serves requests.
    pub(crate) fn result(
        &self,
        job_id: &str,
        which: ResultFile,
        locator: Option<&str>,
    ) -> Result<(Vec<u8>, Option<String>), ApiError> {
        results::write(self, job_id, which, first_row(locator)?)
    }

    /// Counters and all jobs, for the inspection API.
    pub(crate) fn inspected(&self) -> Value {
        let (held, contention) = (self.is_held(), self.clock.counts());
        let settings = self.options().contention.clone();
        let real_time = settings.as_ref().filter(|settings| settings.real_time);
        let org = json!({
            "seconds": contention.seconds, "busy_seconds": contention.slot_seconds,
            "slots": settings.as_ref().map(|settings| settings.slots),
            "speed": real_time.map(|settings| settings.speed.unwrap_or(1.0)),
            "lock_errors": self.log.lock_errors(), "late_seconds": self.clock.late_seconds(),
        });
        let state = self.state();
        json!({
            "org": org,
            "batches": state.batches.total(), "max_in_flight": state.max_in_flight,
            "max_uploads": state.max_uploads, "held": held, "contention": contention,
            "jobs": state.jobs.values().map(Job::inspected).collect::<Vec<_>>(),
        })
    }
}

/// The first row of the page of a locator; the first of all without one.
fn first_row(locator: Option<&str>) -> Result<usize, ApiError> {
    match locator {
        None => Ok(0),
        Some(locator) => results::row_of_locator(locator).ok_or_else(ApiError::not_found),
    }
}

/// An upload in progress. One that breaks off leaves its job open for another.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    jobs: &'a Jobs,
    job_id: &'a str,
    complete: bool,
}

impl<'a> Upload<'a> {
    /// Begins the only upload of a job.
    pub(crate) fn begin(jobs: &'a Jobs, job_id: &'a str) -> Result<Upload<'a>, ApiError> {
        let mut state = jobs.state();
        let job = state.jobs.get_mut(job_id).ok_or_else(ApiError::not_found)?;
        if job.state != JobState::Open || job.uploading {
            return Err(not_open());
        }
        job.uploading = true;
        state.uploads += 1;
        state.max_uploads = state.max_uploads.max(state.uploads);
        drop(state);
        Ok(Upload {
            jobs,
            job_id,
            complete: false,
        })
    }

    /// Gives the job its data.
    pub(crate) fn complete(mut self, data: Vec<u8>) -> Result<(), ApiError> {
        let mut state = self.jobs.state();
        let job = state.jobs.get_mut(self.job_id);
        let job = job.ok_or_else(ApiError::not_found)?;
        if job.state != JobState::Open {
            return Err(not_open());
        }
        job.bytes = data.len() as u64;
        job.data = Data::Raw(data);
        drop(state);
        self.complete = true;
        Ok(())
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let mut state = self.jobs.state();
        state.uploads = state.uploads.saturating_sub(1);
        if let (false, Some(job)) = (self.complete, state.jobs.get_mut(self.job_id)) {
            job.uploading = false;
        }
    }
}

fn not_open() -> ApiError {
    let message = "The job is not open, or has its data already: one upload a job";
    ApiError::new(400, "INVALIDJOBSTATE", message)
}
