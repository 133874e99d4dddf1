//! `resume`.

use std::process::ExitCode;

use super::drive;
use super::interrupt::Interrupt;
use super::prepare::Prepared;
use super::{snapshot, undo};
use crate::cli::ResumeArgs;
use crate::cli::after::UndoArgs;
use crate::error::{CliError, Result};
use crate::input::FileState;
use crate::run::{RunFolder, RunRecord, RunState, Runs};
use crate::watch::Watch;

/// Goes on with a run that stopped.
pub(crate) async fn resume(args: ResumeArgs) -> Result<ExitCode> {
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let folder = runs.find(&args.run).await?;
    let record = folder.read().await?;
    if let Some(undone) = &record.undo_of
        && record.state != RunState::Finished
    {
        // What is left to take back is found anew: records may have changed since.
        let again = UndoArgs {
            run: undone.clone(),
            dry_run: false,
            overwrite: false,
            org: args.org,
            output: args.output,
            place: args.place,
        };
        let code = undo::undo(again).await?;
        if code == ExitCode::SUCCESS {
            let reason = "what was left of it was done by later runs".to_owned();
            let (state, error) = (RunState::Finished, Some(reason));
            let done = RunRecord {
                state,
                error,
                ..record
            };
            folder.write(&done).await?;
        }
        return Ok(code);
    }
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
