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

use super::lane_id::LaneId;

/// Parents whose lanes are kept; what they take is small.
const MOST_HOMES: usize = 10_000;

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
    /// The lanes of the parents that came first, which most rows have where few have many.
    homes: HashMap<u64, LaneId, BuildHasherDefault<DigestHasher>>,
    /// How many rows with a parent each lane got so far.
    rows: Vec<u64>,
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
            homes: HashMap::default(),
            rows: vec![0; lanes as usize],
            keys: HashMap::default(),
            memory,
        }
    }

    /// The lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = LaneId> + use<> {
        (1..=self.lanes).map(LaneId::numbered)
    }

    /// The lane of a parent, which gets one more row: one that comes early has that which had the fewest
    /// rows then, so that a few large parents are shared out evenly; others go by their digest.
    fn home(&mut self, parent: u64) -> LaneId {
        let lane = match self.homes.get(&parent) {
            Some(lane) => *lane,
            None if self.homes.len() < MOST_HOMES => {
                let emptiest = (1..).zip(&self.rows).min_by_key(|(_, rows)| **rows);
                let lane = LaneId::numbered(emptiest.map_or(1, |(lane, _)| lane));
                self.homes.insert(parent, lane);
                lane
            }
            None => LaneId::numbered(1 + (parent % u64::from(self.lanes)) as u32),
        };
        if let Some(rows) = self.rows.get_mut(lane.index() - 1) {
            *rows += 1;
        }
        lane
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
            let own = parent.map(|parent| self.home(parent));
            let lane = own.unwrap_or(spare);
            let lane = match keys.get(row).copied().flatten() {
                Some(key) => *self.keys.entry(key).or_insert(lane),
                None => lane,
            };
            let share = &mut shares[lane.index()];
            share.0.push(row as u32);
            share.1 |= own.map_or(0, LaneId::parents);
        }
        let entries = self.keys.capacity() + self.homes.capacity();
        self.memory.resize(entries * KEY_BYTES);
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::coerce::KeyForm;
    use crate::load::org::{Budget, Signal};

    fn column(column: usize) -> Key {
        Key {
            column,
            form: KeyForm::Text { ignore_case: false },
        }
    }

    fn spread(with_key: bool) -> Spread {
        let grouping = Grouping {
            by: column(1),
            then: Vec::new(),
        };
        let budget = Budget::new(1 << 30, Signal::default());
        let key = with_key.then(|| column(0));
        Spread::new(grouping, key, 4, budget.reserve(0))
    }

    /// Rows of a key and a parent, from an ordinal on; every fifth is not sent.
    fn rows(first: u64, rows: &[(&str, Option<&str>)]) -> Incoming {
        let keys = StringArray::from_iter_values(rows.iter().map(|(key, _)| key));
        let parents: StringArray = rows.iter().map(|(_, parent)| *parent).collect();
        let columns = [("K", Arc::new(keys) as ArrayRef), ("P", Arc::new(parents))];
        let skip = (0..rows.len()).map(|row| row % 5 == 4);
        Incoming {
            cells: RecordBatch::try_from_iter(columns).unwrap(),
            ordinals: RowOrdinals::From(first),
            skip: Some(BooleanBuffer::from_iter(skip)),
            fresh: RowSet::from(first..first + rows.len() as u64),
            rejects: Vec::new(),
            end: first + rows.len() as u64,
        }
    }

    fn lane_of(shares: &[Share], ordinal: u64) -> LaneId {
        let mut with = shares
            .iter()
            .filter(|share| share.rows.fresh.contains(ordinal));
        with.next().unwrap().lane
    }

    #[test]
    fn rows_are_shared_out_by_their_parents() {
        let names: Vec<String> = (0..500).map(|row| format!("P{}", row * 7 % 40)).collect();
        let all: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(row, name)| ("k", (row % 9 > 0).then_some(name.as_str())))
            .collect();
        let spare = LaneId::numbered(3);
        let shares = spread(false).shares(rows(100, &all), spare).unwrap();
        let mut lanes: BTreeMap<&str, BTreeSet<LaneId>> = BTreeMap::new();
        let mut seen = RowSet::new();
        for Share {
            lane,
            rows,
            parents,
        } in &shares
        {
            assert_eq!(*parents & !lane.parents(), 0, "no other lane's parents");
            assert_eq!(rows.fresh.len(), rows.cells.num_rows() as u64);
            let skip = rows.skip.as_ref().unwrap();
            for row in 0..rows.cells.num_rows() {
                let ordinal = rows.ordinals.of(row);
                let (_, parent) = all[(ordinal - 100) as usize];
                assert_eq!(skip.value(row), (ordinal - 100) % 5 == 4);
                match parent {
                    Some(parent) => _ = lanes.entry(parent).or_default().insert(*lane),
                    None => assert_eq!(*lane, spare),
                }
            }
            assert!(seen.is_disjoint(&rows.fresh));
            seen.insert_all(&rows.fresh);
        }
        assert_eq!(seen, RowSet::from(100..600));
        assert!(lanes.values().all(|lanes| lanes.len() == 1));
        assert_eq!(shares.len(), 4, "each lane has some of forty parents");
    }

    #[test]
    fn lanes_get_as_many_rows_of_a_few_large_parents() {
        let names: Vec<String> = (0..2_000).map(|row| format!("P{}", row * 7 % 20)).collect();
        let all: Vec<_> = names
            .iter()
            .map(|name| ("k", Some(name.as_str())))
            .collect();
        let shares = spread(false)
            .shares(rows(0, &all), LaneId::numbered(1))
            .unwrap();
        let sizes = shares.iter().map(|share| share.rows.fresh.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [500; 4]);
    }

    #[test]
    fn rows_of_a_key_stay_in_one_lane_until_its_chunk_is_closed() {
        let mut spread = spread(true);
        let spare = LaneId::numbered(1);
        let parents = ["A", "B", "C", "D", "E", "F", "G"];
        let alone = |spread: &mut Spread, parent| {
            let share = spread.shares(rows(0, &[("other", Some(parent))]), spare);
            let lane = share.unwrap()[0].lane;
            spread.closed(lane, std::iter::empty()).unwrap();
            lane
        };
        let homes = parents.map(|parent| alone(&mut spread, parent));
        let elsewhere = homes.iter().position(|home| *home != homes[0]).unwrap();
        let versions = [
            ("k", Some(parents[0])),
            ("k", Some(parents[elsewhere])),
            ("k", None),
            ("k", Some(parents[0])),
        ];
        let shares = spread.shares(rows(0, &versions), spare).unwrap();
        let [share] = shares.as_slice() else {
            panic!("{shares:?}");
        };
        assert_eq!(share.lane, homes[0]);
        assert_eq!(
            share.parents,
            homes[0].parents() | homes[elsewhere].parents()
        );
        let next = [("k", Some(parents[elsewhere])), ("l", Some(parents[0]))];
        let shares = spread.shares(rows(9, &next), spare).unwrap();
        assert_eq!(lane_of(&shares, 9), homes[0]);
        // Some of its rows are in the next chunk already.
        let left = rows(9, &next[1..]).cells;
        spread.closed(homes[0], [&left].into_iter()).unwrap();
        let later = [
            ("k", Some(parents[elsewhere])),
            ("l", Some(parents[elsewhere])),
        ];
        let shares = spread.shares(rows(20, &later), spare).unwrap();
        assert_eq!(lane_of(&shares, 20), homes[elsewhere]);
        assert_eq!(lane_of(&shares, 21), homes[0]);
    }
}
