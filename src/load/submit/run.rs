//! One job, from its creation to its end, in the slots of the org.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::bulk::{BulkError, EndedJob, RunningJob};
use crate::chunk::Chunk;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::org::{JobInFlight, ObjectSlot, Reservation, Staging};
use crate::load::state::Load;
use crate::options::BATCH_RECORDS;
use crate::rows::RowSet;

use super::enter::{Entered, Staged, stage};
use super::resolve;

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
    pub(super) staging: Option<Staging>,
}

impl UntilClosed {
    /// No row of the chunk is to be sent.
    pub(super) fn nothing_to_send(self, load: &Load) {
        if let Some(first) = self.first {
            load.books.rows().close(&first.rows);
        }
    }
}

/// A job that ended.
pub(super) struct Ran<'a> {
    pub(super) ended: EndedJob,
    pub(super) in_flight: JobInFlight<'a>,
    pub(super) slot: ObjectSlot,
    /// What was entered of its rows, if it was kept.
    pub(super) entered: Option<Entered>,
}

/// A job that was closed.
struct ClosedJob<'a> {
    running: RunningJob,
    in_flight: JobInFlight<'a>,
    entered: Option<Entered>,
}

/// Runs a job in a slot of the org. `None` if the load was stopped before the job was closed: then
/// nothing of it was processed.
pub(super) async fn run<'a>(
    load: &'a Arc<Load>,
    chunk: Chunk,
    until_closed: UntilClosed,
    may_be_done: &mut bool,
) -> Result<Option<Ran<'a>>> {
    let (rows, bytes) = (chunk.rows(), chunk.bytes());
    let admission = load.org.admission();
    let Some(job_permit) = admission.job_slot(&load.jobs, &load.stop).await else {
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
    let closed = if load.plan.target.fits_one_call(&chunk) {
        match submitted(load, &chunk, upload_permit, may_be_done).await {
            Err(BulkError::Stopped { .. }) => None,
            submitted => Some(submitted?),
        }
    } else {
        staged_and_closed(load, &chunk, upload_permit).await?
    };
    let Some(ClosedJob {
        running,
        in_flight,
        entered,
    }) = closed
    else {
        return Ok(None);
    };
    drop(chunk);
    release(load, until_closed).await?;
    let (ended, in_flight) = or_ended(running.finished().await, in_flight)?;
    let slot = job_permit.free();
    drop(job_batches);
    load.org.job_ended(batches);
    load.books.job_ended(batches, bytes);
    Ok(Some(Ran {
        ended,
        in_flight,
        slot,
        entered,
    }))
}

/// A job that one call makes, in flight from before the call.
async fn submitted<'a>(
    load: &'a Load,
    chunk: &Arc<Chunk>,
    _upload_permit: OwnedSemaphorePermit,
    may_be_done: &mut bool,
) -> Result<ClosedJob<'a>, BulkError> {
    let in_flight = load.org.in_flight().begin(load.id, None);
    let plan = &load.plan;
    let submitted = resolve::submit_small(
        &load.client,
        &plan.target,
        &plan.coercion,
        chunk,
        may_be_done,
    );
    let (running, in_flight) = or_ended(submitted.await, in_flight)?;
    in_flight.is(running.id());
    Ok(ClosedJob {
        running,
        in_flight,
        entered: None,
    })
}

/// Jobs that others may take away before they are closed, one after the other, until that is an error.
const MOST_TAKEN: u32 = 3;

/// A job that is uploaded, entered and then closed, in flight from before its close. `None` if the load
/// was stopped before.
async fn staged_and_closed<'a>(
    load: &'a Arc<Load>,
    chunk: &Arc<Chunk>,
    upload_permit: OwnedSemaphorePermit,
) -> Result<Option<ClosedJob<'a>>> {
    let mut upload_permit = Some(upload_permit);
    let mut jobs = 0;
    loop {
        let Some(Staged { job, entered }) = stage(load, chunk).await? else {
            return Ok(None);
        };
        let in_flight = load.org.in_flight().begin(load.id, Some(job.id()));
        upload_permit.take();
        jobs += 1;
        match or_ended(job.close().await, in_flight) {
            // Someone else has aborted it before it was closed: nothing of it was processed.
            Err(error @ BulkError::WrongState { .. }) if jobs < MOST_TAKEN => {
                tracing::warn!(%error, "its rows go into another job");
            }
            closed => {
                let (running, in_flight) = closed?;
                return Ok(Some(ClosedJob {
                    running,
                    in_flight,
                    entered,
                }));
            }
        }
    }
}

/// After an error that leaves none of its rows in doubt a job is in flight no more.
fn or_ended<T>(
    done: Result<T, BulkError>,
    in_flight: JobInFlight<'_>,
) -> Result<(T, JobInFlight<'_>), BulkError> {
    match done {
        Ok(done) => Ok((done, in_flight)),
        Err(error) => {
            if !error.leaves_rows_in_doubt() {
                in_flight.ended();
            }
            Err(error)
        }
    }
}

/// A job is closed: its cells go, and the source rows of a chunk may be packed.
async fn release(load: &Arc<Load>, until_closed: UntilClosed) -> Result<()> {
    let UntilClosed { cells, first } = until_closed;
    let Some(first) = first else {
        return Ok(());
    };
    load.books.rows().close(&first.rows);
    drop(cells);
    if load.org.budget().is_tight() {
        let load = Arc::clone(load);
        let packed = tokio::task::spawn_blocking(move || load.books.rows().pack());
        packed.await.map_err(LoadError::from)??;
    }
    drop(first.staging);
    Ok(())
}
