//! Rows of older attempts that are in Salesforce, or stored as rejected, though no state covers them:
//! each stands for one equal row that comes again.
//!
//! They are kept sorted by digest, in a temporary file where they are many, and found by the first
//! digest of each block.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use roaring::RoaringTreemap;

use crate::disk::{Disk, read_exact_at};
use crate::rows::KeyDigest;

/// Rows that are sorted at once, in memory: 8 MiB.
const RUN_ROWS: usize = 8 * 1024 * 1024 / RECORD_BYTES;

/// Rows of a block: 4 KiB, which is read at once.
const BLOCK_ROWS: usize = 128;

const RECORD_BYTES: usize = 40;

/// What became of a row of an older attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LeftEnd {
    Accepted,
    /// It is stored as rejected.
    Rejected,
}

/// A row of an older attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// Number of the entry that has it, older ones first.
    pub(crate) entry: u32,
    /// Its ordinal in its attempt.
    pub(crate) row: u64,
    pub(crate) end: LeftEnd,
    /// The number of its record, if it was asked for; else 0.
    pub(crate) record: u64,
}

/// A row and its digest. Ordered by the digest, and rows that are equal by where they come from, so
/// that each attempt takes them in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    digest: KeyDigest,
    origin: Origin,
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..16].copy_from_slice(&self.digest.to_bytes());
        bytes[16..20].copy_from_slice(&self.origin.entry.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.origin.row.to_le_bytes());
        bytes[28] = u8::from(self.origin.end == LeftEnd::Rejected);
        bytes[32..].copy_from_slice(&self.origin.record.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Self {
        Self {
            digest: KeyDigest::from_bytes(array(bytes, 0)),
            origin: Origin {
                entry: u32::from_le_bytes(array(bytes, 16)),
                row: u64::from_le_bytes(array(bytes, 20)),
                end: if bytes[28] == 0 {
                    LeftEnd::Accepted
                } else {
                    LeftEnd::Rejected
                },
                record: u64::from_le_bytes(array(bytes, 32)),
            },
        }
    }
}

/// The bytes of a record from `at` on.
fn array<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

/// Takes rows of older attempts in any order.
#[derive(Debug)]
pub(crate) struct LeftoversBuilder {
    disk: Disk,
    rows: Vec<Record>,
    runs: Option<Runs>,
}

/// Sorted runs, one after the other in a temporary file.
#[derive(Debug)]
struct Runs {
    file: File,
    /// Rows of each.
    lengths: Vec<usize>,
}

