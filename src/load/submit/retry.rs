//! Rows that one job did not settle and that go into another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::attempt::Attempt;
use super::outcomes::RowOutcomes;
use crate::chunk::{Chunk, Chunker};
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::org::Reservation;
use crate::load::recoerce::recoerced;
use crate::load::settle::{JobFault, RetryCause};
use crate::load::state::Load;
use crate::rows::{MergedRow, RowSet};

/// Most rows of a job of the second attempt, and of each later one: what rows waited for in vain,
/// they get sooner with fewer rows beside them. 10,000 are one batch, which no other one disturbs.
const SMALLER: [usize; 2] = [10_000, 2_000];

/// Longest pause before an attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Each pause before an attempt is so many times the one before.
const GROWTH: u32 = 3;

/// Longest pause before rows are sent again that an allocation of the day was used up for.
const LONGEST_QUOTA_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Part of the memory limit that rows of a retry may take at once, as CSV.
const RETRY_SHARE: u64 = 64;

/// Rows that go into one more job.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) rows: RowSet,
    pub(super) attempt: Attempt,
    pub(super) not_before: Instant,
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
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    attempt: Attempt,
    most_rows: usize,
    pause: Duration,
}

impl Terms {
    /// Of rows whose attempt `ended` was not the last, in a job with this fault.
    fn of(cause: RetryCause, fault: JobFault, ended: Attempt) -> Self {
        let unprocessed = cause == RetryCause::Unprocessed;
        if unprocessed && fault == JobFault::Quota {
            return Self {
                attempt: Attempt {
                    quota_pauses: ended.quota_pauses + 1,
                    ..ended
                },
                most_rows: usize::MAX,
                pause: (Duration::from_secs(300) * (ended.quota_pauses + 1))
                    .min(LONGEST_QUOTA_PAUSE),
            };
        }
        let attempt = Attempt {
            number: ended.number + 1,
            after_limit: ended.after_limit || cause == RetryCause::Limit,
            ..ended
        };
        let first = match (cause, fault) {
            (RetryCause::BesideBadRows | RetryCause::Limit, _) => 0,
            // A lock is held for seconds.
            (RetryCause::Busy, _) => 2,
            (RetryCause::Unprocessed, JobFault::Locks | JobFault::Timeout) => 5,
            (RetryCause::Unprocessed, JobFault::Platform) => 10,
            (RetryCause::Unprocessed, _) => 3,
        };
        let smaller = !unprocessed || matches!(fault, JobFault::Locks | JobFault::Timeout);
        let most_rows = if !smaller {
            usize::MAX
        } else if ended.number == 1 && cause != RetryCause::Limit {
            SMALLER[0]
        } else {
            SMALLER[1]
        };
        let growth = GROWTH.saturating_pow(ended.number - 1);
        Self {
            attempt,
            most_rows,
            pause: Duration::from_secs(first)
                .saturating_mul(growth)
                .min(LONGEST_PAUSE),
        }
    }
}

/// The retries of rows without an end, with all that was `merged` into them, small enough that the
/// memory they take is small as well. `ended` is the attempt that ended, not the last, in a job with
/// this fault.
///
/// Rows whose end is unknown are retried as unprocessed ones are: they have a key, so that none is
/// doubled.
pub(super) fn retries(
    load: &Load,
    outcomes: &RowOutcomes,
    merged: &[MergedRow],
    ended: Attempt,
    fault: JobFault,
    row_bytes: u64,
) -> Vec<Retry> {
    let most = most_rows(load, row_bytes);
    let known = outcomes.retry.iter();
    let known = known.map(|(cause, rows)| (*cause, ended, rows));
    let unknown = Attempt {
        may_be_done: true,
        ..ended
    };
    let unknown = (RetryCause::Unprocessed, unknown, &outcomes.unknown);
    let retries = known.chain([unknown]).flat_map(|(cause, ended, rows)| {
        let terms = Terms::of(cause, fault, ended);
        // Rows that fell together should not meet again at the same moment.
        let pause = terms.pause.mul_f64(1.0 - fastrand::f64() / 5.0);
        let not_before = Instant::now() + load.org.options().waits.scaled(pause);
        let sets = rows.split(most.min(terms.most_rows)).into_iter();
        sets.map(move |rows| Retry {
            rows: with_merged(rows, merged),
            attempt: terms.attempt,
            not_before,
        })
    });
    retries.collect()
}

/// Rows of this length that a retry takes at most.
fn most_rows(load: &Load, row_bytes: u64) -> usize {
    rows_within(load, RETRY_SHARE, row_bytes)
}

/// Rows of this length that a part of a refused job takes at most: one chunk at a time is split.
pub(super) fn bisected_rows(load: &Load, row_bytes: u64) -> usize {
    rows_within(load, RETRY_SHARE / 2, row_bytes)
}

