//! A part of a query, up to a job that is complete.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::{Job, Queries};
use super::plan::Plan;
use super::progress::Watched;
use super::ranges::IdRange;
use super::verdict::Verdict;
use crate::bulk::error::BulkError;
use crate::bulk::ingest::{JobInfo, JobState};

/// Pauses before a job that failed for a reason that passes is made anew.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(9),
    Duration::from_secs(27),
    Duration::from_secs(81),
];

/// A part of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    range: IdRange,
    /// How often it was split.
    pub(super) splits: u32,
    /// Its place among the parts that are watched.
    pub(super) number: usize,
}

/// What a part needs to be asked for.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) queries: Queries,
    pub(super) plan: Arc<Plan>,
    pub(super) watched: Arc<Watched>,
}

/// A job that is complete, and how many records it has found.
pub(super) struct Complete {
    pub(super) id: String,
    pub(super) found: Option<u64>,
}

/// Why there is none.
pub(super) enum Incomplete {
    /// It is too much for one job.
    TooMuch(BulkError),
    Failed(BulkError),
}

impl Asker {
    /// The ranges of a query that is split from the start.
    pub(super) async fn ranges(&self, parts: u32) -> Result<Vec<IdRange>, BulkError> {
        self.split_range(IdRange::default(), parts).await
    }

    /// The smaller ranges of a part.
    pub(super) async fn split(&self, part: Part, parts: u32) -> Result<Vec<IdRange>, BulkError> {
        self.split_range(part.range, parts).await
    }

    async fn split_range(&self, range: IdRange, parts: u32) -> Result<Vec<IdRange>, BulkError> {
        let (object, deleted) = (&self.plan.object, self.plan.deleted);
        self.queries.split(object, deleted, range, parts).await
    }

    /// Creates the job of a part.
    pub(super) async fn create(&self, part: Part) -> Result<Job, BulkError> {
        let text = self.plan.text(part.range.condition().as_deref());
        let job = self.queries.create(text, &self.plan).await?;
        self.watched.made(part.number, job.id());
        Ok(job)
    }

    /// A part of these records.
    pub(super) fn part(&self, range: IdRange, splits: u32) -> Part {
        Part {
            range,
            splits,
            number: self.watched.part(),
        }
    }

    /// Waits until a part is complete. A job that failed for a reason that passes is made anew a few
    /// times, unless its Id is all that is known of it.
    pub(super) async fn complete(
        &self,
        part: Part,
        job: Option<Job>,
        again: bool,
    ) -> Result<Complete, Incomplete> {
        let mut job = match job {
            Some(job) => job,
            None => self.create(part).await.map_err(Incomplete::Failed)?,
        };
        let mut pauses = PAUSES.iter();
        loop {
            let (state, info) = self.wait(part, &mut job).await?;
            let id = job.id().to_owned();
            if state == JobState::JobComplete {
                let found = info.number_records_processed;
                self.watched
                    .found(part.number, found.unwrap_or_default(), true);
                return Ok(Complete { id, found });
            }
            let message = info.error_message.unwrap_or_default();
            // An abort says nothing about the query.
            let verdict = match state {
                JobState::Aborted => Verdict::Passes,
                _ => Verdict::of(&message),
            };
            let error = verdict.error(&id, state, &message);
            match (verdict, again, pauses.next()) {
                (Verdict::TooMuch, false, _) => return Err(Incomplete::TooMuch(error)),
                (Verdict::Passes, false, Some(pause)) => {
                    tracing::warn!(job_id = id, %error, "a query job is made anew");
                    let waiting = self.queries.pause("making a query job anew", *pause);
                    waiting.await.map_err(Incomplete::Failed)?;
                }
                _ => return Err(Incomplete::Failed(error)),
            }
            job = self.create(part).await.map_err(Incomplete::Failed)?;
        }
    }

    /// Waits for the end of a job. One that takes too long is aborted.
    async fn wait(&self, part: Part, job: &mut Job) -> Result<(JobState, JobInfo), Incomplete> {
        let id = job.id().to_owned();
        let seen = |info: &JobInfo| {
            let found = info.number_records_processed.unwrap_or_default();
            self.watched.found(part.number, found, false);
        };
        match self.queries.ended(&id, seen).await {
            Ok(ended) => {
                job.has_ended();
                Ok(ended)
            }
            Err(error @ BulkError::QueryTimeout { .. }) => {
                self.queries.abort_quietly(&id).await;
                job.has_ended();
                Err(Incomplete::TooMuch(error))
            }
            Err(error) => Err(Incomplete::Failed(error)),
        }
    }
}
