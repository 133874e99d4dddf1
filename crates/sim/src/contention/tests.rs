//! The rules of contention, on work that writes nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::engine::Engine;
use super::{Asked, Contention, ContentionCounts, End, Fate, Job, Work};

/// What became of a job.
#[derive(Debug, Default)]
struct Seen {
    fates: BTreeMap<usize, Fate>,
    end: Option<(End, f64)>,
    put_back: u32,
    is_aborted: bool,
}

/// A job whose rows lock what a function says.
struct Fake {
    seen: Arc<Mutex<Seen>>,
    parent: fn(usize) -> String,
    is_bad: fn(usize) -> bool,
    checked: BTreeMap<usize, Range<usize>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fake").finish_non_exhaustive()
    }
}

impl Work for Fake {
    fn goes_on(&self) -> bool {
        !self.seen.lock().is_aborted
    }

    fn may_begin_batch(&self) -> bool {
        true
    }

    fn check(&mut self, rows: Range<usize>) -> Vec<Asked> {
        self.checked.insert(rows.start, rows.clone());
        let asked = |row| Asked {
            locks: Some((self.parent)(row))
                .filter(|id| !id.is_empty())
                .into_iter()
                .collect(),
            is_bad: (self.is_bad)(row),
        };
        rows.map(asked).collect()
    }

    fn save(&mut self, first: usize, fates: Vec<Fate>) {
        let rows = self.checked.remove(&first).unwrap();
        assert_eq!(rows.len(), fates.len());
        self.seen.lock().fates.extend(rows.zip(fates));
    }

    fn put_back(&mut self) {
        self.seen.lock().put_back += 1;
    }

    fn end(&mut self, end: End, at: Duration) {
        self.seen.lock().end = Some((end, at.as_secs_f64()));
    }
}

/// An org, and its jobs in the order of their beginning.
struct Org {
    engine: Engine,
    jobs: Vec<Arc<Mutex<Seen>>>,
}

impl Org {
    /// Transactions of 200 rows take 1.5 s; jobs begin at once.
    fn new(change: impl FnOnce(&mut Contention)) -> Org {
        let mut engine = Engine::default();
        engine.settings.job_time = Duration::ZERO;
        change(&mut engine.settings);
        Org {
            engine,
            jobs: Vec::new(),
        }
    }

    fn begin(&mut self, rows: usize, parent: fn(usize) -> String) {
        self.begin_with(rows, parent, |_| false, false);
    }

    fn begin_with(
        &mut self,
        rows: usize,
        parent: fn(usize) -> String,
        is_bad: fn(usize) -> bool,
        has_trigger: bool,
    ) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        self.jobs.push(Arc::clone(&seen));
        let starts = (0..rows).step_by(10_000);
        self.engine.begin(Job {
            number: u32::try_from(self.jobs.len()).unwrap(),
            work: Box::new(Fake {
                seen,
                parent,
                is_bad,
                checked: BTreeMap::new(),
            }),
            batches: starts
                .map(|start| start..rows.min(start + 10_000))
                .collect(),
            has_trigger,
            wait: Duration::ZERO,
        });
    }

    /// Runs to the end of all jobs.
    fn run(&mut self) -> ContentionCounts {
        while self.engine.next().is_some() {
            self.engine.step();
        }
        self.engine.counts()
    }

    fn ends(&self) -> Vec<(End, f64)> {
        self.jobs
            .iter()
            .map(|job| job.lock().end.unwrap())
            .collect()
    }

    /// How many rows of a job had each fate: saved, locked, failed with others.
    fn fates(&self, job: usize) -> [usize; 3] {
        let mut count = [0; 3];
        for fate in self.jobs[job].lock().fates.values() {
            count[match fate {
                Fate::Saved => 0,
                Fate::Locked(_) => 1,
                Fate::FailsWithOthers => 2,
            }] += 1;
        }
        count
    }
}

fn own(_: usize) -> String {
    String::new()
}

fn one(_: usize) -> String {
    "A".to_owned()
}

