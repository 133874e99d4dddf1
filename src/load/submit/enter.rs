//! A job and its entry in the ledger: the close waits for both.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::bulk::{BulkError, StagedJob};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::ledger::LoadLedger;
use crate::load::LoadError;
use crate::load::settle::{chunk_digests, defect};
use crate::load::state::Load;
use crate::rows::{KeyDigest, RowSet};

/// Rows that are entered: one digest for each, in their order.
struct Entered {
    rows: RowSet,
    digests: Vec<KeyDigest>,
}

/// Creates a job and uploads the chunk into it; beside that, its rows are entered in the ledger, if
/// there is one. `None` if the load was stopped before: then the job is aborted.
///
/// # Errors
/// Those of staging and of the ledger. Then no job stays open either.
pub(super) async fn stage(load: &Arc<Load>, chunk: &Arc<Chunk>) -> Result<Option<StagedJob>> {
    let (client, target) = (&load.client, &load.plan.target);
    let Some(ledger) = &load.ledger else {
        let staged = client.stage(target, chunk).await;
        return unless_stopped(load, staged, Ok(())).await;
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
    entered: Result<()>,
) -> Result<Option<StagedJob>> {
    let staged = match staged {
        Err(BulkError::Stopped { .. }) => return Ok(None),
        staged => staged?,
    };
    if !load.stop.is_cancelled() && entered.is_ok() {
        return Ok(Some(staged));
    }
    let id = staged.id().to_owned();
    if let Err(error) = staged.abort().await {
        tracing::warn!(job = id, %error, "a job that was not closed could not be aborted");
    }
    match entered {
        Err(error) if !error.is_stopped() => Err(error),
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
) -> Result<()> {
    let entering = async {
        // Of the digests with their rows, of the digests alone, and of the object that is written.
        let of_row = size_of::<(u64, KeyDigest)>() + size_of::<KeyDigest>();
        let bytes = chunk.rows() as usize * of_row;
        let _memory = load.org.budget().reserve(bytes);
        let (of_task, of_chunk) = (Arc::clone(load), Arc::clone(chunk));
        let entered = spawn_blocking(move || entered(&of_task, &of_chunk));
        let entered = entered.await.map_err(LoadError::from)??;
        while jobs.changed().await.is_ok() {
            let job = jobs.borrow_and_update().clone();
            let Entered { rows, digests } = &entered;
            let columns = &load.plan.sent_columns;
            ledger.enter(&job, columns, rows, digests).await?;
        }
        // What was entered before a later attempt claims the load, that one sees.
        ledger.check_held().await?;
        Ok(())
    };
    tokio::select! {
        biased;
        () = load.stop.cancelled() => Err(LoadError::Stopped.into()),
        entered = entering => entered,
    }
}

/// The rows of a chunk that are sent. A chunk of rows that came in another order is entered in the
/// order of their ordinals.
fn entered(load: &Load, chunk: &Chunk) -> Result<Entered, Error> {
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
    Ok(Entered { rows, digests })
}
