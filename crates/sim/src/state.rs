//! What the simulator knows, shared by all requests and jobs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::SimOptions;
use super::faults::Faults;
use super::job::Job;
use super::org::{Object, Org};
use super::table::Table;

/// Of finished jobs whose processed rows are forgotten, this many keep their failed rows.
const REMEMBERED_JOBS: usize = 32;

/// Everything behind one simulator.
#[derive(Debug)]
pub(crate) struct Shared {
    options: Mutex<Arc<SimOptions>>,
    /// The address that clients are told, `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    pub(crate) org: Org,
    pub(crate) faults: Mutex<Faults>,
    /// Jobs stay InProgress while this is true.
    pub(crate) hold: watch::Sender<bool>,
    /// How often rows were tried that a fault lets fail a number of times.
    attempts: Mutex<HashMap<u64, u32>>,
    state: Mutex<State>,
    tables: BTreeMap<String, Mutex<Table>>,
}

/// Tokens, jobs and counters.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) tokens: HashMap<String, Instant>,
    /// The refresh token that is valid now, if it is not the one of the options.
    pub(crate) refresh_token: Option<String>,
    /// Requests for an access token, refused ones included.
    pub(crate) token_requests: u64,
    /// Refresh tokens whose requests are under way.
    pub(crate) refreshing: HashSet<String>,
    pub(crate) tokens_issued: u64,
    pub(crate) api_calls: u64,
    pub(crate) batches: u64,
    /// Jobs by Id, which counts upward.
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) jobs_created: u32,
    pub(crate) max_in_flight: usize,
    pub(crate) uploads: usize,
    pub(crate) max_uploads: usize,
    /// With `forget`: finished jobs in the order of their end.
    finished: std::collections::VecDeque<String>,
}

impl State {
    /// Adds a new job and counts those in flight.
    pub(crate) fn add_job(&mut self, job: Job) {
        self.jobs.insert(job.id.clone(), job);
        let in_flight = self
            .jobs
            .values()
            .filter(|job| !job.state.is_terminal())
            .count();
        self.max_in_flight = self.max_in_flight.max(in_flight);
    }

    /// Drops what need not be kept of a finished job and of those before it.
    pub(crate) fn forget_job(&mut self, id: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.forget();
            self.finished.push_back(id.to_owned());
        }
        while self.finished.len() > REMEMBERED_JOBS {
            let oldest = self
                .finished
                .pop_front()
                .and_then(|id| self.jobs.get_mut(&id));
            if let Some(job) = oldest {
                job.data = super::job::Data::None;
                job.outcomes = Vec::new();
            }
        }
    }
}

impl Shared {
    pub(crate) fn new(options: SimOptions, url: String) -> io::Result<Shared> {
        let org = Org::load(options.org.as_deref(), options.extra_objects)?;
        let tables = org
            .objects
            .iter()
            .map(|object| {
                Ok((
                    object.name.clone(),
                    Mutex::new(first_table(object, &options)?),
                ))
            })
            .collect::<io::Result<_>>()?;
        let faults = Mutex::new(Faults::new(&options.faults, options.seed));
        let hold = watch::Sender::new(false);
        Ok(Shared {
            options: Mutex::new(Arc::new(options)),
            url,
            org,
            faults,
            hold,
            attempts: Mutex::default(),
            state: Mutex::default(),
            tables,
        })
    }

    /// How it behaves now.
    pub(crate) fn options(&self) -> Arc<SimOptions> {
        Arc::clone(&lock(&self.options))
    }

    /// Changes how it behaves from now on: the keys given, as in `SimOptions`.
    pub(crate) fn change_options(&self, changes: Map<String, Value>) -> serde_json::Result<()> {
        let mut options = lock(&self.options);
        let mut changed = serde_json::to_value(&**options)?;
        for (key, value) in changes {
            changed[key] = value;
        }
        let new_refresh_token = changed["refresh_token"] != options.refresh_token.as_str();
        *options = Arc::new(serde_json::from_value(changed)?);
        drop(options);
        if new_refresh_token {
            self.state().refresh_token = None;
        }
        Ok(())
    }

    /// Tokens, jobs and counters. Never held over an await, nor while a table is.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The records of an object, by its exact name.
    pub(crate) fn table(&self, object: &str) -> Option<MutexGuard<'_, Table>> {
        self.tables.get(object).map(lock)
    }

    /// Counts one more attempt at a row, and says how many that makes.
    pub(crate) fn count_attempt(&self, row: u64) -> u32 {
        let mut attempts = lock(&self.attempts);
        let count = attempts.entry(row).or_insert(0);
        *count += 1;
        *count
    }

    /// Forgets all jobs, records and counters; tokens stay valid.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.state();
        let tokens = std::mem::take(&mut state.tokens);
        let refresh_token = state.refresh_token.take();
        // Ids of jobs go on, so that a task of a job from before finds no other under its Id.
        let jobs_created = state.jobs_created;
        *state = State {
            tokens,
            refresh_token,
            jobs_created,
            ..State::default()
        };
        drop(state);
        lock(&self.faults).clear();
        lock(&self.attempts).clear();
        self.hold.send_replace(false);
        let options = self.options();
        for object in &self.org.objects {
            if let Some(mut table) = self.table(&object.name) {
                *table = first_table(object, &options)?;
            }
        }
        Ok(())
    }
}

/// The table of an object with the records that are there from the start. Only what loaders
/// write is ever forgotten.
fn first_table(object: &Arc<Object>, options: &SimOptions) -> io::Result<Table> {
    let mut table = Table::new(Arc::clone(object), !options.forget || !object.createable);
    if let Some(records) = &object.records {
        table
            .seed(records)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    Ok(table)
}

/// Locks; a panic elsewhere must not take the simulator down with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
