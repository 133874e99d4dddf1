//! How long jobs took: the next ones are not asked about before they can have ended.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::info::JobTarget;

/// Object and operation: jobs of one kind take equally long.
type Kind = (String, &'static str);

/// What a job has to do.
#[derive(Debug, Clone)]
pub(super) struct Work {
    kind: Kind,
    rows: u64,
}

impl Work {
    pub(super) fn new(target: &JobTarget, rows: u64) -> Self {
        Self {
            kind: (target.object.clone(), target.operation.as_str()),
            rows,
        }
    }
}

/// The last job of each kind: its rows, and how long it took.
#[derive(Debug, Default)]
pub(super) struct Timings {
    ended: Mutex<HashMap<Kind, (u64, Duration)>>,
}

impl Timings {
    /// How long this will take, if a job of its kind has ended: a guess, sooner too short than long.
    pub(super) fn expected(&self, work: &Work) -> Option<Duration> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Operation;

    #[test]
    fn jobs_of_a_kind_take_equally_long() {
        let work = |object: &str, operation, rows| {
            let target = JobTarget {
                object: object.to_owned(),
                operation,
                assignment_rule_id: None,
            };
            Work::new(&target, rows)
        };
        let timings = Timings::default();
        let first = work("Contact", Operation::Insert, 1_000);
        assert_eq!(timings.expected(&first), None);
        timings.ended(&first, Duration::from_secs(8));
        assert_eq!(timings.expected(&first), Some(Duration::from_secs(8)));
        let half = work("Contact", Operation::Insert, 500);
        assert_eq!(timings.expected(&half), Some(Duration::from_secs(4)));
        let larger = work("Contact", Operation::Insert, 9_000);
        assert_eq!(timings.expected(&larger), Some(Duration::from_secs(8)));
        assert_eq!(
            timings.expected(&work("Contact", Operation::Update, 1_000)),
            None
        );
        assert_eq!(
            timings.expected(&work("Account", Operation::Insert, 1_000)),
            None
        );
    }
}
