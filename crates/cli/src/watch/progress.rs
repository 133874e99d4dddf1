//! How far a load is.

use std::time::Duration;

use serde::Serialize;

use super::numbers::{count, counted, rate, rough_time};

/// How far a run is at one moment, with what earlier attempts did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    pub(crate) read: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Jobs that Salesforce works on.
    pub(crate) jobs_in_flight: Vec<String>,
    pub(crate) jobs_ended: u64,
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Pace {
    /// Rows that there are, where that is known.
    pub(super) total: Option<u64>,
    pub(super) seconds: u64,
    /// Rows that came to their end, in a second of this attempt.
    pub(super) rows_per_second: u64,
    pub(super) seconds_left: Option<u64>,
}

impl Progress {
    /// Rows that are accepted or rejected.
    pub(super) fn ended(&self) -> u64 {
        self.accepted + self.rejected
    }

    /// `1,200 of 5,000 read, 900 accepted, 3 rejected`.
    pub(super) fn rows(&self, total: Option<u64>) -> String {
        let of = match total {
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
}

impl Pace {
    /// Of an attempt that began when so many rows had their end.
    pub(super) fn of(
        progress: &Progress,
        before: u64,
        total: Option<u64>,
        elapsed: Duration,
    ) -> Self {
        let ended = progress.ended();
        let rows_per_second = rate(ended.saturating_sub(before), elapsed);
        let left = total.map(|total| total.saturating_sub(ended));
        Self {
            total,
            seconds: elapsed.as_secs(),
            rows_per_second,
            seconds_left: left.and_then(|left| left.checked_div(rows_per_second)),
        }
    }

    /// `1,200 rows/s, 3 min 20 s left`.
    pub(super) fn shown(&self) -> String {
        let rate = format!("{} rows/s", count(self.rows_per_second));
        match self.seconds_left {
            Some(left) if left > 0 => {
                format!("{rate}, {} left", rough_time(Duration::from_secs(left)))
            }
            _ => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            read: 4_000,
            accepted: 1_990,
            rejected: 10,
            jobs_in_flight: vec!["750A".to_owned(), "750B".to_owned()],
            jobs_ended: 3,
        }
    }

    fn pace(progress: &Progress, before: u64, total: Option<u64>) -> String {
        Pace::of(progress, before, total, Duration::from_secs(20)).shown()
    }

    #[test]
    fn time_left_needs_a_total() {
        let progress = progress();
        let rows = progress.rows(Some(30_000));
        assert_eq!(rows, "4,000 of 30,000 read, 1,990 accepted, 10 rejected");
        assert_eq!(progress.jobs(), "2 jobs in flight, 3 ended");
        assert_eq!(
            pace(&progress, 0, Some(30_000)),
            "100 rows/s, 4 min 40 s left"
        );
        assert_eq!(
            progress.rows(None),
            "4,000 read, 1,990 accepted, 10 rejected"
        );
        assert_eq!(pace(&progress, 0, None), "100 rows/s");
    }

    #[test]
    fn earlier_attempts_are_not_of_the_rate() {
        assert_eq!(pace(&progress(), 1_000, None), "50 rows/s");
        assert_eq!(pace(&Progress::default(), 0, Some(9)), "0 rows/s");
    }
}
