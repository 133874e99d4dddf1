//! `run`: each loader on each task, as often as asked for, and what comes of it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum as _;

use crate::bout::{self, Entry, Like};
use crate::cli;
use crate::columns;
use crate::error::{At, Error, Result};
use crate::input::Form;
use crate::loaders;
use crate::org;
use crate::plan::Plan;
use crate::repeats::merged;
use crate::result::{Loader, Outcome, Report};
use crate::watch;
use crate::workload::Workload;

/// Runs all tasks. Loaders take turns: what else the machine does hits them alike.
pub(crate) async fn run(options: cli::Run) -> Result<ExitCode> {
    let entries = entries(&options)?;
    let plans = plans(&options)?;
    let file = Path::new(&options.profile).file_stem().unwrap_or_default();
    let like = Like {
        name: file.to_string_lossy().into_owned(),
        profile: org::profile(&options.profile)?,
    };
    fs::create_dir_all(&options.out).at(&options.out)?;
    let out = fs::canonicalize(&options.out).at(&options.out)?;
    let _alone = alone(&out)?;
    let (mut all_right, mut broken) = (true, false);
    for plan in &plans {
        let mut results: Vec<Vec<Report>> = vec![Vec::new(); entries.len()];
        for round in 1..=options.repeat {
            for (entry, runs) in entries.iter().zip(&mut results) {
                let again = [Outcome::Passed, Outcome::Wrong, Outcome::Failed];
                if runs.last().is_some_and(|run| !again.contains(&run.outcome)) {
                    continue;
                }
                let name = format!("{}-{}-{}", plan.name(), like.name, entry.loader.name);
                let folder = folder(&out.join(name), round, options.repeat)?;
                let run = bout::run(plan, entry, &like, options.timeout, &folder.run, &out);
                let run = run.await;
                if watch::ends() {
                    // Whoever asked for the end also has the exit code.
                    return std::future::pending().await;
                }
                let report = match run {
                    Ok(report) => report,
                    // One run that cannot be judged does not cost the others.
                    Err(error) => {
                        eprintln!("salesforce-bench: {}: {error}", folder.run.display());
                        broken = true;
                        continue;
                    }
                };
                all_right &= matches!(report.outcome, Outcome::Passed | Outcome::NotRun);
                let said = said(&report);
                runs.push(report);
                let path = write(runs, &folder.result)?;
                // Who reads no further than he needs has the result in its file.
                let _ = io::stdout().write_all(format!("{said}\n{}\n", path.display()).as_bytes());
            }
        }
    }
    Ok(match (broken, all_right) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Keeps other runs out of a folder, until it is dropped: two would remove each other's files, and
/// measure each other.
fn alone(out: &Path) -> Result<File> {
    let path = out.join("lock");
    let file = File::create(&path).at(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another run works in {}: give another --out", out.display());
            Err(Error::Input(message))
        }
        Err(TryLockError::Error(error)) => Err(error).at(&path),
    }
}

/// Where a loader's result on a task goes, and where one of its runs works.
struct Folder {
    result: PathBuf,
    run: PathBuf,
}

/// Makes the folder of a run; with the first one, what is there from before goes.
fn folder(result: &Path, round: u32, rounds: u32) -> Result<Folder> {
    if round == 1 && result.exists() {
        fs::remove_dir_all(result).at(result)?;
    }
    let run = if rounds == 1 {
        result.to_owned()
    } else {
        result.join(format!("run-{round}"))
    };
    fs::create_dir_all(&run).at(&run)?;
    Ok(Folder {
        result: result.to_owned(),
        run,
    })
}

/// Writes the result of the runs so far.
fn write(runs: &[Report], folder: &Path) -> Result<PathBuf> {
    // A loader may have removed it.
    fs::create_dir_all(folder).at(folder)?;
    let path = folder.join("result.json");
    let report = merged(runs);
    let text =
        serde_json::to_string_pretty(&report).map_err(|error| Error::Input(error.to_string()))?;
    fs::write(&path, text).at(&path)?;
    Ok(path)
}

/// The tasks: each workload in each size, with what is given in place of its own numbers.
fn plans(options: &cli::Run) -> Result<Vec<Plan>> {
    fn each<T: Copy>(given: &[T]) -> Vec<Option<T>> {
        if given.is_empty() {
            return vec![None];
        }
        given.iter().copied().map(Some).collect()
    }
    let mut workloads = options.workload.clone();
    if workloads.is_empty() {
        workloads = Workload::value_variants().to_vec();
    }
    let mut plans: Vec<Plan> = Vec::new();
    for workload in workloads {
        for scale in &options.scale {
            for streams in each(&options.streams) {
                for columns in each(&options.columns) {
                    for bad in each(&options.bad) {
                        let mut plan = plan(workload, *scale, options.seed, streams, columns)?;
                        plan.bad_share = bad.unwrap_or(plan.bad_share);
                        // The same size in other words is the same task.
                        if plans.iter().all(|other| other.name() != plan.name()) {
                            plans.push(plan);
                        }
                    }
                }
            }
        }
    }
    Ok(plans)
}

fn plan(
    workload: Workload,
    scale: u64,
    seed: u64,
    streams: Option<u64>,
    columns: Option<u64>,
) -> Result<Plan> {
    let mut plan = Plan::new(workload, scale, seed);
    plan.streams = streams.unwrap_or(plan.streams).min(scale);
    if let Some(columns) = columns {
        if workload != Workload::Wide {
            let message = "--columns is for the workload wide: others have columns of their own";
            return Err(Error::Input(message.to_owned()));
        }
        plan.columns = columns::wide(usize::try_from(columns).unwrap_or_default() - 1);
    }
    if workload.kills() && plan.streams > 1 {
        let message = "kill-repeat is of one stream: it goes on behind the last state of that";
        return Err(Error::Input(message.to_owned()));
    }
    Ok(plan)
}

/// The loaders by name, or the command.
fn entries(options: &cli::Run) -> Result<Vec<Entry>> {
    if options.loader.is_empty() {
        return Ok(vec![of_command(options)]);
    }
    if options.name.is_some() && options.loader.len() > 1 {
        let message = "--name is for one loader: others would have the same name in results";
        return Err(Error::Input(message.to_owned()));
    }
    let mut names: Vec<&String> = Vec::new();
    for name in &options.loader {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.iter().map(|name| of_name(name, options)).collect()
}

fn of_name(name: &str, options: &cli::Run) -> Result<Entry> {
    let known = loaders::Loader::find(name, &options.cache, options.program.as_deref())?;
    let manifest = known.manifest.clone();
    let settings = options.config.clone().unwrap_or_default();
    Ok(Entry {
        loader: Loader {
            known: Some(manifest.name.clone()),
            name: options.name.clone().unwrap_or(manifest.name),
            version: manifest.version,
            command: Vec::new(),
            settings: settings.clone(),
        },
        forms: manifest.inputs,
        stdin: manifest.stdin,
        known: Some(known),
        command: Vec::new(),
        settings,
    })
}

fn of_command(options: &cli::Run) -> Entry {
    let mut forms = options.input.clone();
    if forms.is_empty() {
        forms = Form::value_variants().to_vec();
    }
    forms.extend(options.stdin.filter(|form| !forms.contains(form)));
    let program = options.command.first().map(PathBuf::from);
    let program = program.unwrap_or_default();
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let settings = options.config.clone().unwrap_or_default();
    Entry {
        loader: Loader {
            name: options.name.clone().unwrap_or_else(|| name.into_owned()),
            known: None,
            version: None,
            command: Vec::new(),
            settings: settings.clone(),
        },
        forms,
        stdin: options.stdin,
        known: None,
        command: options.command.clone(),
        settings,
    }
}

/// What a run came to, for people.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn said(report: &Report) -> String {
    let outcome = match report.outcome {
        Outcome::Passed => "passed",
        Outcome::Wrong => "WRONG",
        Outcome::Failed => "FAILED",
        Outcome::TimedOut => "TIMED OUT",
        Outcome::NotRun => "not run",
    };
    let reason = report.reason.iter().map(|reason| format!(" ({reason})"));
    let reason: String = reason.collect();
    let (name, workload) = (&report.loader.name, &report.workload.name);
    let mut lines = vec![format!(
        "{name} {workload} {}: {outcome}{reason}",
        report.scale
    )];
    if let Some(judged) = &report.judged {
        lines.push(format!(
            "  {} of {} records right, {} rejects named, {} states",
            judged.right, judged.records, judged.rejects_named, judged.states
        ));
        lines.extend(judged.samples.iter().map(|sample| format!("  - {sample}")));
    }
    if let Some(cost) = &report.cost {
        lines.push(format!(
            "  {:.2} s, {:.2} CPU s, {:.0} MB, {} calls, {} jobs, {} batches, {} lock errors",
            cost.wall_seconds,
            cost.cpu_seconds,
            cost.peak_memory_bytes as f64 / 1e6,
            cost.calls,
            cost.jobs,
            cost.batches,
            cost.lock_errors
        ));
    }
    lines.join("\n")
}