impl LeftoversBuilder {
    /// No rows yet; many go to `disk`.
    pub(crate) fn new(disk: Disk) -> Self {
        Self {
            disk,
            rows: Vec::new(),
            runs: None,
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If a temporary file that holds some already cannot be written.
    pub(crate) fn add(&mut self, digest: KeyDigest, origin: Origin) -> io::Result<()> {
        self.rows.push(Record { digest, origin });
        if self.rows.len() >= RUN_ROWS && self.rows.len().is_multiple_of(RUN_ROWS) {
            self.write_run()?;
        }
        Ok(())
    }

    /// Memory that they take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<Record>()
    }

    /// Moves the rows in memory to the disk. Without one they stay.
    fn write_run(&mut self) -> io::Result<()> {
        if self.runs.is_none() {
            let Some(file) = self.disk.file() else {
                return Ok(());
            };
            let lengths = Vec::new();
            self.runs = Some(Runs { file, lengths });
        }
        let Some(runs) = &mut self.runs else {
            return Ok(());
        };
        self.rows.sort_unstable();
        write(&mut runs.file, self.rows.iter().copied())?;
        runs.lengths.push(self.rows.len());
        self.rows.clear();
        Ok(())
    }

    /// All rows, to be taken.
    ///
    /// # Errors
    /// If a temporary file cannot be written or read.
    pub(crate) fn build(mut self) -> io::Result<Leftovers> {
        self.rows.sort_unstable();
        let Some(runs) = self.runs.take() else {
            return Ok(Leftovers::new(Place::Memory(self.rows)));
        };
        let Some(mut file) = self.disk.file() else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let mut merge = Merge::new(&runs, std::mem::take(&mut self.rows))?;
        let mut firsts = Vec::new();
        let mut failed = None;
        let mut rows = 0;
        let merged = std::iter::from_fn(|| match merge.next() {
            Ok(next) => {
                let record = next?;
                if rows % BLOCK_ROWS as u64 == 0 {
                    firsts.push(record.digest);
                }
                rows += 1;
                Some(record)
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        write(&mut file, merged)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(Leftovers::new(Place::Disk(Blocks {
                file,
                rows,
                firsts,
                read: None,
            }))),
        }
    }
}

fn write(file: &mut File, rows: impl Iterator<Item = Record>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    for row in rows {
        writer.write_all(&row.to_bytes())?;
    }
    writer.flush()
}

/// Merges sorted runs.
struct Merge<'a> {
    file: &'a File,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

/// What is left of a run.
struct Run {
    /// Row of the file that comes next, and the end.
    next: u64,
    end: u64,
    /// Rows that were read, the next one last.
    read: Vec<Record>,
}

impl<'a> Merge<'a> {
    fn new(runs: &'a Runs, in_memory: Vec<Record>) -> io::Result<Self> {
        let mut all = Vec::with_capacity(runs.lengths.len() + 1);
        let mut next = 0;
        for length in &runs.lengths {
            let end = next + *length as u64;
            let read = Vec::new();
            all.push(Run { next, end, read });
            next = end;
        }
        let read = in_memory.into_iter().rev().collect();
        all.push(Run {
            next,
            end: next,
            read,
        });
        let mut merge = Self {
            file: &runs.file,
            heads: BinaryHeap::with_capacity(all.len()),
            runs: all,
        };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse((record, run))) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(run)?;
        Ok(Some(record))
    }

    /// Puts the next row of a run among the heads.
    fn advance(&mut self, number: usize) -> io::Result<()> {
        let run = &mut self.runs[number];
        if run.read.is_empty() && run.next < run.end {
            let to = run.end.min(run.next + BLOCK_ROWS as u64);
            run.read = read(self.file, run.next..to)?;
            run.read.reverse();
            run.next = to;
        }
        if let Some(record) = run.read.pop() {
            self.heads.push(Reverse((record, number)));
        }
        Ok(())
    }
}

fn read(file: &File, rows: std::ops::Range<u64>) -> io::Result<Vec<Record>> {
    let mut bytes = vec![0; (rows.end - rows.start) as usize * RECORD_BYTES];
    read_exact_at(file, &mut bytes, rows.start * RECORD_BYTES as u64)?;
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    Ok(records.iter().map(Record::from_bytes).collect())
}

/// Rows of older attempts, each of which is taken once.
#[derive(Debug)]
pub(crate) struct Leftovers {
    place: Place,
    /// Positions of those that were taken.
    taken: RoaringTreemap,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<Record>),
    Disk(Blocks),
}

/// Sorted rows in a temporary file.
#[derive(Debug)]
struct Blocks {
    file: File,
    rows: u64,
    /// The first digest of each block.
    firsts: Vec<KeyDigest>,
    /// The block that was read last.
    read: Option<(u64, Vec<Record>)>,
}

impl Leftovers {
    fn new(place: Place) -> Self {
        Self {
            place,
            taken: RoaringTreemap::new(),
        }
    }

    /// How many are left.
    pub(crate) fn len(&self) -> u64 {
        self.place.len() - self.taken.len()
    }

    /// Memory that they take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let rows = match &self.place {
            Place::Memory(rows) => rows.capacity() * size_of::<Record>(),
            Place::Disk(blocks) => {
                blocks.firsts.capacity() * size_of::<KeyDigest>() + BLOCK_ROWS * size_of::<Record>()
            }
        };
        rows + self.taken.serialized_size()
    }

    /// Takes a row that is equal to one that comes again: of some, the oldest that is left.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn take(&mut self, digest: KeyDigest) -> io::Result<Option<Origin>> {
        let first = self.place.first_of(digest)?;
        let position = self.first_left(first);
        let found = self.place.get(position)?;
        let Some(record) = found.filter(|record| record.digest == digest) else {
            return Ok(None);
        };
        self.taken.insert(position);
        Ok(Some(record.origin))
    }

    /// The first position from here on that was not taken. Equal rows are taken in order, so none
    /// before it is left of these.
    fn first_left(&self, from: u64) -> u64 {
        let all_taken = |rows: u64| self.taken.range_cardinality(from..from + rows) == rows;
        let (mut taken, mut more) = (0, 1);
        while all_taken(taken + more) {
            taken += more;
            more *= 2;
        }
        while more > 1 {
            more /= 2;
            if all_taken(taken + more) {
                taken += more;
            }
        }
        from + taken
    }
}

