//! The rows of a query, part by part.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::jobs::Job;
use super::part::{Asker, Complete, Incomplete, Part};
use super::progress::{QueryHandle, QueryProgress};
use super::results::Results;
use crate::bulk::error::BulkError;

/// Rows of a query: batches of [`Query::schema`], of at most 8,192 rows and some 4 MiB.
pub type RecordStream = BoxStream<'static, Result<RecordBatch, BulkError>>;

/// Jobs of one query that run at once.
const JOBS_AT_ONCE: usize = 4;

/// Parts of a query that is too much for one job, and of each part that still is.
const PARTS: u32 = 8;

/// How often a part is split.
const MOST_SPLITS: u32 = 4;

/// A query whose job runs.
pub struct Query {
    asker: Asker,
    /// Parts whose jobs were made.
    made: Vec<(Part, Job)>,
    waiting: VecDeque<Part>,
    options: Reading,
}

/// How the rows of a query are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Jobs stay in the org.
    pub(super) keep_jobs: bool,
    /// It has these jobs, and no other.
    pub(super) again: bool,
    /// Rows that are passed over.
    pub(super) skip: u64,
}

impl Query {
    /// A query of these parts; some have a job.
    pub(super) fn new(
        asker: Asker,
        made: Vec<(Part, Job)>,
        waiting: VecDeque<Part>,
        options: Reading,
    ) -> Self {
        Self {
            asker,
            made,
            waiting,
            options,
        }
    }

    /// The columns, in the order of the query, in the letter case of the describes.
    pub fn schema(&self) -> &SchemaRef {
        &self.asker.plan.schema
    }

    /// API name of the object.
    pub fn object(&self) -> &str {
        &self.asker.plan.object
    }

    /// Ids of the jobs made so far, in the order in which they are read.
    pub fn jobs(&self) -> Vec<String> {
        self.asker.watched.ids()
    }

    /// How far it is.
    pub fn progress(&self) -> QueryProgress {
        self.asker.watched.progress()
    }

    /// What watches the query while its rows are read, and can abort it.
    pub fn handle(&self) -> QueryHandle {
        QueryHandle {
            queries: self.asker.queries.clone(),
            watched: Arc::clone(&self.asker.watched),
        }
    }

    /// The rows. It waits for the job, and receives its results page by page, each whole: what is no
    /// whole page is asked for again. The rows of a job keep their order. A query that is too much for one
    /// job is split by ranges of Ids, unless it has `ORDER BY` or `LIMIT`: then its parts come in no
    /// order.
    ///
    /// The stream ends well only if as many rows were read as the jobs have found. To drop it aborts
    /// the jobs that still run.
    ///
    /// # Errors
    /// [`BulkError::QueryFailed`], [`BulkError::QueryTimeout`], [`BulkError::QueryGone`] and
    /// [`BulkError::QueryUnread`] name the job; [`BulkError::QueryRows`] if rows are missing, or too
    /// many; [`BulkError::Value`] if a value is not of the type of its field; any of a call's.
    pub fn stream(self) -> RecordStream {
        let rows = Rows {
            made: self.made,
            running: VecDeque::new(),
            waiting: self.waiting,
            asker: self.asker,
            options: self.options,
            results: None,
        };
        stream::try_unfold(rows, |mut rows| async move {
            Ok(rows.next().await?.map(|batch| (batch, rows)))
        })
        .boxed()
    }
}

/// Where the rows are read.
struct Rows {
    asker: Asker,
    made: Vec<(Part, Job)>,
    /// Parts whose jobs run, in the order in which they are read.
    running: VecDeque<Running>,
    waiting: VecDeque<Part>,
    options: Reading,
    /// The results that are read.
    results: Option<Results>,
}

struct Running {
    part: Part,
    job: AbortOnDropHandle<Result<Complete, Incomplete>>,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, BulkError> {
        for (part, job) in std::mem::take(&mut self.made) {
            self.run(part, Some(job));
        }
        loop {
            self.run_more();
            if let Some(results) = &mut self.results {
                if let Some(batch) = results.next_batch().await? {
                    let Some(batch) = self.after_skipped(&batch) else {
                        continue;
                    };
                    self.asker.watched.read(batch.num_rows() as u64);
                    return Ok(Some(batch));
                }
                let id = results.id().to_owned();
                self.results = None;
                self.done(&id).await;
                continue;
            }
            let Some(running) = self.running.pop_front() else {
                return Ok(None);
            };
            let ended = running.job.await.unwrap_or_else(|error| {
                Err(Incomplete::Failed(BulkError::Setup {
                    reason: format!("the task of a query job ended early: {error}"),
                }))
            });
            match ended {
                // Rows are passed over as they are read: the count of a job may lag behind its end.
                Ok(job) => self.results = Some(Results::open(&self.asker, job)),
                Err(Incomplete::Failed(error)) => return Err(error),
                Err(Incomplete::TooMuch(error)) => self.split(running.part, error).await?,
            }
        }
    }

    /// The rows of a batch that are not passed over.
    fn after_skipped(&mut self, batch: &RecordBatch) -> Option<RecordBatch> {
        let rows = batch.num_rows();
        let skipped = usize::try_from(self.options.skip).map_or(rows, |skip| skip.min(rows));
        self.options.skip -= skipped as u64;
        (skipped < rows).then(|| batch.slice(skipped, rows - skipped))
    }

    /// Has the job of a part run.
    fn run(&mut self, part: Part, job: Option<Job>) {
        let (asker, again) = (self.asker.clone(), self.options.again);
        let completing = async move { asker.complete(part, job, again).await };
        self.running.push_back(Running {
            part,
            job: AbortOnDropHandle::new(tokio::spawn(completing)),
        });
    }

    fn run_more(&mut self) {
        while self.running.len() < JOBS_AT_ONCE
            && let Some(part) = self.waiting.pop_front()
        {
            self.run(part, None);
        }
    }

    /// Puts smaller parts in the place of one that is too much for a job.
    async fn split(&mut self, part: Part, error: BulkError) -> Result<(), BulkError> {
        if part.splits >= MOST_SPLITS || !self.asker.plan.can_be_split() {
            return Err(error);
        }
        let ranges = self.asker.split(part, PARTS).await?;
        if ranges.len() < 2 {
            return Err(error);
        }
        tracing::warn!(%error, parts = ranges.len(), "the query is split by ranges of Ids");
        self.asker.watched.split(part.number);
        let parts = ranges.into_iter();
        let parts = parts.map(|range| self.asker.part(range, part.splits + 1));
        self.waiting.extend(parts);
        Ok(())
    }

    /// All rows of a job were read.
    async fn done(&self, id: &str) {
        if self.options.keep_jobs {
            return;
        }
        if let Err(error) = self.asker.queries.delete(id).await {
            tracing::debug!(job_id = id, %error, "a query job could not be deleted");
        }
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("object", &self.object())
            .field("jobs", &self.jobs())
            .finish_non_exhaustive()
    }
}
