//! Which rows stand in for rows of older attempts, in the order of their ordinals, until they are
//! covered.
//!
//! Rows that come in the order in which they came before take the place of one; others that are many
//! go to a temporary file, from which they come back in order.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};

use super::leftover::Origin;
use crate::disk::{Disk, read_exact_at};
use crate::rows::RowSet;

/// Runs that are put away, and read back, at once: 2 MiB.
const BLOCK_RUNS: usize = 2 * 1024 * 1024 / RUN_BYTES;

const RUN_BYTES: usize = 32;

/// Rows that follow each other, in place of rows of an entry that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    rows: u64,
    entry: u32,
    of_entry: u64,
}

/// Rows in place of older ones that are not covered yet, oldest first.
#[derive(Debug)]
pub(super) struct Consumed {
    disk: Disk,
    front: VecDeque<Run>,
    middle: Option<Middle>,
    back: VecDeque<Run>,
}

/// Blocks of runs in a temporary file.
#[derive(Debug)]
struct Middle {
    file: File,
    read: u64,
    written: u64,
}

impl Consumed {
    /// None yet; many go to `disk`.
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            disk,
            front: VecDeque::new(),
            middle: None,
            back: VecDeque::new(),
        }
    }

    /// The row `ordinal` came in place of an older one. Ordinals grow.
    ///
    /// # Errors
    /// If a temporary file that holds some already cannot be written.
    pub(super) fn add(&mut self, ordinal: u64, origin: Origin) -> io::Result<()> {
        if let Some(last) = self.back.back_mut()
            && last.entry == origin.entry
            && last.first + last.rows == ordinal
            && last.of_entry + last.rows == origin.row
        {
            last.rows += 1;
            return Ok(());
        }
        if self.back.len() >= BLOCK_RUNS && self.back.len().is_multiple_of(BLOCK_RUNS) {
            self.put_away()?;
        }
        self.back.push_back(Run {
            first: ordinal,
            rows: 1,
            entry: origin.entry,
            of_entry: origin.row,
        });
        Ok(())
    }

    /// Memory that they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        (self.front.capacity() + self.back.capacity()) * size_of::<Run>()
    }

    fn put_away(&mut self) -> io::Result<()> {
        if self.middle.is_none() {
            let Some(file) = self.disk.file() else {
                return Ok(());
            };
            let (read, written) = (0, 0);
            self.middle = Some(Middle {
                file,
                read,
                written,
            });
        }
        let Some(middle) = &mut self.middle else {
            return Ok(());
        };
        let bytes: Vec<u8> = self.back.iter().copied().flat_map(Run::to_bytes).collect();
        middle.file.write_all(&bytes)?;
        middle.written += bytes.len() as u64;
        self.back.clear();
        Ok(())
    }

    /// Takes those before `ordinal`: rows of the entries, by their numbers.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn take_before(&mut self, ordinal: u64) -> io::Result<BTreeMap<u32, RowSet>> {
        let mut taken = BTreeMap::<u32, RowSet>::new();
        loop {
            if self.front.is_empty() {
                self.refill()?;
            }
            let Some(run) = self.front.front_mut().filter(|run| run.first < ordinal) else {
                return Ok(taken);
            };
            let rows = run.rows.min(ordinal - run.first);
            let of_entry = run.of_entry..run.of_entry + rows;
            taken.entry(run.entry).or_default().insert_range(of_entry);
            run.first += rows;
            run.of_entry += rows;
            run.rows -= rows;
            if run.rows == 0 {
                self.front.pop_front();
            }
        }
    }

    /// The next runs come to the front.
    fn refill(&mut self) -> io::Result<()> {
        let in_file = |middle: &&mut Middle| middle.read < middle.written;
        let Some(middle) = self.middle.as_mut().filter(in_file) else {
            std::mem::swap(&mut self.front, &mut self.back);
            return Ok(());
        };
        let left = (middle.written - middle.read) as usize;
        let mut bytes = vec![0; left.min(BLOCK_RUNS * RUN_BYTES)];
        read_exact_at(&middle.file, &mut bytes, middle.read)?;
        middle.read += bytes.len() as u64;
        let (runs, _) = bytes.as_chunks::<RUN_BYTES>();
        self.front.extend(runs.iter().map(Run::from_bytes));
        Ok(())
    }
}

impl Run {
    fn to_bytes(self) -> [u8; RUN_BYTES] {
        let mut bytes = [0; RUN_BYTES];
        bytes[..8].copy_from_slice(&self.first.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.rows.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.of_entry.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.entry.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; RUN_BYTES]) -> Self {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            first: number(0),
            rows: number(8),
            of_entry: number(16),
            entry: number(24) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::testing;
    use crate::ledger::LeftEnd;

    fn origin(entry: u32, row: u64) -> Origin {
        let end = LeftEnd::Accepted;
        Origin {
            entry,
            row,
            end,
            record: 0,
        }
    }

    #[test]
    fn rows_in_order_take_the_place_of_one() {
        let mut consumed = Consumed::new(testing::absent());
        for row in 0..1_000_000 {
            consumed.add(5 + row, origin(0, 100 + row)).unwrap();
        }
        assert!(consumed.memory() < 1_000);
        let taken = consumed.take_before(1_000).unwrap();
        assert_eq!(taken, BTreeMap::from([(0, RowSet::from(100..1_095))]));
        let taken = consumed.take_before(u64::MAX).unwrap();
        assert_eq!(taken, BTreeMap::from([(0, RowSet::from(1_095..1_000_100))]));
    }

    #[test]
    fn many_go_to_the_disk_and_come_back_in_order() {
        for disk in [Disk::of(tempfile::tempfile), testing::absent()] {
            let mut consumed = Consumed::new(disk);
            let count = 3 * BLOCK_RUNS as u64 + 7;
            let mut before = 0;
            for row in 0..count {
                consumed.add(row, origin(0, count - row)).unwrap();
                if row == count / 2 {
                    let taken = consumed.take_before(1_000).unwrap();
                    before = taken[&0].len();
                }
            }
            assert_eq!(before, 1_000);
            let taken = consumed.take_before(count - 1).unwrap();
            assert_eq!(taken[&0], RowSet::from(2..count - 999));
            assert_eq!(consumed.take_before(count).unwrap()[&0].len(), 1);
            assert!(consumed.take_before(u64::MAX).unwrap().is_empty());
        }
    }

    proptest! {
        #[test]
        fn what_is_covered_is_taken_once(
            rows in prop::collection::vec((any::<bool>(), 0_u32..2, 0_u64..4), 0..100),
            covers in prop::collection::vec(0_u64..120, 0..6),
        ) {
            let mut consumed = Consumed::new(testing::absent());
            let mut expected = BTreeMap::<u64, (u32, u64)>::new();
            for (ordinal, (is_older, entry, row)) in (0_u64..).zip(rows) {
                if is_older {
                    consumed.add(ordinal, origin(entry, 10 * ordinal + row)).unwrap();
                    expected.insert(ordinal, (entry, 10 * ordinal + row));
                }
            }
            let mut covers = covers;
            covers.sort_unstable();
            for cover in covers {
                let left = expected.split_off(&cover);
                let mut rows = BTreeMap::<u32, RowSet>::new();
                for (entry, row) in std::mem::replace(&mut expected, left).into_values() {
                    rows.entry(entry).or_default().insert(row);
                }
                prop_assert_eq!(consumed.take_before(cover).unwrap(), rows);
            }
        }
    }
}
