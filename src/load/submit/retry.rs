//! Rows that one job did not settle and that go into another.

use std::time::Duration;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use tokio::time::{Instant, sleep_until};

use crate::chunk::{Chunk, Chunker, RowOrdinals};
use crate::error::{Error, Result};
use crate::rows::{MergedRow, RowSet};

use super::judge::Outcome;
use crate::load::LoadError;
use crate::load::memory::{batch_bytes, rebuilt_bytes};
use crate::load::org::Reservation;
use crate::load::settle::Again;
use crate::load::state::Load;

/// Jobs that a row may be in.
pub(in crate::load) const ATTEMPTS: u32 = 3;

/// Most rows of the second and of the third job of rows that were refused: what they waited for in
/// vain, they get sooner with fewer rows beside them.
const SMALLER: [usize; 2] = [10_000, 2_000];

/// Pauses before the second and the third job: a lock is held for seconds.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Part of the memory limit that rows sent again may take at once, as CSV.
const AGAIN_SHARE: u64 = 64;

/// Rows that go into one more job.
#[derive(Debug)]
pub(in crate::load) struct Round {
    pub(in crate::load) rows: RowSet,
    /// Which of their jobs it will be, counted from 1.
    pub(in crate::load) number: u32,
    not_before: Instant,
}

impl Round {
    /// Waits until the rows may be sent; false if the load was stopped.
    pub(in crate::load) async fn due(&self, load: &Load) -> bool {
        tokio::select! {
            biased;
            () = load.stop.cancelled() => false,
            () = sleep_until(self.not_before) => true,
        }
    }
}

/// Takes the rows out of `outcome` that are sent again, with all that was `merged` into them, in
/// rounds small enough that the memory they take is small as well. `number` is that of the job that
/// ended.
///
/// Rows without an end after their last job stay in the outcome.
pub(in crate::load) fn rounds(
    load: &Load,
    outcome: &mut Outcome,
    merged: &[MergedRow],
    number: u32,
    row_bytes: u64,
) -> Vec<Round> {
    if number == ATTEMPTS {
        return Vec::new();
    }
    let bytes = load.org.options().memory_limit_bytes / AGAIN_SHARE;
    let most = usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
    let mut rounds = Vec::new();
    let mut add = |rows: &[u64], number: u32, smaller: usize, pause: Duration| {
        rounds.extend(rows.chunks(most.min(smaller).max(1)).map(|rows| Round {
            rows: with_merged(rows, merged),
            number,
            not_before: Instant::now() + pause,
        }));
    };
    let passing = std::mem::take(&mut outcome.passing);
    for (again, number, pause) in [
        (Again::Later, number + 1, PAUSES[number as usize - 1]),
        (Again::AtOnce, number + 1, Duration::ZERO),
        (Again::Once, ATTEMPTS, Duration::ZERO),
    ] {
        let rows = passing.iter().filter(|(_, found)| *found == again);
        let rows: Vec<u64> = rows.map(|(ordinal, _)| *ordinal).collect();
        add(&rows, number, SMALLER[number as usize - 2], pause);
    }
    for rows in [&mut outcome.unprocessed, &mut outcome.indeterminate] {
        let rows = std::mem::take(rows);
        add(&rows, number + 1, usize::MAX, Duration::ZERO);
    }
    rounds
}

/// These sorted rows and those that were merged into them.
fn with_merged(rows: &[u64], merged: &[MergedRow]) -> RowSet {
    let mut all: RowSet = rows.iter().copied().collect();
    let parts = merged.iter();
    let parts = parts.filter(|merged| rows.binary_search(&merged.into).is_ok());
    all.extend(parts.map(|merged| merged.row));
    all
}

/// Rows that were coerced once more.
#[derive(Debug)]
pub(in crate::load) struct Recoerced {
    pub(in crate::load) cells: RecordBatch,
    pub(in crate::load) ordinals: RowOrdinals,
    /// Memory that they take.
    pub(in crate::load) bytes: usize,
}

/// Coerces rows that the row store has once more, those of one batch at a time.
pub(in crate::load) fn recoerced<'a>(
    load: &'a Load,
    rows: &'a RowSet,
) -> impl Iterator<Item = Result<Recoerced>> + 'a {
    load.ledger.rows().read(rows).map(|read| {
        let (first, batch) = read?;
        let here = rows.within(first..first + batch.num_rows() as u64);
        let range = here.ranges().next().unwrap_or_default();
        let (batch, ordinals) = if range.end - range.start == here.len() {
            let (start, rows) = (range.start.saturating_sub(first), here.len());
            let batch = batch.slice(start as usize, rows as usize);
            (batch, RowOrdinals::From(range.start))
        } else {
            let ordinals: Vec<u64> = here.iter().collect();
            let rows = UInt64Array::from_iter_values(ordinals.iter().map(|row| row - first));
            let batch = take_record_batch(&batch, &rows).map_err(LoadError::from)?;
            (batch, RowOrdinals::Listed(ordinals.into()))
        };
        let cells = load.plan.coercion.apply(&batch)?.batch;
        Ok(Recoerced {
            bytes: batch_bytes(&batch) + rebuilt_bytes(&batch, &cells),
            cells,
            ordinals,
        })
    })
}

/// A chunk of rows that are sent again.
#[derive(Debug)]
pub(in crate::load) struct Rebuilt {
    /// May have no row to send: when newer rows wait for each of its keys.
    pub(in crate::load) chunk: Chunk,
    pub(in crate::load) merged: Vec<MergedRow>,
    /// Memory of the cells.
    pub(in crate::load) cells: Reservation,
}

/// Coerces rows once more into a chunk of their own, merged as they were. Rows of a key that newer
/// rows wait for join these.
pub(in crate::load) fn rebuild(load: &Load, rows: &RowSet) -> Result<Rebuilt> {
    // Before they are merged, rows of one job may be more than one job takes.
    let mut chunker = Chunker::new(load.plan.coercion.cells_schema(), u64::MAX, None)?;
    let mut cells = load.org.budget().reserve(0);
    for read in recoerced(load, rows) {
        let read = read?;
        cells.grow(read.bytes);
        chunker.push(&read.cells, read.ordinals, None)?;
    }
    let chunk = chunker
        .close()
        .ok_or_else(|| Error::system("rows to send again are gone"))?;
    let Some(key) = load.plan.coercion.key() else {
        return Ok(Rebuilt {
            chunk,
            merged: Vec::new(),
            cells,
        });
    };
    let keyed = chunk.by_key(key)?;
    let newer = load.keys.awaited(&keyed);
    let merged = keyed.merge(&newer)?;
    load.keys.wait(merged.waiting);
    Ok(Rebuilt {
        chunk: merged.chunk,
        merged: merged.merged,
        cells,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_again_with_all_its_parts() {
        let merged = [(1, 7), (2, 9), (3, 7), (8, 9)].map(|(row, into)| MergedRow { row, into });
        let rows = |rows: &[u64]| rows.iter().copied().collect::<RowSet>();
        assert_eq!(with_merged(&[7], &merged), rows(&[1, 3, 7]));
        assert_eq!(with_merged(&[5, 9], &merged), rows(&[2, 5, 8, 9]));
        assert!(with_merged(&[], &merged).is_empty());
    }
}
