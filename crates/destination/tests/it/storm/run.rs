//! One seed: the org, the bucket and the process, from the start to what is found afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::rejected::{self, Rejected};
use testkit::s3::S3Server;
use testkit::sim::TestSim;

use super::cells;
use super::check::{self, Found};
use super::faults::Fate;
use super::input::Input;
use super::plan::{Ending, Moment, Plan, Reader, RejectsTo};
use crate::harness::process::{Job, Output, Running, storage};

/// A process that asks the org for nothing for so long hangs: many times the longest pause.
const HANGS_AFTER: Duration = Duration::from_secs(150);

/// Jobs in flight have the grace, and the process some time more: after that it does not obey.
const OBEYS_AFTER: Duration = Duration::from_secs(20);
/// So long after a SIGTERM no job may be created any more.
const CREATES_FOR: Duration = Duration::from_secs(1);

/// What became of a seed.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) seed: u64,
    pub(super) violations: Vec<String>,
    /// Whether all faults passed and nothing stopped the process.
    pub(super) passing: bool,
    /// Why a passing run ended early.
    pub(super) early_end: Option<String>,
    /// How often each fault hit.
    pub(super) hits: Vec<(String, u64)>,
    /// How often the sync was repeated.
    pub(super) repeated: usize,
    /// Records that are doubled since a kill may have fallen between a cursor and its states.
    pub(super) doubled: usize,
    pub(super) rows: usize,
    pub(super) seconds: f64,
}

/// Runs a plan and checks what is left of it.
pub(super) async fn run(plan: Plan) -> Ran {
    let started = Instant::now();
    let mut storm = Storm::start(&plan).await;
    let mut ran = Ran {
        seed: plan.seed,
        passing: plan.ending == Ending::Itself && plan.fate == Fate::Passes,
        rows: plan.streams.iter().map(|stream| stream.rows).sum(),
        ..Ran::default()
    };
    let Some((output, within_a_line)) = storm.write(&plan, &mut ran).await else {
        return ran;
    };
    ran.hits.extend(storm.hits().await);
    let first = Found {
        held: storm.held(&plan).await,
        rejects: storm.rejects(&plan, &mut ran.violations),
        jobs: storm.sim.jobs().await,
        within_a_line,
    };
    storm.calm(&plan).await;
    let last = if output.code == Some(0) {
        first.clone()
    } else {
        Found {
            held: storm.held(&plan).await,
            rejects: storm.rejects(&plan, &mut ran.violations),
            jobs: storm.sim.jobs().await,
            within_a_line,
        }
    };
    let covered = check::attempt(
        &plan,
        &storm.input,
        &output,
        &first,
        &last,
        &mut ran.violations,
    );
    if output.code != Some(0) && ran.passing {
        ran.early_end = Some(check::error_of(&output));
    }
    if output.code != Some(0) && ran.violations.is_empty() {
        storm.repeat(&plan, &output, covered, &mut ran).await;
    }
    if !ran.violations.is_empty() {
        storm.keep(&plan, &output);
    }
    ran.seconds = started.elapsed().as_secs_f64();
    ran
}

/// What was seen while a process ran.
#[derive(Debug, Default)]
pub(super) struct Followed {
    violations: Vec<String>,
    /// Jobs that there were some time after a stop.
    jobs_after_a_stop: Option<usize>,
}

pub(super) struct Storm {
    pub(super) sim: TestSim,
    pub(super) bucket: Option<S3Server>,
    pub(super) input: Input,
    pub(super) job: Job,
}

impl Storm {
    async fn start(plan: &Plan) -> Self {
        let mut options = TestSim::options(Duration::ZERO);
        options.seed = plan.seed;
        let sim = TestSim::with_options(options).await;
        let ids = existing(&sim, plan).await;
        let input = Input::new(plan, &ids);
        sim.set(&plan.org).await;
        sim.faults(&plan.org_faults()).await;
        let mut job = Job::with_catalog(&sim, input.catalog(plan));
        for (key, value) in &plan.settings {
            job = job.set(key, value.clone());
        }
        let mut bucket = None;
        match plan.rejects {
            RejectsTo::Nowhere => {}
            RejectsTo::Folder => job = job.rejects_to_folder(),
            RejectsTo::Bucket => {
                let s3 = S3Server::start().await;
                s3.set_faults(plan.bucket_faults.clone());
                job = job.set("object_storage_config", bucket_config(plan, &s3));
                bucket = Some(s3);
            }
        }
        Self {
            sim,
            bucket,
            input,
            job,
        }
    }

