//! Rows of a load that is larger than a job are spread over lanes by their parents, so that jobs side
//! by side share none.
//!
//! While a load fits into one job it has one lane. Then each row goes into the lane of its parent; a row
//! without one into that with the smallest chunk. But rows of one key stay together: where an older row
//! of the key is in an open chunk, the newer one joins it, and the chunk takes its turn for the parents
//! of both. Otherwise the chunk with the newer row might be closed first.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{take, take_record_batch};
use arrow::error::ArrowError;

use crate::chunk::{Grouping, RowOrdinals, key_values};
use crate::coerce::Key;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::org::Reservation;
use crate::load::turns::Parents;
use crate::reject::RejectedRow;
use crate::rows::{DigestHasher, RowSet};

use super::lane::LaneId;

/// Memory that the lane of a key takes.
const KEY_BYTES: usize = 2 * size_of::<(u64, LaneId)>();

/// Rows on their way into a lane.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) cells: RecordBatch,
    pub(super) ordinals: RowOrdinals,
    /// True for rows that are not sent.
    pub(super) skip: Option<BooleanBuffer>,
    /// Rows that were in no chunk before.
    pub(super) fresh: RowSet,
    /// Those that are rejected already, ascending.
    pub(super) rejects: Vec<RejectedRow>,
    /// The ordinal behind the last row that was read with them.
    pub(super) end: u64,
}

impl Incoming {
    /// Some of the rows, by their places.
    fn only(&self, rows: Vec<u32>) -> Result<Self> {
        let ordinals: Vec<u64> = rows
            .iter()
            .map(|row| self.ordinals.of(*row as usize))
            .collect();
        let rows = UInt32Array::from(rows);
        let skip = self.skip.clone().map(|skip| {
            let skip = take(&BooleanArray::new(skip, None), &rows, None)?;
            Ok::<_, ArrowError>(skip.as_boolean().values().clone())
        });
        let fresh = ordinals.iter().copied();
        let fresh: RowSet = fresh.filter(|row| self.fresh.contains(*row)).collect();
        let rejects = self.rejects.iter();
        let rejects = rejects.filter(|row| fresh.contains(row.ordinal));
        Ok(Self {
            cells: take_record_batch(&self.cells, &rows).map_err(LoadError::from)?,
            ordinals: RowOrdinals::Listed(ordinals.into()),
            skip: skip.transpose().map_err(LoadError::from)?,
            rejects: rejects.cloned().collect(),
            fresh,
            end: self.end,
        })
    }
}

/// Rows for one lane.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) lane: LaneId,
    pub(super) rows: Incoming,
    /// The parents that they may have.
    pub(super) parents: Parents,
}

/// Which rows go into which lane.
#[derive(Debug)]
pub(super) struct Spread {
    grouping: Grouping,
    key: Option<Key>,
    lanes: u32,
    /// The lane whose open chunk has rows of a key.
    keys: HashMap<u64, LaneId, BuildHasherDefault<DigestHasher>>,
    memory: Reservation,
}

impl Spread {
    pub(super) fn new(
        grouping: Grouping,
        key: Option<Key>,
        lanes: u32,
        memory: Reservation,
    ) -> Self {
        Self {
            grouping,
            key,
            lanes,
            keys: HashMap::default(),
            memory,
        }
    }

    /// The lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> + use<> {
        (1..=self.lanes).map(LaneId::numbered)
    }

    /// The rows by lane, in their order; those without a parent go into the lane `spare`.
    pub(super) fn shares(&mut self, rows: Incoming, spare: LaneId) -> Result<Vec<Share>> {
        let parents = self.grouping.parents(&rows.cells)?;
        let keys = match &self.key {
            Some(key) => key_values(&rows.cells, key)?,
            None => Vec::new(),
        };
        let mut shares: Vec<(Vec<u32>, Parents)> =
            vec![Default::default(); self.lanes as usize + 1];
        for (row, parent) in parents.iter().enumerate() {
            let own =
                parent.map(|parent| LaneId::numbered(1 + (parent % u64::from(self.lanes)) as u32));
            let lane = own.unwrap_or(spare);
            let lane = match keys.get(row).copied().flatten() {
                Some(key) => *self.keys.entry(key).or_insert(lane),
                None => lane,
            };
            let share = &mut shares[lane.index()];
            share.0.push(row as u32);
            share.1 |= own.map_or(0, LaneId::parents);
        }
        self.memory.resize(self.keys.capacity() * KEY_BYTES);
        let all = rows.cells.num_rows();
        let shares = shares.into_iter().zip(0..);
        let mut shares: Vec<_> = shares.filter(|((rows, _), _)| !rows.is_empty()).collect();
        if let [((of_one, parents), lane)] = shares.as_slice()
            && of_one.len() == all
        {
            return Ok(vec![Share {
                lane: LaneId::numbered(*lane),
                rows,
                parents: *parents,
            }]);
        }
        let shares = shares.drain(..).map(|((of_lane, parents), lane)| {
            Ok(Share {
                lane: LaneId::numbered(lane),
                rows: rows.only(of_lane)?,
                parents,
            })
        });
        shares.collect()
    }

    /// A chunk of this lane was closed; `left` are cells of rows that are in its next one already.
    pub(super) fn closed<'a>(
        &mut self,
        lane: LaneId,
        left: impl Iterator<Item = &'a RecordBatch>,
    ) -> Result<()> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        self.keys.retain(|_, of| *of != lane);
        for cells in left {
            let keys = key_values(cells, key)?;
            self.keys
                .extend(keys.into_iter().flatten().map(|key| (key, lane)));
        }
        Ok(())
    }
}
