//! Rows of a job that are too many to be joined at once: divided by their digests into parts that are
//! joined one after the other, and kept in a temporary file until then. Where there is no disk they
//! stay in memory, in less of it than groups take.

use datafusion::execution::memory_pool::MemoryReservation;

use super::defect::defect;
use super::groups::{Groups, ResultRow, SentRow, SentRows};
use super::log::{BLOCK_BYTES, Log};
use crate::disk::Disk;
use crate::error::Result;
use crate::rows::{KeyDigest, RowSet};

/// Parts of a job's rows: of 4 million rows, groups of one take about 8 MiB.
const PARTS: usize = 64;

/// Bytes of a result row: its digest, its kind, its value.
const RESULT_BYTES: usize = 16 + 1 + 8;

/// Bytes of a row that was sent: its digest, its ordinal, what is known of all its cells.
const SENT_BYTES: usize = 16 + 8 + 1 + 8;

/// The rows of a job in parts.
#[derive(Debug)]
pub(super) struct Parts {
    results: Log,
    sent: Log,
    /// Rows that were found to have no result before the others were divided.
    without_result: RowSet,
}

impl Parts {
    /// No rows yet, but those that are known to have no result. What is not on `disk` takes `memory`,
    /// whether or not there is room.
    pub(super) fn new(disk: &Disk, memory: MemoryReservation, without_result: RowSet) -> Self {
        let empty = memory.new_empty();
        Self {
            results: Log::new(disk, memory, PARTS, PARTS * BLOCK_BYTES),
            sent: Log::new(disk, empty, PARTS, PARTS * BLOCK_BYTES),
            without_result,
        }
    }

    /// How many parts there are.
    #[allow(clippy::unused_self, reason = "a property of the parts")]
    pub(super) fn len(&self) -> usize {
        PARTS
    }

    /// Adds result rows.
    pub(super) fn add_results(&mut self, rows: impl Iterator<Item = (KeyDigest, ResultRow)>) {
        for (digest, result) in rows {
            let (kind, value) = match result {
                ResultRow::Failed(reason) => (0, u64::from(reason)),
                ResultRow::Unprocessed => (1, 0),
                ResultRow::Succeeded(id) => (2, id),
            };
            let mut record = [0; RESULT_BYTES];
            record[..16].copy_from_slice(&digest.to_bytes());
            record[16] = kind;
            record[17..].copy_from_slice(&value.to_ne_bytes());
            self.results.push(digest.part(PARTS), &record);
        }
    }

    /// Adds rows that were sent.
    pub(super) fn add_sent(&mut self, rows: &SentRows) {
        let ordinals = rows.ordinals.values().iter();
        let rows =
            rows.digests
                .iter()
                .zip(ordinals)
                .enumerate()
                .map(|(index, (digest, ordinal))| SentRow {
                    digest: *digest,
                    ordinal: *ordinal,
                    whole: rows.wholes.as_ref().map(|wholes| wholes[index].low()),
                    differs: false,
                });
        self.add_rows(rows);
    }

    /// The same.
    pub(super) fn add_rows(&mut self, rows: impl Iterator<Item = SentRow>) {
        for row in rows {
            let mut record = [0; SENT_BYTES];
            record[..16].copy_from_slice(&row.digest.to_bytes());
            record[16..24].copy_from_slice(&row.ordinal.to_ne_bytes());
            record[24] = u8::from(row.whole.is_some()) | u8::from(row.differs) << 1;
            record[25..].copy_from_slice(&row.whole.unwrap_or_default().to_ne_bytes());
            self.sent.push(row.digest.part(PARTS), &record);
        }
    }

    /// Adds rows that no result has.
    pub(super) fn add_without_result(&mut self, rows: &RowSet) {
        self.without_result.insert_all(rows);
    }

