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
    /// Parts whose job is still to be made.
    pub waiting: usize,
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
    parts: Mutex<Vec<Watch>>,
    read: AtomicU64,
}

/// A part of a query, as it is watched.
#[derive(Debug, Default)]
struct Watch {
    id: Option<String>,
    /// It was split, and others stand for it.
    is_split: bool,
    found: u64,
    complete: bool,
}

impl Watched {
    /// A part, of which no job is made yet. Parts are read in this order.
    pub(super) fn part(&self) -> usize {
        let mut parts = self.parts.lock();
        parts.push(Watch::default());
        parts.len() - 1
    }

    /// A job was made for this part, in place of an earlier one.
    pub(super) fn made(&self, part: usize, id: &str) {
        let watch = Watch {
            id: Some(id.to_owned()),
            ..Watch::default()
        };
        self.set(part, watch);
    }

    /// A part has found so many records.
    pub(super) fn found(&self, part: usize, found: u64, complete: bool) {
        if let Some(watch) = self.parts.lock().get_mut(part) {
            (watch.found, watch.complete) = (found, complete);
        }
    }

    /// Others stand for this part.
    pub(super) fn split(&self, part: usize) {
        let watch = Watch {
            is_split: true,
            ..Watch::default()
        };
        self.set(part, watch);
    }

    fn set(&self, part: usize, watch: Watch) {
        if let Some(own) = self.parts.lock().get_mut(part) {
            *own = watch;
        }
    }

    /// The stream has given so many rows.
    pub(super) fn read(&self, rows: u64) {
        self.read.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn ids(&self) -> Vec<String> {
        let parts = self.parts.lock();
        parts.iter().filter_map(|part| part.id.clone()).collect()
    }

    pub(super) fn progress(&self) -> QueryProgress {
        let parts = self.parts.lock();
        let count = |is: fn(&Watch) -> bool| parts.iter().filter(|part| is(part)).count();
        QueryProgress {
            jobs: count(|part| part.id.is_some()),
            waiting: count(|part| part.id.is_none() && !part.is_split),
            complete: count(|part| part.complete),
            found: parts.iter().map(|part| part.found).sum(),
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
    /// Ids of the jobs made so far, in the order in which they are read.
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
