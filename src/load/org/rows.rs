//! The source rows of a stream, kept until each has its end.
//!
//! A row that fails is reported with the columns it came with, and a row that Salesforce did not
//! get to is retried: so source batches stay until all their rows ended. Rows of closed jobs are
//! only waiting for an answer; when memory is short they are compressed, then moved to a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use parking_lot::{Mutex, MutexGuard};

use crate::disk::read_exact_at;
use crate::rows::RowSet;

use super::budget::Reservation;
use super::packed::{Packer, Unpacker};
use super::spill::Spill;

/// Rows could not be packed, or read back.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The temporary file they are in failed.
    #[error(
        "rows waiting for Salesforce's answer could not be read back from a temporary file ({0}); \
         let TMPDIR name a directory on a disk that is sound"
    )]
    Disk(#[from] io::Error),
    /// A batch could not be packed or unpacked.
    #[error("rows could not be packed or unpacked: {0}")]
    Packing(#[from] ArrowError),
}

/// All source rows of one stream that have no end yet, by ordinal.
#[derive(Debug, Default)]
pub(crate) struct RowStore {
    batches: Mutex<Batches>,
    spilled: AtomicU64,
}

/// Batches by the ordinals of their first rows.
#[derive(Debug, Default)]
struct Batches {
    all: BTreeMap<u64, Stored>,
    /// Those that only wait for an answer and are not on disk: looked for often, and few of all.
    in_memory: BTreeSet<u64>,
}

#[derive(Debug)]
struct Stored {
    rows: u64,
    without_end: u64,
    /// Rows that are in no closed job yet: they will be read soon.
    not_closed: u64,
    /// Memory that it takes when it is plain.
    plain_bytes: usize,
    form: Form,
    memory: Reservation,
}

#[derive(Debug, Clone)]
enum Form {
    Plain(RecordBatch),
    Packed(Arc<[u8]>),
    OnDisk {
        file: Arc<File>,
        offset: u64,
        length: usize,
    },
}

impl RowStore {
    /// Takes a batch whose first row has the ordinal `first`, and the memory reserved for it.
    pub(crate) fn push(&self, first: u64, batch: RecordBatch, memory: Reservation) {
        let rows = batch.num_rows() as u64;
        let stored = Stored {
            rows,
            without_end: rows,
            not_closed: rows,
            plain_bytes: memory.bytes(),
            form: Form::Plain(batch),
            memory,
        };
        self.lock().all.insert(first, stored);
    }

    /// Rows of `range` have their end; batches without open rows are dropped.
    pub(crate) fn end(&self, range: Range<u64>) {
        let mut batches = self.lock();
        let mut ended = Vec::new();
        for (first, stored, overlap) in overlapping(&mut batches.all, range) {
            stored.without_end -= overlap;
            if stored.without_end == 0 {
                ended.push(first);
            }
        }
        for first in ended {
            batches.all.remove(&first);
            batches.in_memory.remove(&first);
        }
    }

    /// These rows will not be read soon: their job is closed, or they wait for their key. Said once
    /// of each row.
    pub(crate) fn close(&self, rows: &RowSet) {
        let Batches { all, in_memory } = &mut *self.lock();
        for range in rows.ranges() {
            for (first, stored, overlap) in overlapping(all, range) {
                stored.not_closed = stored.not_closed.saturating_sub(overlap);
                if stored.not_closed == 0 && !stored.form.is_on_disk() {
                    in_memory.insert(first);
                }
            }
        }
    }

    /// These rows, which were said to be closed, are read now; they will be closed once more.
    pub(crate) fn reopen(&self, rows: &RowSet) {
        let Batches { all, in_memory } = &mut *self.lock();
        for range in rows.ranges() {
            for (first, stored, overlap) in overlapping(all, range) {
                stored.not_closed += overlap;
                in_memory.remove(&first);
            }
        }
    }

    /// No row will go into a job any more: all that is left only waits for the answers to jobs in
    /// flight. `unsent` are rows that nobody will ask for again.
    pub(crate) fn give_up(&self, unsent: &RowSet) {
        for range in unsent.ranges() {
            self.end(range);
        }
        let Batches { all, in_memory } = &mut *self.lock();
        for (first, stored) in all {
            stored.not_closed = 0;
            if !stored.form.is_on_disk() {
                in_memory.insert(*first);
            }
        }
    }

    /// Memory that these rows take when they are read.
    pub(crate) fn bytes(&self, rows: &RowSet) -> usize {
        let mut batches = self.lock();
        let ranges = rows.ranges();
        let bytes = ranges.map(|range| {
            let here = overlapping(&mut batches.all, range);
            here.map(|(_, stored, rows)| {
                (stored.plain_bytes as u64 * rows).div_ceil(stored.rows.max(1)) as usize
            })
            .sum::<usize>()
        });
        bytes.sum()
    }

    /// The first ordinals of the batches that hold some of these rows, in order. Batches
    /// without open rows are left out.
    pub(crate) fn firsts(&self, rows: &RowSet) -> Vec<u64> {
        let mut batches = self.lock();
        let mut firsts = Vec::new();
        let mut behind = 0;
        for range in rows.ranges() {
            if range.end <= behind {
                continue;
            }
            for (first, stored, _) in overlapping(&mut batches.all, range) {
                behind = first + stored.rows;
                if firsts.last() != Some(&first) {
                    firsts.push(first);
                }
            }
        }
        firsts
    }

    /// The batch whose first row has the ordinal `first`, if it is still there. Where it is packed, it
    /// is unpacked in the memory of `unpacker`.
    pub(crate) fn get(
        &self,
        first: u64,
        unpacker: &mut Unpacker,
    ) -> Option<Result<RecordBatch, RowsError>> {
        let form = self.lock().all.get(&first)?.form.clone();
        Some(form.unpack(unpacker))
    }

    /// The batches that hold some of these rows, one at a time, each with its first ordinal.
    pub(crate) fn read(
        &self,
        rows: &RowSet,
    ) -> impl Iterator<Item = Result<(u64, RecordBatch), RowsError>> + use<'_> {
        let firsts = self.firsts(rows).into_iter();
        let mut unpacker = Unpacker::default();
        firsts.filter_map(move |first| {
            let batch = self.get(first, &mut unpacker)?;
            Some(batch.map(|batch| (first, batch)))
        })
    }

    /// Compresses what only waits for an answer; a batch at a time, so that it takes little more
    /// than it frees.
    pub(crate) fn pack(&self) -> Result<(), RowsError> {
        let mut packer = Packer::default();
        for (first, batch) in self.waiting(|form| match form {
            Form::Plain(batch) => Some(batch.clone()),
            Form::Packed(_) | Form::OnDisk { .. } => None,
        }) {
            let packed = packer.pack(&batch)?;
            self.replace(first, Form::Packed(packed.into()), packed.len());
        }
        Ok(())
    }

    /// Bytes that went to disk so far.
    pub(crate) fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Moves what only waits for an answer to temporary files, as far as the disk takes it; returns
    /// how many bytes it wrote.
    pub(crate) fn spill(&self, spill: &mut Spill) -> Result<u64, RowsError> {
        self.pack()?;
        let packed = self.waiting(|form| match form {
            Form::Packed(bytes) => Some(Arc::clone(bytes)),
            Form::Plain(_) | Form::OnDisk { .. } => None,
        });
        let mut written = 0;
        for (first, bytes) in packed {
            let Some((file, offset)) = spill.write(&bytes) else {
                break;
            };
            let length = bytes.len();
            let form = Form::OnDisk {
                file,
                offset,
                length,
            };
            self.replace(first, form, 0);
            written += length as u64;
        }
        self.spilled.fetch_add(written, Ordering::Relaxed);
        Ok(written)
    }

    fn waiting<T>(&self, pick: impl Fn(&Form) -> Option<T>) -> Vec<(u64, T)> {
        let batches = self.lock();
        let waiting = batches.in_memory.iter();
        waiting
            .filter_map(|first| Some((*first, pick(&batches.all.get(first)?.form)?)))
            .collect()
    }

    /// Keeps a batch in a smaller form, unless it is in one as small by now: packing and spilling
    /// may go on side by side.
    fn replace(&self, first: u64, form: Form, bytes: usize) {
        let mut batches = self.lock();
        let smaller = batches
            .all
            .get_mut(&first)
            .filter(|stored| form.is_smaller_than(&stored.form));
        if let Some(stored) = smaller {
            stored.form = form;
            stored.memory.resize(bytes);
            if stored.form.is_on_disk() {
                batches.in_memory.remove(&first);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock()
    }
}

/// Each batch that shares rows with `range`: its first ordinal, and how many rows it shares.
fn overlapping(
    batches: &mut BTreeMap<u64, Stored>,
    range: Range<u64>,
) -> impl Iterator<Item = (u64, &mut Stored, u64)> {
    let from = batches
        .range(..=range.start)
        .next_back()
        .map_or(range.start, |(first, _)| *first);
    batches
        .range_mut(from..range.end.max(from))
        .filter_map(move |(first, stored)| {
            let start = range.start.max(*first);
            let end = range.end.min(*first + stored.rows);
            (start < end).then_some((*first, stored, end.saturating_sub(start)))
        })
}

impl Form {
    fn is_on_disk(&self) -> bool {
        matches!(self, Self::OnDisk { .. })
    }

    fn is_smaller_than(&self, other: &Self) -> bool {
        let size = |form: &Self| match form {
            Self::Plain(_) => 2,
            Self::Packed(_) => 1,
            Self::OnDisk { .. } => 0,
        };
        size(self) < size(other)
    }

    fn unpack(self, unpacker: &mut Unpacker) -> Result<RecordBatch, RowsError> {
        match self {
            Self::Plain(batch) => Ok(batch),
            Self::Packed(bytes) => Ok(unpacker.unpack(&bytes)?),
            Self::OnDisk {
                file,
                offset,
                length,
            } => {
                let mut bytes = vec![0; length];
                read_exact_at(&file, &mut bytes, offset)?;
                Ok(unpacker.unpack(&bytes)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::super::signal::Signal;
    use super::*;
    use crate::disk::{self, Disk};
    use arrow::array::{Array, ArrayRef, StringArray};

    fn batch(range: Range<u64>) -> RecordBatch {
        let text: StringArray = range
            .map(|ordinal| Some(format!("row {ordinal:08}")))
            .collect();
        RecordBatch::try_from_iter([("a", Arc::new(text) as ArrayRef)]).unwrap()
    }

    fn store(budget: &Budget, batches: &[Range<u64>]) -> RowStore {
        let rows = RowStore::default();
        for range in batches {
            let batch = batch(range.clone());
            let memory = budget.reserve(batch.get_array_memory_size());
            rows.push(range.start, batch, memory);
        }
        rows
    }

    fn texts(rows: &RowStore, range: Range<u64>) -> Vec<(u64, String)> {
        rows.read(&range.into())
            .flat_map(|read| {
                let (first, batch) = read.unwrap();
                let column = batch
                    .column(0)
                    .as_any()
                    .downcast_ref::<StringArray>()
                    .unwrap();
                (0..column.len())
                    .map(|row| (first + row as u64, column.value(row).to_string()))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn rows_come_back_the_same_from_memory_pack_and_disk() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..1000, 1000..1500, 1500..4000]);
        let plain = texts(&rows, 0..4000);
        assert_eq!(plain.len(), 4000);
        rows.close(&RowSet::from(0..1200));
        let before = budget.used();
        rows.pack().unwrap();
        assert!(
            budget.used() < before,
            "a closed batch takes less once packed"
        );
        assert_eq!(texts(&rows, 0..4000), plain);
        assert!(rows.spill(&mut Spill::new(Disk::shared())).unwrap() > 0);
        assert_eq!(texts(&rows, 0..4000), plain);
        assert_eq!(
            rows.spill(&mut Spill::new(Disk::shared())).unwrap(),
            0,
            "nothing is written twice"
        );
        rows.close(&RowSet::from(1200..4000));
        assert!(rows.spill(&mut Spill::new(Disk::shared())).unwrap() > 0);
        assert_eq!(texts(&rows, 0..4000), plain);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn packing_that_ends_late_does_not_bring_rows_back_from_disk() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..500, 500..1000]);
        rows.close(&RowSet::from(0..1000));
        let mut packer = Packer::default();
        let late = packer.pack(&batch(0..500)).unwrap();
        rows.spill(&mut Spill::new(Disk::shared())).unwrap();
        rows.replace(0, Form::Packed(late.into()), 100);
        assert!(matches!(rows.lock().all[&0].form, Form::OnDisk { .. }));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_a_disk_rows_stay_packed() {
        let mut disks = vec![disk::testing::absent()];
        #[cfg(target_os = "linux")]
        disks.push(disk::testing::full());
        for disk in disks {
            let budget = Budget::new(1 << 30, Signal::default());
            let rows = store(&budget, &[0..1000, 1000..2000]);
            let plain = texts(&rows, 0..2000);
            rows.close(&RowSet::from(0..2000));
            assert_eq!(rows.spill(&mut Spill::new(disk)).unwrap(), 0);
            assert_eq!(texts(&rows, 0..2000), plain);
            assert!(budget.used() > 0, "they are in memory");
            rows.end(0..2000);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn rows_given_up_go_or_only_wait() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..1000, 1000..2000]);
        rows.give_up(&RowSet::from(1000..2000));
        assert_eq!(rows.lock().all.len(), 1);
        assert!(rows.spill(&mut Spill::new(Disk::shared())).unwrap() > 0);
        assert_eq!(budget.used(), 0);
        rows.close(&RowSet::from(0..1000));
        assert_eq!(texts(&rows, 0..2000).len(), 1000);
    }

    #[test]
    fn what_rows_take_is_known_before_they_are_read() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..1000, 1000..2000]);
        let all = budget.used();
        rows.close(&RowSet::from(0..2000));
        rows.spill(&mut Spill::new(Disk::shared())).unwrap();
        let some = rows.bytes(&RowSet::from(500..1000));
        assert!(some > all / 5 && some < all / 3, "{some} of {all}");
        assert_eq!(rows.bytes(&RowSet::from(0..2000)), all);
    }

    #[test]
    fn batches_go_when_their_last_row_ends() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..10, 10..20, 20..30]);
        rows.end(5..15);
        assert_eq!(rows.lock().all.len(), 3);
        rows.end(0..5);
        assert_eq!(texts(&rows, 0..30).first().unwrap().0, 10);
        rows.end(15..30);
        assert_eq!(rows.lock().all.len(), 0);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn only_batches_of_the_range_are_read() {
        let budget = Budget::new(1 << 30, Signal::default());
        let rows = store(&budget, &[0..10, 10..20, 20..30]);
        assert_eq!(texts(&rows, 12..13).len(), 10);
        assert_eq!(texts(&rows, 9..21).len(), 30);
        assert!(texts(&rows, 30..31).is_empty());
        assert!(texts(&rows, 7..7).is_empty());
        assert_eq!(
            rows.firsts(&RowSet::from_iter([1..2, 3..4, 9..10, 21..22, 25..40])),
            [0, 20]
        );
    }
}
