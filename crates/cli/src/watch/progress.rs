//! How far a load is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_salesforce::Org;
use serde::Serialize;

use super::numbers::{count, counted, rate, time};

/// What is counted while a load runs.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) read: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
}

/// How far a load is at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Progress {
    pub(super) read: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// Rows that there are, where that is known.
    pub(super) total: Option<u64>,
    /// Jobs that Salesforce processes.
    pub(super) jobs_in_flight: Vec<String>,
    pub(super) jobs_ended: u64,
    pub(super) seconds: u64,
    /// Rows that came to their end, in a second.
    pub(super) rows_per_second: u64,
    pub(super) seconds_left: Option<u64>,
}

impl Progress {
    pub(super) fn of(counters: &Counters, total: Option<u64>, began: Instant, org: &Org) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let progress = Self {
            read: read(&counters.read),
            accepted: read(&counters.accepted),
            rejected: read(&counters.rejected),
            total,
            jobs_in_flight: org.jobs_in_flight(),
            jobs_ended: org.ended_jobs().0,
            seconds: 0,
            rows_per_second: 0,
            seconds_left: None,
        };
        progress.after(began.elapsed())
    }

    /// With what follows from the time that passed.
    fn after(self, elapsed: Duration) -> Self {
        let ended = self.ended();
        let rows_per_second = rate(ended, elapsed);
        let left = self.total.map(|total| total.saturating_sub(ended));
        Self {
            seconds: elapsed.as_secs(),
            rows_per_second,
            seconds_left: left.and_then(|left| left.checked_div(rows_per_second)),
            ..self
        }
    }

    /// Rows that are accepted or rejected.
    pub(super) fn ended(&self) -> u64 {
        self.accepted + self.rejected
    }

    /// `1,200 of 5,000 read, 900 accepted, 3 rejected`.
    pub(super) fn rows(&self) -> String {
        let of = match self.total {
            Some(total) => format!(" of {}", count(total)),
            None => String::new(),
        };
        format!(
            "{}{of} read, {} accepted, {} rejected",
            count(self.read),
            count(self.accepted),
            count(self.rejected)
        )
    }

    /// `2 jobs in flight, 14 ended`.
    pub(super) fn jobs(&self) -> String {
        let in_flight = counted(self.jobs_in_flight.len() as u64, "job");
        format!("{in_flight} in flight, {} ended", count(self.jobs_ended))
    }

    /// `1,200 rows/s, 3 min 20 s left`.
    pub(super) fn pace(&self) -> String {
        let rate = format!("{} rows/s", count(self.rows_per_second));
        match self.seconds_left {
            Some(left) if left > 0 => {
                format!("{rate}, {} left", time(Duration::from_secs(left)))
            }
            _ => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(total: Option<u64>) -> Progress {
        let progress = Progress {
            read: 4_000,
            accepted: 1_990,
            rejected: 10,
            total,
            jobs_in_flight: vec!["750A".to_owned(), "750B".to_owned()],
            jobs_ended: 3,
            seconds: 0,
            rows_per_second: 0,
            seconds_left: None,
        };
        progress.after(Duration::from_secs(20))
    }

    #[test]
    fn time_left_needs_a_total() {
        let known = progress(Some(30_000));
        assert_eq!(known.rows(), "4,000 of 30,000 read, 1,990 accepted, 10 rejected");
        assert_eq!(known.jobs(), "2 jobs in flight, 3 ended");
        assert_eq!(known.pace(), "100 rows/s, 4 min 40 s left");
        let unknown = progress(None);
        assert_eq!(unknown.rows(), "4,000 read, 1,990 accepted, 10 rejected");
        assert_eq!(unknown.pace(), "100 rows/s");
    }

    #[test]
    fn a_load_that_has_not_begun_has_no_time_left() {
        let begun = Progress {
            accepted: 0,
            rejected: 0,
            ..progress(Some(30_000))
        };
        assert_eq!(begun.after(Duration::from_secs(20)).pace(), "0 rows/s");
    }
}
