//! Why a load stopped.

use tokio::task::JoinError;

use crate::error::{Error, ErrorKind};

use super::org::RowsError;

/// What ends a load before its last row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The columns of a batch are not those the loader was built for.
    #[error(
        "a batch has other columns than the loader was built for: expected {expected}, got {actual}"
    )]
    Schema {
        /// Columns the loader was built with.
        expected: String,
        /// Columns of the batch.
        actual: String,
    },
    /// The checkpoints of a batch are no ascending list of its rows.
    #[error(
        "the checkpoints of a batch are out of order, or behind more rows or bytes than it has; set \
         them in the order of their rows, counted from the start of the batch"
    )]
    Checkpoints,
    /// The object is not there for this user, but others of such a name are.
    #[error(
        "object {object} does not exist or the user may not see it; did you mean {similar}? Check the \
         API name, or grant the object permission in a profile or permission set of the integration \
         user"
    )]
    NoObject {
        /// API name as given.
        object: String,
        /// The names most like it.
        similar: String,
    },
    /// The feed was dropped or the load was stopped before its end.
    #[error(
        "the load was stopped before its end; checkpoints that were durable by then were acknowledged"
    )]
    Stopped,
    /// The time that jobs in flight have after a stop is over, and some have not ended.
    #[error(
        "the load was stopped, and jobs were still in flight at the end of stop_grace: {jobs}. They \
         go on, so their rows may be loaded; rows before the last durable checkpoint are safe"
    )]
    StillRunning {
        /// Ids of the jobs.
        jobs: String,
    },
    /// Salesforce left rows unprocessed each time they were sent.
    #[error(
        "Salesforce left {rows} rows unprocessed in each of {attempts} jobs (the last was {job}: \
         {message}); they are not in the org. Look at that job in Setup, then run the load again, \
         perhaps with a smaller max_job_rows, or with more max_attempts"
    )]
    Unprocessed {
        /// Rows without an end.
        rows: u64,
        /// Jobs they were in.
        attempts: u32,
        /// Id of the last job.
        job: String,
        /// Why that job failed, in the words of Salesforce.
        message: String,
    },
    /// Salesforce refused a job as a whole.
    #[error("Salesforce refused the job {job} as a whole and wrote nothing: {message}; {cure}")]
    JobRefused {
        /// Id of the job.
        job: String,
        /// Why, in the words of Salesforce.
        message: String,
        /// What to do.
        cure: String,
    },
    /// An allocation of the org is used up.
    #[error(
        "job {job}: the org's allocation of {allocation} is used up ({message}); {processed} of the \
         {rows} rows of the job were processed, and not all of these may have a result. Use of the \
         last 24 hours counts, so that room comes back by and by: start again when Setup shows some, \
         with larger jobs, or set a longer limit_wait_seconds, and the load waits for it"
    )]
    Quota {
        /// Id of the job.
        job: String,
        /// Which allocation, and how much it is.
        allocation: &'static str,
        /// Why the job failed, in the words of Salesforce.
        message: String,
        /// Rows that the job processed.
        processed: u64,
        /// Rows of the job.
        rows: u64,
    },
    /// Salesforce cannot say what became of inserted rows.
    #[error(
        "job {job} on {object}: Salesforce has no result for {rows} inserted rows, though it was asked \
         again; they may or may not be in the org, so they are not sent again. Compare the org with \
         the source for this job"
    )]
    Indeterminate {
        /// Id of the job.
        job: String,
        /// The object.
        object: String,
        /// Rows whose end cannot be known.
        rows: u64,
    },
    /// Results lack values that distinguish inserted rows.
    #[error(
        "job {job} on {object}: its results have no values of {columns}, so what became of {rows} \
         inserted rows that differ only there is not known; they may or may not be in the org, so they \
         are not sent again. Compare the org with the source for this job. Let the user of the \
         connection read these fields, or leave them out of the stream"
    )]
    Indistinct {
        /// Id of the job.
        job: String,
        /// The object.
        object: String,
        /// Rows whose end cannot be known.
        rows: u64,
        /// The columns.
        columns: String,
    },
    /// Salesforce cannot say what became of rows that have a key, however often they are sent.
    #[error(
        "Salesforce had no result for {rows} rows on {object} in each of {attempts} jobs (the last was \
         {job}); they may or may not be in the org. Look at that job in Setup, then run the load \
         again: the rows have a key, so none is doubled"
    )]
    NoResult {
        /// Id of the last job.
        job: String,
        /// The object.
        object: String,
        /// Rows whose end cannot be known.
        rows: u64,
        /// Jobs they were in.
        attempts: u32,
    },
    /// More rows were rejected than `max_rejected_percent` allows.
    #[error(
        "{rejected} of {ended} records were rejected ({} %); max_rejected_percent allows {percent} %, \
         so the load was stopped. Correct the source or the org, or raise the setting. Most \
         frequent: {reasons}",
        rejected * 100 / ended.max(&1)
    )]
    TooManyRejected {
        /// Rows rejected so far.
        rejected: u64,
        /// Rows that have their end so far.
        ended: u64,
        /// The setting.
        percent: u8,
        /// The reasons that were given most often, with their counts.
        reasons: String,
    },
    /// What is left of a daily limit of the org is left to others.
    #[error(
        "limit_reserve_percent leaves {percent} % of the org's {max} {limit} to others, and {left} are \
         left; each is free again a day after it was used: start again later, wait for that by a \
         longer limit_wait_seconds, or lower limit_reserve_percent"
    )]
    Reserved {
        /// The limit, in words and by its name in the list of limits.
        limit: &'static str,
        /// The setting.
        percent: u8,
        /// What is left.
        left: u64,
        /// The whole of it.
        max: u64,
    },
    /// Rows waiting for an answer could not be kept.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// DataFusion could not plan or run an expression or a join.
    #[error("joining results back to their rows failed: {0}")]
    Join(#[from] datafusion::error::DataFusionError),
    /// Arrow could not build a batch.
    #[error("a batch of rows could not be built: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A task of the load panicked. The text of the panic is on stderr: it may hold values.
    #[error(
        "a part of the load failed by a defect ({0}); please report it with the lines on stderr. Rows \
         before the last durable checkpoint are safe"
    )]
    Panicked(&'static str),
    /// Rows read and rows ended do not agree.
    #[error(
        "{read} rows were read, but {accepted} accepted, {merged} merged and {rejected} rejected: rows \
         without an end are a defect; please report this"
    )]
    Accounting {
        /// Rows read.
        read: u64,
        /// Rows in Salesforce.
        accepted: u64,
        /// Rows in Salesforce as part of another.
        merged: u64,
        /// Rows rejected.
        rejected: u64,
    },
}

