//! Open chunks, each with all that belongs to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use tokio::time::Instant;

use crate::chunk::{Chunk, Chunker, Pushed, RowOrdinals, row_sizes};
use crate::error::Result;
use crate::load::memory::rejected_bytes;
use crate::load::org::{Member, OpenChunk, Org, Reservation};
use crate::load::plan::Plan;
use crate::load::turns::{ANY, Parents};
use crate::options::LoadOptions;
use crate::reject::RejectedRow;
use crate::rows::RowSet;

use super::lane_id::LaneId;
use super::spread::{Incoming, Share, Spread};

/// Rejected rows that close a chunk, so that reasons waiting to be stored are bounded.
const LOCAL_REJECTS: usize = 100_000;

/// An open chunk and all that belongs to it.
#[derive(Debug)]
pub(super) struct Lane {
    plan: Arc<Plan>,
    /// How long chunks stay open depends on all of them.
    org: Org,
    chunker: Chunker,
    /// Rows of the open chunk that were in no chunk before, rejected ones included.
    rows: RowSet,
    /// Those of them that are rejected already.
    rejects: Vec<RejectedRow>,
    /// Memory of the open chunk's cells, and of why rows are rejected.
    cells: Reservation,
    /// Rows older than those of the chunk's own batches are in it: they waited for their key.
    older: bool,
    /// Rows that go into a chunk before any newer one does.
    aside: Aside,
    /// The ordinal behind the last row that was noted.
    noted: u64,
    /// The parents that rows of the open chunk may have.
    parents: Parents,
    /// Since when the chunk is open, or rows are set aside.
    opened: Option<(Instant, OpenChunk)>,
}

/// Rows of a lane that are in no chunk: the row store has them, on disk where memory is short.
#[derive(Debug, Default)]
pub(super) struct Aside {
    rows: RowSet,
    /// Memory that they take when they are read.
    bytes: usize,
}

/// What leaves a lane with a closed chunk.
#[derive(Debug)]
pub(super) struct Departing {
    pub(super) chunk: Chunk,
    /// Rows that were in no chunk before.
    pub(super) rows: RowSet,
    pub(super) rejects: Vec<RejectedRow>,
    pub(super) cells: Reservation,
    /// The parents that its rows may have.
    pub(super) parents: Parents,
}

impl Departing {
    /// Takes in what leaves another lane.
    fn join(&mut self, other: Self) {
        self.chunk.join(other.chunk);
        self.rows.insert_all(&other.rows);
        self.rejects.extend(other.rejects);
        self.rejects.sort_by_key(|row| row.ordinal);
        self.cells.absorb(other.cells);
        self.parents |= other.parents;
    }

    /// Whether a job takes what leaves another lane too.
    fn takes(&self, other: &Self, options: &LoadOptions) -> bool {
        let rows = self.chunk.rows() + other.chunk.rows();
        options.most_rows().is_none_or(|most| rows <= most)
            && self.chunk.joined_bytes(&other.chunk) <= options.max_job_bytes
    }
}

