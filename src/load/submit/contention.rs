//! Rows of a job that were refused for locks, and what is done about that.

use std::sync::Arc;

use super::ended::Job;
use crate::coerce::Reason;
use crate::load::org::ObjectSlot;
use crate::load::settle::{Ends, JobFault, found_lock};
use crate::load::state::Load;

/// Notes how many rows of a job with `sent` rows were refused for locks: where they are many, fewer jobs
/// into the object go at once from now on.
pub(super) fn note(load: &Load, slot: &ObjectSlot, job: &Job, ends: &Ends, sent: u64) {
    let locked = locked(load, job, ends);
    load.books.lock_errors(locked);
    let Some((before, now)) = slot.ended(sent, locked) else {
        return;
    };
    tracing::warn!(
        stream = %load.plan.name, object = %load.plan.target.object, job = %job.id, rows = sent, locked,
        jobs_at_once = now, before,
        "rows were refused since others held their parents: fewer jobs into the object go at once"
    );
}

fn locked(load: &Load, job: &Job, ends: &Ends) -> u64 {
    let operation = &load.plan.target.operation;
    let mut known: Option<(&Arc<Reason>, bool)> = None;
    let refused = ends.rejected.iter().filter(|(_, reason)| {
        // Rows that were refused alike often share their reason.
        match known {
            Some((same, found)) if Arc::ptr_eq(same, reason) => found,
            _ => known.insert((reason, found_lock(reason, operation))).1,
        }
    });
    let refused = refused.count() as u64;
    match job.fault {
        JobFault::Locks => refused + ends.unprocessed.len(),
        _ => refused,
    }
}
