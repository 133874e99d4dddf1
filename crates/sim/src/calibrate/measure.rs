//! What is measured, and how times and slots follow from it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::CalibrationError;
use super::org::Org;
use super::rows::Rows;

/// Rows of a transaction.
const CHUNK_ROWS: u32 = 200;
/// Jobs of one row and of one transaction, each measured so often.
const REPEATS: usize = 7;
/// Rows of the job of one long batch.
const LONG_ROWS: u32 = 4_193;
/// Jobs that are closed at the same time, to see how many run at once.
const TOGETHER: usize = 24;
/// Rows of each of them: three transactions.
const TOGETHER_ROWS: u32 = 3 * CHUNK_ROWS;
/// Rows of all jobs.
pub(super) const ROWS: usize =
    REPEATS * (1 + CHUNK_ROWS as usize) + LONG_ROWS as usize + TOGETHER * TOGETHER_ROWS as usize;

/// The times of an org.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// A small request.
    pub(super) request: Duration,
    /// How much longer an upload of a thousand rows takes.
    pub(super) upload: Duration,
    pub(super) job: Duration,
    pub(super) chunk: Duration,
    pub(super) row: Duration,
    pub(super) slots: usize,
    /// All jobs ran at once: the org may have more slots.
    pub(super) slots_are_more: bool,
}

/// How long jobs took from their close to their end.
#[derive(Debug)]
struct Seen {
    /// One of one row.
    one: f64,
    /// One of a full transaction.
    chunk: f64,
    /// One of a long batch.
    long: f64,
    /// Each of many that were closed together.
    together: Vec<f64>,
}

/// Measures an org by jobs of several sizes.
pub(super) async fn measure(
    org: &Org,
    rows: &Rows,
    say: &impl Fn(&str),
) -> Result<Times, CalibrationError> {
    say("measuring requests");
    let mut requests = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        org.limits().await?;
        requests.push(begun.elapsed().as_secs_f64());
    }
    let request = median(requests);
    say("measuring jobs of one row and of one transaction");
    let (mut ones, mut chunks) = (Vec::new(), Vec::new());
    for repeat in 0..REPEATS {
        ones.push(alone(org, rows, 1, repeat).await?.0);
        chunks.push(alone(org, rows, CHUNK_ROWS, repeat).await?.0);
    }
    say("measuring a long batch");
    let (long, upload) = alone(org, rows, LONG_ROWS, 0).await?;
    say("measuring jobs at the same time");
    let together = together(org, rows).await?;
    let seen = Seen {
        one: median(ones),
        chunk: median(chunks),
        long,
        together,
    };
    // Of a thousand rows, as an upload of few takes no time but that of a request.
    let upload = (upload - request).max(0.0) * 1_000.0 / f64::from(LONG_ROWS);
    Ok(times(&seen, request, upload))
}

/// A job by itself: the seconds from its close to its end, and those of its upload.
async fn alone(
    org: &Org,
    rows: &Rows,
    count: u32,
    repeat: usize,
) -> Result<(f64, f64), CalibrationError> {
    let csv = rows.csv(count, &format!("{count}-{repeat}"));
    let job = org.create(&rows.object).await?;
    let begun = Instant::now();
    org.upload(&job, csv).await?;
    let upload = begun.elapsed().as_secs_f64();
    org.close(&job).await?;
    let took = org.ended(&job, count as usize).await?;
    Ok((took, upload))
}

/// Many jobs, closed at the same time: the seconds until each ended.
async fn together(org: &Org, rows: &Rows) -> Result<Vec<f64>, CalibrationError> {
    let mut jobs = Vec::new();
    for number in 0..TOGETHER {
        let csv = rows.csv(TOGETHER_ROWS, &format!("together-{number}"));
        let job = org.create(&rows.object).await?;
        org.upload(&job, csv).await?;
        jobs.push(job);
    }
    try_join_all(jobs.iter().map(|job| org.close(job))).await?;
    let rows = TOGETHER_ROWS as usize;
    try_join_all(jobs.iter().map(|job| org.ended(job, rows))).await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// What follows of what was seen. A job of `n` rows in `c` transactions takes
/// `job + c * chunk + n * row`; jobs at the same time take turns in the slots.
fn times(seen: &Seen, request: f64, upload: f64) -> Times {
    let row = ((seen.chunk - seen.one) / f64::from(CHUNK_ROWS - 1)).max(0.0);
    let full = f64::from(CHUNK_ROWS);
    let long_chunks = f64::from(LONG_ROWS.div_ceil(CHUNK_ROWS));
    // The last transaction of the long batch is not full, by few rows.
    let missing = (long_chunks * full - f64::from(LONG_ROWS)) * row;
    let transaction = ((seen.long + missing - seen.chunk) / (long_chunks - 1.0)).max(0.0);
    let row = row.min(transaction / full);
    let chunk = transaction - full * row;
    let job = (seen.chunk - transaction).max(0.0);
    let work = transaction * f64::from(TOGETHER_ROWS / CHUNK_ROWS);
    // Those of the first turn in the slots end when one of them alone would; the next ones take
    // twice as long.
    let first_turn = seen
        .together
        .iter()
        .filter(|took| **took - job < 1.5 * work);
    let slots = first_turn.count().max(1);
    let time = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Times {
        request: time(request),
        upload: time(upload),
        job: time(job),
        chunk: time(chunk),
        row: time(row),
        slots,
        slots_are_more: slots >= TOGETHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an org with such times would show.
    fn seen(job: f64, chunk: f64, row: f64, slots: usize) -> Seen {
        let took =
            |rows: u32| job + f64::from(rows.div_ceil(CHUNK_ROWS)) * chunk + f64::from(rows) * row;
        let work = took(TOGETHER_ROWS) - job;
        let turns = (0..TOGETHER).map(|number| f64::from(u32::try_from(number / slots).unwrap()));
        Seen {
            one: took(1),
            chunk: took(CHUNK_ROWS),
            long: took(LONG_ROWS),
            together: turns.map(|turn| job + (turn + 1.0) * work).collect(),
        }
    }

    #[test]
    fn times_follow_from_jobs_of_several_sizes() {
        for (job, chunk, row, slots) in [
            (2.0, 0.5, 0.005, 10),
            (30.0, 1.0, 0.01, 4),
            (0.0, 0.2, 0.0, 1),
            (5.0, 0.0, 0.02, 24),
        ] {
            let times = times(&seen(job, chunk, row, slots), 0.1, 0.3);
            let near = |found: Duration, expected: f64| {
                assert!((found.as_secs_f64() - expected).abs() < 1e-6, "{times:?}");
            };
            near(times.job, job);
            near(times.chunk, chunk);
            near(times.row, row);
            assert_eq!(
                (times.slots, times.slots_are_more),
                (slots, slots == TOGETHER)
            );
            near(times.request, 0.1);
        }
    }

    #[test]
    fn what_is_measured_in_a_wrong_order_is_no_time() {
        // The short job was delayed by chance.
        let odd = Seen {
            one: 9.0,
            ..seen(2.0, 0.5, 0.005, 3)
        };
        let times = times(&odd, 0.1, 0.0);
        assert_eq!(times.row, Duration::ZERO);
        assert!(times.chunk > Duration::from_secs(1), "{times:?}");
    }

    #[test]
    fn all_jobs_have_20_000_rows() {
        assert_eq!(ROWS, 20_000);
    }
}