impl Aside {
    /// Rows, which take so many bytes when they are read.
    pub(super) fn new(rows: RowSet, bytes: usize) -> Self {
        Self { rows, bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn rows(&self) -> &RowSet {
        &self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, rows: &RowSet, bytes: usize) {
        self.rows.insert_all(rows);
        self.bytes += bytes;
    }
}

impl Lane {
    /// An empty lane; `nothing` is a reservation of no bytes.
    pub(super) fn new(
        id: LaneId,
        plan: &Arc<Plan>,
        org: &Org,
        nothing: Reservation,
    ) -> Result<Self> {
        Ok(Self {
            plan: Arc::clone(plan),
            org: org.clone(),
            chunker: plan.chunker()?,
            rows: RowSet::new(),
            rejects: Vec::new(),
            cells: nothing,
            older: false,
            aside: Aside::default(),
            noted: 0,
            parents: match id {
                LaneId::ALL => ANY,
                _ => 0,
            },
            opened: None,
        })
    }

    /// Whether no chunk is open.
    pub(super) fn is_empty(&self) -> bool {
        self.chunker.is_empty()
    }

    /// Whether no chunk is open and no row is set aside.
    fn has_nothing(&self) -> bool {
        self.is_empty() && self.aside.is_empty()
    }

    /// Rows of the open chunk that were in no chunk before.
    pub(super) fn fresh_rows(&self) -> &RowSet {
        &self.rows
    }

    /// Whether rows that were in a chunk before are in the open one.
    pub(super) fn has_older_rows(&self) -> bool {
        self.older
    }

    /// Notes that rows which were in a chunk before are in the open one.
    pub(super) fn note_older_rows(&mut self) {
        self.older = true;
    }

    /// Whether rows are set aside.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// The rows that are set aside.
    pub(super) fn aside_mut(&mut self) -> &mut Aside {
        &mut self.aside
    }

    /// The ordinal behind the last row that was noted.
    pub(super) fn noted(&self) -> u64 {
        self.noted
    }

    /// Sets all rows of the open chunk aside, which take `bytes`. What is known of them will be found
    /// out once more.
    pub(super) fn set_aside(&mut self, bytes: usize) {
        drop(self.chunker.close());
        self.rejects.clear();
        self.cells.shrink_to(0);
        self.aside = Aside::new(std::mem::take(&mut self.rows), bytes);
    }

    /// Whether the open chunk has as many rows as a job takes.
    pub(super) fn has_all_rows(&self) -> bool {
        Some(self.chunker.open_rows()) == self.plan.options.most_rows()
    }

    /// Whether the open chunk has as many rejected rows as one should.
    pub(super) fn has_many_rejects(&self) -> bool {
        self.rejects.len() >= LOCAL_REJECTS
    }

    /// Whether the open chunk has room for these cells, all of them.
    pub(super) fn fits<'a>(&self, cells: impl Iterator<Item = &'a RecordBatch>) -> Result<bool> {
        let (mut bytes, mut count) = (self.chunker.open_bytes(), self.chunker.open_rows());
        let mut sizes = Vec::new();
        for cells in cells {
            row_sizes(cells, &mut sizes)?;
            bytes += sizes.iter().copied().map(u64::from).sum::<u64>();
            count += sizes.len() as u64;
        }
        let options = &self.plan.options;
        let few = options.most_rows().is_none_or(|most| count <= most);
        Ok(few && bytes <= options.max_job_bytes)
    }

    /// Takes cells into the open chunk. What belongs to them is said by [`Lane::note`], before the
    /// chunks that they filled depart, and by [`Lane::keep`], after.
    pub(super) fn push(
        &mut self,
        cells: &RecordBatch,
        ordinals: RowOrdinals,
        skip: Option<BooleanBuffer>,
    ) -> Result<Pushed> {
        Ok(self.chunker.push(cells, ordinals, skip)?)
    }

    /// Notes what belongs to rows before `end` that were pushed: the rows that were in no chunk before,
    /// and those of them that are rejected already, ascending.
    pub(super) fn note(&mut self, fresh: &RowSet, end: u64, rejects: Vec<RejectedRow>) {
        self.noted = self.noted.max(end);
        self.rows.insert_all(fresh);
        self.cells.grow(rejected_bytes(&rejects));
        self.rejects.extend(rejects);
    }

    /// Notes the parents that rows may have which are pushed next.
    pub(super) fn note_parents(&mut self, parents: Parents) {
        self.parents |= parents;
    }

    /// Cells of the open chunk.
    pub(super) fn open_cells(&self) -> impl Iterator<Item = &RecordBatch> {
        self.chunker.open_parts().iter().map(|part| &part.cells)
    }

    /// Keeps the memory of cells that were pushed.
    pub(super) fn keep(&mut self, cells: Reservation) {
        self.cells.absorb(cells);
        if self.opened.is_none() && !self.is_empty() {
            let open = self.org.limits().open_chunks().open();
            self.opened = Some((Instant::now(), open));
        }
    }

    /// When the open chunk is closed at the latest.
    fn deadline(&self) -> Option<Instant> {
        let (opened, _) = self.opened.as_ref()?;
        let set = self.plan.options.flush_interval;
        Some(*opened + self.org.limits().flush_interval(set))
    }

    /// Closes the open chunk, if there is one.
    pub(super) fn close(&mut self) -> Option<Departing> {
        let chunk = self.chunker.close()?;
        Some(self.depart(chunk))
    }

    /// What goes with a chunk of this lane that is closed: all that belongs to rows up to its last.
    pub(super) fn depart(&mut self, chunk: Chunk) -> Departing {
        if self.aside.is_empty() {
            self.opened = None;
        }
        self.older &= !self.is_empty();
        let end = chunk.span().end;
        let rows = self.rows.within(0..end);
        self.rows.remove_all(&rows);
        let later = self.rejects.partition_point(|row| row.ordinal < end);
        let later = self.rejects.split_off(later);
        let nothing = self.cells.split(0);
        let parents = self.parents;
        if self.is_empty() && parents != ANY {
            self.parents = 0;
        }
        Departing {
            chunk,
            parents,
            rows,
            rejects: std::mem::replace(&mut self.rejects, later),
            cells: std::mem::replace(&mut self.cells, nothing),
        }
    }

    pub(super) fn open_bytes(&self) -> u64 {
        if self.is_empty() {
            0
        } else {
            self.chunker.open_bytes()
        }
    }
}

/// The lanes of one load.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
    spread: Option<Spread>,
    /// Bytes of CSV of a chunk that took all rows and is closed, if more rows are to be spread.
    over: Option<u64>,
    /// Chunks that took all rows and are full, whose rows are to be spread too.
    full: Vec<Chunk>,
    member: Arc<Member>,
}

