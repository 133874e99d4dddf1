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
use crate::reject::RejectedRow;
use crate::rows::RowSet;

/// Rejected rows that close a chunk, so that reasons waiting to be stored are bounded.
const LOCAL_REJECTS: usize = 100_000;

/// Names a lane of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(u32);

impl LaneId {
    /// The one that takes all rows.
    pub(super) const ALL: Self = Self(0);
}

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
    pub(super) fn new(plan: &Arc<Plan>, org: &Org, nothing: Reservation) -> Result<Self> {
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

    /// Whether the open chunk should take no more.
    pub(super) fn is_full(&self) -> bool {
        let rows = Some(self.chunker.open_rows()) == self.plan.options.most_rows();
        rows || self.rejects.len() >= LOCAL_REJECTS
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
        Departing {
            chunk,
            rows,
            rejects: std::mem::replace(&mut self.rejects, later),
            cells: std::mem::replace(&mut self.cells, nothing),
        }
    }

    fn open_bytes(&self) -> u64 {
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
    member: Arc<Member>,
}

impl Lanes {
    /// One lane, which takes all rows. Memory pressure sees the largest open chunk by way of `member`.
    pub(super) fn new(lane: Lane, member: Arc<Member>) -> Self {
        Self {
            lanes: BTreeMap::from([(LaneId::ALL, lane)]),
            member,
        }
    }

    pub(super) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(&id)
    }

    /// Whether no chunk is open and no row is set aside.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.values().all(Lane::has_nothing)
    }

    /// Those with an open chunk, or rows that are set aside.
    pub(super) fn open(&self) -> Vec<LaneId> {
        self.that(|lane| !lane.has_nothing())
    }

    /// Those whose deadline is not after `now`.
    pub(super) fn overdue(&self, now: Instant) -> Vec<LaneId> {
        self.that(|lane| lane.deadline().is_some_and(|deadline| deadline <= now))
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

    fn that(&self, wanted: impl Fn(&Lane) -> bool) -> Vec<LaneId> {
        let lanes = self.lanes.iter().filter(|(_, lane)| wanted(lane));
        lanes.map(|(id, _)| *id).collect()
    }
}
