//! Jobs that load (Bulk API 2.0 ingest): what a job is for, its life, its results.

mod info;
mod job;
mod list;
mod lost;
mod multipart;
mod results;
mod stage;
#[cfg(test)]
mod tests;
mod timings;

pub(super) use info::{JobInfo, can_be_one_record};
pub use info::{JobState, JobTarget};
pub use job::{EndedJob, RunningJob, StagedJob};
pub(super) use list::{JobType, list};
pub use multipart::{Candidate, MULTIPART_CHARS, NotMade, Search, Submitted, Unanswered};
pub use results::{ResultStream, result_rows};
pub(super) use timings::unknown_pause as poll_pause;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::error::BulkError;
use super::http::Policy;
use lost::Creations;
use timings::Timings;

/// The jobs of one login. Clones, and those over other connections of the login, know the same jobs.
#[derive(Debug, Clone)]
pub(super) struct Ingest {
    connection: Connection,
    jobs: Arc<Jobs>,
}

/// What a login knows of its jobs.
#[derive(Debug, Default)]
struct Jobs {
    /// Ids of those created and neither closed nor aborted.
    open: Mutex<BTreeSet<String>>,
    /// Ids of those that this login is known to have created.
    known: Mutex<BTreeSet<String>>,
    creations: Creations,
    /// The calls among them that are on their way.
    creating: TaskTracker,
    timings: Timings,
    /// The last result file that was asked for could not be read, however long it was waited for.
    files_unread: AtomicBool,
}

impl Jobs {
    /// Takes the open jobs: each is either closed or aborted, by whoever takes it.
    fn take_open(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.open.lock())
    }
}

impl Ingest {
    /// The jobs of a login that has just been made.
    pub(super) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            jobs: Arc::default(),
        }
    }

    /// The same jobs, by the calls of another connection of the login.
    pub(super) fn over(&self, connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            jobs: Arc::clone(&self.jobs),
        }
    }

    /// The ingest jobs of the last days that `keep` picks, of all users.
    async fn list(
        &self,
        policy: Policy,
        keep: impl Fn(&JobInfo) -> bool,
    ) -> Result<Vec<JobInfo>, BulkError> {
        list(&self.connection, JobType::Ingest, policy, keep).await
    }

    #[cfg(test)]
    pub(super) fn open_jobs(&self) -> Vec<String> {
        self.jobs.open.lock().iter().cloned().collect()
    }
}