impl LoadError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Schema { .. }
            | Self::Checkpoints
            | Self::NoObject { .. }
            | Self::JobRefused { .. }
            | Self::TooManyRejected { .. } => ErrorKind::Config,
            Self::Stopped
            | Self::Reserved { .. }
            | Self::StillRunning { .. }
            | Self::Unprocessed { .. }
            | Self::Quota { .. }
            | Self::Indeterminate { .. }
            | Self::Indistinct { .. }
            | Self::NoResult { .. }
            | Self::Rows(_) => ErrorKind::Transient,
            Self::Join(_) | Self::Arrow(_) | Self::Panicked(_) | Self::Accounting { .. } => {
                ErrorKind::System
            }
        }
    }
}

impl From<JoinError> for LoadError {
    fn from(error: JoinError) -> Self {
        Self::Panicked(if error.is_panic() {
            "a task panicked"
        } else {
            "a task was cut off"
        })
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        let mut outer = Self::new(error.kind(), error.to_string());
        match &error {
            LoadError::Stopped | LoadError::StillRunning { .. } => outer = outer.with_stopped(),
            LoadError::Unprocessed { job, attempts, .. }
            | LoadError::NoResult { job, attempts, .. } => {
                outer = outer
                    .with_context(Self::JOB, job)
                    .with_context(Self::ATTEMPTS, attempts);
            }
            LoadError::Indeterminate { job, .. }
            | LoadError::Indistinct { job, .. }
            | LoadError::JobRefused { job, .. }
            | LoadError::Quota { job, .. } => outer = outer.with_context(Self::JOB, job),
            _ => {}
        }
        outer.with_source(error)
    }
}

impl From<RowsError> for Error {
    fn from(error: RowsError) -> Self {
        LoadError::from(error).into()
    }
}
