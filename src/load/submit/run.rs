//! One job, from its creation to its end, in the slots of the org.

use std::sync::Arc;

use crate::bulk::EndedJob;
use crate::chunk::Chunk;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::org::{JobInFlight, Reservation, Staging};
use crate::load::state::Load;
use crate::options::BATCH_RECORDS;
use crate::rows::RowSet;

use super::{enter, resolve};

/// What is kept until a job is closed.
pub(super) struct UntilClosed {
    /// Memory of the cells.
    pub(super) cells: Reservation,
    /// Absent where rows are sent once more.
    pub(super) first: Option<FirstJob>,
}

/// What a chunk keeps until its first job is closed.
pub(super) struct FirstJob {
    /// The rows that are closed with it.
    pub(super) rows: RowSet,
    pub(super) staging: Staging,
}

impl UntilClosed {
    /// No row of the chunk is to be sent.
    pub(super) fn nothing_to_send(self, load: &Load) {
        if let Some(first) = self.first {
            load.ledger.rows().close(&first.rows);
        }
    }
}

/// Runs a job in a slot of the org. `None` if the load was stopped before the job was closed: then
/// nothing of it was processed.
pub(super) async fn run(
    load: &Arc<Load>,
    chunk: Chunk,
    until_closed: UntilClosed,
    in_flight: &JobInFlight<'_>,
    may_be_done: &mut bool,
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
        let (client, target) = (&load.client, &plan.target);
        let submitted =
            resolve::submit_small(client, target, &plan.coercion, &chunk, may_be_done).await;
        drop(upload_permit);
        match submitted {
            Err(error) if error.is_stopped() => return Ok(None),
            submitted => submitted?,
        }
    } else {
        let Some(staged) = enter::stage(load, &chunk).await? else {
            return Ok(None);
        };
        in_flight.is(staged.id());
        drop(upload_permit);
        staged.close().await?
    };
    in_flight.is(running.id());
    drop(chunk);
    release(load, until_closed).await?;
    let ended = running.finished().await?;
    drop((job_permit, job_batches));
    load.org.job_ended(batches);
    load.ledger.job_ended(batches, bytes);
    Ok(Some(ended))
}

/// A job is closed: its cells go, and the source rows of a chunk may be packed.
async fn release(load: &Arc<Load>, until_closed: UntilClosed) -> Result<()> {
    let UntilClosed { cells, first } = until_closed;
    let Some(first) = first else {
        return Ok(());
    };
    load.ledger.rows().close(&first.rows);
    drop(cells);
    if load.org.budget().is_tight() {
        let load = Arc::clone(load);
        let packed = tokio::task::spawn_blocking(move || load.ledger.rows().pack());
        packed.await.map_err(LoadError::from)??;
    }
    drop(first.staging);
    Ok(())
}
