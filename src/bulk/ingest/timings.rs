//! When to ask how far a job is: by how long jobs of its kind took, by its size, and by how fast its
//! counts grow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::info::JobTarget;
use crate::chunk::Chunk;

/// Rows and bytes a second that no org is known to exceed in one job: it is not asked before.
const ROWS_PER_SECOND: f64 = 200_000.0;
const BYTES_PER_SECOND: f64 = 50_000_000.0;

const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Pauses are no longer than the age of the job, or this: it may end at once, by an error.
const UNSEEN: Duration = Duration::from_secs(5);

/// Share of its age that a job is left alone.
const SHARE_OF_AGE: u32 = 6;

/// Share of the expected time after which the end is looked for.
const SHORTLY_BEFORE: f64 = 0.9;

/// Object and operation: jobs of one kind take equally long.
type Kind = (String, &'static str);

/// What a job has to do.
#[derive(Debug, Clone)]
pub(super) struct Work {
    kind: Kind,
    rows: u64,
    bytes: u64,
    /// The header of the upload.
    pub(super) columns: Arc<[String]>,
}

impl Work {
    pub(super) fn new(target: &JobTarget, chunk: &Chunk) -> Self {
        Self {
            kind: (target.object.clone(), target.operation.as_str()),
            rows: chunk.rows(),
            bytes: chunk.bytes(),
            columns: chunk.header().into(),
        }
    }

    /// Rows of the upload.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The shortest time in which it can be done.
    #[allow(clippy::cast_precision_loss, reason = "a guess")]
    fn shortest(&self) -> Duration {
        let by_rows = self.rows as f64 / ROWS_PER_SECOND;
        Duration::from_secs_f64(by_rows.max(self.bytes as f64 / BYTES_PER_SECOND))
    }
}

/// How far a job was when it was asked about. Counts may be absent or lag behind: they say when to ask
/// again, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Progress {
    processed: u64,
    /// The age of the job when its count was seen to have grown.
    grown: Duration,
    /// Rows a second between the last two counts that differ.
    rate: f64,
}

impl Progress {
    /// Notes how many rows were processed at this age.
    #[allow(clippy::cast_precision_loss, reason = "a guess")]
    pub(super) fn note(&mut self, age: Duration, processed: u64) {
        if processed > self.processed {
            let rows = (processed - self.processed) as f64;
            self.rate = rows / (age - self.grown).as_secs_f64().max(f64::EPSILON);
            (self.processed, self.grown) = (processed, age);
        }
    }

    /// How long the rest of these rows will take at the last rate; no less than half of the time since the
    /// count grew, so that a job which stands still is asked about less and less often.
    #[allow(clippy::cast_precision_loss, reason = "a guess")]
    fn left(&self, age: Duration, rows: u64) -> Option<Duration> {
        let rest = rows.saturating_sub(self.processed) as f64 / self.rate;
        let rest = Duration::try_from_secs_f64(rest).ok()?;
        Some(rest.max(age.saturating_sub(self.grown) / 2))
    }
}

/// The last job of each kind: its rows, and how long it took.
#[derive(Debug, Default)]
pub(super) struct Timings {
    ended: Mutex<HashMap<Kind, (u64, Duration)>>,
}

impl Timings {
    /// How long this will take, if a job of its kind has ended: a guess, sooner too short than long.
    fn expected(&self, work: &Work) -> Option<Duration> {
        let ended = self.ended.lock();
        let (rows, took) = ended.get(&work.kind)?;
        #[allow(clippy::cast_precision_loss, reason = "a guess")]
        let share = work.rows as f64 / (*rows).max(1) as f64;
        Some(took.mul_f64(share.min(1.0)))
    }

    /// Notes how long a job of this work took.
    pub(super) fn ended(&self, work: &Work, took: Duration) {
        let mut ended = self.ended.lock();
        ended.insert(work.kind.clone(), (work.rows, took));
    }

    /// The pause before a job of this age is asked about once more.
    pub(super) fn poll_pause(
        &self,
        age: Duration,
        work: Option<&Work>,
        progress: &Progress,
    ) -> Duration {
        let expected = work.and_then(|work| self.expected(work));
        let shortest = work.map_or(Duration::ZERO, Work::shortest);
        let left = work.and_then(|work| progress.left(age, work.rows));
        poll_pause(age, shortest, expected, left)
    }
}

/// The pause before a job of this age, of which nothing else is known, is asked about once more.
pub(in crate::bulk) fn unknown_pause(age: Duration) -> Duration {
    poll_pause(age, Duration::ZERO, None, None)
}

