//! `load` and `resume`.

use std::process::ExitCode;

use arrow_salesforce::options::Older;
use chrono::Utc;

use super::drive;
use super::dry_run::dry_run;
use super::interrupt::Interrupt;
use super::prepare::Prepared;
use super::snapshot;
use crate::cli::{LoadArgs, ResumeArgs};
use crate::error::{CliError, Result};
use crate::input::FileState;
use crate::mapping::Ignored;
use crate::run::{RunCounts, RunFolder, RunRecord, RunState, Runs, VERSION};
use crate::spec::LoadSpec;
use crate::watch::Watch;

/// Loads what was typed, or described in a file.
pub(crate) async fn load(args: LoadArgs) -> Result<ExitCode> {
    let spec = LoadSpec::of(&args)?;
    let interrupt = Interrupt::listen()?;
    let folder = new_folder(args.place.run_dir.as_deref())?;
    let watch = Watch::new(&args.output);
    let preparing = interrupt.before(Box::pin(Prepared::of(spec, &args.org, &folder)));
    let prepared = match preparing.await {
        Ok(prepared) => prepared,
        Err(error) => {
            folder.discard_local();
            return Err(error);
        }
    };
    for found in &prepared.found {
        watch.say(found);
    }
    for ignored in prepared.mapping.ignored() {
        let Ignored { column, reason } = ignored;
        watch.say(&format!("column {column} is left out: it {reason}"));
    }
    if let Some(how) = args.dry_run {
        let trying = dry_run(&prepared, how, args.output.json, &watch);
        let ended = interrupt.before(trying).await;
        folder.discard_local();
        return ended;
    }
    if let Err(error) = prepared.guard(&args.output).await {
        folder.discard_local();
        return Err(error);
    }
    let keeping = interrupt.before(snapshot::take(&prepared, &folder, &watch));
    if let Err(error) = keeping.await {
        folder.discard_local();
        return Err(error);
    }
    begin(&prepared, &folder, None, &interrupt, &watch).await
}

/// A folder for a run that begins now.
pub(crate) fn new_folder(place: Option<&str>) -> Result<RunFolder> {
    let runs = Runs::open(place)?;
    Ok(runs.folder(&Runs::new_id(Utc::now()))?)
}

/// Loads what is prepared as a new run.
pub(crate) async fn begin(
    prepared: &Prepared,
    folder: &RunFolder,
    rejects_of: Option<String>,
    interrupt: &Interrupt,
    watch: &Watch,
) -> Result<ExitCode> {
    let now = Utc::now();
    let record = RunRecord {
        version: VERSION,
        id: folder.id().to_owned(),
        started: now,
        changed: now,
        state: RunState::Running,
        org: prepared.org.client().org_id(),
        host: prepared.organization.host.clone(),
        spec: prepared.spec.clone(),
        pairs: prepared.mapping.pairs().to_vec(),
        directory: std::env::current_dir().ok(),
        files: prepared.files.clone(),
        volatile: prepared.volatile,
        rejects_of,
        attempts: Vec::new(),
        counts: RunCounts::default(),
        error: None,
    };
    drive::run(prepared, folder, record, Older::default(), interrupt, watch).await
}

/// Goes on with a run that stopped.
pub(crate) async fn resume(args: ResumeArgs) -> Result<ExitCode> {
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let folder = runs.find(&args.run).await?;
    let record = folder.read().await?;
    go_on(folder, record, &args).await
}

async fn go_on(folder: RunFolder, record: RunRecord, args: &ResumeArgs) -> Result<ExitCode> {
    let (org, output, older) = (&args.org, &args.output, args.ledger.older());
    if record.state == RunState::Finished {
        return Err(CliError::usage(format!(
            "the run {} has finished: {} records were accepted and {} rejected. \
             `arrow-salesforce rejects {}` shows the latter",
            record.id, record.counts.accepted, record.counts.rejected, record.id
        )));
    }
    if record.volatile && !record.spec.materialize {
        return Err(CliError::usage(format!(
            "the query of the run {} gives other rows each time (random(), now() or the like), so \
             nobody can say which of them are loaded. Load anew with --materialize, which keeps the \
             rows",
            record.id
        )));
    }
    let watch = Watch::new(output);
    let mut spec = record.spec.clone();
    // All rows from here on.
    spec.sample = None;
    let interrupt = Interrupt::listen()?;
    let org = &org.clone().absolute();
    if let Some(directory) = &record.directory {
        // If it is gone, a message names the input that is not found.
        let _ = std::env::set_current_dir(directory);
    }
    let preparing = interrupt.before(Box::pin(Prepared::of(spec, org, &folder)));
    let prepared = preparing.await?;
    if !record.spec.materialize {
        unchanged(&record, &prepared.files)?;
    }
    let now = prepared.org.client().org_id();
    if now != record.org {
        return Err(CliError::usage(format!(
            "the run {} loads into the org {}, and this login is of the org {now}: log in to that one",
            record.id, record.org
        )));
    }
    snapshot::missing(&folder, &record, &watch);
    drive::run(&prepared, &folder, record, older, &interrupt, &watch).await
}

/// Fails if the files are others than they were.
fn unchanged(record: &RunRecord, now: &[FileState]) -> Result<()> {
    let changes = FileState::changes(&record.files, now);
    if changes.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "the inputs have changed since the run {} began, so its positions mean nothing any more: {}. \
         Put the files back as they were, or load anew; what the run has loaded stays in the org",
        record.id,
        changes.join("; ")
    )))
}
