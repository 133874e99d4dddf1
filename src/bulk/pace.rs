//! How long jobs take, as those that ended have shown: the next are not asked about in vain.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::info::JobTarget;

/// Object and operation: jobs of one kind take alike.
type Kind = (String, &'static str);

/// What a job has to do.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    kind: Kind,
    rows: u64,
}

impl Work {
    pub(crate) fn new(target: &JobTarget, rows: u64) -> Self {
        Self {
            kind: (target.object.clone(), target.operation.as_str()),
            rows,
        }
    }
}

/// The last job of each kind: its rows, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    ended: Mutex<HashMap<Kind, (u64, Duration)>>,
}

impl Pace {
    /// How long this will take, if a job of its kind has ended; a guess that errs on the short side.
    pub(crate) fn expected(&self, work: &Work) -> Option<Duration> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (rows, took) = ended.get(&work.kind)?;
        #[allow(clippy::cast_precision_loss, reason = "a guess")]
        let share = work.rows as f64 / (*rows).max(1) as f64;
        Some(took.mul_f64(share.min(1.0)))
    }

    /// A job of this work took so long.
    pub(crate) fn ended(&self, work: &Work, took: Duration) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.insert(work.kind.clone(), (work.rows, took));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Operation;

    #[test]
    fn jobs_of_a_kind_take_alike() {
        let work = |object: &str, operation, rows| {
            let target = JobTarget {
                object: object.to_owned(),
                operation,
                assignment_rule_id: None,
            };
            Work::new(&target, rows)
        };
        let pace = Pace::default();
        let first = work("Contact", Operation::Insert, 1_000);
        assert_eq!(pace.expected(&first), None);
        pace.ended(&first, Duration::from_secs(8));
        assert_eq!(pace.expected(&first), Some(Duration::from_secs(8)));
        let half = work("Contact", Operation::Insert, 500);
        assert_eq!(pace.expected(&half), Some(Duration::from_secs(4)));
        let larger = work("Contact", Operation::Insert, 9_000);
        assert_eq!(pace.expected(&larger), Some(Duration::from_secs(8)));
        assert_eq!(
            pace.expected(&work("Contact", Operation::Update, 1_000)),
            None
        );
        assert_eq!(
            pace.expected(&work("Account", Operation::Insert, 1_000)),
            None
        );
    }
}
