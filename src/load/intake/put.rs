//! Rows into their lanes, as cells.

use std::sync::Arc;

use arrow::array::{Array, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;

use crate::chunk::{Chunk, Part, RowOrdinals};
use crate::coerce::{Cells, Reason};
use crate::error::Result;
use crate::load::memory::{batch_bytes, rebuilt_bytes};
use crate::load::org::Reservation;
use crate::load::plan::Plan;
use crate::object::Operation;
use crate::options::NullHandling;
use crate::reject::RejectedRow;
use crate::rows::RowSet;

use super::Intake;
use super::again::CameAgain;
use super::lane::{Departing, Lane};
use super::lane_id::LaneId;
use super::spread::{Incoming, Share, Spread};

/// Most lanes that rows are spread over.
const MOST_LANES: usize = 16;

impl Intake {
    /// Takes rows into the row store and, as cells, into their lanes. The cells take of `for_cells`.
    pub(super) async fn rows(
        &mut self,
        first: u64,
        batch: RecordBatch,
        memory: Reservation,
        for_cells: &mut Reservation,
    ) -> Result<()> {
        let coerced = self.load.plan.coercion.apply(&batch)?;
        let new_bytes = rebuilt_bytes(&batch, &coerced.batch);
        let mut cells = for_cells.split(new_bytes);
        cells.resize(new_bytes);
        self.load.books.rows().push(first, batch, memory);
        self.cells(first, coerced, cells).await
    }

    /// Takes cells, which take `memory`, into their lanes, closing chunks as they fill.
    pub(super) async fn cells(
        &mut self,
        first: u64,
        mut coerced: Cells,
        memory: Reservation,
    ) -> Result<()> {
        let end = first + coerced.batch.num_rows() as u64;
        let mut fresh = RowSet::from(first..end);
        let mut ordinals = RowOrdinals::From(first);
        // Of rows that were set aside and came back this is done already.
        let is_new = first >= self.lane(LaneId::ALL)?.noted();
        if is_new && let Some(again) = self.came_again(&coerced, first).await? {
            fresh.remove_all(again.all());
            if fresh.is_empty() {
                self.lane(LaneId::ALL)?.note(&fresh, end, Vec::new());
                return Ok(());
            }
            (coerced, ordinals) = again.others(coerced, first)?;
        }
        let Cells { batch, rejects } = coerced;
        let skip = skip_mask(batch.num_rows(), rejects.iter().map(|(row, _)| *row));
        let mut known: Option<Arc<Reason>> = None;
        let rejects = rejects.into_iter();
        let rows = Incoming {
            rejects: rejects
                .map(|(row, reason)| rejected(ordinals.of(row), reason, &mut known))
                .collect(),
            cells: batch,
            ordinals,
            skip,
            fresh,
            end,
        };
        self.spread().await?;
        self.share(rows, is_new, memory).await?;
        self.spread_full().await
    }

    /// Puts rows into their lanes; their cells take `memory`.
    async fn share(&mut self, rows: Incoming, is_new: bool, mut memory: Reservation) -> Result<()> {
        let shares = self.lanes.shares(rows)?;
        let copied = shares.len() > 1;
        for share in shares {
            let memory = if copied {
                let bytes = batch_bytes(&share.rows.cells);
                let mut of_share = memory.split(bytes);
                of_share.resize(bytes);
                of_share
            } else {
                memory.split(usize::MAX)
            };
            self.put(share, is_new, memory).await?;
        }
        Ok(())
    }

    async fn put(&mut self, share: Share, is_new: bool, memory: Reservation) -> Result<()> {
        let Share {
            lane: id,
            rows,
            parents,
        } = share;
        let lane = self.lane(id)?;
        lane.note_parents(parents);
        let pushed = lane.push(&rows.cells, rows.ordinals.clone(), rows.skip.clone())?;
        let (oversized, mut rejects) = (pushed.oversized, rows.rejects);
        if is_new {
            let skipped = oversized.iter().map(|(row, _)| *row);
            let nulls = nulls_left(&self.load.plan, &rows.cells, rows.skip.as_ref(), skipped);
            self.load.books.nulls_left(nulls);
        }
        let mut known: Option<Arc<Reason>> = None;
        let oversized = oversized.into_iter();
        rejects.extend(
            oversized.map(|(row, reason)| rejected(rows.ordinals.of(row), reason, &mut known)),
        );
        rejects.sort_by_key(|row| row.ordinal);
        let lane = self.lane(id)?;
        lane.note(&rows.fresh, rows.end, rejects);
        match pushed.closed.first().map(Chunk::bytes) {
            Some(bytes) if id == LaneId::ALL && self.lanes_of(bytes).1 => {
                self.lane(id)?.keep(memory);
                self.lanes.is_full(pushed.closed);
                Ok(())
            }
            _ => self.pushed(id, pushed.closed, memory).await,
        }
    }

    /// Those of the rows from `first` on that came again after an older attempt has loaded them: they
    /// have their end.
    async fn came_again(&mut self, cells: &Cells, first: u64) -> Result<Option<CameAgain>> {
        let Some(again) = &mut self.again else {
            return Ok(None);
        };
        let mut came_again = again.take(&self.load, cells, first)?;
        if let Some(came_again) = &mut came_again {
            came_again.end(&self.load, &self.events).await?;
            let percent = self.load.plan.options.max_rejected_percent;
            self.load.books.check_rejected(percent)?;
        }
        Ok(came_again)
    }

    /// Submits the chunks that rows closed as they came; `cells` is the memory of those rows' cells.
    pub(super) async fn pushed(
        &mut self,
        id: LaneId,
        closed: Vec<Chunk>,
        cells: Reservation,
    ) -> Result<()> {
        let may_spread = self.turns.is_some();
        let mut bytes = closed.first().map(Chunk::bytes);
        for chunk in closed {
            let departing = self.lane(id)?.depart(chunk);
            let under_way = self.load.org.admission().under_way();
            self.submit(departing, under_way).await?;
        }
        let lane = self.lane(id)?;
        lane.keep(cells);
        // Rows behind these show that they are more than a job takes, and are spread.
        let goes_on = id == LaneId::ALL && may_spread;
        if lane.has_many_rejects() || lane.has_all_rows() && !goes_on {
            bytes = bytes.or(Some(lane.open_bytes()));
            self.close_open(id).await?;
        } else if bytes.is_some() {
            self.lanes.closed(id)?;
        }
        self.lanes.report();
        if let Some(bytes) = bytes {
            self.is_over(id, bytes);
        }
        Ok(())
    }

    /// A chunk of so many bytes was closed since it was full: more rows are to be spread over lanes.
    pub(super) fn is_over(&mut self, id: LaneId, bytes: u64) {
        if id == LaneId::ALL && self.turns.is_some() {
            self.lanes.is_over(bytes);
        }
    }

    /// Spreads rows over lanes from now on, if a chunk of all rows was closed for good. What is open in
    /// the lane of all rows goes into these as well.
    async fn spread(&mut self) -> Result<()> {
        match self.lanes.take_over() {
            Some(bytes) => self.spread_with(bytes, Vec::new()).await,
            None => Ok(()),
        }
    }

    /// Spreads the rows of a chunk of all rows that is full, and those behind it.
    async fn spread_full(&mut self) -> Result<()> {
        let full = self.lanes.take_full();
        match full.first().map(Chunk::bytes) {
            Some(bytes) => self.spread_with(bytes, full).await,
            None => Ok(()),
        }
    }

    async fn spread_with(&mut self, bytes: u64, full: Vec<Chunk>) -> Result<()> {
        let load = Arc::clone(&self.load);
        let Some(grouping) = &load.plan.grouping else {
            return Ok(());
        };
        let nothing = || load.org.budget().reserve(0);
        let key = load.plan.coercion.key().cloned();
        let spread = Spread::new(grouping.clone(), key, self.lanes_of(bytes).0, nothing());
        let new = |id| Lane::new(id, &load.plan, &load.org, nothing());
        let new = spread.lanes().map(new).collect::<Result<Vec<Lane>>>()?;
        let all = self.lane(LaneId::ALL)?;
        let mut left: Vec<_> = full.into_iter().map(|chunk| all.depart(chunk)).collect();
        left.extend(all.close());
        self.lanes.spread(spread, new);
        let mut memory = nothing();
        for departing in left {
            let Departing {
                chunk,
                rows,
                rejects,
                cells,
                ..
            } = departing;
            memory.absorb(cells);
            for part in chunk.parts() {
                let rows = incoming(part, &rows, &rejects, chunk.span().end);
                let memory = memory.split(batch_bytes(&rows.cells));
                self.share(rows, false, memory).await?;
            }
        }
        Ok(())
    }

    /// Over how many lanes rows are spread of which a chunk of so many bytes was full, and whether the
    /// rows of that chunk can be spread too.
    fn lanes_of(&self, chunk: u64) -> (u32, bool) {
        let (memory, jobs) = (self.load.org.budget().for_rows(), self.load.jobs.most());
        let (lanes, room) = lanes(memory as u64, chunk, jobs);
        (lanes, room && self.turns.is_some())
    }
}

/// Rows of a part of a chunk, of which these are in a chunk for the first time, and these rejected.
fn incoming(part: &Part, fresh: &RowSet, rejects: &[RejectedRow], end: u64) -> Incoming {
    let ordinals = (0..part.cells.num_rows()).map(|row| part.ordinals.of(row));
    let ordinals: RowSet = ordinals.collect();
    let rejects = rejects.iter();
    let rejects = rejects.filter(|row| ordinals.contains(row.ordinal));
    Incoming {
        fresh: ordinals.iter().filter(|row| fresh.contains(*row)).collect(),
        rejects: rejects.cloned().collect(),
        cells: part.cells.clone(),
        ordinals: part.ordinals.clone(),
        skip: part.skip.clone(),
        end,
    }
}

/// Over how many lanes rows are spread of which a chunk of so many bytes was full, where rows may take
/// `memory` and so many jobs may be in flight: as many as have room for a chunk each, and for one more
/// that waits for its turn. False if that is none, and two are taken all the same.
fn lanes(memory: u64, chunk: u64, jobs: usize) -> (u32, bool) {
    let room = (memory / chunk.max(1)).saturating_sub(1);
    let most = jobs.min(MOST_LANES) as u64;
    let least = most.min(2);
    (room.clamp(least, most) as u32, room >= least)
}

fn rejected(ordinal: u64, reason: Reason, known: &mut Option<Arc<Reason>>) -> RejectedRow {
    RejectedRow {
        ordinal,
        reason: shared(known, reason),
        job_id: None,
    }
}

/// The reason, in the memory of the last one if they are equal: rows are often rejected alike.
fn shared(known: &mut Option<Arc<Reason>>, reason: Reason) -> Arc<Reason> {
    match known {
        Some(known) if **known == reason => Arc::clone(known),
        _ => Arc::clone(known.insert(Arc::new(reason))),
    }
}

/// True for the rows that are not sent; `None` if all are.
fn skip_mask(rows: usize, skipped: impl Iterator<Item = usize>) -> Option<BooleanBuffer> {
    let mut skipped = skipped.peekable();
    skipped.peek()?;
    let mut mask = BooleanBufferBuilder::new(rows);
    mask.append_n(rows, false);
    for row in skipped {
        mask.set_bit(row, true);
    }
    Some(mask.finish())
}

/// Nulls of the rows that are sent, where they leave what a record has. Beside those that are skipped,
/// some more are rejected.
fn nulls_left(
    plan: &Plan,
    cells: &RecordBatch,
    skip: Option<&BooleanBuffer>,
    rejected: impl Iterator<Item = usize>,
) -> u64 {
    let changes = matches!(
        plan.target.operation,
        Operation::Update | Operation::Upsert { .. }
    );
    if !changes || plan.values.null_handling != NullHandling::Leave {
        return 0;
    }
    let skipped = skip.into_iter().flat_map(BooleanBuffer::set_indices);
    let rejected: Vec<usize> = skipped.chain(rejected).collect();
    let nulls = cells.columns().iter().map(|column| {
        let rejected = rejected.iter().filter(|row| column.is_null(**row));
        column.null_count() - rejected.count()
    });
    nulls.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_lanes_as_memory_has_room_for() {
        const MIB: u64 = 1 << 20;
        assert_eq!(lanes(668 * MIB, 100 * MIB, 4), (4, true));
        assert_eq!(lanes(45 * MIB, 15 * MIB, 4), (2, true));
        assert_eq!(lanes(45 * MIB, 100 * MIB, 4), (2, false), "two at least");
        assert_eq!(lanes(45 * MIB, MIB, 4), (4, true));
        assert_eq!(lanes(600 * MIB, 10, 100), (16, true));
        assert_eq!(lanes(600 * MIB, 10, 1), (1, true));
    }
}
