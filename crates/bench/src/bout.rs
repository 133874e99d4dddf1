//! One run of one loader: the org, the input, the loader, the judgement.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use salesforce_sim::Profile;
use serde_json::{Map, Value};

use crate::error::{At, Error, Result};
use crate::input::{self, Form, Input};
use crate::judge::Judge;
use crate::loaders;
use crate::org::Org;
use crate::plan::Plan;
use crate::rejects::Rejects;
use crate::result::{self, Cost, Judged, Loader, Name, Outcome, Point, Report};
use crate::watch::{self, End, Job, Usage};
use crate::workload::Operation;

/// Pause between two looks at the org's jobs, where the loader is to be killed.
const LOOK: Duration = Duration::from_millis(20);

/// A loader, and what it needs.
pub(crate) struct Entry {
    pub(crate) loader: Loader,
    pub(crate) forms: Vec<Form>,
    pub(crate) stdin: Option<Form>,
    pub(crate) known: Option<loaders::Loader>,
    pub(crate) command: Vec<OsString>,
    /// Settings that are added to Airbyte's config.
    pub(crate) settings: Map<String, Value>,
}

/// What an org is like.
pub(crate) struct Like {
    pub(crate) name: String,
    pub(crate) profile: Profile,
}

/// Runs a loader once in `folder`, with inputs below `out`, and judges it.
pub(crate) async fn run(
    plan: &Plan,
    entry: &Entry,
    like: &Like,
    timeout: Duration,
    folder: &Path,
    out: &Path,
) -> Result<Report> {
    let cannot = match &entry.known {
        Some(known) => known
            .cannot(plan.workload)
            .map(str::to_owned)
            .or_else(|| known.install().err().map(|error| error.to_string())),
        None => None,
    };
    let mut report = Report {
        version: result::VERSION,
        loader: entry.loader.clone(),
        workload: Name {
            name: plan.workload.name(),
            about: plan.workload.about(),
            fault: plan.workload.is_fault(),
            streams: plan.streams,
            columns: plan.columns.len() as u64 + 1,
            bad: plan.bad_share,
        },
        scale: plan.scale,
        seed: plan.seed,
        profile: like.name.clone(),
        timeout_seconds: Some(timeout.as_secs_f64()),
        outcome: Outcome::NotRun,
        reason: cannot.clone(),
        exit_code: None,
        judged: None,
        cost: None,
        runs: Vec::new(),
        memory: Vec::new(),
        jobs: Vec::new(),
    };
    if cannot.is_none() {
        let input = Input::make(plan, &entry.forms, out)?;
        let org = Org::start(like.profile.clone(), plan.seed, folder)?;
        org.prepare(plan).await?;
        let bout = Bout {
            plan,
            entry,
            input: &input,
            org: &org,
            folder,
            timeout,
        };
        match bout.fight(&mut report).await {
            Ok(()) => {}
            // Nothing ran.
            Err(error @ Error::Command { .. }) => return Err(error),
            Err(error) => {
                report.outcome = Outcome::Failed;
                report.reason = Some(format!("it could not be judged: {error}"));
            }
        }
    }
    Ok(report)
}

/// One loader against one org.
struct Bout<'a> {
    plan: &'a Plan,
    entry: &'a Entry,
    input: &'a Input,
    org: &'a Org,
    folder: &'a Path,
    timeout: Duration,
}

