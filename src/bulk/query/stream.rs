//! The rows of a query, job by job and page by page.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt};

use super::jobs::Queries;
use super::pages::Page;
use super::plan::Plan;
use super::progress::{QueryHandle, QueryProgress, Watched};
use crate::bulk::error::BulkError;
use crate::bulk::ingest::JobState;

/// Rows of a query: batches of [`Query::schema`], of at most 8,192 rows and some 4 MiB.
pub type RecordStream = BoxStream<'static, Result<RecordBatch, BulkError>>;

/// A query whose job runs.
pub struct Query {
    queries: Queries,
    plan: Arc<Plan>,
    watched: Arc<Watched>,
    job: Job,
    keep_jobs: bool,
}

/// A job that is aborted when it is dropped before its end.
struct Job {
    queries: Queries,
    id: String,
    ended: bool,
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (queries, id) = (self.queries.clone(), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { queries.abort_quietly(&id).await });
        }
    }
}

impl Query {
    pub(super) fn new(queries: Queries, plan: Plan, id: String, keep_jobs: bool) -> Self {
        let watched = Arc::new(Watched::default());
        watched.made(&id);
        Self {
            job: Job {
                queries: queries.clone(),
                id,
                ended: false,
            },
            queries,
            plan: Arc::new(plan),
            watched,
            keep_jobs,
        }
    }

    /// The columns, in the order of the query, in the letter case of the describes.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    /// API name of the object.
    pub fn object(&self) -> &str {
        &self.plan.object
    }

    /// Ids of the jobs made so far.
    pub fn jobs(&self) -> Vec<String> {
        self.watched.ids()
    }

    /// How far it is.
    pub fn progress(&self) -> QueryProgress {
        self.watched.progress()
    }

    /// What watches the query while its rows are read, and can abort it.
    pub fn handle(&self) -> QueryHandle {
        QueryHandle {
            queries: self.queries.clone(),
            watched: Arc::clone(&self.watched),
        }
    }

    /// The rows. It waits for the job, and receives its results page by page, each whole: what is no
    /// whole page is asked for again. The stream ends well only if as many rows were read as the job
    /// has found. To drop it aborts the job.
    pub fn stream(self) -> RecordStream {
        let rows = Rows {
            queries: self.queries,
            plan: self.plan,
            watched: self.watched,
            job: self.job,
            keep_jobs: self.keep_jobs,
            found: None,
            page: None,
            seen: HashSet::new(),
            read: 0,
            done: false,
        };
        stream::try_unfold(rows, |mut rows| async move {
            Ok(rows.next().await?.map(|batch| (batch, rows)))
        })
        .boxed()
    }
}

/// Where the rows are read.
struct Rows {
    queries: Queries,
    plan: Arc<Plan>,
    watched: Arc<Watched>,
    job: Job,
    keep_jobs: bool,
    /// Records that the job has found.
    found: Option<u64>,
    page: Option<Page>,
    /// Locators so far.
    seen: HashSet<String>,
    read: u64,
    done: bool,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, BulkError> {
        if self.done {
            return Ok(None);
        }
        if self.found.is_none() {
            self.wait().await?;
            let page = self.queries.page(&self.plan, &self.job.id, None).await?;
            self.page = Some(page);
        }
        loop {
            let Some(page) = &mut self.page else {
                self.end().await?;
                return Ok(None);
            };
            if let Some((rows, order)) = &mut page.rows
                && let Some(batch) = rows.next()
            {
                let batch = batch.map_err(|error| BulkError::Results {
                    action: format!("reading the results of query job {}", self.job.id),
                    reason: error.to_string(),
                })?;
                let batch = self.plan.batch(&batch, order)?;
                self.read += batch.num_rows() as u64;
                self.watched.read(batch.num_rows() as u64);
                return Ok(Some(batch));
            }
            let Some(next) = page.next.take() else {
                self.page = None;
                continue;
            };
            if !self.seen.insert(next.clone()) {
                return Err(BulkError::Results {
                    action: format!("reading the results of query job {}", self.job.id),
                    reason: "its pages go in a circle".to_owned(),
                });
            }
            let page = self
                .queries
                .page(&self.plan, &self.job.id, Some(&next))
                .await?;
            self.page = Some(page);
        }
    }

    /// Waits for the end of the job.
    async fn wait(&mut self) -> Result<(), BulkError> {
        let id = &self.job.id;
        let seen = |info: &crate::bulk::ingest::JobInfo| {
            let found = info.number_records_processed.unwrap_or_default();
            self.watched.found(id, found, false);
        };
        let (state, info) = self.queries.ended(id, seen).await?;
        self.job.ended = true;
        self.queries.open.lock().remove(&self.job.id);
        if state != JobState::JobComplete {
            return Err(BulkError::query_failed(
                &self.job.id,
                state,
                info.error_message.as_deref(),
            ));
        }
        let found = info.number_records_processed.unwrap_or_default();
        self.watched.found(&self.job.id, found, true);
        self.found = Some(found);
        Ok(())
    }

    /// Proves that all rows were read.
    async fn end(&mut self) -> Result<(), BulkError> {
        self.done = true;
        let found = self.found.unwrap_or_default();
        if found != self.read {
            return Err(BulkError::QueryRows {
                id: self.job.id.clone(),
                found,
                read: self.read,
            });
        }
        if !self.keep_jobs
            && let Err(error) = self.queries.delete(&self.job.id).await
        {
            tracing::debug!(job_id = self.job.id, %error, "a query job could not be deleted");
        }
        Ok(())
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("object", &self.plan.object)
            .field("jobs", &self.jobs())
            .finish_non_exhaustive()
    }
}