fn near(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-6, "{left} is not {right}");
}

#[test]
fn batches_share_the_slots_of_the_org() {
    let mut org = Org::new(|settings| settings.slots = 2);
    org.begin(30_000, own);
    org.begin(400, own);
    let counts = org.run();
    // A batch of 50 transactions takes 75 s; the third waits for the first, the second job too.
    assert_eq!(org.ends(), [(End::Complete, 150.0), (End::Complete, 78.0)]);
    near(counts.seconds, 150.0);
    near(counts.slot_seconds, 228.0);
    assert_eq!((counts.chunks, counts.lock_waits), (152, 0));
    assert_eq!(org.fates(0), [30_000, 0, 0]);
}

#[test]
fn a_transaction_waits_for_a_locked_parent() {
    let mut org = Org::new(|_| {});
    org.begin(200, one);
    org.begin(200, one);
    let counts = org.run();
    assert_eq!(org.ends(), [(End::Complete, 1.5), (End::Complete, 3.0)]);
    assert_eq!((counts.lock_waits, counts.lock_failures), (1, 0));
    near(counts.lock_wait_seconds, 1.5);
}

#[test]
fn rows_fail_whose_parent_stays_locked() {
    let mut org = Org::new(|settings| settings.chunk_time = Duration::from_secs(19));
    org.begin(200, one);
    // Every second row has the locked parent.
    org.begin(20, |row| ["A", "B"][row % 2].to_owned());
    let counts = org.run();
    assert_eq!(org.fates(0), [200, 0, 0]);
    assert_eq!(org.fates(1), [10, 10, 0]);
    assert_eq!(
        org.jobs[1].lock().fates[&0],
        Fate::Locked(vec!["A".to_owned()])
    );
    // It waits 10 s, then saves the other ten rows.
    assert_eq!(org.ends()[1], (End::Complete, 10.0 + 19.0 + 0.05));
    assert_eq!((counts.lock_waits, counts.lock_failures), (1, 10));
    near(counts.lock_wait_seconds, 10.0);
}

#[test]
fn locks_are_given_in_the_order_of_asking() {
    let mut org = Org::new(|_| {});
    for _ in 0..4 {
        org.begin(200, one);
    }
    org.run();
    let ends: Vec<f64> = org.ends().into_iter().map(|(_, at)| at).collect();
    assert_eq!(ends, [1.5, 3.0, 4.5, 6.0]);
}

#[test]
fn a_batch_with_too_many_lock_failures_is_put_back() {
    let mut org = Org::new(|settings| {
        settings.chunk_time = Duration::from_secs(10);
        settings.batch_limit = Duration::from_secs(3_000);
    });
    // Eleven seconds for each of two transactions.
    org.begin(400, one);
    org.begin(10_000, |row| {
        if row < 200 {
            "A".to_owned()
        } else {
            String::new()
        }
    });
    let counts = org.run();
    // Its first transaction fails; the others come 10 s later, and those that failed stay so.
    assert_eq!(org.fates(1), [9_800, 200, 0]);
    assert_eq!((counts.put_back, org.jobs[1].lock().put_back), (1, 1));
    assert_eq!(org.ends()[1], (End::Complete, 10.0 + 10.0 + 49.0 * 11.0));
}

#[test]
fn a_hundred_lock_failures_put_nothing_back() {
    let mut org = Org::new(|settings| settings.chunk_time = Duration::from_secs(19));
    org.begin(200, one);
    org.begin(400, |row| {
        if row < 100 {
            "A".to_owned()
        } else {
            String::new()
        }
    });
    let counts = org.run();
    assert_eq!((counts.put_back, org.fates(1)), (0, [300, 100, 0]));
}

#[test]
fn a_batch_that_takes_too_long_is_put_back() {
    let mut org = Org::new(|settings| settings.batch_limit = Duration::from_secs(60));
    org.begin(10_000, own);
    let counts = org.run();
    // 41 transactions are over the limit.
    assert_eq!(counts.put_back, 1);
    assert_eq!(org.ends(), [(End::Complete, 85.0)]);
}

