//! A job and its entry in the ledger: the close waits for both.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::bulk::{BulkError, StagedJob};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::ledger::LoadLedger;
use crate::load::LoadError;
use crate::load::org::Reservation;
use crate::load::settle::{chunk_digests, defect};
use crate::load::state::Load;
use crate::rows::{KeyDigest, RowSet};

/// Rows that are entered: one digest of all cells for each, in their order.
#[derive(Debug)]
pub(in crate::load) struct Entered {
    rows: RowSet,
    digests: Vec<KeyDigest>,
    memory: Reservation,
}

impl Entered {
    pub(super) fn rows(&self) -> &RowSet {
        &self.rows
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = KeyDigest> {
        self.digests.iter().copied()
    }
}

/// A job that has its rows, and what was entered of them.
pub(super) struct Staged {
    pub(super) job: StagedJob,
    /// Kept for the answer of the job, if there is a ledger and memory for them.
    pub(super) entered: Option<Entered>,
}

/// Creates a job and uploads the chunk into it; beside that, its rows are entered in the ledger, if
/// there is one. `None` if the load was stopped before: then the job is aborted.
///
/// # Errors
/// Those of staging and of the ledger. Then no job stays open either.
pub(super) async fn stage(load: &Arc<Load>, chunk: &Arc<Chunk>) -> Result<Option<Staged>> {
    let (client, target) = (&load.client, &load.plan.target);
    let Some(ledger) = &load.ledger else {
        let staged = client.stage(target, chunk).await;
        return unless_stopped(load, staged, Ok(None)).await;
    };
    let (created, jobs) = watch::channel(String::new());
    let staging = async move {
        let note = move |id: &str| {
            // Nobody enters any more after an error, which ends the load.
            let _ = created.send(id.to_owned());
        };
        client.stage_noting(target, chunk, &note).await
    };
    let (staged, entered) = tokio::join!(staging, enter(load, ledger, chunk, jobs));
    unless_stopped(load, staged, entered).await
}

async fn unless_stopped(
    load: &Load,
    staged: Result<StagedJob, BulkError>,
    entered: Result<Option<Entered>>,
) -> Result<Option<Staged>> {
    let job = match staged {
        Err(BulkError::Stopped { .. }) => return Ok(None),
        staged => staged?,
    };
    let error = match entered {
        Ok(entered) if !load.stop.is_cancelled() => return Ok(Some(Staged { job, entered })),
        entered => entered.err(),
    };
    let id = job.id().to_owned();
    if let Err(error) = job.abort().await {
        tracing::warn!(job = id, %error, "a job that was not closed could not be aborted");
    }
    match error {
        Some(error) if !error.is_stopped() => Err(error),
        _ => Ok(None),
    }
}

/// Enters the rows of a chunk for the job that was created for it, and for another one that takes its
/// place: one that was replaced before it was entered is never closed.
async fn enter(
    load: &Arc<Load>,
    ledger: &LoadLedger,
    chunk: &Arc<Chunk>,
    mut jobs: watch::Receiver<String>,
) -> Result<Option<Entered>> {
    let entering = async {
        // Of the digests with their rows, of the digests alone, and of the object that is written.
        let of_row = size_of::<(u64, KeyDigest)>() + size_of::<KeyDigest>();
        let bytes = chunk.rows() as usize * of_row;
        let memory = load.org.budget().reserve(bytes);
        let (of_task, of_chunk) = (Arc::clone(load), Arc::clone(chunk));
        let entered = spawn_blocking(move || entered(&of_task, &of_chunk, memory));
        let mut entered = entered.await.map_err(LoadError::from)??;
        while jobs.changed().await.is_ok() {
            let job = jobs.borrow_and_update().clone();
            let columns = &load.plan.sent_columns;
            ledger
                .enter(&job, columns, &entered.rows, &entered.digests)
                .await?;
        }
        // What was entered before a later attempt claims the load, that one sees.
        ledger.check_held().await?;
        let digests = size_of_val(entered.digests.as_slice());
        entered.memory.shrink_to(digests);
        Ok((!load.org.budget().is_full()).then_some(entered))
    };
    tokio::select! {
        biased;
        () = load.stop.cancelled() => Err(LoadError::Stopped.into()),
        entered = entering => entered,
    }
}

/// The rows of a chunk that are sent. A chunk of rows that came in another order is entered in the
/// order of their ordinals.
fn entered(load: &Load, chunk: &Chunk, memory: Reservation) -> Result<Entered, Error> {
    let (ordinals, mut digests) = chunk_digests(&load.plan.coercion, chunk)?;
    let rows: RowSet = ordinals.iter().copied().collect();
    let all = ordinals.len();
    if rows.len() != all as u64 || digests.len() != all {
        return Err(defect("a row is in a chunk twice, or has no digest"));
    }
    if !ordinals.is_sorted() {
        let mut sorted: Vec<_> = ordinals.into_iter().zip(digests).collect();
        sorted.sort_unstable_by_key(|(row, _)| *row);
        digests = sorted.into_iter().map(|(_, digest)| digest).collect();
    }
    Ok(Entered {
        rows,
        digests,
        memory,
    })
}