    /// The groups of a part, which take `memory`.
    ///
    /// # Errors
    /// A transient error if the part cannot be read back.
    pub(super) fn groups(&mut self, part: usize, memory: MemoryReservation) -> Result<Groups> {
        let mut groups = Groups::new(memory);
        let results = self.results.read(part)?;
        let results: Result<Vec<_>> = results.chunks_exact(RESULT_BYTES).map(result).collect();
        groups.add_results(results?.into_iter());
        let mut without_result = Vec::new();
        for record in self.sent.read(part)?.chunks_exact(SENT_BYTES) {
            let row = sent(record)?;
            if !groups.add_row(row) {
                without_result.push(row.ordinal);
            }
        }
        let mut rows = RowSet::new();
        rows.extend(without_result);
        if part == 0 {
            rows.insert_all(&self.without_result);
        }
        groups.add_without_result(&rows);
        groups.account();
        Ok(groups)
    }
}

fn result(record: &[u8]) -> Result<(KeyDigest, ResultRow)> {
    let value = u64::from_ne_bytes(bytes(record, 17)?);
    let row = match record.get(16) {
        Some(0) => ResultRow::Failed(value as u32),
        Some(1) => ResultRow::Unprocessed,
        _ => ResultRow::Succeeded(value),
    };
    Ok((KeyDigest::from_bytes(bytes(record, 0)?), row))
}

fn sent(record: &[u8]) -> Result<SentRow> {
    let known = record.get(24).copied().unwrap_or_default();
    let whole = u64::from_ne_bytes(bytes(record, 25)?);
    Ok(SentRow {
        digest: KeyDigest::from_bytes(bytes(record, 0)?),
        ordinal: u64::from_ne_bytes(bytes(record, 16)?),
        whole: (known & 1 > 0).then_some(whole),
        differs: known & 2 > 0,
    })
}

fn bytes<const N: usize>(record: &[u8], from: usize) -> Result<[u8; N]> {
    let bytes = record.get(from..).and_then(<[u8]>::first_chunk);
    bytes.copied().ok_or_else(|| defect("a row was kept short"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};

    use super::*;
    use crate::disk::testing;

    fn digest(row: u64) -> KeyDigest {
        KeyDigest::of(&row.to_le_bytes())
    }

    #[test]
    fn rows_come_back_in_parts_from_disk_and_from_memory() {
        let mut disks = vec![Disk::of(tempfile::tempfile), testing::absent()];
        #[cfg(target_os = "linux")]
        disks.push(testing::full());
        for disk in disks {
            let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
            let memory = || MemoryConsumer::new("test").register(&pool);
            let mut parts = Parts::new(&disk, memory(), RowSet::from(200_000..200_003));
            let kinds = [
                ResultRow::Failed(7),
                ResultRow::Unprocessed,
                ResultRow::Succeeded(u64::MAX),
            ];
            let results = (0..100_000).map(|row| (digest(row), kinds[row as usize % 3]));
            parts.add_results(results);
            parts.add_rows((0..150_000).map(|row| SentRow {
                digest: digest(row),
                ordinal: row,
                whole: (row % 2 == 0).then_some(row),
                differs: row % 5 == 0,
            }));
            let (mut seen, mut without_result) = (RowSet::new(), RowSet::new());
            for part in 0..parts.len() {
                let mut groups = parts.groups(part, memory()).unwrap();
                without_result.insert_all(&groups.take_without_result());
                groups.for_each(|group| {
                    let [row] = group.sent else {
                        panic!("{group:?}");
                    };
                    assert_eq!(group.results, [kinds[*row as usize % 3]]);
                    assert_eq!(group.differs, row % 5 == 0);
                    seen.insert(*row);
                });
            }
            assert_eq!(seen, RowSet::from(0..100_000));
            let mut expected = RowSet::from(100_000..150_000);
            expected.insert_range(200_000..200_003);
            assert_eq!(without_result, expected);
            drop(parts);
            assert_eq!(pool.reserved(), 0);
        }
    }
}