impl Lanes {
    /// One lane, which takes all rows. Memory pressure sees the largest open chunk by way of `member`.
    pub(super) fn new(lane: Lane, member: Arc<Member>) -> Self {
        Self {
            lanes: BTreeMap::from([(LaneId::ALL, lane)]),
            spread: None,
            over: None,
            full: Vec::new(),
            member,
        }
    }

    pub(super) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(&id)
    }

    /// More rows are to be spread: a chunk of so many bytes was closed since it was full.
    pub(super) fn is_over(&mut self, bytes: u64) {
        self.over = Some(bytes);
    }

    /// What [`Lanes::is_over`] said, once.
    pub(super) fn take_over(&mut self) -> Option<u64> {
        self.over.take().filter(|_| self.spread.is_none())
    }

    /// These chunks of all rows are full: their rows are to be spread.
    pub(super) fn is_full(&mut self, chunks: Vec<Chunk>) {
        self.full = chunks;
    }

    /// What [`Lanes::is_full`] said, once.
    pub(super) fn take_full(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.full)
    }

    /// From now on rows are spread over these lanes too.
    pub(super) fn spread(&mut self, spread: Spread, lanes: Vec<Lane>) {
        self.lanes.extend(spread.lanes().zip(lanes));
        self.spread = Some(spread);
    }

    /// How many lanes rows are spread over.
    pub(super) fn spread_over(&self) -> Option<usize> {
        self.spread.as_ref().map(|_| self.lanes.len() - 1)
    }

    /// Closes all open chunks, and puts small ones together: those of one job need no turn of their own.
    pub(super) fn close_all(&mut self) -> Result<Vec<Departing>> {
        let mut all: Vec<Departing> = Vec::new();
        for id in self.open() {
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            let Some(departing) = lane.close() else {
                continue;
            };
            let plan = Arc::clone(&lane.plan);
            self.closed(id)?;
            let mut others = all.iter_mut();
            match others.find(|other| other.takes(&departing, &plan.options)) {
                Some(other) => other.join(departing),
                None => all.push(departing),
            }
        }
        self.report();
        Ok(all)
    }

    /// One lane takes all rows again. All others are empty.
    pub(super) fn unite(&mut self) {
        (self.spread, self.over) = (None, None);
        self.lanes.retain(|id, _| *id == LaneId::ALL);
    }

    /// The rows by the lanes that they go into.
    pub(super) fn shares(&mut self, rows: Incoming) -> Result<Vec<Share>> {
        let spread_lanes = self.lanes.iter().filter(|(id, _)| **id != LaneId::ALL);
        let spare = spread_lanes.min_by_key(|(_, lane)| lane.open_bytes());
        let spare = spare.map(|(id, _)| *id);
        match (&mut self.spread, spare) {
            (Some(spread), Some(spare)) => spread.shares(rows, spare),
            _ => Ok(vec![Share {
                lane: LaneId::ALL,
                rows,
                parents: ANY,
            }]),
        }
    }

    /// A chunk of this lane was closed.
    pub(super) fn closed(&mut self, id: LaneId) -> Result<()> {
        match (&mut self.spread, self.lanes.get(&id)) {
            (Some(spread), Some(lane)) => spread.closed(id, lane.open_cells()),
            _ => Ok(()),
        }
    }

    /// Whether no chunk is open and no row is set aside.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.values().all(Lane::has_nothing)
    }

    /// Those with an open chunk, or rows that are set aside.
    pub(super) fn open(&self) -> Vec<LaneId> {
        let lanes = self.lanes.iter();
        let open = lanes.filter(|(_, lane)| !lane.has_nothing());
        open.map(|(id, _)| *id).collect()
    }

    /// Whether one has a deadline that is not after `now`.
    pub(super) fn overdue(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// The first deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lanes.values().filter_map(Lane::deadline).min()
    }

    /// The one with the largest open chunk; without any, one with rows that are set aside.
    pub(super) fn largest(&self) -> Option<LaneId> {
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.has_nothing());
        let largest = lanes.max_by_key(|(_, lane)| lane.open_bytes());
        largest.map(|(id, _)| *id)
    }

    /// Says how large the largest open chunk is now, and what is set aside.
    pub(super) fn report(&self) {
        let aside = self.lanes.values().map(|lane| lane.aside.bytes());
        self.member.set_aside_bytes(aside.sum());
        let bytes = self.lanes.values().map(Lane::open_bytes).max();
        self.member.set_open_bytes(bytes.unwrap_or_default());
    }

    /// Drops what is open, and returns the rows that were in no chunk before.
    pub(super) fn give_up(&mut self) -> RowSet {
        let mut rows = RowSet::new();
        for lane in std::mem::take(&mut self.lanes).into_values() {
            rows.insert_all(&lane.rows);
            rows.insert_all(lane.aside.rows());
        }
        self.report();
        rows
    }
}
