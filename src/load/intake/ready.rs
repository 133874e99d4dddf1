//! Rows that waited for a key in flight go on when it is free.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::org::{LetIn, Pressure, Reservation};
use crate::load::recoerce::{Recoerced, recoerced};
use crate::load::state::Load;
use crate::rows::{RowSet, WaitingRow};

use super::lane::LaneId;
use super::{Intake, ROWS_AT_ONCE, job_outcome};

impl Intake {
    /// Puts waiting rows whose key is free into the open chunk.
    pub(super) async fn release(&mut self) -> Result<()> {
        let load = Arc::clone(&self.load);
        let mut due = false;
        loop {
            let ready = load.keys.ready(ROWS_AT_ONCE);
            let Some(oldest) = ready.first() else {
                return if due {
                    self.close_open(LaneId::ALL).await
                } else {
                    Ok(())
                };
            };
            let (first, rest) = ready.split_at(ROWS_AT_ONCE.min(ready.len()));
            let Some((mut memory, let_in)) = self.memory(memory_for(&load, first)).await? else {
                continue;
            };
            let cells = coerced(&load, first).await?;
            memory.resize(memory_of(&cells));
            let lane = self.lane(LaneId::ALL)?;
            let fits = rest.is_empty() && lane.fits(cells.iter().map(|rows| &rows.cells))?;
            if !fits && !lane.is_empty() {
                // If it filled up in the middle of them, newer rows of a key could go before older
                // ones. Closed now, it holds its rows of these keys back.
                self.close_open(LaneId::ALL).await?;
                continue;
            }
            load.keys.take(&ready);
            let cut = self.push_ready(cells, memory).await?;
            drop(let_in);
            self.push_rest(rest, cut).await?;
            due |= oldest.row < self.flushed;
        }
    }

    /// Puts the rest of the rows of one key into the open chunk, as far as there is room. What is
    /// left waits once more, for the job that takes the first of them.
    async fn push_rest(&mut self, mut rows: &[WaitingRow], mut cut: bool) -> Result<()> {
        let load = Arc::clone(&self.load);
        while !rows.is_empty() && !cut {
            let (next, later) = rows.split_at(ROWS_AT_ONCE.min(rows.len()));
            let Some(mut memory) = load.org.budget().try_reserve(memory_for(&load, next)) else {
                break;
            };
            let cells = coerced(&load, next).await?;
            memory.resize(memory_of(&cells));
            cut = self.push_ready(cells, memory).await?;
            rows = later;
        }
        if !rows.is_empty() {
            self.close_open(LaneId::ALL).await?;
            load.keys.wait(rows.iter().copied());
        }
        Ok(())
    }

    /// Puts rows into the open chunk that were in one before; returns whether a chunk was closed.
    async fn push_ready(&mut self, rows: Vec<Recoerced>, memory: Reservation) -> Result<bool> {
        let lane = self.lane(LaneId::ALL)?;
        let mut closed = Vec::new();
        for rows in rows {
            let pushed = lane.push(&rows.cells, rows.ordinals, None)?;
            if !pushed.oversized.is_empty() {
                return Err(Error::system(
                    "rows that fitted into a job do not fit again",
                ));
            }
            closed.extend(pushed.closed);
            lane.note_older_rows();
        }
        let cut = !closed.is_empty();
        self.pushed(LaneId::ALL, closed, memory).await?;
        Ok(cut || self.lane(LaneId::ALL)?.is_empty())
    }

    /// Memory for rows that waited or were set aside; none if something else came first that may have
    /// changed what to do.
    pub(super) async fn memory(&mut self, bytes: usize) -> Result<Option<(Reservation, LetIn)>> {
        let load = Arc::clone(&self.load);
        let _waits = load.member.wait();
        tokio::select! {
            biased;
            () = load.stop.cancelled() => return Err(LoadError::Stopped.into()),
            memory = load.org.admission().memory(bytes, &load.member) => return memory.map(Some),
            pressure = load.member.pressure() => match pressure {
                Pressure::Held => self.let_go_for_good(),
                Pressure::Memory | Pressure::States => self.make_way().await?,
            },
            Some(ended) = self.jobs.join_next() => job_outcome(ended)?,
        }
        Ok(None)
    }
}

/// Waiting rows as cells. They may come from disk.
async fn coerced(load: &Arc<Load>, rows: &[WaitingRow]) -> Result<Vec<Recoerced>> {
    let rows: RowSet = rows.iter().map(|waiting| waiting.row).collect();
    let load = Arc::clone(load);
    let coercing = spawn_blocking(move || recoerced(&load, &rows).collect());
    coercing.await.map_err(LoadError::from)?
}

/// Memory that waiting rows and their cells may take.
fn memory_for(load: &Load, rows: &[WaitingRow]) -> usize {
    let rows: RowSet = rows.iter().map(|waiting| waiting.row).collect();
    2 * load.books.rows().bytes(&rows)
}

fn memory_of(rows: &[Recoerced]) -> usize {
    rows.iter().map(|rows| rows.bytes).sum()
}
