//! Calls that create jobs, and whose answers are not known: each may have left a job open.

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::info::{JobInfo, JobState, JobTarget};
use crate::object::RecordId;

/// How much older than its call a job may look: headers name whole seconds.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(1);

/// The calls of a login that were sent and not answered.
#[derive(Debug, Default)]
pub(super) struct Creations(Mutex<Vec<Creation>>);

/// A call that creates a job.
#[derive(Debug)]
pub(super) struct Creation {
    number: u64,
    target: JobTarget,
    /// Salesforce's time before it was sent, less [`CLOCK_MARGIN`].
    since: DateTime<Utc>,
}

impl Creations {
    /// Notes a call that is to be sent at this time of Salesforce's, and returns its number.
    pub(super) fn sent(&self, target: &JobTarget, now: DateTime<Utc>) -> u64 {
        let mut calls = self.0.lock();
        let number = calls.last().map_or(0, |last| last.number + 1);
        calls.push(Creation {
            number,
            target: target.clone(),
            since: now - CLOCK_MARGIN,
        });
        number
    }

    /// What the call of this number did is known.
    pub(super) fn answered(&self, number: u64) {
        self.0.lock().retain(|call| call.number != number);
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> Vec<Creation> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Creation {
    /// Whether the call can have made this job, as the user of this Id, and left it open. What is not
    /// certain is not ours.
    pub(super) fn can_have_made(&self, job: &JobInfo, user: &RecordId) -> bool {
        let by = job.created_by_id.as_deref().and_then(RecordId::parse);
        job.is_for(&self.target)
            && job.state == JobState::Open.as_str()
            && by.as_ref() == Some(user)
            && job
                .created_at()
                .is_some_and(|created| created >= self.since)
    }
}
