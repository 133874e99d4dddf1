//! CPU time by step, of one thread: what passed, less what the thread waited for a core.

use std::fs;
use std::ops::Add;
use std::time::{Duration, Instant};

/// What the time is spent on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Read,
    Decode,
    Coerce,
    Sizes,
    Merge,
    Csv,
    Write,
}

const NAMES: [&str; 7] = ["read", "decode", "coerce", "sizes", "merge", "csv", "write"];

/// Time by step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times([Duration; NAMES.len()]);

impl Times {
    /// Each step's name and time, then the sum.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let sum = self.0.iter().sum();
        NAMES.into_iter().zip(self.0).chain([("all", sum)])
    }
}

impl Add for Times {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine += other;
        }
        self
    }
}

/// Adds up the time of a thread by step. A lap begins and ends in one thread.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    times: Times,
    /// When this lap began.
    since: Option<Moment>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    waited: Duration,
}

impl Moment {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            waited: waited().unwrap_or_default(),
        }
    }
}

impl Watch {
    /// Begins a lap.
    pub(crate) fn start(&mut self) {
        self.since = Some(Moment::now());
    }

    /// Ends a lap, which was spent on `step`, and begins the next.
    pub(crate) fn lap(&mut self, step: Step) {
        let now = Moment::now();
        if let Some(since) = self.since.replace(now) {
            let passed = now.at - since.at;
            let waited = now.waited.saturating_sub(since.waited);
            self.times.0[step as usize] += passed.saturating_sub(waited);
        }
    }

    /// The times so far.
    pub(crate) fn times(&self) -> Times {
        self.times
    }
}

/// Time that this thread was ready to run and had no core, where the system says: the second
/// number of Linux's `schedstat`, in ns.
fn waited() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
