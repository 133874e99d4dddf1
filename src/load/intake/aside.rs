//! Rows that are set aside while memory is short, until they are worth a job: of many streams, each
//! has a small part of the memory, and jobs as small would use up the batches of the day.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use tokio::task::spawn_blocking;

use crate::coerce::Cells;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::memory::{batch_bytes, rebuilt_bytes};
use crate::load::org::{Pressure, Reservation};
use crate::load::state::Load;
use crate::rows::RowSet;

use super::lane::Aside;
use super::lane_id::LaneId;
use super::{Intake, ROWS_AT_ONCE};

/// Consecutive rows that were set aside, with the cells that they become.
struct Back {
    first: u64,
    cells: Cells,
    /// Memory that they take.
    bytes: usize,
}

/// A load whose chunk has this part of what rows may take shares the memory with few.
const FEW_LOADS: usize = 3;

impl Intake {
    /// Gives way to pressure.
    pub(super) async fn give_way(&mut self, pressure: Pressure) -> Result<()> {
        match (pressure, self.lanes.largest()) {
            (Pressure::Held, _) => {
                self.give_up_held();
                Ok(())
            }
            (Pressure::States, Some(id)) => self.close(id).await,
            _ => self.make_way().await,
        }
    }

    /// Gives memory back. An open chunk that is not worth a job is set aside, if there is a disk.
    pub(super) async fn make_way(&mut self) -> Result<()> {
        let Some(id) = self.lanes.largest() else {
            return Ok(());
        };
        let load = Arc::clone(&self.load);
        let worth = self.worth_a_job();
        let lane = self.lane(id)?;
        if lane.is_empty() {
            return Ok(());
        }
        let rows = lane.fresh_rows();
        let bytes = load.books.rows().bytes(rows);
        let (csv, older) = (lane.open_bytes(), lane.has_older_rows());
        if let Some(lanes) = self.lanes.spread_over() {
            return self.close_spread(id, bytes < worth / lanes).await;
        }
        // Rows that are set aside go before newer ones, of which none is in a chunk then.
        let small = !older && bytes < worth;
        if !small || !load.org.admission().can_set_aside() {
            self.close_open(id).await?;
            if bytes >= load.org.budget().for_rows() / FEW_LOADS {
                self.is_over(id, csv);
            }
            return Ok(());
        }
        let lane = self.lane(id)?;
        load.books.rows().close(lane.fresh_rows());
        lane.set_aside(bytes);
        self.lanes.report();
        Ok(())
    }

    /// Gives the memory of the largest lane back. If that is `small`, others need the memory, and rows
    /// that can be set aside take one lane.
    async fn close_spread(&mut self, largest: LaneId, small: bool) -> Result<()> {
        if !small {
            return self.close_open(largest).await;
        }
        self.close_all_open().await?;
        self.lanes.unite();
        Ok(())
    }

    /// Sets rows aside that came behind others which are; their memory is given back once they are on
    /// disk.
    pub(super) async fn set_aside(
        &mut self,
        id: LaneId,
        first: u64,
        batch: RecordBatch,
        memory: Reservation,
    ) -> Result<()> {
        let rows = RowSet::from(first..first + batch.num_rows() as u64);
        let bytes = memory.bytes();
        let store = self.load.books.rows();
        store.push(first, batch, memory);
        store.close(&rows);
        let worth = self.worth_a_job();
        let aside = self.lane(id)?.aside_mut();
        aside.add(&rows, bytes);
        let worth_a_job = aside.bytes() >= worth;
        self.lanes.report();
        if worth_a_job {
            self.close(id).await?;
        }
        Ok(())
    }

    /// Memory of rows that are worth a job, or fill one.
    fn worth_a_job(&self) -> usize {
        let most = usize::try_from(self.load.plan.options.max_job_bytes).unwrap_or(usize::MAX);
        self.load.org.budget().worth_a_job().min(most)
    }

    /// Puts the rows that are set aside into the open chunk, once there is memory for all of them.
    pub(super) async fn bring_back(&mut self, id: LaneId) -> Result<()> {
        let load = Arc::clone(&self.load);
        loop {
            let lane = self.lane(id)?;
            if !lane.has_aside() {
                return Ok(());
            }
            let bytes = lane.aside_mut().bytes();
            // What waits in the meantime may change what is to be done.
            let Some((mut memory, let_in)) = self.memory(2 * bytes).await? else {
                continue;
            };
            let lane = self.lane(id)?;
            let (aside, noted) = (std::mem::take(lane.aside_mut()), lane.noted());
            self.lanes.report();
            load.books.rows().reopen(aside.rows());
            let reading = Arc::clone(&load);
            let back = spawn_blocking(move || brought_back(&reading, &aside, noted));
            for Back {
                first,
                cells,
                bytes,
            } in back.await.map_err(LoadError::from)??
            {
                let mut of_cells = memory.split(bytes);
                of_cells.resize(bytes);
                self.cells(first, cells, of_cells).await?;
            }
            drop(let_in);
        }
    }
}

/// Reads rows that were set aside and coerces them, few batches for many small ones. None has rows
/// from both sides of the ordinal `noted`.
fn brought_back(load: &Load, aside: &Aside, noted: u64) -> Result<Vec<Back>> {
    let mut back = Vec::new();
    let mut run: Vec<RecordBatch> = Vec::new();
    let mut range: Range<u64> = 0..0;
    for read in load.books.rows().read(aside.rows()) {
        let (first, batch) = read?;
        let here = aside.rows().within(first..first + batch.num_rows() as u64);
        for rows in here.ranges() {
            let length = (rows.end - rows.start) as usize;
            let batch = batch.slice((rows.start - first) as usize, length);
            let many = range.end - range.start + length as u64 > ROWS_AT_ONCE as u64;
            if many || range.end != rows.start || rows.start == noted {
                back.extend(coerced(load, range.start, &std::mem::take(&mut run))?);
                range = rows.start..rows.start;
            }
            run.push(batch);
            range.end = rows.end;
        }
    }
    back.extend(coerced(load, range.start, &run)?);
    Ok(back)
}

fn coerced(load: &Load, first: u64, run: &[RecordBatch]) -> Result<Option<Back>> {
    let Some(batch) = run.first() else {
        return Ok(None);
    };
    let batch = concat_batches(&batch.schema(), run).map_err(LoadError::from)?;
    let cells = load.plan.coercion.apply(&batch)?;
    let bytes = batch_bytes(&batch) + rebuilt_bytes(&batch, &cells.batch);
    Ok(Some(Back {
        first,
        cells,
        bytes,
    }))
}
