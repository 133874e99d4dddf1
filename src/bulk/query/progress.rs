//! How far a query is, seen from outside of its stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::jobs::Queries;
use crate::bulk::error::BulkError;

/// How far a query is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryProgress {
    /// Jobs made so far.
    pub jobs: usize,
    /// Jobs that are complete.
    pub complete: usize,
    /// Records that the jobs have found so far, as Salesforce says; it may lag behind.
    pub found: u64,
    /// Rows given by the stream so far.
    pub read: u64,
}

/// What a stream and those who watch it share.
#[derive(Debug, Default)]
pub(super) struct Watched {
    jobs: Mutex<Vec<Job>>,
    read: AtomicU64,
}

#[derive(Debug)]
struct Job {
    id: String,
    found: u64,
    complete: bool,
}

impl Watched {
    pub(super) fn made(&self, id: &str) {
        self.jobs.lock().push(Job {
            id: id.to_owned(),
            found: 0,
            complete: false,
        });
    }

    pub(super) fn found(&self, id: &str, found: u64, complete: bool) {
        let mut jobs = self.jobs.lock();
        if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
            job.found = found;
            job.complete = complete;
        }
    }

    pub(super) fn read(&self, rows: u64) {
        self.read.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.jobs.lock().iter().map(|job| job.id.clone()).collect()
    }

    pub(super) fn progress(&self) -> QueryProgress {
        let jobs = self.jobs.lock();
        QueryProgress {
            jobs: jobs.len(),
            complete: jobs.iter().filter(|job| job.complete).count(),
            found: jobs.iter().map(|job| job.found).sum(),
            read: self.read.load(Ordering::Relaxed),
        }
    }
}

/// A query whose rows are read elsewhere. Clones are of the same query.
#[derive(Debug, Clone)]
pub struct QueryHandle {
    pub(super) queries: Queries,
    pub(super) watched: Arc<Watched>,
}

impl QueryHandle {
    /// Ids of the jobs made so far.
    pub fn jobs(&self) -> Vec<String> {
        self.watched.ids()
    }

    /// How far it is.
    pub fn progress(&self) -> QueryProgress {
        self.watched.progress()
    }

    /// Aborts the jobs that still run: the stream ends with an error then. For a process that ends;
    /// otherwise it is enough to drop the stream.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn abort(&self) -> Result<(), BulkError> {
        for id in self.jobs() {
            self.queries.abort(&id).await?;
        }
        Ok(())
    }

    /// Deletes the jobs and their results, when they are complete: for those that were kept.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn delete(&self) -> Result<(), BulkError> {
        for id in self.jobs() {
            self.queries.delete(&id).await?;
        }
        Ok(())
    }
}
