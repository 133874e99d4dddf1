//! Rows that one job did not settle and that go into another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::outcomes::RowOutcomes;
use crate::chunk::{Chunk, Chunker};
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::org::Reservation;
use crate::load::recoerce::recoerced;
use crate::load::settle::RetryCause;
use crate::load::state::Load;
use crate::rows::{MergedRow, RowSet};

/// Jobs that a row may be in.
pub(super) const ATTEMPTS: u32 = 3;

/// Most rows of a job of the second and of the third attempt of rows that were refused: what they
/// waited for in vain, they get sooner with fewer rows beside them.
const SMALLER: [usize; 2] = [10_000, 2_000];

/// Pauses before the second and the third attempt: a lock is held for seconds.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Part of the memory limit that rows of a retry may take at once, as CSV.
const RETRY_SHARE: u64 = 64;

/// Rows that go into one more job.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) rows: RowSet,
    /// Which of their jobs it will be, counted from 1.
    pub(super) attempt: u32,
    not_before: Instant,
}

impl Retry {
    /// Waits until the rows may be sent; false if the load was stopped.
    pub(super) async fn due(&self, load: &Load) -> bool {
        tokio::select! {
            biased;
            () = load.stop.cancelled() => false,
            () = sleep_until(self.not_before) => true,
        }
    }
}

/// How rows are sent once more.
struct Terms {
    attempt: u32,
    most_rows: usize,
    pause: Duration,
}

impl Terms {
    /// Of rows whose attempt `ended` was not the last.
    fn of(cause: RetryCause, ended: u32) -> Self {
        let next = ended + 1;
        let (attempt, pause) = match cause {
            RetryCause::Busy => (next, PAUSES[ended as usize - 1]),
            RetryCause::BesideBadRows | RetryCause::Unprocessed => (next, Duration::ZERO),
            RetryCause::Limit => (ATTEMPTS, Duration::ZERO),
        };
        let most_rows = match cause {
            RetryCause::Unprocessed => usize::MAX,
            _ => SMALLER[attempt as usize - 2],
        };
        Self {
            attempt,
            most_rows,
            pause,
        }
    }
}

/// The retries of rows without an end, with all that was `merged` into them, small enough that the
/// memory they take is small as well. `ended` is the attempt that ended, not the last.
///
/// Rows whose end is unknown are retried as unprocessed ones are: they have a key, so that none is
/// doubled.
pub(super) fn retries(
    load: &Load,
    outcomes: &RowOutcomes,
    merged: &[MergedRow],
    ended: u32,
    row_bytes: u64,
) -> Vec<Retry> {
    let bytes = load.org.options().memory_limit_bytes / RETRY_SHARE;
    let most = usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
    let known = outcomes.retry.iter().map(|(cause, rows)| (*cause, rows));
    let all = known.chain([(RetryCause::Unprocessed, &outcomes.unknown)]);
    let retries = all.flat_map(|(cause, rows)| {
        let terms = Terms::of(cause, ended);
        let sets = rows.split(most.min(terms.most_rows).max(1)).into_iter();
        sets.map(move |rows| Retry {
            rows: with_merged(rows, merged),
            attempt: terms.attempt,
            not_before: Instant::now() + terms.pause,
        })
    });
    retries.collect()
}

/// These rows and those that were merged into them.
fn with_merged(mut rows: RowSet, merged: &[MergedRow]) -> RowSet {
    let parts = merged.iter().filter(|merged| rows.contains(merged.into));
    let parts: Vec<u64> = parts.map(|merged| merged.row).collect();
    rows.extend(parts);
    rows
}

/// A chunk of rows that are retried.
#[derive(Debug)]
pub(super) struct Rebuilt {
    /// May have no row to send: when newer rows wait for each of its keys.
    pub(super) chunk: Chunk,
    pub(super) merged: Vec<MergedRow>,
    /// Memory of the cells.
    pub(super) cells: Reservation,
}

/// Coerces rows once more into a chunk of their own, merged as they were. Rows of a key that newer
/// rows wait for join these.
///
/// # Errors
/// Those of reading the rows back and of coercing them.
pub(super) async fn rebuild(load: &Arc<Load>, rows: RowSet) -> Result<Rebuilt> {
    let load = Arc::clone(load);
    let rebuilt = tokio::task::spawn_blocking(move || rebuild_now(&load, &rows));
    rebuilt.await.map_err(LoadError::from)?
}

fn rebuild_now(load: &Load, rows: &RowSet) -> Result<Rebuilt> {
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
    let awaited = load.keys.awaited(&keyed);
    let merged = keyed.merge(&awaited)?;
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
    fn a_row_is_retried_with_all_its_parts() {
        let merged = [(1, 7), (2, 9), (3, 7), (8, 9)].map(|(row, into)| MergedRow { row, into });
        let rows = |rows: &[u64]| rows.iter().copied().collect::<RowSet>();
        let all = |of: &[u64]| with_merged(rows(of), &merged);
        assert_eq!(all(&[7]), rows(&[1, 3, 7]));
        assert_eq!(all(&[5, 9]), rows(&[2, 5, 8, 9]));
        assert!(all(&[]).is_empty());
    }

    #[test]
    fn refused_rows_are_retried_in_smaller_jobs_and_busy_ones_after_a_pause() {
        let terms = |cause, ended| {
            let terms = Terms::of(cause, ended);
            (terms.attempt, terms.most_rows, terms.pause.as_secs())
        };
        assert_eq!(terms(RetryCause::Busy, 1), (2, 10_000, 2));
        assert_eq!(terms(RetryCause::Busy, 2), (3, 2_000, 10));
        assert_eq!(terms(RetryCause::BesideBadRows, 1), (2, 10_000, 0));
        assert_eq!(terms(RetryCause::Limit, 1), (3, 2_000, 0), "its last");
        assert_eq!(terms(RetryCause::Unprocessed, 2), (3, usize::MAX, 0));
    }
}
