//! Which record each accepted row of a job became, kept until its receipts are written: in the order
//! of the rows, and on disk where they are many.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};

use super::log::Log;
use crate::disk::Disk;
use crate::error::Result;
use crate::object::RecordIds;
use crate::rows::RowSet;

/// Rows of a part: those of which the ordinals differ in their last 16 bits only.
const PART_ROWS: u64 = 1 << PART_BITS;
const PART_BITS: u32 = 16;

/// Bytes of a row: the last bits of its ordinal, its number.
const RECORD_BYTES: usize = 2 + 8;

/// The number of a row that cannot be distinguished from others; that of one without a result is 0.
const INDISTINCT: u64 = 1;

/// The record that a row became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowRecord {
    /// With its number.
    Known(u64),
    /// Other rows are alike as far as the results show, and differ in what they do not.
    Indistinct,
    /// The results do not have it.
    NoResult,
}

/// The records of the rows of a job.
#[derive(Debug)]
pub(crate) struct RecordLog {
    /// The rows of each part by their first bits, ascending.
    parts: Vec<u64>,
    log: Log,
}

/// Those of one part.
#[derive(Debug)]
pub(crate) struct PartRecords {
    first: u64,
    numbers: Vec<u64>,
}

impl RecordLog {
    /// No record yet of these rows.
    pub(super) fn new(rows: &RowSet, disk: &Disk, pool: &Arc<dyn MemoryPool>) -> Self {
        let mut parts: Vec<u64> = Vec::new();
        for range in rows.ranges() {
            let (first, last) = (range.start >> PART_BITS, (range.end - 1) >> PART_BITS);
            let from = parts.last().map_or(first, |known| first.max(known + 1));
            parts.extend(from..=last);
        }
        let memory = MemoryConsumer::new("records").register(pool);
        let most = rows.len() as usize * 2 * RECORD_BYTES;
        let log = Log::new(disk, memory, parts.len(), most);
        Self { parts, log }
    }

    /// Notes the record of a row, once.
    pub(super) fn push(&mut self, row: u64, record: RowRecord) {
        let number = match record {
            RowRecord::Known(number) => number,
            RowRecord::Indistinct => INDISTINCT,
            RowRecord::NoResult => return,
        };
        if let Ok(part) = self.parts.binary_search(&(row >> PART_BITS)) {
            let mut bytes = [0; RECORD_BYTES];
            bytes[..2].copy_from_slice(&(row as u16).to_ne_bytes());
            bytes[2..].copy_from_slice(&number.to_ne_bytes());
            self.log.push(part, &bytes);
        }
    }

    /// The records of the part that has a row, in 512 KiB; none if no part has it.
    ///
    /// # Errors
    /// A transient error if they cannot be read back.
    pub(crate) fn part_of(&self, row: u64) -> Result<Option<PartRecords>> {
        let Ok(part) = self.parts.binary_search(&(row >> PART_BITS)) else {
            return Ok(None);
        };
        let mut numbers = vec![0; PART_ROWS as usize];
        for record in self.log.read(part)?.chunks_exact(RECORD_BYTES) {
            let row = record.first_chunk().map(|row| u16::from_ne_bytes(*row));
            let number = record
                .last_chunk()
                .map(|number| u64::from_ne_bytes(*number));
            if let (Some(row), Some(number)) = (row, number) {
                numbers[usize::from(row)] = number;
            }
        }
        let first = row >> PART_BITS << PART_BITS;
        Ok(Some(PartRecords { first, numbers }))
    }

    /// The number of the record of a row, 0 if it is not known. `part` is the part that was read last.
    ///
    /// # Errors
    /// As [`RecordLog::part_of`].
    pub(crate) fn number_of(&self, row: u64, part: &mut Option<PartRecords>) -> Result<u64> {
        Ok(match self.record_of(row, part)? {
            RowRecord::Known(number) => number,
            RowRecord::Indistinct | RowRecord::NoResult => 0,
        })
    }

    /// The record of a row. `part` is the part that was read last.
    ///
    /// # Errors
    /// As [`RecordLog::part_of`].
    pub(crate) fn record_of(&self, row: u64, part: &mut Option<PartRecords>) -> Result<RowRecord> {
        if let Some(record) = part.as_ref().and_then(|part| part.of(row)) {
            return Ok(record);
        }
        *part = self.part_of(row)?;
        let record = part.as_ref().and_then(|part| part.of(row));
        Ok(record.unwrap_or(RowRecord::NoResult))
    }
}

impl PartRecords {
    /// The record of a row; none if the part has not the row.
    pub(crate) fn of(&self, row: u64) -> Option<RowRecord> {
        let index = row.checked_sub(self.first)?;
        let number = *self.numbers.get(index as usize)?;
        Some(match number {
            INDISTINCT => RowRecord::Indistinct,
            number if RecordIds::without_created(number) == 0 => RowRecord::NoResult,
            number => RowRecord::Known(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::UnboundedMemoryPool;

    use super::*;
    use crate::disk::testing;

    #[test]
    fn records_come_back_by_their_rows() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        for disk in [Disk::of(tempfile::tempfile), testing::absent()] {
            let mut rows = RowSet::from(65_000..200_000);
            rows.insert(5);
            rows.insert_range(10_000_000..10_000_003);
            let mut log = RecordLog::new(&rows, &disk, &pool);
            for row in rows.iter().collect::<Vec<_>>().into_iter().rev() {
                let record = match row % 7 {
                    0 => RowRecord::Indistinct,
                    1 => RowRecord::NoResult,
                    _ => RowRecord::Known(row << 1 | row & 1),
                };
                log.push(row, record);
            }
            let mut part = log.part_of(0).unwrap().unwrap();
            for row in rows.iter() {
                if part.of(row).is_none() {
                    part = log.part_of(row).unwrap().unwrap();
                }
                let expected = match row % 7 {
                    0 => RowRecord::Indistinct,
                    1 => RowRecord::NoResult,
                    _ => RowRecord::Known(row << 1 | row & 1),
                };
                assert_eq!(part.of(row), Some(expected), "{row}");
            }
            assert!(log.part_of(9_000_000).unwrap().is_none());
            assert!(pool.reserved() > 0);
            drop(log);
            assert_eq!(pool.reserved(), 0);
        }
    }
}