    /// Runs the process as planned; none if it hangs.
    /// What was printed, and whether it ends within a line.
    async fn write(&self, plan: &Plan, ran: &mut Ran) -> Option<(Output, bool)> {
        let mut lines: Vec<String> = self
            .input
            .lines
            .iter()
            .map(|line| line.text.clone())
            .collect();
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        if let Ending::Cut {
            permille,
            within_a_line,
        } = plan.ending
        {
            lines.truncate(lines.len() * permille / 1000);
            let length: usize = lines.iter().map(|line| line.len() + 1).sum();
            let next = text[length..].find('\n').unwrap_or_default();
            let mut end = length + if within_a_line { next / 2 } else { 0 };
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        let mut running = self.job.start_write();
        running.feed_text(text);
        let mut followed = self.follow(plan, &mut running).await;
        ran.violations.append(&mut followed.violations);
        if !running.has_ended() {
            let lines = running.lines();
            let last: Vec<&String> = lines.iter().rev().take(5).rev().collect();
            ran.violations
                .push(format!("hangs; the last lines: {last:#?}"));
            self.keep(plan, &running.kill().await);
            return None;
        }
        let created = self.sim.jobs().await.len();
        if followed
            .jobs_after_a_stop
            .is_some_and(|jobs| created > jobs)
        {
            ran.violations
                .push("a job was created long after SIGTERM".to_owned());
        }
        Some(match plan.ending {
            Ending::Kill(_) | Ending::Terminate(_) => running.finish_within_a_line().await,
            Ending::Itself | Ending::Cut { .. } => (running.finish().await, false),
        })
    }

    /// Reads, kills and stops as planned, until the process ends or hangs.
    pub(super) async fn follow(&self, plan: &Plan, running: &mut Running) -> Followed {
        let started = Instant::now();
        let mut followed = Followed::default();
        let mut stopped: Option<Instant> = None;
        let mut slow = false;
        let grace = plan.settings["stop_grace_seconds"]
            .as_u64()
            .unwrap_or_default();
        let obeys = Duration::from_secs(grace) + OBEYS_AFTER;
        let (mut asked, mut moved) = (None, Instant::now());
        let mut looked = Instant::now();
        while !running.has_ended() && moved.elapsed() < HANGS_AFTER {
            if looked.elapsed() > Duration::from_secs(2) {
                looked = Instant::now();
                // What a fault hits is not counted as a call.
                let calls = self.sim.state().await["api_calls"].as_u64();
                let now = Some((calls, self.hits().await));
                if now != asked {
                    (asked, moved) = (now, looked);
                }
            }
            match plan.reader {
                Reader::Fast => {}
                Reader::Blocked(time) => running.read_output(started.elapsed() > time),
                Reader::Slow => {
                    slow = !slow;
                    running.read_output(slow);
                }
            }
            match stopped {
                None if self.is_due(plan, running, started).await => {
                    let name = if matches!(plan.ending, Ending::Kill(_)) {
                        "KILL"
                    } else {
                        "TERM"
                    };
                    running.signal(name).await;
                    stopped = Some(Instant::now());
                }
                Some(at) if followed.jobs_after_a_stop.is_none() && at.elapsed() >= CREATES_FOR => {
                    followed.jobs_after_a_stop = Some(self.sim.jobs().await.len());
                }
                Some(at) if at.elapsed() > obeys => {
                    followed
                        .violations
                        .push(format!("still runs {obeys:?} after a stop"));
                    break;
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        followed
    }

    /// Whether the moment has come at which the process is killed or stopped.
    async fn is_due(&self, plan: &Plan, running: &Running, started: Instant) -> bool {
        match plan.ending {
            Ending::Kill(moment) | Ending::Terminate(moment) => match moment {
                Moment::States(count) => running.states() >= count,
                Moment::Jobs(count) => self.sim.jobs().await.len() >= count,
                Moment::Time(time) => started.elapsed() >= time,
            },
            Ending::Itself | Ending::Cut { .. } => false,
        }
    }

    async fn hits(&self) -> Vec<(String, u64)> {
        let mut hits = self.sim.fault_hits().await;
        if let Some(bucket) = &self.bucket {
            let counted = bucket.fault_hits().into_iter();
            hits.extend(counted.map(|(name, count)| (name, count.into())));
        }
        hits
    }

    /// All faults are over, and closed jobs come to their end.
    pub(super) async fn calm(&self, plan: &Plan) {
        self.sim.clear_faults().await;
        if let Some(bucket) = &self.bucket {
            bucket.set_faults(Vec::new());
        }
        if plan
            .faults
            .iter()
            .any(|fault| fault.cell == cells::NEVER_ENDS)
        {
            return;
        }
        self.sim
            .wait_for("the end of the closed jobs", |state| {
                let jobs = state["jobs"].as_array().unwrap();
                jobs.iter().all(|job| !check::is_running(job))
            })
            .await;
    }

    /// What the org holds, by object.
    pub(super) async fn held(&self, plan: &Plan) -> BTreeMap<&'static str, Vec<Value>> {
        let mut held = BTreeMap::new();
        for stream in &plan.streams {
            let object = stream.shape.object;
            if !held.contains_key(object) {
                held.insert(object, self.sim.rows(object).await);
            }
        }
        held
    }

    /// Files of rejected records, by name; none if these are only counted.
    fn reject_files(&self, plan: &Plan) -> Option<BTreeMap<String, String>> {
        match (&self.bucket, plan.rejects) {
            (Some(bucket), _) => Some(bucket.objects()),
            (None, RejectsTo::Folder) => Some(self.job.reject_files().into_iter().collect()),
            _ => None,
        }
    }

    /// Rejected records by stream; none if they are only counted.
    pub(super) fn rejects(
        &self,
        plan: &Plan,
        violations: &mut Vec<String>,
    ) -> Option<Vec<Vec<Rejected>>> {
        let files = self.reject_files(plan)?;
        let mut rejects: Vec<Vec<Rejected>> = plan.streams.iter().map(|_| Vec::new()).collect();
        for (name, content) in &files {
            let streams = plan.streams.iter();
            let mut found = streams.map(|stream| name.contains(&format!("/{}/", stream.name)));
            match found.position(|found| found) {
                Some(stream) => rejects[stream].extend(rejected::read(name, content)),
                None if content.contains("_airbyte") => {
                    violations.push(format!("a file of no stream: {name}"));
                }
                None => {}
            }
        }
        Some(rejects)
    }

    /// Keeps what was printed, beside the plan, where a developer finds it.
    pub(super) fn keep(&self, plan: &Plan, output: &Output) {
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("storm");
        let _ = std::fs::create_dir_all(&directory);
        let text = format!(
            "{plan:#?}\n\nexit {:?}\n{}\n{}",
            output.code,
            output.lines.join("\n"),
            output.stderr
        );
        let _ = std::fs::write(directory.join(format!("{}.txt", plan.seed)), text);
        let input: Vec<&str> = self
            .input
            .lines
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        let _ = std::fs::write(
            directory.join(format!("{}.jsonl", plan.seed)),
            input.join("\n"),
        );
    }
}

/// Puts the records into the org that updates and deletes are for; their Ids by stream.
async fn existing(sim: &TestSim, plan: &Plan) -> Vec<Vec<String>> {
    let mut ids = Vec::new();
    for (number, stream) in plan.streams.iter().enumerate() {
        let shape = stream.shape;
        let mut csv = shape.identity.to_owned();
        for field in shape.required {
            csv.push(',');
            csv.push_str(field);
        }
        let mark = format!("before-{number}-");
        for record in 0..stream.existing {
            csv.push_str(&format!("\n{mark}{record}"));
            csv.push_str(&",Before".repeat(shape.required.len()));
        }
        if stream.existing == 0 {
            ids.push(Vec::new());
            continue;
        }
        sim.insert(shape.object, &csv).await;
        let rows = sim.rows(shape.object).await;
        let own = rows.iter().filter(|row| {
            row[shape.identity]
                .as_str()
                .is_some_and(|text| text.starts_with(&mark))
        });
        let mut own: Vec<String> = own
            .map(|row| row["Id"].as_str().unwrap().to_owned())
            .collect();
        own.sort();
        ids.push(own);
    }
    ids
}

fn bucket_config(plan: &Plan, s3: &S3Server) -> Value {
    let mut config = storage(s3);
    let random = &mut fastrand::Rng::with_seed(plan.seed);
    let flattening = *random
        .choice(&["No flattening", "Root level flattening"])
        .unwrap();
    let format = *random.choice(&["CSV", "JSONL"]).unwrap();
    config["format"] = json!({"format_type": format, "flattening": flattening});
    if random.bool() {
        config["compression"] = json!({"compression_type": "GZIP"});
    }
    config
}
