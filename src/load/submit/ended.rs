//! What is said of a job that ended: why it failed, and what its rows lack.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::attempt::Attempt;
use super::deliver::refused;
use super::outcomes::RowOutcomes;
use crate::bulk::{EndedJob, JobState};
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::settle::{Blame, JobFault, as_reason};
use crate::load::state::Load;
use crate::reject::RejectedRow;
use crate::rows::{MergedRow, RowSet};

/// What is to be said of a job that ended.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) fault: JobFault,
    /// When it was created, and by whom, if Salesforce says.
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) created_by: Option<String>,
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
            created_at: ended.created_at,
            created_by: ended.created_by.clone(),
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

    /// It was refused as a whole; parts of it are not tried.
    pub(super) fn refused(&self) -> Error {
        let cure = match self.fault {
            JobFault::Refused(Blame::Setting) => {
                "check the object, the operation and the permissions of the integration user"
            }
            _ => {
                "correct the columns of the stream, or the integration user's access to these fields"
            }
        };
        self.refusal(cure.to_owned())
    }

    /// It was refused as a whole, and so was each part of its rows.
    pub(super) fn refused_in_all_parts(&self, jobs: u32) -> Error {
        self.refusal(format!(
            "each part of its rows, in {jobs} more jobs, was refused as well: correct the columns of \
             the stream, or the integration user's access to these fields"
        ))
    }

    /// It was refused as a whole, and so many of its rows are `left` that may be at fault.
    pub(super) fn refused_too_often(&self, jobs: u32, left: u64) -> Error {
        self.refusal(format!(
            "after {jobs} more jobs some of {left} rows are still at fault, and they are looked for no \
             longer: the rejected records show those that were found; correct such values in the source"
        ))
    }

    fn refusal(&self, cure: String) -> Error {
        LoadError::JobRefused {
            job: self.id.clone(),
            message: self.message().to_owned(),
            cure,
        }
        .into()
    }

    /// Whether some of its rows may be at fault.
    pub(super) fn blames_rows(&self) -> bool {
        self.fault == JobFault::Refused(Blame::Upload)
    }

    /// Its only row, which is at fault, with those that were merged into it.
    pub(super) fn rejects(&self, row: &RowSet, merged: &[MergedRow]) -> Vec<RejectedRow> {
        let reason = Arc::new(as_reason(self.message()));
        let rows = row.iter().map(|row| (row, Arc::clone(&reason)));
        refused(rows.collect(), merged, &self.id).collect()
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
                reason = self.message.as_deref().unwrap_or_default(),
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
        let error = if unknown > 0 && !self.with_key && !outcomes.lacking.is_empty() {
            LoadError::Indistinct {
                job,
                object,
                rows: unknown,
                columns: outcomes.lacking.join(", "),
            }
        } else if unknown > 0 && !self.with_key {
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
