//! Twenty `kill -9` at seeded moments: what a printed STATE promised must hold, and a rerun from
//! it must lose nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use testkit::sim::{TestSim, jobs_in_flight, jobs_in_state};
use testkit::{KEY, rejected};

use crate::harness::lines::{Stream, account, accounts, contact, contacts};
use crate::harness::process::{Job, Output};

const KILLS: u64 = 20;
/// Loads that run at once.
const AT_ONCE: usize = 4;

const RECORDS: usize = 1_000;
const RECORDS_A_STATE: usize = 100;
pub(crate) const RECORDS_A_JOB: usize = 50;
/// What a job takes, so that some are in flight at any moment.
const JOB_TIME: Duration = Duration::from_millis(400);
const STREAMS: usize = 2;
const STATES: usize = STREAMS * RECORDS / RECORDS_A_STATE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_before_the_last_state() {
    let seeds = seeds(KILLS);
    let kills = futures::stream::iter(0..seeds).map(|seed| tokio::spawn(kill_and_rerun(seed)));
    let proofs: Vec<bool> = kills
        .buffer_unordered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let count = proofs.iter().filter(|proof| **proof).count();
    println!("{count} of {seeds} kills fell after a state, with a job in flight");
    assert!(
        count as u64 >= seeds / 3,
        "only {count} of {seeds} kills were proofs"
    );
}

/// How many seeds are tried: as many as the variable `SIGNALS` says, or `few`.
pub(crate) fn seeds(few: u64) -> u64 {
    let many = std::env::var("SIGNALS").ok();
    many.map_or(few, |many| many.parse().unwrap())
}

/// Kills a load at its seeded moment, compares, reruns it, compares. Returns whether the kill fell
/// after a printed STATE and with a job in flight.
async fn kill_and_rerun(seed: u64) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    let sim = TestSim::with_job_time(JOB_TIME).await;
    let load = Load::new(seed);
    let job = Job::new(&sim, &load.streams())
        .set("max_job_rows", RECORDS_A_JOB)
        .set("max_jobs_in_flight", 8)
        .rejects_to_folder();

    let mut running = job.start_write();
    let lines = load.lines(Progress::default());
    if seed.is_multiple_of(5) {
        // The moment is a number of lines that were written.
        running
            .send(&lines[..random.usize(1..lines.len() * 3 / 4)])
            .await;
    } else if seed % 5 == 1 {
        // The moment is a time.
        running.feed(lines);
        tokio::time::sleep(Duration::from_millis(random.u64(0..3_000))).await;
    } else {
        // The moment is a number of states that were printed.
        running.feed(lines);
        running.wait_for_states(random.usize(1..STATES - 8)).await;
    }
    // Held jobs have written nothing: whatever a printed state counts on must be there already.
    sim.hold().await;
    let in_flight = jobs_in_flight(&sim.state().await);
    let killed = running.kill().await;
    // On a busy machine a load may be through before it is killed.
    assert!(
        matches!(killed.code, None | Some(0)),
        "seed {seed}: {killed:#?}"
    );
    let done = Progress::of(&killed);
    load.compare(&format!("seed {seed}, at the kill"), &sim, &job, done)
        .await;

    sim.release().await;
    // A job that was never closed writes nothing, ever.
    sim.wait_for("the end of the closed jobs", |state| {
        jobs_in_state(state, "UploadComplete") + jobs_in_state(state, "InProgress") == 0
    })
    .await;
    job.write(&load.lines(done)).await.succeeded();
    let when = format!("seed {seed}, after the rerun");
    load.compare(&when, &sim, &job, Progress::ALL).await;
    killed.code.is_none() && done != Progress::default() && in_flight > 0
}

/// How many records of each stream something covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    contacts: usize,
    accounts: usize,
}

impl Progress {
    /// All records.
    pub(crate) const ALL: Self = Self {
        contacts: RECORDS,
        accounts: RECORDS,
    };