fn rows_within(load: &Load, share: u64, row_bytes: u64) -> usize {
    let bytes = load.org.options().memory_limit_bytes / share;
    let most = usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
    most.max(1)
}

/// These rows and those that were merged into them.
pub(super) fn with_merged(mut rows: RowSet, merged: &[MergedRow]) -> RowSet {
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

/// Coerces rows once more into a chunk of their own, merged as they were, whose cells take of
/// `memory`. Rows of a key that newer rows wait for join these.
///
/// # Errors
/// Those of reading the rows back and of coercing them.
pub(super) async fn rebuild(
    load: &Arc<Load>,
    rows: RowSet,
    memory: Reservation,
) -> Result<Rebuilt> {
    let load = Arc::clone(load);
    let rebuilt = tokio::task::spawn_blocking(move || rebuild_now(&load, &rows, memory));
    rebuilt.await.map_err(LoadError::from)?
}

fn rebuild_now(load: &Load, rows: &RowSet, mut cells: Reservation) -> Result<Rebuilt> {
    // Before they are merged, rows of one job may be more than one job takes.
    let mut chunker = Chunker::new(load.plan.coercion.cells_schema(), u64::MAX, None)?;
    let mut bytes = 0;
    for read in recoerced(load, rows) {
        let read = read?;
        bytes += read.bytes;
        cells.resize(bytes.max(cells.bytes()));
        chunker.push(&read.cells, read.ordinals, None)?;
    }
    cells.resize(bytes);
    let chunk = chunker
        .close()
        .ok_or_else(|| Error::system("rows to send again are gone"))?;
    let Some(key) = load.plan.coercion.key() else {
        return Ok(Rebuilt {
            chunk: load.plan.ordered(chunk)?,
            merged: Vec::new(),
            cells,
        });
    };
    let keyed = chunk.by_key(key)?;
    let awaited = load.keys.awaited(&keyed);
    let merged = keyed.merge(&awaited)?;
    load.keys.wait(merged.waiting);
    Ok(Rebuilt {
        chunk: load.plan.ordered(merged.chunk)?,
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
        let terms = |cause, number| {
            let attempt = Attempt {
                number,
                ..Attempt::first(5)
            };
            let terms = Terms::of(cause, JobFault::Unclear, attempt);
            let number = terms.attempt.number;
            (number, terms.most_rows, terms.pause.as_secs())
        };
        assert_eq!(terms(RetryCause::Busy, 1), (2, 10_000, 2));
        assert_eq!(terms(RetryCause::Busy, 2), (3, 2_000, 6));
        assert_eq!(terms(RetryCause::Busy, 4), (5, 2_000, 54));
        assert_eq!(terms(RetryCause::BesideBadRows, 1), (2, 10_000, 0));
        assert_eq!(terms(RetryCause::Limit, 1), (2, 2_000, 0));
        assert_eq!(terms(RetryCause::Unprocessed, 2), (3, usize::MAX, 9));
        let after = Terms::of(RetryCause::Limit, JobFault::Unclear, Attempt::first(5)).attempt;
        assert!(after.after_limit && !after.is_last());
    }

    #[test]
    fn what_a_job_failed_by_says_when_its_rows_are_sent_again() {
        for (fault, most_rows, pauses) in [
            (JobFault::Locks, [10_000, 2_000, 2_000], [5, 15, 45]),
            (JobFault::Timeout, [10_000, 2_000, 2_000], [5, 15, 45]),
            (JobFault::Platform, [usize::MAX; 3], [10, 30, 90]),
        ] {
            let mut attempt = Attempt::first(20);
            for (most_rows, pause) in most_rows.into_iter().zip(pauses) {
                let terms = Terms::of(RetryCause::Unprocessed, fault, attempt);
                assert_eq!(terms.most_rows, most_rows, "{fault:?}");
                assert_eq!(terms.pause.as_secs(), pause, "{fault:?}");
                attempt = terms.attempt;
            }
            for _ in 0..15 {
                let terms = Terms::of(RetryCause::Unprocessed, fault, attempt);
                assert_eq!(terms.pause, LONGEST_PAUSE);
                attempt = terms.attempt;
            }
        }
    }

    #[test]
    fn waiting_for_an_allocation_of_the_day_is_no_attempt() {
        let mut attempt = Attempt::first(1);
        for minutes in [5, 10, 15, 15] {
            let terms = Terms::of(RetryCause::Unprocessed, JobFault::Quota, attempt);
            assert_eq!(terms.pause.as_secs(), minutes * 60);
            assert_eq!(terms.attempt.number, 1);
            attempt = terms.attempt;
        }
    }
}
