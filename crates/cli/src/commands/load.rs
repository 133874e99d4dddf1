//! `load`.

use std::process::ExitCode;

use arrow_salesforce::options::Older;
use chrono::Utc;

use super::drive;
use super::dry_run::dry_run;
use super::interrupt::Interrupt;
use super::prepare::Prepared;
use super::snapshot;
use crate::cli::LoadArgs;
use crate::error::Result;
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
    begin(&prepared, &folder, Origin::Typed, &interrupt, &watch).await
}

/// A folder for a run that begins now.
pub(crate) fn new_folder(place: Option<&str>) -> Result<RunFolder> {
    let runs = Runs::open(place)?;
    Ok(runs.folder(&Runs::new_id(Utc::now()))?)
}

/// Where the rows of a run come from.
pub(super) enum Origin {
    /// What was typed.
    Typed,
    /// Rejected records of a run, or of a place.
    Rejects(String),
    /// A run that is taken back.
    Undo(String),
}

/// Loads what is prepared as a new run.
pub(crate) async fn begin(
    prepared: &Prepared,
    folder: &RunFolder,
    origin: Origin,
    interrupt: &Interrupt,
    watch: &Watch,
) -> Result<ExitCode> {
    let now = Utc::now();
    let (rejects_of, undo_of) = match origin {
        Origin::Typed => (None, None),
        Origin::Rejects(of) => (Some(of), None),
        Origin::Undo(of) => (None, Some(of)),
    };
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
        undo_of,
        user: prepared.org.client().user_id(),
        attempts: Vec::new(),
        counts: RunCounts::default(),
        error: None,
    };
    drive::run(prepared, folder, record, Older::default(), interrupt, watch).await
}