    /// What the last printed state of each stream promises: its blob holds the number of records.
    pub(crate) fn of(output: &Output) -> Self {
        let mut progress = Self::default();
        for state in output.states() {
            let stream = &state["stream"];
            let count = stream["stream_state"]["cursor"]
                .as_u64()
                .unwrap()
                .try_into()
                .unwrap();
            let reached = match stream["stream_descriptor"]["name"].as_str().unwrap() {
                "contacts" => &mut progress.contacts,
                _ => &mut progress.accounts,
            };
            assert!(
                *reached < count,
                "states out of order: {count} after {reached}"
            );
            *reached = count;
        }
        progress
    }
}

/// Records of one stream, and which of them will be rejected.
struct Records {
    stream: Stream,
    data: Vec<(Value, bool)>,
}

impl Records {
    fn line(&self, number: usize) -> String {
        self.stream.record(&self.data[number].0)
    }

    fn keys(&self, count: usize, rejected: bool) -> BTreeSet<String> {
        let records = self.data[..count]
            .iter()
            .filter(|(_, bad)| *bad == rejected);
        records
            .map(|(data, _)| data[KEY].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The load that is killed: two streams, with a few records that the loader or the org rejects.
pub(crate) struct Load {
    contacts: Records,
    accounts: Records,
}

impl Load {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bad = |data: &mut Value, field: &str, value: Value| {
            let bad = random.u8(..) < 8;
            if bad {
                data[field] = value;
            }
            bad
        };
        let contacts_data = (0..RECORDS)
            .map(|number| {
                let mut data = contact(number);
                let bad = bad(&mut data, "LastName", Value::Null);
                (data, bad)
            })
            .collect();
        let accounts_data = (0..RECORDS)
            .map(|number| {
                let mut data = account(number);
                let bad = bad(&mut data, "NumberOfEmployees", json!("a dozen"));
                (data, bad)
            })
            .collect();
        Self {
            contacts: Records {
                stream: contacts(),
                data: contacts_data,
            },
            accounts: Records {
                stream: accounts(),
                data: accounts_data,
            },
        }
    }

    /// The streams.
    pub(crate) fn streams(&self) -> [&Stream; STREAMS] {
        [&self.contacts.stream, &self.accounts.stream]
    }

    /// What a source sends that goes on from `done`.
    pub(crate) fn lines(&self, done: Progress) -> Vec<String> {
        let mut lines = Vec::new();
        for number in 0..RECORDS {
            for (records, done) in [
                (&self.contacts, done.contacts),
                (&self.accounts, done.accounts),
            ] {
                if number < done {
                    continue;
                }
                lines.push(records.line(number));
                let count = number + 1;
                if count % RECORDS_A_STATE == 0 {
                    lines.push(records.stream.state(count as u64, RECORDS_A_STATE));
                }
            }
        }
        lines.extend([&self.contacts, &self.accounts].map(|records| records.stream.complete()));
        lines
    }

    /// Compares the records up to `progress`, one by one, with what org and reject files hold.
    pub(crate) async fn compare(&self, when: &str, sim: &TestSim, job: &Job, progress: Progress) {
        let files = job.reject_files();
        let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
        let rejected: BTreeSet<String> = rejected
            .iter()
            .map(|rejected| rejected.text(KEY).to_owned())
            .collect();
        for (object, records, count) in [
            ("Contact", &self.contacts, progress.contacts),
            ("Account", &self.accounts, progress.accounts),
        ] {
            let held: BTreeSet<String> = sim.column(object, KEY).await.into_iter().collect();
            for key in records.keys(count, false) {
                assert!(held.contains(&key), "{when}: {key} is not in the org");
            }
            for key in records.keys(count, true) {
                assert!(
                    rejected.contains(&key),
                    "{when}: {key} is not in a reject file"
                );
                assert!(!held.contains(&key), "{when}: {key} is bad, yet in the org");
            }
        }
    }
}
