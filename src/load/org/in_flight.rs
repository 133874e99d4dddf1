//! Jobs that are closed and whose rows have no end yet, so that a load that is cut off can name them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The jobs in flight of all loads.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    next: u64,
    /// By the number of their guard.
    known: BTreeMap<u64, Job>,
}

#[derive(Debug)]
struct Job {
    load: LoadId,
    /// Absent until the call that makes a job with its rows is answered.
    id: Option<String>,
    /// Its load was cut off: it stays for good.
    left: bool,
}

/// Names a load of an org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoadId(u64);

/// While it lives, a job is in flight.
#[derive(Debug)]
pub(crate) struct JobInFlight<'a> {
    all: &'a InFlight,
    number: u64,
}

impl InFlight {
    /// A load that no other one is.
    pub(crate) fn new_load(&self) -> LoadId {
        LoadId(self.jobs.lock().number())
    }

    /// From now on a job of `load` may be in flight.
    pub(crate) fn begin(&self, load: LoadId) -> JobInFlight<'_> {
        let mut jobs = self.jobs.lock();
        let number = jobs.number();
        let job = Job {
            load,
            id: None,
            left: false,
        };
        jobs.known.insert(number, job);
        drop(jobs);
        JobInFlight { all: self, number }
    }

    /// The load is cut off: its jobs go on by themselves. Returns how they are called.
    pub(crate) fn leave(&self, load: LoadId) -> Vec<String> {
        let mut jobs = self.jobs.lock();
        let of_load = jobs.known.values_mut().filter(|job| job.load == load);
        let left = of_load.map(|job| {
            job.left = true;
            job.id
                .clone()
                .unwrap_or_else(|| "one without an answer".to_owned())
        });
        left.collect()
    }

    /// The Ids of all, as far as they are known.
    pub(crate) fn ids(&self) -> Vec<String> {
        let jobs = self.jobs.lock();
        jobs.known
            .values()
            .filter_map(|job| job.id.clone())
            .collect()
    }
}

impl Jobs {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl JobInFlight<'_> {
    /// The job has this Id.
    pub(crate) fn is(&self, id: &str) {
        if let Some(job) = self.all.jobs.lock().known.get_mut(&self.number) {
            job.id = Some(id.to_owned());
        }
    }
}

impl Drop for JobInFlight<'_> {
    fn drop(&mut self) {
        let mut jobs = self.all.jobs.lock();
        if jobs.known.get(&self.number).is_some_and(|job| !job.left) {
            jobs.known.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_go_with_their_guards_but_those_left_stay() {
        let all = InFlight::default();
        let (one, other) = (all.new_load(), all.new_load());
        let (first, second, third) = (all.begin(one), all.begin(other), all.begin(other));
        first.is("750A");
        second.is("750B");
        assert_eq!(all.ids(), ["750A", "750B"]);
        assert_eq!(all.leave(other), ["750B", "one without an answer"]);
        drop((first, second, third));
        assert_eq!(all.ids(), ["750B"]);
    }
}
