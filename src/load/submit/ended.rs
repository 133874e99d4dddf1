//! What is said of a job that ended: why it failed, and what its rows lack.

use super::outcomes::RowOutcomes;
use super::retry::Attempt;
use crate::bulk::{EndedJob, JobState};
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::settle::{Blame, JobFault};
use crate::load::state::Load;

/// What is to be said of a job that ended.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) fault: JobFault,
    message: Option<String>,
    stream: String,
    object: String,
    /// Its rows have a key: sent again, none is doubled.
    with_key: bool,
}

impl Job {
    pub(super) fn of(load: &Load, ended: &EndedJob) -> Self {
        let message = ended.message.clone();
        let message = message.filter(|_| ended.state != JobState::JobComplete);
        let columns = load.plan.coercion.cells_schema().fields().iter();
        let columns: Vec<String> = columns.map(|field| field.name().clone()).collect();
        Self {
            id: ended.id.clone(),
            fault: JobFault::of(message.as_deref(), &columns),
            message,
            stream: load.plan.name.clone(),
            object: load.plan.target.object.clone(),
            with_key: load.plan.coercion.key().is_some(),
        }
    }

    /// Why it failed, in the words of Salesforce.
    fn message(&self) -> &str {
        let message = self.message.as_deref().map(str::trim);
        message
            .filter(|text| !text.is_empty())
            .unwrap_or("Salesforce gave no reason")
    }

    /// It was refused as a whole.
    pub(super) fn refused(&self) -> Error {
        let cure = match self.fault {
            JobFault::Refused(Blame::Setting) => {
                "check the object, the operation and the permissions of the integration user"
            }
            _ => {
                "correct the columns of the stream, or the integration user's access to these fields"
            }
        };
        LoadError::JobRefused {
            job: self.id.clone(),
            message: self.message().to_owned(),
            cure,
        }
        .into()
    }

    /// An allocation of the day was used up before all of its `sent` rows were processed.
    pub(super) fn quota(&self, ended: &EndedJob, sent: u64) -> Error {
        LoadError::Quota {
            job: self.id.clone(),
            allocation: allocation(self.message()),
            message: self.message().to_owned(),
            processed: ended.processed.unwrap_or(0).min(sent),
            rows: sent,
        }
        .into()
    }

    /// Logs that rows have no end yet.
    pub(super) fn warn(&self, outcomes: &RowOutcomes, attempt: Attempt) {
        let unprocessed = outcomes.unprocessed() + outcomes.unknown.len();
        let passing = outcomes.retryable();
        if unprocessed + passing > 0 {
            tracing::warn!(
                stream = %self.stream, job = %self.id, attempt = attempt.number, unprocessed, passing,
                message = self.message.as_deref().unwrap_or_default(),
                "rows stayed unprocessed, or were refused for a reason that may pass"
            );
        }
    }

    /// Fails if rows have no end after their last attempt, or if their end is unknown and they must
    /// not be sent again.
    pub(super) fn check_ends(&self, outcomes: &RowOutcomes, attempt: Attempt) -> Result<()> {
        let (unprocessed, unknown) = (outcomes.unprocessed(), outcomes.unknown.len());
        let (job, object, attempts) = (self.id.clone(), self.object.clone(), attempt.number);
        let is_last = attempt.is_last() && self.fault != JobFault::Quota;
        let error = if unknown > 0 && !self.with_key {
            LoadError::Indeterminate {
                job,
                object,
                rows: unknown,
            }
        } else if unprocessed > 0 && is_last {
            LoadError::Unprocessed {
                rows: unprocessed,
                attempts,
                job,
                message: self.message().to_owned(),
            }
        } else if unknown > 0 && is_last {
            LoadError::NoResult {
                job,
                object,
                rows: unknown,
                attempts,
            }
        } else {
            return Ok(());
        };
        Err(error.into())
    }
}

/// The allocation of the day that a message is about.
fn allocation(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("batch") {
        "batches of jobs (15,000 in 24 hours, shared by all users)"
    } else if message.contains("job") {
        "jobs"
    } else {
        "bulk loads"
    }
}
