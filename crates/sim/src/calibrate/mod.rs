//! Calibration: rows are loaded into a real sandbox, its times and slots are measured, and all is
//! deleted again. What comes of it is a [`Profile`].
//!
//! It was tried against simulators only.

mod measure;
mod org;
mod rows;

use std::time::Duration;

use crate::Profile;

use self::measure::Times;
use self::org::Org;
use self::rows::Rows;

/// What to measure, and with which rows.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// The URL of the sandbox, as logins return it: `https://acme--dev.sandbox.my.salesforce.com`.
    pub instance_url: String,
    /// An access token of a user who may insert and delete the object's records.
    pub token: String,
    /// The object that rows are inserted into.
    pub object: String,
    /// Values of all rows, by the name of the field; others that the object requires are made up.
    pub values: Vec<(String, String)>,
    /// The version of the API, as `62.0`.
    pub api_version: String,
}

/// Why an org cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The org is a production org, or does not say that it is a sandbox.
    #[error(
        "{0} is no sandbox (Organization.IsSandbox is not true): calibration inserts and deletes \
         rows, so it takes a sandbox alone"
    )]
    NoSandbox(String),
    /// A required field has a type whose values cannot be made up.
    #[error(
        "{object} requires {field}, and a value of type {kind} cannot be made up: give one with \
         --set {field}=VALUE"
    )]
    Required {
        /// The object.
        object: String,
        /// The field.
        field: String,
        /// Its type in the describe.
        kind: String,
    },
    /// The org's day has too few API calls or batches left.
    #[error("the org has {left} {what} left of this day, and calibration may need {needed}")]
    Limit {
        /// API calls or batches.
        what: &'static str,
        /// How many are left.
        left: u64,
        /// How many may be needed.
        needed: u64,
    },
    /// The org answered with an error.
    #[error("{request} was refused with status {status}: {body}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// The answer, its first 500 characters.
        body: String,
    },
    /// The org could not be reached, or its answer could not be read.
    #[error("{request} failed: {cause}")]
    Http {
        /// Method and path.
        request: String,
        /// What went wrong.
        cause: reqwest::Error,
    },
    /// An answer has not what the documentation of the API says.
    #[error("{request} was answered without {what}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is missing.
        what: &'static str,
    },
    /// A job did not process all of its rows.
    #[error(
        "job {job} ended as {state} with {failed} failed of {rows} rows, so its time says nothing; \
         the first error: {error}"
    )]
    Job {
        /// The Id of the job.
        job: String,
        /// Its state.
        state: String,
        /// Rows that failed.
        failed: u64,
        /// Rows that were sent.
        rows: usize,
        /// The error of the first row that failed, or of the job.
        error: String,
    },
    /// A job did not end.
    #[error("job {job} did not end in {seconds} s: look at it in Setup, Bulk Data Load Jobs")]
    TooSlow {
        /// The Id of the job.
        job: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Ctrl-c.
    #[error("it was interrupted")]
    Interrupted,
    /// Rows that were inserted are still there.
    #[error(
        "{left} rows of {object} could not be deleted ({cause}): delete the records that the jobs \
         {jobs} list in their successfulResults"
    )]
    Left {
        /// How many, as far as known.
        left: usize,
        /// The object.
        object: String,
        /// Ids of the jobs that inserted them.
        jobs: String,
        /// Why.
        cause: String,
    },
}

/// A sandbox that can be measured: nothing was inserted yet.
#[derive(Debug)]
pub struct Checked {
    org: Org,
    rows: Rows,
    name: String,
    limits: Limits,
}

/// The limits of the org's day and what is used of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) calls: (u64, u64),
    pub(crate) batches: (u64, u64),
}

/// Rows that calibration inserts, of all jobs together.
pub const ROWS: usize = measure::ROWS;
/// API calls that it may need: most are polls of jobs, more in a slow org.
const CALLS: u64 = 1_500;
/// Internal batches that it needs: those of its jobs, and of the jobs that delete.
const BATCHES: u64 = 50;

impl Calibration {
    /// Asks the org whether it is a sandbox, and what its object and limits are.
    ///
    /// # Errors
    /// If it is no sandbox, or lacks what calibration needs.
    pub async fn check(self) -> Result<Checked, CalibrationError> {
        let org = Org::new(&self.instance_url, &self.token, &self.api_version);
        let name = org.sandbox_name().await?;
        let limits = org.limits().await?;
        for (what, (max, used), needed) in [
            ("API calls", limits.calls, CALLS),
            ("batches", limits.batches, BATCHES),
        ] {
            let left = max.saturating_sub(used);
            if left < needed {
                return Err(CalibrationError::Limit { what, left, needed });
            }
        }
        let describe = org.describe(&self.object).await?;
        let rows = Rows::new(&describe, &self.values)?;
        Ok(Checked {
            org,
            rows,
            name,
            limits,
        })
    }
}

impl Checked {
    /// What is about to happen, for a human to agree to.
    pub fn question(&self) -> String {
        format!(
            "This inserts {ROWS} rows of {} into the sandbox {} ({}) and deletes them again. Its \
             triggers, flows and rules run for them, and deleted rows stay in the recycle bin.",
            self.rows.object,
            self.name,
            self.org.url()
        )
    }

    /// Inserts rows, measures, and deletes them: also where it fails half-way or is interrupted.
    ///
    /// # Errors
    /// If the org refuses something. If rows could not be deleted, the error says so in place of
    /// what went wrong first.
    pub async fn run(self, say: impl Fn(&str)) -> Result<Profile, CalibrationError> {
        let measured = tokio::select! {
            measured = measure::measure(&self.org, &self.rows, &say) => measured,
            _ = tokio::signal::ctrl_c() => Err(CalibrationError::Interrupted),
        };
        say("deleting the rows");
        let deleted = self.org.delete_all(&self.rows.object).await;
        match (measured, deleted) {
            (_, Err(left)) => Err(left),
            (Err(error), Ok(deleted)) => {
                say(&format!("{deleted} rows were deleted"));
                Err(error)
            }
            (Ok(times), Ok(deleted)) => {
                say(&format!("{deleted} rows were deleted"));
                Ok(self.profile(&times))
            }
        }
    }

    fn profile(&self, times: &Times) -> Profile {
        let seconds = |time: Duration| Some((time.as_secs_f64() * 1e6).round() / 1e6);
        let at_least = if times.slots_are_more {
            "at least "
        } else {
            ""
        };
        let about = format!(
            "Measured with {ROWS} rows of {} in the sandbox {}: {at_least}{} slots. Locks, limits \
             of a batch and faults were not measured.",
            self.rows.object, self.name, times.slots
        );
        let request = times.request.as_secs_f64();
        let upload = times.upload.as_secs_f64();
        let requests = [("any", request), ("upload", upload)];
        Profile {
            name: "measured".to_owned(),
            about,
            speed: Some(1.0),
            slots: Some(times.slots),
            job_seconds: seconds(times.job),
            chunk_seconds: seconds(times.chunk),
            row_seconds: seconds(times.row),
            request_seconds: requests
                .into_iter()
                .map(|(call, time)| (call.to_owned(), (time * 1e6).round() / 1e6))
                .collect(),
            api_calls: Some(self.limits.calls.0),
            api_calls_used: Some(self.limits.calls.1),
            batches: Some(self.limits.batches.0),
            batches_used: Some(self.limits.batches.1),
            ..Profile::default()
        }
    }
}
