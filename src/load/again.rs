//! Rows that one job did not settle and that go into another.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::chunk::{Chunk, RowOrdinals};
use crate::error::{Error, Result};

use super::budget::Grant;
use super::judge::Outcome;
use super::loader::Load;
use super::ordinals::{Ordinals, gaps, ranges, span};
use super::pipeline::{rebuilt_bytes, skip_mask};
use super::settle::Again;

/// Jobs that a row may be in.
pub(super) const ATTEMPTS: u32 = 3;

/// Most rows of the second and of the third job of rows that were refused: what they waited for in
/// vain, they get sooner with fewer rows beside them.
const SMALLER: [usize; 2] = [10_000, 2_000];

/// Pauses before the second and the third job: a lock is held for seconds.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Part of the memory limit that rows sent again may take at once, as CSV.
const AGAIN_SHARE: u64 = 64;

/// Rows that go into one more job.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) rows: Ordinals,
    /// Which of their jobs it will be, counted from 1.
    pub(super) number: u32,
    not_before: Instant,
}

impl Round {
    /// Waits until the rows may be sent; false if the load was stopped.
    pub(super) async fn due(&self, load: &Load) -> bool {
        tokio::select! {
            biased;
            () = load.stop.cancelled() => false,
            () = sleep_until(self.not_before) => true,
        }
    }
}

/// Takes the rows out of `outcome` that are sent again, in rounds small enough that the memory they
/// take is small as well. `number` is that of the job that ended.
///
/// Rows that a last job left unprocessed stay in the outcome.
pub(super) fn rounds(
    load: &Load,
    outcome: &mut Outcome,
    number: u32,
    row_bytes: u64,
) -> Vec<Round> {
    if number == ATTEMPTS {
        return Vec::new();
    }
    let bytes = load.org.settings().memory_limit_bytes / AGAIN_SHARE;
    let most = usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
    let mut rounds = Vec::new();
    let mut add = |rows: &[u64], number: u32, smaller: usize, pause: Duration| {
        rounds.extend(rows.chunks(most.min(smaller).max(1)).map(|rows| Round {
            rows: ranges(rows),
            number,
            not_before: Instant::now() + pause,
        }));
    };
    let next = (number - 1) as usize;
    let passing = std::mem::take(&mut outcome.passing);
    for (again, number, pause) in [
        (Again::Later, number + 1, PAUSES[next]),
        (Again::AtOnce, number + 1, Duration::ZERO),
        (Again::Once, ATTEMPTS, Duration::ZERO),
    ] {
        let rows = passing.iter().filter(|(_, found)| *found == again);
        let rows: Vec<u64> = rows.map(|(ordinal, _)| *ordinal).collect();
        add(&rows, number, SMALLER[number as usize - 2], pause);
    }
    let unprocessed = std::mem::take(&mut outcome.unprocessed);
    add(&unprocessed, number + 1, usize::MAX, Duration::ZERO);
    rounds
}

/// Coerces rows once more into a chunk of their own.
pub(super) fn rebuild(load: &Load, rows: &Ordinals) -> Result<(Chunk, Grant)> {
    let mut chunker = load.chunker()?;
    let mut cells = load.org.budget().grant(0);
    let span = span(rows);
    for read in load.rows.read(span) {
        let (first, batch) = read?;
        let end = first + batch.num_rows() as u64;
        let coerced = load.coercion.apply(&batch)?;
        let outside = gaps(rows, first..end).map(|ordinal| (ordinal - first) as usize);
        let skip = skip_mask(batch.num_rows(), outside);
        cells.grow(batch.get_array_memory_size() + rebuilt_bytes(&batch, &coerced.batch));
        let pushed = chunker.push(&coerced.batch, RowOrdinals::From(first), skip)?;
        if !pushed.closed.is_empty() || !pushed.oversized.is_empty() {
            return Err(Error::system("rows of one job do not fit in one job again"));
        }
    }
    let chunk = chunker
        .close()
        .ok_or_else(|| Error::system("rows to send again are gone"))?;
    Ok((chunk, cells))
}
