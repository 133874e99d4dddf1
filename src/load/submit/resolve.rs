//! A job that is made by one call, also where the answer to the call is lost: which job it made is
//! decided by the rows, in the canonical form by which the results of jobs are joined back.

use std::sync::Arc;

use futures::TryStreamExt;

use crate::bulk::{
    BulkError, Client, EndedJob, JobTarget, ResultStream, RunningJob, Search, Submitted,
};
use crate::chunk::Chunk;
use crate::coerce::Coercion;
use crate::error::Result;
use crate::load::settle::{chunk_digests, row_digests};
use crate::rows::{KeyDigest, KeyMap};

/// Makes a job of a chunk that fits one call.
///
/// If the answer is lost, the job that holds these rows is taken as it is, which can mean that it
/// has already ended. Every job that may be it comes to its end before another one is made; from
/// then on what the rows ask for `may_be_done`, by a job that was not recognised.
///
/// # Errors
/// As [`Client::submit_small`] and [`Unanswered::next_candidate`](crate::bulk::Unanswered::next_candidate).
pub(in crate::load) async fn submit_small(
    client: &Client,
    target: &JobTarget,
    coercion: &Coercion,
    chunk: &Arc<Chunk>,
    may_be_done: &mut bool,
) -> Result<RunningJob, BulkError> {
    let mut submitted = client.submit_small(target, chunk).await?;
    loop {
        let unanswered = match submitted {
            Submitted::Running(job) => return Ok(job),
            Submitted::Unanswered(unanswered) => unanswered,
        };
        submitted = match unanswered.next_candidate().await? {
            Search::NotMade(not_made) => {
                *may_be_done = true;
                not_made.submit().await?
            }
            Search::Candidate(candidate) => {
                if holds_rows(candidate.job(), coercion, chunk).await {
                    return Ok(candidate.take());
                }
                Submitted::Unanswered(candidate.pass_over())
            }
        };
    }
}

/// Whether the rows of an ended job are those of the chunk. No, if they cannot be read: rows with a
/// key that are sent once more after the job's end change nothing.
async fn holds_rows(job: &EndedJob, coercion: &Coercion, chunk: &Chunk) -> bool {
    match compare(job, coercion, chunk).await {
        Ok(same) => same,
        Err(error) => {
            tracing::warn!(job_id = job.id, %error, "a job cannot be read, so it is not known \
                                                     whether this load made it");
            false
        }
    }
}

async fn compare(job: &EndedJob, coercion: &Coercion, chunk: &Chunk) -> Result<bool> {
    let mut rows = Rows::of(coercion, chunk)?;
    Ok(rows.take(job.successful_results().await?).await?
        && rows.take(job.failed_results().await?).await?
        && rows.take(job.unprocessed().await?).await?
        && rows.left.is_empty())
}

/// Rows of a chunk that are to be found in the result files of a job.
struct Rows<'a> {
    coercion: &'a Coercion,
    /// How often each row is still to be found, by its digest.
    left: KeyMap<u64>,
}

impl<'a> Rows<'a> {
    fn of(coercion: &'a Coercion, chunk: &Chunk) -> Result<Self> {
        let mut left = KeyMap::default();
        for digest in chunk_digests(coercion, chunk)?.1 {
            *left.entry(digest).or_default() += 1;
        }
        Ok(Self { coercion, left })
    }

    /// Takes the rows of a result file out. No, if it has other columns or a row that is not there.
    async fn take(&mut self, mut file: ResultStream) -> Result<bool> {
        while let Some(batch) = file.try_next().await? {
            let Some(digests) = row_digests(self.coercion, &batch)? else {
                return Ok(false);
            };
            if !digests.into_iter().all(|digest| self.take_row(digest)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take_row(&mut self, digest: KeyDigest) -> bool {
        match self.left.get_mut(&digest) {
            Some(1) => self.left.remove(&digest).is_some(),
            Some(count) => {
                *count -= 1;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
