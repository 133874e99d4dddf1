//! Jobs that may be processed and whose rows have no end yet, so that a load that ends early can name
//! them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What a job is called whose call is not answered.
const WITHOUT_ANSWER: &str = "one without an answer";

/// The jobs in flight of all loads.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    next: u64,
    known: BTreeMap<u64, Job>,
}

#[derive(Debug)]
struct Job {
    load: LoadId,
    /// Absent until the call that makes a job with its rows is answered.
    id: Option<String>,
}

/// Names a load of an org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoadId(u64);

/// A job in flight. It stays one, whatever becomes of this, until [`JobInFlight::ended`] is called: a
/// job whose load has failed goes on as well.
#[derive(Debug)]
#[must_use = "the job is in flight until its end"]
pub(crate) struct JobInFlight<'a> {
    all: &'a InFlight,
    number: u64,
}

impl InFlight {
    /// A load that no other one is.
    pub(crate) fn new_load(&self) -> LoadId {
        LoadId(self.jobs.lock().number())
    }

    /// From now on a job of `load` may be processed; its Id, as far as it is known.
    pub(crate) fn begin(&self, load: LoadId, id: Option<&str>) -> JobInFlight<'_> {
        let mut jobs = self.jobs.lock();
        let number = jobs.number();
        let id = id.map(str::to_owned);
        jobs.known.insert(number, Job { load, id });
        drop(jobs);
        JobInFlight { all: self, number }
    }

    /// How the jobs of a load are called.
    pub(crate) fn of(&self, load: LoadId) -> Vec<String> {
        self.names(|job| job.load == load)
    }

    /// How all are called.
    pub(crate) fn all(&self) -> Vec<String> {
        self.names(|_| true)
    }

    fn names(&self, wanted: impl Fn(&Job) -> bool) -> Vec<String> {
        let jobs = self.jobs.lock();
        let jobs = jobs.known.values().filter(|job| wanted(job));
        let name = |job: &Job| job.id.as_deref().unwrap_or(WITHOUT_ANSWER).to_owned();
        jobs.map(name).collect()
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

    /// Each of its rows has its end, or certainly none is ever processed.
    pub(crate) fn ended(self) {
        self.all.jobs.lock().known.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_until_its_end_whatever_becomes_of_its_load() {
        let all = InFlight::default();
        let (one, other) = (all.new_load(), all.new_load());
        let first = all.begin(one, Some("750A"));
        let (second, third) = (all.begin(other, None), all.begin(other, None));
        second.is("750B");
        assert_eq!(all.all(), ["750A", "750B", WITHOUT_ANSWER]);
        assert_eq!(all.of(other), ["750B", WITHOUT_ANSWER]);
        drop(second);
        first.ended();
        third.ended();
        assert_eq!(all.all(), ["750B"]);
    }
}