#[test]
fn a_job_fails_when_the_tries_of_a_batch_are_used_up() {
    let mut org = Org::new(|settings| {
        settings.chunk_time = Duration::from_secs(100);
        settings.tries = 2;
        settings.batch_limit = Duration::from_secs(3_000);
    });
    org.begin(2_000, one);
    org.begin(10_600, one);
    let counts = org.run();
    assert_eq!(org.ends()[0].0, End::Complete);
    // Two tries of each batch failed 200 rows at 10 s and at 30 s; the others are unprocessed.
    assert_eq!(org.ends()[1], (End::TooManyLockFailures, 30.0));
    assert_eq!(org.fates(1), [0, 600, 0]);
    assert_eq!(counts.failed_jobs, 1);
}

#[test]
fn a_job_fails_that_is_always_too_slow() {
    let mut org = Org::new(|settings| {
        settings.tries = 3;
        settings.batch_limit = Duration::from_secs(3);
    });
    org.begin(10_000, own);
    org.run();
    assert_eq!(org.ends(), [(End::TooSlow, 3.0 * 4.5 + 2.0 * 10.0)]);
    assert_eq!(org.fates(0), [1_800, 0, 0]);
}

#[test]
fn with_a_trigger_bad_rows_are_taken_out_a_few_times() {
    let mut org = Org::new(|_| {});
    org.begin_with(200, own, |row| row < 30, true);
    org.begin_with(200, own, |row| row < 31, true);
    org.begin_with(200, own, |row| row < 31, false);
    org.run();
    // Thirty bad rows need three more saves.
    assert_eq!(org.ends()[0], (End::Complete, 6.0));
    assert_eq!(org.fates(0), [200, 0, 0]);
    assert_eq!(org.fates(1), [0, 0, 200]);
    assert_eq!(org.ends()[2], (End::Complete, 1.5));
    assert_eq!(org.fates(2), [200, 0, 0]);
}

#[test]
fn with_a_trigger_locked_rows_make_others_fail() {
    let mut org = Org::new(|settings| settings.chunk_time = Duration::from_secs(19));
    org.begin(200, one);
    org.begin_with(
        200,
        |row| {
            if row < 31 {
                "A".to_owned()
            } else {
                String::new()
            }
        },
        |_| false,
        true,
    );
    org.run();
    assert_eq!(org.fates(1), [0, 31, 169]);
}

#[test]
fn an_aborted_job_frees_its_locks_and_slots() {
    let mut org = Org::new(|settings| settings.slots = 2);
    org.begin(20_000, one);
    org.begin(200, one);
    org.engine.step();
    org.engine.step();
    org.jobs[0].lock().is_aborted = true;
    org.run();
    // What was about to be saved is not written.
    assert_eq!(org.ends(), [(End::Gone, 1.5), (End::Complete, 3.0)]);
    assert_eq!(org.fates(0), [0, 0, 0]);
    assert_eq!(org.fates(1), [200, 0, 0]);
}

#[test]
fn the_same_jobs_give_the_same_result() {
    let run = || {
        let mut org = Org::new(|_| {});
        for _ in 0..4 {
            org.begin(20_000, |row| format!("{}", row * 7_919 % 20));
        }
        let counts = org.run();
        let fates: Vec<[usize; 3]> = (0..4).map(|job| org.fates(job)).collect();
        (counts, fates, org.ends())
    };
    let (counts, fates, ends) = run();
    assert_eq!(run(), (counts.clone(), fates, ends));
    assert!(
        counts.lock_failures > 0 && counts.put_back > 0,
        "{counts:?}"
    );
}

#[test]
fn what_shares_no_parent_does_not_wait() {
    let mut org = Org::new(|_| {});
    // Each batch of 10,000 rows has a parent of its own.
    org.begin(80_000, |row| format!("{}", row / 10_000));
    let counts = org.run();
    assert_eq!(
        (counts.lock_waits, org.ends()),
        (0, vec![(End::Complete, 75.0)])
    );
}
