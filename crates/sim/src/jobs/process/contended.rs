//! What a job does with its rows in an org under contention.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Batches, Prepared, finish, may_continue, transaction};
use crate::contention::{Asked, Contention, End, Fate, Job, Work};
use crate::jobs::job::JobState;
use crate::jobs::rows::Checked;
use crate::jobs::store::Jobs;
use crate::org::id;

/// Key prefix of the Ids of jobs.
const JOBS: &str = "750";

/// A job that the org's clock moves.
#[derive(Debug)]
struct Contended {
    jobs: Arc<Jobs>,
    id: String,
    prepared: Arc<Prepared>,
    /// Rows that are checked and not written yet, by the first of them.
    checked: HashMap<usize, Vec<(usize, Checked)>>,
}

/// Hands a job over to the org's clock.
pub(super) fn begin(
    jobs: &Arc<Jobs>,
    id: &str,
    prepared: &Arc<Prepared>,
    batches: Batches,
    settings: &Contention,
) {
    let object = &prepared.rules.object.name;
    let is_object = |known: &String| known.eq_ignore_ascii_case(object);
    let drawn = prepared
        .seed
        .map_or(1.0, |seed| 0.5 + fastrand::Rng::with_seed(!seed).f64());
    let now = jobs.clock.now();
    // A job that is gone meanwhile ends with its first chunk.
    let _ = jobs.with_job(id, |job| job.org_times.0 = Some(now));
    let job = Job {
        number: number(id),
        batches: batches.0.into(),
        has_trigger: settings.triggers.iter().any(is_object),
        wait: settings.job_time.mul_f64(drawn),
        work: Box::new(Contended {
            jobs: Arc::clone(jobs),
            id: id.to_owned(),
            prepared: Arc::clone(prepared),
            checked: HashMap::new(),
        }),
    };
    jobs.clock.begin(job, settings, jobs.holds());
}

/// The number of a job.
pub(in crate::jobs) fn number(job_id: &str) -> u32 {
    id::number(JOBS, job_id).unwrap_or_default()
}

impl Work for Contended {
    fn goes_on(&self) -> bool {
        self.jobs.state_of(&self.id) == Some(JobState::InProgress)
    }

    fn may_begin_batch(&self) -> bool {
        may_continue(&self.jobs, &self.id)
    }

    fn check(&mut self, rows: Range<usize>) -> Vec<Asked> {
        let Prepared { upload, rules, .. } = &*self.prepared;
        let first = rows.start;
        let mut values: Vec<Cow<'_, str>> = Vec::new();
        let mut checked = Vec::with_capacity(rows.len());
        let mut asked = Vec::with_capacity(rows.len());
        let mut order: Vec<usize> = rows.collect();
        self.prepared.shuffle(&mut order, first);
        for row in order {
            upload.file.split(row, &mut values);
            let found = rules.check(&self.jobs, row, &values);
            asked.push(Asked {
                locks: rules.locks(&self.jobs.org, &values, &found),
                is_bad: found.is_bad(),
            });
            checked.push((row, found));
        }
        if rules.bad_rows_spread() && asked.iter().any(|row| row.is_bad) {
            for (_, row) in &mut checked {
                row.fail_with_others();
            }
        }
        self.checked.insert(first, checked);
        asked
    }

    fn save(&mut self, first: usize, fates: Vec<Fate>) {
        let rules = &self.prepared.rules;
        let mut checked = self.checked.remove(&first).unwrap_or_default();
        let outcomes = {
            let table = self.jobs.org.table(&rules.object.name);
            let generation = self.prepared.generation;
            let Some(mut table) = table.filter(|table| table.generation() == generation) else {
                return;
            };
            let rows = checked.iter_mut().zip(fates);
            let written = rows.map(|((row, checked), fate)| {
                match fate {
                    Fate::Saved => {}
                    Fate::Locked(ids) => checked.fail_for_locks(&ids),
                    Fate::FailsWithOthers => checked.fail_with_others(),
                }
                (*row, checked)
            });
            transaction(&self.jobs, rules, &mut table, written)
        };
        // A job that is gone meanwhile needs no outcomes.
        let _ = self.jobs.with_job(&self.id, |job| job.record(outcomes));
    }

    fn put_back(&mut self) {
        // A job that is gone meanwhile needs no count.
        let _ = self.jobs.with_job(&self.id, |job| job.put_back += 1);
    }

    fn end(&mut self, end: End, at: Duration) {
        // A job that is gone meanwhile needs no end.
        let _ = self
            .jobs
            .with_job(&self.id, |job| job.org_times.1 = Some(at));
        let (state, message) = match end {
            End::Complete => (JobState::JobComplete, None),
            // Its state stays as it is.
            End::Gone => (JobState::Aborted, None),
            End::TooManyLockFailures => {
                let text = "TooManyLockFailure : Too many lock failure 200 Trying again later";
                (JobState::Failed, Some(text))
            }
            End::TooSlow => {
                let text = "Timeout : A batch took too long, and was tried too often";
                (JobState::Failed, Some(text))
            }
        };
        finish(&self.jobs, &self.id, state, message.map(str::to_owned));
    }
}
