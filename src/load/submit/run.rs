//! One job, from its creation to its end, in the slots of the org.

use std::sync::Arc;

use crate::bulk::{BulkError, EndedJob};
use crate::chunk::Chunk;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::org::{JobInFlight, Reservation, Staging};
use crate::load::state::Load;
use crate::options::BATCH_RECORDS;
use crate::rows::RowSet;

use super::resolve;

/// What a chunk keeps until its job is closed.
pub(super) struct UntilClosed {
    pub(super) rows: RowSet,
    pub(super) cells: Reservation,
    pub(super) staging: Staging,
}

/// Runs a job in a slot of the org. `None` if the load was stopped before the job was closed: then
/// nothing of it was processed.
pub(super) async fn run(
    load: &Arc<Load>,
    chunk: Chunk,
    until_closed: Option<UntilClosed>,
    in_flight: &JobInFlight<'_>,
) -> Result<Option<EndedJob>> {
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let admission = load.org.admission();
    let Some(job_permit) = admission.job_slot(&load.stop).await else {
        return Ok(None);
    };
    let batches = rows.div_ceil(BATCH_RECORDS);
    let limits = load.org.limits();
    let Some(job_batches) = limits.room_for(batches, &load.stop).await? else {
        return Ok(None);
    };
    let Some(upload_permit) = admission.upload_slot(&load.stop).await else {
        return Ok(None);
    };
    let chunk = Arc::new(chunk);
    let plan = &load.plan;
    let running = if plan.target.fits_one_call(&chunk) {
        let submitted =
            resolve::submit_small(&load.client, &plan.target, &plan.coercion, &chunk).await;
        drop(upload_permit);
        match submitted {
            Err(error) if error.is_stopped() => return Ok(None),
            submitted => submitted?,
        }
    } else {
        let staged = match load.client.stage(&plan.target, &chunk).await {
            Err(BulkError::Stopped { .. }) => return Ok(None),
            staged => staged?,
        };
        if load.stop.is_cancelled() {
            let id = staged.id().to_owned();
            if let Err(error) = staged.abort().await {
                tracing::warn!(job = id, %error, "a job that was not closed could not be aborted");
            }
            return Ok(None);
        }
        in_flight.is(staged.id());
        drop(upload_permit);
        staged.close().await?
    };
    in_flight.is(running.id());
    drop(chunk);
    if let Some(until_closed) = until_closed {
        release(load, until_closed).await?;
    }
    let ended = running.finished().await?;
    drop((job_permit, job_batches));
    load.org.job_ended(batches);
    load.ledger.job_ended(batches, bytes);
    Ok(Some(ended))
}

/// The job of a chunk is closed: its cells go, and its source rows may be packed.
async fn release(load: &Arc<Load>, until_closed: UntilClosed) -> Result<()> {
    load.ledger.rows().close(&until_closed.rows);
    drop(until_closed.cells);
    if load.org.budget().is_tight() {
        let load = Arc::clone(load);
        let packed = tokio::task::spawn_blocking(move || load.ledger.rows().pack());
        packed.await.map_err(LoadError::from)??;
    }
    drop(until_closed.staging);
    Ok(())
}
