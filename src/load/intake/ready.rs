//! Rows that waited for a key in flight go on when it is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::memory::batch_bytes;
use crate::load::org::{LetIn, Pressure, Reservation};
use crate::load::recoerce::{Recoerced, recoerced};
use crate::load::state::Load;
use crate::rows::{RowSet, WaitingRow};

use super::lane_id::LaneId;
use super::spread::{Incoming, Share};
use super::{Intake, ROWS_AT_ONCE, job_outcome};

impl Intake {
    /// Puts waiting rows whose key is free into open chunks.
    pub(super) async fn release(&mut self) -> Result<()> {
        let load = Arc::clone(&self.load);
        let mut due = BTreeSet::new();
        loop {
            let ready = load.keys.ready(ROWS_AT_ONCE);
            let Some(oldest) = ready.first() else {
                for id in due {
                    self.close_open(id).await?;
                }
                return Ok(());
            };
            let (first, rest) = ready.split_at(ROWS_AT_ONCE.min(ready.len()));
            let Some((mut memory, let_in)) = self.memory(memory_for(&load, first)).await? else {
                continue;
            };
            let shares = self.ready_shares(coerced(&load, first).await?)?;
            memory.resize(memory_of(&shares));
            if let Some(id) = self.has_no_room(&shares, rest.is_empty())? {
                // If it filled up in the middle of them, newer rows of a key could go before older
                // ones. Closed now, it holds its rows of these keys back.
                self.close_open(id).await?;
                continue;
            }
            load.keys.take(&ready);
            if oldest.row < self.flushed {
                due.extend(shares.iter().map(|share| share.lane));
            }
            let home = shares.first().map_or(LaneId::ALL, |share| share.lane);
            let cut = self.push_ready(shares, memory).await?;
            drop(let_in);
            self.push_rest(rest, home, cut).await?;
        }
    }

    /// Puts the rest of the rows of one key into the open chunk of their lane, as far as there is room.
    /// What is left waits once more, for the job that takes the first of them.
    async fn push_rest(
        &mut self,
        mut rows: &[WaitingRow],
        lane: LaneId,
        mut cut: bool,
    ) -> Result<()> {
        let load = Arc::clone(&self.load);
        while !rows.is_empty() && !cut {
            let (next, later) = rows.split_at(ROWS_AT_ONCE.min(rows.len()));
            let Some(mut memory) = load.org.budget().try_reserve(memory_for(&load, next)) else {
                break;
            };
            let shares = self.ready_shares(coerced(&load, next).await?)?;
            memory.resize(memory_of(&shares));
            cut = self.push_ready(shares, memory).await?;
            rows = later;
        }
        if !rows.is_empty() {
            self.close_open(lane).await?;
            load.keys.wait(rows.iter().copied());
        }
        Ok(())
    }

    /// The lanes that rows go into which were in a chunk before: those of one key into the same.
    fn ready_shares(&mut self, rows: Vec<Recoerced>) -> Result<Vec<Share>> {
        let mut shares = Vec::new();
        for Recoerced {
            cells, ordinals, ..
        } in rows
        {
            shares.extend(self.lanes.shares(Incoming {
                cells,
                ordinals,
                skip: None,
                fresh: RowSet::new(),
                rejects: Vec::new(),
                end: 0,
            })?);
        }
        Ok(shares)
    }

    /// A lane with an open chunk that has no room for its share, or, if these are not `all`, that has
    /// one of them.
    fn has_no_room(&mut self, shares: &[Share], all: bool) -> Result<Option<LaneId>> {
        let lanes: BTreeSet<LaneId> = shares.iter().map(|share| share.lane).collect();
        for id in lanes {
            let lane = self.lane(id)?;
            let of_lane = shares.iter().filter(|share| share.lane == id);
            let fits = all && lane.fits(of_lane.map(|share| &share.rows.cells))?;
            if !fits && !lane.is_empty() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Puts rows into open chunks that were in one before; returns whether a chunk was closed.
    async fn push_ready(&mut self, shares: Vec<Share>, mut memory: Reservation) -> Result<bool> {
        let mut lanes: BTreeMap<LaneId, (Vec<Chunk>, usize)> = BTreeMap::new();
        for share in shares {
            let (closed, bytes) = lanes.entry(share.lane).or_default();
            let lane = self.lane(share.lane)?;
            lane.note_parents(share.parents);
            *bytes += batch_bytes(&share.rows.cells);
            let pushed = lane.push(&share.rows.cells, share.rows.ordinals, None)?;
            if !pushed.oversized.is_empty() {
                return Err(Error::system(
                    "rows that fitted into a job do not fit again",
                ));
            }
            closed.extend(pushed.closed);
            lane.note_older_rows();
        }
        let mut cut = false;
        for (id, (closed, bytes)) in lanes {
            let was_closed = !closed.is_empty();
            let of_lane = memory.split(bytes);
            self.pushed(id, closed, of_lane).await?;
            cut |= was_closed || self.lane(id)?.is_empty();
        }
        Ok(cut)
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
                Pressure::Held => self.give_up_held(),
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

/// Memory of the rows of all shares.
fn memory_of(shares: &[Share]) -> usize {
    let cells = shares.iter().map(|share| batch_bytes(&share.rows.cells));
    cells.sum()
}