impl Place {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(rows) => rows.len() as u64,
            Self::Disk(blocks) => blocks.rows,
        }
    }

    /// Position of the first row of a digest, or of the one that would follow it.
    fn first_of(&mut self, digest: KeyDigest) -> io::Result<u64> {
        let before = |row: &Record| row.digest < digest;
        match self {
            Self::Memory(rows) => Ok(rows.partition_point(before) as u64),
            Self::Disk(blocks) => {
                // It may begin in the block before the first that begins with it.
                let block = blocks.firsts.partition_point(|first| *first < digest);
                let Some(block) = block.checked_sub(1) else {
                    return Ok(0);
                };
                let rows = blocks.block(block as u64)?;
                let within = rows.partition_point(before);
                Ok((block * BLOCK_ROWS + within) as u64)
            }
        }
    }

    fn get(&mut self, position: u64) -> io::Result<Option<Record>> {
        match self {
            Self::Memory(rows) => Ok(rows.get(position as usize).copied()),
            Self::Disk(blocks) if position < blocks.rows => {
                let rows = blocks.block(position / BLOCK_ROWS as u64)?;
                Ok(rows.get(position as usize % BLOCK_ROWS).copied())
            }
            Self::Disk(_) => Ok(None),
        }
    }
}

impl Blocks {
    fn block(&mut self, number: u64) -> io::Result<&[Record]> {
        if self.read.as_ref().is_none_or(|(read, _)| *read != number) {
            let first = number * BLOCK_ROWS as u64;
            let rows = read(&self.file, first..self.rows.min(first + BLOCK_ROWS as u64))?;
            self.read = Some((number, rows));
        }
        Ok(self.read.as_ref().map_or(&[], |(_, rows)| rows))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::disk::testing;

    fn digest(number: u64) -> KeyDigest {
        KeyDigest::of(&number.to_le_bytes())
    }

    fn origin(row: u64) -> Origin {
        Origin {
            entry: (row % 3) as u32,
            record: row << 40 | row,
            row,
            end: if row.is_multiple_of(5) {
                LeftEnd::Rejected
            } else {
                LeftEnd::Accepted
            },
        }
    }

    fn leftovers(disk: Disk, rows: impl Iterator<Item = (u64, u64)>) -> Leftovers {
        let mut builder = LeftoversBuilder::new(disk);
        for (number, row) in rows {
            builder.add(digest(number), origin(row)).unwrap();
        }
        builder.build().unwrap()
    }

    /// Each of the rows is taken once by its digest, those that are equal in order.
    fn are_taken_once(mut leftovers: Leftovers, rows: &[(u64, u64)]) {
        let mut expected = BTreeMap::<u64, Vec<Origin>>::new();
        for (number, row) in rows {
            expected.entry(*number).or_default().push(origin(*row));
        }
        assert_eq!(leftovers.len(), rows.len() as u64);
        for (number, mut origins) in expected {
            origins.sort_unstable();
            for origin in origins {
                assert_eq!(leftovers.take(digest(number)).unwrap(), Some(origin));
            }
            assert_eq!(leftovers.take(digest(number)).unwrap(), None);
        }
        assert_eq!(leftovers.len(), 0);
    }

    #[test]
    fn many_go_to_the_disk_and_stay_without_one() {
        let count = 2 * RUN_ROWS as u64 + 1_000;
        let rows = || (0..count).map(|row| (row / 3, row));
        let on_disk = leftovers(Disk::of(tempfile::tempfile), rows());
        assert!(matches!(on_disk.place, Place::Disk(_)));
        assert!(on_disk.memory() < 1 << 20, "{} bytes", on_disk.memory());
        let in_memory = leftovers(testing::absent(), rows());
        assert!(matches!(in_memory.place, Place::Memory(_)));
        for mut leftovers in [on_disk, in_memory] {
            assert_eq!(leftovers.len(), count);
            for number in (0..count / 3).step_by(997) {
                let taken: Vec<_> = (0..4)
                    .map_while(|_| leftovers.take(digest(number)).unwrap())
                    .map(|origin| origin.row / 3)
                    .collect();
                assert_eq!(taken, [number; 3]);
            }
            assert_eq!(leftovers.take(digest(count)).unwrap(), None);
        }
    }

    #[test]
    fn equal_rows_are_as_many_as_they_are() {
        let mut leftovers = leftovers(testing::absent(), (0..5_000).map(|row| (7, row)));
        let taken = std::iter::from_fn(|| leftovers.take(digest(7)).unwrap());
        let rows: Vec<_> = taken.map(|origin| (origin.entry, origin.row)).collect();
        assert_eq!(rows.len(), 5_000);
        assert!(rows.is_sorted());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_is_full_is_an_error_not_a_loss() {
        let mut builder = LeftoversBuilder::new(testing::full());
        let mut added = (0..2 * RUN_ROWS as u64).map(|row| builder.add(digest(row), origin(row)));
        assert!(added.any(|added| added.is_err()));
    }

    proptest! {
        #[test]
        fn each_row_is_taken_once(rows in prop::collection::vec((0_u64..20, 0_u64..1000), 0..300)) {
            are_taken_once(leftovers(testing::absent(), rows.iter().copied()), &rows);
        }
    }
}