/// A sixth of the age, from 200 ms to 30 s; more for a job that cannot have ended before `shortest`,
/// and up to shortly before the end that is `expected`, with up to a quarter of jitter on top; but no
/// longer than what is `left` by its counts.
fn poll_pause(
    age: Duration,
    shortest: Duration,
    expected: Option<Duration>,
    left: Option<Duration>,
) -> Duration {
    let by_size = if age < shortest {
        shortest
    } else {
        shortest / 2
    };
    let until_end = expected
        .unwrap_or_default()
        .mul_f64(SHORTLY_BEFORE)
        .saturating_sub(age);
    (age / SHARE_OF_AGE)
        .max(by_size)
        .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
        .max(until_end.min(age.max(UNSEEN)))
        .mul_f64(1.0 + fastrand::f64() / 4.0)
        .min(left.unwrap_or(Duration::MAX))
        .max(SHORTEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Operation;

    fn work(object: &str, operation: &Operation, rows: u64) -> Work {
        Work {
            kind: (object.to_owned(), operation.as_str()),
            rows,
            bytes: rows * 100,
            columns: Arc::new([]),
        }
    }

    /// Polls until a job of this length is found to have ended, and its age then.
    fn polls(ends: Duration, shortest: Duration, expected: Option<Duration>) -> (u32, Duration) {
        let (mut age, mut polls) = (Duration::ZERO, 0);
        while age < ends {
            age += poll_pause(age, shortest, expected, None);
            polls += 1;
        }
        (polls, age)
    }

    #[test]
    fn jobs_of_a_kind_take_equally_long() {
        let timings = Timings::default();
        let first = work("Contact", &Operation::Insert, 1_000);
        assert_eq!(timings.expected(&first), None);
        timings.ended(&first, Duration::from_secs(8));
        assert_eq!(timings.expected(&first), Some(Duration::from_secs(8)));
        let half = work("Contact", &Operation::Insert, 500);
        assert_eq!(timings.expected(&half), Some(Duration::from_secs(4)));
        let larger = work("Contact", &Operation::Insert, 9_000);
        assert_eq!(timings.expected(&larger), Some(Duration::from_secs(8)));
        for other in [
            work("Contact", &Operation::Update, 1_000),
            work("Account", &Operation::Insert, 1_000),
        ] {
            assert_eq!(timings.expected(&other), None);
        }
    }

    #[test]
    fn polls_follow_the_age_of_the_job() {
        let within = |age: u64, least: u64, most: u64| {
            let pause = poll_pause(Duration::from_secs(age), Duration::ZERO, None, None);
            assert!(pause >= Duration::from_millis(least), "{age}: {pause:?}");
            assert!(pause <= Duration::from_millis(most), "{age}: {pause:?}");
        };
        within(0, 200, 250);
        within(6, 1_000, 1_250);
        within(60, 10_000, 12_500);
        within(36_000, 30_000, 37_500);
    }

    #[test]
    fn a_large_job_that_ends_soon_takes_few_polls() {
        let large = work("Contact", &Operation::Insert, 300_000).shortest();
        for _ in 0..100 {
            let (count, age) = polls(Duration::from_secs(2), large, None);
            assert!(count <= 2, "{count}");
            assert!(age <= Duration::from_secs(3), "{age:?}");
        }
        let tiny = work("Contact", &Operation::Insert, 10).shortest();
        assert!(poll_pause(Duration::ZERO, tiny, None, None) <= Duration::from_millis(250));
    }

    /// Polls of a job of these seconds, whose count grows steadily once it has waited, until it is found
    /// to have ended, and its age then.
    fn polls_with_counts(waits: f64, ends: f64) -> (u32, f64) {
        let (mut age, mut polls) = (Duration::ZERO, 0);
        let rows = 100_000_u32;
        let mut progress = Progress::default();
        while age.as_secs_f64() < ends {
            let share = (age.as_secs_f64() - waits) / (ends - waits);
            progress.note(age, (share.max(0.0) * f64::from(rows)) as u64);
            let left = progress.left(age, u64::from(rows));
            age += poll_pause(age, Duration::ZERO, None, left);
            polls += 1;
        }
        (polls, age.as_secs_f64())
    }

    #[test]
    fn the_end_of_a_job_that_counts_is_found_soon() {
        for _ in 0..100 {
            for (waits, ends) in [(0.0, 60.0), (40.0, 60.0), (0.0, 600.0), (300.0, 600.0)] {
                let (count, age) = polls_with_counts(waits, ends);
                assert!(age - ends < 0.02 * ends + 0.5, "{ends}: {age}");
                let (without, _) = polls(Duration::from_secs_f64(ends), Duration::ZERO, None);
                assert!(count <= without + 12, "{ends}: {count}, {without}");
            }
        }
    }

    #[test]
    fn a_job_whose_count_stands_still_is_asked_about_as_any_other() {
        let mut progress = Progress::default();
        assert_eq!(progress.left(Duration::from_secs(9), 10), None);
        progress.note(Duration::from_secs(10), 5);
        let left = |age: u64| progress.left(Duration::from_secs(age), 10);
        assert_eq!(left(10), Some(Duration::from_secs(10)));
        assert_eq!(left(70), Some(Duration::from_secs(30)));
        let all = |age: u64| progress.left(Duration::from_secs(age), 5);
        assert_eq!(all(10), Some(Duration::ZERO));
        assert_eq!(all(14), Some(Duration::from_secs(2)));
    }

    #[test]
    fn polls_are_few_until_a_job_may_have_ended() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let none = Duration::ZERO;
        for _ in 0..100 {
            assert!(polls(minutes(10), none, None).0 > 30);
            assert!(polls(minutes(10), none, Some(minutes(10))).0 < 12);
            let two = Duration::from_secs(2);
            assert!(polls(two, none, Some(two)).0 <= 3);
        }
        for (ends, expected) in [
            (Duration::from_secs(3), minutes(10)),
            (minutes(10), Duration::from_millis(100)),
            (minutes(1), minutes(10)),
        ] {
            let (_, age) = polls(ends, none, Some(expected));
            let latest = (ends * 9 / 4).max(UNSEEN * 5 / 4);
            assert!(age <= latest, "{age:?} for {ends:?}");
        }
    }
}