impl Bout<'_> {
    async fn fight(&self, report: &mut Report) -> Result<()> {
        // What a loader notes beside its rejects is below the same folder, and of no row.
        let rejects = self.folder.join("store/rejected");
        fs::create_dir_all(&rejects).at(&rejects)?;
        let config = self.folder.join("config.json");
        input::write_config(self.org.url(), &rejects, &self.entry.settings, &config)?;
        let job = self.job(&rejects, &config).await?;
        report.loader.command = job
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();

        let kills = self.plan.workload.kills();
        let mut run = self.watched(job.clone(), kills).await?;
        if run.end == End::Killed {
            let again = self.again(job, &run.states)?;
            let mut second = self.watched(again, false).await?;
            run.states.append(&mut second.states);
            run.sizes.extend(second.sizes);
            run.usage = run.usage.then(second.usage);
            run.end = second.end;
        }

        let state = self.settled().await?;
        let rejects = Rejects::read(self.plan, &rejects, &run.sizes);
        let ended_well = run.end == End::Code(Some(0));
        let wants_states = ended_well && self.entry.stdin == Some(Form::Messages);
        let judge = Judge::new(self.plan, &rejects, run.began);
        let mut judged = judge.judge(self.org, &run.states, wants_states).await?;
        judged
            .samples
            .extend(rejects.broken.iter().take(3).cloned());
        if rejects.unknown > 0 {
            let rows = rejects.unknown;
            judged.samples.push(format!(
                "{rows} rows of the files of rejects are of no record: is the key in each?"
            ));
        }
        report.jobs = jobs(&state, run.began);
        report.cost = Some(self.cost(&run.usage, &state));
        let points = run.usage.memory.iter();
        report.memory = points
            .map(|&(seconds, bytes)| Point { seconds, bytes })
            .collect();
        (report.outcome, report.reason) = outcome(run.end, &judged);
        report.exit_code = match run.end {
            End::Code(code) => code,
            End::TimedOut | End::Killed => None,
        };
        report.judged = Some(judged);
        Ok(())
    }

    /// What the org says once all jobs that were closed have ended, as they do without the loader.
    async fn settled(&self) -> Result<Value> {
        let start = Instant::now();
        loop {
            let state = self.org.get("/sim/state").await?;
            let mut jobs = state["jobs"].as_array().into_iter().flatten();
            let works = |job: &Value| {
                let state = job["state"].as_str();
                matches!(state, Some("UploadComplete" | "InProgress"))
            };
            if start.elapsed() > self.timeout || !jobs.any(works) {
                return Ok(state);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The command with its environment, which docs/benchmarks.md lists.
    async fn job(&self, rejects: &Path, config: &Path) -> Result<Job> {
        let mut paths = BTreeMap::from([
            ("catalog", self.input.catalog()),
            ("config", config.to_owned()),
        ]);
        for form in &self.entry.forms {
            let name = form.to_possible_value();
            let name = name.as_ref().map_or("", |value| value.get_name());
            let known = ["csv", "parquet", "messages"]
                .into_iter()
                .find(|known| *known == name);
            paths.extend(known.map(|name| (name, self.input.path(*form))));
        }
        let workload = self.plan.workload;
        let mut environment: Vec<(String, OsString)> = [
            ("INSTANCE_URL", self.org.url().to_owned()),
            ("ACCESS_TOKEN", self.org.token().await?),
            ("CLIENT_ID", "sim-client-id".to_owned()),
            ("CLIENT_SECRET", "sim-client-secret".to_owned()),
            ("REFRESH_TOKEN", "sim-refresh-token".to_owned()),
            ("API_VERSION", "62.0".to_owned()),
            ("OBJECT", workload.object().to_owned()),
            ("OPERATION", workload.operation().name().to_owned()),
            ("ROWS", self.plan.scale.to_string()),
            ("KEY", workload.key().to_owned()),
        ]
        .map(|(name, value)| (format!("BENCH_{name}"), value.into()))
        .into();
        if workload.operation() == Operation::Upsert {
            environment.push(("BENCH_EXTERNAL_ID".to_owned(), workload.key().into()));
        }
        environment.push(("BENCH_REJECTS".to_owned(), rejects.into()));
        environment.push(("BENCH_FOLDER".to_owned(), self.folder.into()));
        for (name, path) in &paths {
            environment.push((format!("BENCH_{}", name.to_uppercase()), path.into()));
        }
        let command = match &self.entry.known {
            Some(known) => known.command(&paths)?,
            None => self.entry.command.iter().map(absolute).collect(),
        };
        Ok(Job {
            command,
            environment,
            stdin: self.entry.stdin.map(|form| self.input.path(form)),
            folder: self.folder.to_owned(),
            rejects: rejects.to_owned(),
            timeout: self.timeout,
        })
    }

    /// The command once more, as whoever runs it would: a source goes on behind its last state.
    fn again(&self, job: Job, states: &[watch::State]) -> Result<Job> {
        let Some(Form::Messages) = self.entry.stdin else {
            return Ok(job);
        };
        let cursor = states.iter().map(|state| state.cursor).max().unwrap_or(0);
        let path = self.folder.join("again.jsonl");
        self.input.behind(cursor, &path)?;
        Ok(Job {
            stdin: Some(path),
            ..job
        })
    }

    /// Runs the command on a thread of its own; with `kills`, until its first job is closed.
    async fn watched(&self, job: Job, kills: bool) -> Result<watch::Run> {
        let (kill, asked) = channel();
        let running = tokio::task::spawn_blocking(move || watch::run(&job, &asked));
        if kills {
            self.kill_in_time(&kill, || running.is_finished()).await?;
        }
        let run = running.await;
        drop(kill);
        run.map_err(|error| Error::Input(error.to_string()))?
    }

    async fn kill_in_time(&self, kill: &Sender<()>, has_ended: impl Fn() -> bool) -> Result<()> {
        while !has_ended() {
            let state = self.org.get("/sim/state").await?;
            let mut jobs = state["jobs"].as_array().into_iter().flatten();
            if jobs.any(|job| job["closed_ms"].is_number()) {
                // One that has just ended needs no kill.
                let _ = kill.send(());
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn cost(&self, usage: &Usage, state: &Value) -> Cost {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let jobs = state["jobs"].as_array().map_or(&[][..], Vec::as_slice);
        let sum = |key: &str| jobs.iter().map(|job| number(&job[key])).sum();
        let org = &state["org"];
        let clock = |key: &str| {
            org["slots"]
                .is_number()
                .then(|| org[key].as_f64())
                .flatten()
        };
        let input = self.entry.stdin.or(self.entry.forms.first().copied());
        let input = input.and_then(|form| fs::metadata(self.input.path(form)).ok());
        Cost {
            wall_seconds: usage.wall_seconds,
            cpu_seconds: usage.cpu_seconds,
            peak_memory_bytes: usage.peak_memory_bytes,
            processes: usage.processes as u64,
            read_bytes: usage.read_bytes,
            written_bytes: usage.written_bytes,
            disk_read_bytes: usage.disk_read_bytes,
            disk_written_bytes: usage.disk_written_bytes,
            input_bytes: input.map_or(0, |file| file.len()),
            uploaded_bytes: sum("bytes"),
            calls: number(&state["api_calls"]),
            polls: number(&state["requests"]["poll"]),
            // The first is the referee's own.
            logins: number(&state["tokens_issued"]).saturating_sub(1),
            jobs: jobs.len() as u64,
            batches: number(&state["batches"]),
            jobs_at_once: number(&state["max_in_flight"]),
            rows_sent: sum("rows"),
            lock_errors: number(&org["lock_errors"]),
            org_seconds: clock("seconds"),
            org_busy_seconds: clock("busy_seconds"),
            org_slots: org["slots"].as_u64(),
            org_speed: clock("speed"),
            org_late_seconds: clock("late_seconds"),
        }
    }
}

/// A program that is named by a path runs in another folder.
fn absolute(word: &OsString) -> OsString {
    let path = Path::new(word);
    let names_a_file = path.components().count() > 1 && path.exists();
    let found = names_a_file
        .then(|| std::path::absolute(path).ok())
        .flatten();
    found.map_or_else(|| word.clone(), PathBuf::into_os_string)
}

#[allow(clippy::cast_precision_loss, reason = "seconds for people")]
fn jobs(state: &Value, began: u64) -> Vec<result::Job> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let seconds = |value: &Value| Some(value.as_u64()?.saturating_sub(began) as f64 / 1e3);
    let jobs = state["jobs"].as_array().into_iter().flatten();
    jobs.map(|job| result::Job {
        object: text(&job["object"]),
        operation: text(&job["operation"]),
        state: text(&job["state"]),
        rows: number(&job["rows"]),
        failed: number(&job["failed"]),
        bytes: number(&job["bytes"]),
        created: seconds(&job["created_ms"]).unwrap_or_default(),
        closed: seconds(&job["closed_ms"]),
        ended: seconds(&job["ended_ms"]),
    })
    .collect()
}

fn outcome(end: End, judged: &Judged) -> (Outcome, Option<String>) {
    let faults: Vec<String> = judged
        .faults()
        .into_iter()
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
    let faults = (!faults.is_empty()).then(|| faults.join(", "));
    match end {
        End::Code(Some(0)) if faults.is_none() => (Outcome::Passed, None),
        End::Code(Some(0)) => (Outcome::Wrong, faults),
        End::TimedOut => (Outcome::TimedOut, Some("it took too long".to_owned())),
        End::Killed | End::Code(None) => (Outcome::Failed, Some("a signal ended it".to_owned())),
        End::Code(Some(code)) => {
            let said = format!("exit code {code}");
            (
                Outcome::Failed,
                Some(
                    [Some(said), faults]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join("; "),
                ),
            )
        }
    }
}
