//! All jobs, and what they share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::job::{Data, Job, JobState};
use super::log::Log;
use super::rows::Validation;
use crate::SimOptions;
use crate::contention::Clock;
use crate::faults::{Action, Faults};
use crate::options::Current;
use crate::org::{Org, id};
use crate::usage::Usage;

/// Key prefix of the Ids of jobs.
const JOBS: &str = "750";
/// With `forget`, this many finished jobs keep their failed and unprocessed rows.
const REMEMBERED_JOBS: usize = 32;

/// The jobs of an org.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) options: Current,
    pub(crate) org: Org,
    pub(crate) faults: Faults,
    /// The org's time under contention.
    pub(crate) clock: Arc<Clock>,
    /// What was written.
    pub(crate) log: Log,
    /// Jobs stay InProgress while this is true.
    hold: watch::Sender<bool>,
    /// How often rows were tried that a fault lets fail in a number of jobs.
    attempts: Mutex<HashMap<u64, u32>>,
    state: Mutex<State>,
    /// By the name of an object, the rules that its records are checked by.
    validation: HashMap<String, Arc<Validation>>,
}

/// Jobs and counters.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// By Id; Ids count upward.
    pub(super) jobs: BTreeMap<String, Job>,
    /// How many jobs were created.
    pub(super) created: u32,
    /// How many internal batches were processed.
    pub(super) batches: Usage,
    /// The most jobs that were in flight at the same time.
    pub(super) max_in_flight: usize,
    /// How many uploads are in progress.
    pub(super) uploads: usize,
    /// The most uploads that were in progress at the same time.
    pub(super) max_uploads: usize,
    /// With `forget`: finished jobs in the order of their end.
    finished: VecDeque<String>,
}

impl State {
    /// The Id of a new job.
    pub(super) fn next_id(&mut self) -> String {
        self.created += 1;
        id::make(JOBS, self.created)
    }

    /// Adds a new job.
    pub(super) fn add_job(&mut self, job: Job) {
        self.jobs.insert(job.id.clone(), job);
        let in_flight = self.jobs.values().filter(|job| !job.state.is_terminal());
        self.max_in_flight = self.max_in_flight.max(in_flight.count());
    }

    /// Drops what need not be kept of a finished job, and of those that finished long before it.
    pub(super) fn forget_job(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.forget();
            self.finished.push_back(id.to_owned());
        }
        while self.finished.len() > REMEMBERED_JOBS {
            let oldest = self.finished.pop_front();
            if let Some(job) = oldest.and_then(|id| self.jobs.get_mut(&id)) {
                job.data = Data::None;
                job.outcomes = Vec::new();
            }
        }
    }
}

impl Jobs {
    /// An org without jobs.
    pub(crate) fn new(options: SimOptions) -> io::Result<Jobs> {
        let mut options = options;
        let org = Org::new(
            options.org.as_deref(),
            options.extra_objects,
            options.forget,
            &options.data,
        )?;
        let limits = org.limits;
        for (limit, given) in [
            (&mut options.max_api_calls, limits.daily_api_requests),
            (&mut options.max_batches, limits.daily_bulk_api_batches),
            (&mut options.max_query_jobs, limits.daily_query_jobs),
        ] {
            *limit = given.unwrap_or(*limit);
        }
        let objects = org.schema.objects.iter();
        let validation = objects.map(|object| {
            let rules = Validation::new(object).map(Arc::new);
            let rules = rules.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok((object.name.clone(), rules))
        });
        Ok(Jobs {
            validation: validation.collect::<io::Result<_>>()?,
            org,
            faults: Faults::new(&options.faults, options.seed),
            options: Current::new(options),
            clock: Arc::default(),
            log: Log::default(),
            hold: watch::Sender::new(false),
            attempts: Mutex::default(),
            state: Mutex::default(),
        })
    }

    /// The options as they are now.
    pub(crate) fn options(&self) -> Arc<SimOptions> {
        self.options.get()
    }

    /// Jobs and counters. Never locked across an await, nor while a table is.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The rules that records of an object are checked by.
    pub(super) fn validation_of(&self, object: &str) -> Arc<Validation> {
        self.validation.get(object).cloned().unwrap_or_default()
    }

    /// The Id of a new job.
    pub(crate) fn new_id(&self) -> String {
        self.state().next_id()
    }

    /// How many internal batches count against the limit.
    pub(crate) fn used_batches(&self) -> u64 {
        let options = self.options();
        self.state().batches.within(options.batch_window) + options.other_batches
    }

    /// The faults of a job; none of one that is gone.
    pub(super) fn faults_of(&self, id: &str) -> Vec<Action> {
        let state = self.state();
        let job = state.jobs.get(id);
        job.map(|job| job.faults.clone()).unwrap_or_default()
    }

    /// The state of a job, if it still exists.
    pub(super) fn state_of(&self, id: &str) -> Option<JobState> {
        self.state().jobs.get(id).map(|job| job.state)
    }

    /// Changes a job, if it still exists.
    pub(super) fn with_job(&self, id: &str, change: impl FnOnce(&mut Job)) -> Option<()> {
        self.state().jobs.get_mut(id).map(change)
    }

    /// Counts an attempt at a row, and returns how many there were.
    pub(super) fn count_attempt(&self, row: u64) -> u32 {
        let mut attempts = self.attempts.lock();
        let count = attempts.entry(row).or_insert(0);
        *count += 1;
        *count
    }

    /// Holds closed jobs, or releases them.
    pub(crate) fn hold(&self, hold: bool) {
        self.hold.send_replace(hold);
    }

    /// Whether closed jobs are held.
    pub(crate) fn is_held(&self) -> bool {
        *self.hold.borrow()
    }

    /// Whether jobs are held, as it changes.
    pub(super) fn holds(&self) -> watch::Receiver<bool> {
        self.hold.subscribe()
    }

    /// Waits until jobs are not held.
    pub(crate) async fn released(&self) {
        let mut hold = self.holds();
        // The sender lives as long as `self`, so this ends only when released.
        let _ = hold.wait_for(|held| !held).await;
    }

    /// Forgets all jobs, records, faults and counters.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.state();
        // Ids of jobs continue, so that the task of a forgotten job finds no other under its Id.
        *state = State {
            created: state.created,
            ..State::default()
        };
        drop(state);
        self.faults.clear();
        self.attempts.lock().clear();
        self.clock.reset();
        self.log.clear();
        self.hold(false);
        self.org.reset()
    }
}
