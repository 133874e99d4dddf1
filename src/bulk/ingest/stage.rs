//! Up to the staged job: create and upload, and what is aborted of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use reqwest::Method;
use tokio::time::timeout;

use super::Ingest;
use super::info::{JobInfo, JobState, JobTarget};
use super::job::StagedJob;
use super::lost::Creation;
use super::timings::Work;
use crate::bulk::error::{BulkError, Passing};
use crate::bulk::http::{Call, Patience, Payload, Policy, parse_json};
use crate::chunk::Chunk;
use crate::object::RecordId;

/// Jobs that are aborted at the same time.
const ABORTS: usize = 8;

/// How long a process that ends waits for the answers to calls that create jobs.
const ANSWER: Duration = Duration::from_millis(500);

impl Ingest {
    /// See [`Client::stage`](crate::bulk::Client::stage).
    pub(in crate::bulk) async fn stage(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
        created: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<StagedJob, BulkError> {
        let action = format!("staging a job for {}", target.object);
        let mut patience = Patience::new(Policy::Load);
        let mut open = None;
        loop {
            let error = match self.try_stage(target, chunk, created, &mut open).await {
                Ok(id) => return Ok(StagedJob::new(self, id, Work::new(target, chunk))),
                Err(error) => error,
            };
            // A job takes one upload, and none if someone else has closed or deleted it.
            let lost = matches!(error.passing(), Some(Passing::Missing | Passing::Conflict));
            if (lost || !error.not_done())
                && let Some(id) = open.take()
            {
                self.abort_quietly(&id).await;
            }
            let waited = self
                .connection
                .wait_before_new(&mut patience, &action, error);
            if let Err(error) = waited.await {
                if let Some(id) = open {
                    self.abort_quietly(&id).await;
                }
                return Err(error);
            }
        }
    }

    /// Creates a job unless one is open, and uploads once.
    async fn try_stage(
        &self,
        target: &JobTarget,
        chunk: &Chunk,
        created: &(dyn Fn(&str) + Send + Sync),
        open: &mut Option<String>,
    ) -> Result<String, BulkError> {
        let id = match open {
            Some(id) => id,
            None => {
                let id = open.insert(self.create(target).await?);
                created(id);
                id
            }
        };
        let action = format!("uploading {} bytes to job {id}", chunk.bytes());
        let path = ["jobs", "ingest", id, "batches"];
        let call = Call::send(&action, Method::PUT, &path, Payload::Csv(chunk));
        self.connection.read(&call).await?;
        Ok(id.clone())
    }

    /// Creates a job by a task of its own: who waits for the answer may be dropped, and nobody would
    /// know the job.
    async fn create(&self, target: &JobTarget) -> Result<String, BulkError> {
        let (ingest, target) = (self.clone(), target.clone());
        let creating = async move { ingest.create_here(&target).await };
        let created = self.jobs.creating.spawn(creating).await;
        created.unwrap_or_else(|error| {
            Err(BulkError::Setup {
                reason: format!("the task that creates a job ended early: {error}"),
            })
        })
    }

    async fn create_here(&self, target: &JobTarget) -> Result<String, BulkError> {
        // Noted before it is sent: the process may have no time for the answer.
        let creations = &self.jobs.creations;
        let call = creations.sent(target, self.connection.server_time());
        let created = self.try_create(target).await;
        if created.as_ref().map_or_else(BulkError::not_done, |_| true) {
            creations.answered(call);
        }
        created
    }

    async fn try_create(&self, target: &JobTarget) -> Result<String, BulkError> {
        let action = format!("creating a job for {}", target.object);
        let job = target.to_json();
        let path = ["jobs", "ingest"];
        let call = Call::send(&action, Method::POST, &path, Payload::Json(&job));
        let answer = self.connection.read(&call).await?;
        let info: JobInfo = parse_json(&action, &answer)?;
        self.jobs.open.lock().insert(info.id.clone());
        self.jobs.known.lock().insert(info.id.clone());
        Ok(info.id)
    }

    /// See [`Client::abort_open_jobs`](crate::bulk::Client::abort_open_jobs).
    pub(in crate::bulk) async fn abort_open_jobs(&self) {
        let known = self.jobs.take_open();
        self.abort_all(&known).await;
        // A call that is on its way may still be answered.
        self.jobs.creating.close();
        let _ = timeout(ANSWER, self.jobs.creating.wait()).await;
        self.jobs.creating.reopen();
        let mut open = self.jobs.take_open();
        let lost = self.jobs.creations.take();
        if !lost.is_empty() {
            match self.made_by(&lost).await {
                Ok(made) => open.extend(made),
                Err(error) => {
                    tracing::warn!(%error, "whether a lost call left a job open is not known");
                }
            }
        }
        self.abort_all(&open).await;
    }

    async fn abort_all(&self, open: &BTreeSet<String>) {
        let aborts = open.iter().map(async |id| {
            if !self.abort_quietly(id).await {
                // Whoever asks next tries again.
                self.jobs.open.lock().insert(id.clone());
            }
        });
        stream::iter(aborts)
            .for_each_concurrent(ABORTS, |abort| abort)
            .await;
    }

    /// Ids of the open jobs that calls without an answer have made.
    async fn made_by(&self, calls: &[Creation]) -> Result<Vec<String>, BulkError> {
        let user = self.connection.user_id();
        let Some(user) = user.as_deref().and_then(RecordId::parse) else {
            return Ok(Vec::new());
        };
        let made = |job: &JobInfo| {
            let known = self.jobs.known.lock().contains(&job.id);
            !known && calls.iter().any(|call| call.can_have_made(job, &user))
        };
        let jobs = self.list(Policy::Courtesy, made).await?;
        if jobs.len() > calls.len() {
            let (open, lost) = (jobs.len(), calls.len());
            tracing::warn!(
                open,
                lost,
                "open jobs of this user are left as they are, since another process may have made \
                 some of them; Salesforce ends them within a day"
            );
            return Ok(Vec::new());
        }
        for job in &jobs {
            tracing::info!(job_id = job.id, "a lost call left this job open");
        }
        Ok(jobs.into_iter().map(|job| job.id).collect())
    }

    /// Whether it could be aborted.
    pub(super) async fn abort_quietly(&self, id: &str) -> bool {
        let aborted = self.abort(id).await;
        if let Err(error) = &aborted {
            tracing::warn!(job_id = id, %error, "an open job could not be aborted");
        }
        aborted.is_ok()
    }

    /// See [`Client::abort`](crate::bulk::Client::abort).
    pub(in crate::bulk) async fn abort(&self, id: &str) -> Result<(), BulkError> {
        let action = format!("aborting job {id}");
        let aborted = self
            .patch(&action, id, JobState::Aborted, Policy::Courtesy)
            .await;
        match aborted {
            // An earlier attempt has aborted it, and only its answer was lost.
            Err(error) if error.is_state_conflict() || !error.not_done() => {
                let (state, _) = self.read_job(id, Policy::Courtesy).await?;
                if state != JobState::Aborted {
                    return Err(error);
                }
            }
            // What is not there is not open.
            Err(error) if error.passing() == Some(Passing::Missing) => {}
            other => other?,
        }
        self.jobs.open.lock().remove(id);
        Ok(())
    }
}
