//! `runs`: those that are kept, and those that are deleted.

use std::io::{self, IsTerminal as _};

use chrono::{DateTime, Local, TimeDelta, Utc};
use comfy_table::CellAlignment;

use crate::cli::{PruneArgs, RunsArgs, RunsListArgs, RunsTask};
use crate::error::{CliError, Result};
use crate::guard;
use crate::run::{RunError, RunFolder, RunRecord, RunState, Runs};
use crate::watch::numbers::{count, counted};
use crate::watch::{Page, print, say, show};

/// A run that is kept.
struct Kept {
    folder: RunFolder,
    record: RunRecord,
}

/// Lists runs, or deletes old ones.
///
/// # Errors
/// If the place cannot be read.
pub(crate) async fn runs(args: RunsArgs) -> Result<()> {
    match args.task {
        None => list(&args.list).await,
        Some(RunsTask::Prune(args)) => prune(&args).await,
    }
}

async fn list(args: &RunsListArgs) -> Result<()> {
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let kept = kept(&runs).await?;
    if args.json {
        for run in &kept {
            print(&run.record);
        }
        return Ok(());
    }
    if kept.is_empty() {
        say(&format!("there are no runs in {}", runs.place()));
        return Ok(());
    }
    let titles = [
        "Run",
        "Began",
        "State",
        "Object",
        "Operation",
        "Read",
        "Accepted",
        "Rejected",
    ];
    let mut table = Page::of_stdout().table(&titles);
    for column in [5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for Kept { folder, record } in &kept {
        let counts = &record.counts;
        table.add_row([
            record.id.clone(),
            record
                .started
                .with_timezone(&Local)
                .format("%Y-%m-%d %H:%M")
                .to_string(),
            state(folder, record).await.to_owned(),
            record.spec.object.clone(),
            record.spec.operation().as_str().to_owned(),
            count(counts.read),
            count(counts.accepted),
            count(counts.rejected),
        ]);
    }
    show(&table.to_string());
    Ok(())
}

/// All runs whose record can be read, oldest first; the others are named.
async fn kept(runs: &Runs) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for id in runs.ids().await? {
        let folder = runs.folder(&id)?;
        match folder.read().await {
            Ok(record) => kept.push(Kept { folder, record }),
            // It is being deleted, or was made by another version.
            Err(
                error
                @ (RunError::NoRun { .. } | RunError::Damaged { .. } | RunError::Newer { .. }),
            ) => {
                say(&format!("warning: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

/// How a run is, in a word.
async fn state(folder: &RunFolder, record: &RunRecord) -> &'static str {
    match record.state {
        RunState::Running if is_at_work(folder).await => "running",
        RunState::Running => "killed",
        RunState::Stopped => "stopped",
        RunState::Failed => "failed",
        RunState::Finished => "finished",
    }
}

/// Whether a process of this machine works on a run.
async fn is_at_work(folder: &RunFolder) -> bool {
    matches!(folder.lock().await, Err(RunError::Busy { .. }))
}

async fn prune(args: &PruneArgs) -> Result<()> {
    let age = age(&args.older_than)?;
    let before = Utc::now()
        .checked_sub_signed(age)
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let mut old = Vec::new();
    for run in kept(&runs).await? {
        let is_old = run.record.changed <= before;
        if is_old && (run.record.state != RunState::Running || !is_at_work(&run.folder).await) {
            old.push(run);
        }
    }
    if old.is_empty() {
        show(&format!("no run is older than {}", args.older_than));
        return Ok(());
    }
    let unfinished = old
        .iter()
        .filter(|run| run.record.state != RunState::Finished);
    let unfinished = match unfinished.count() as u64 {
        0 => String::new(),
        number => format!(", {} of which can be resumed now", count(number)),
    };
    let all = counted(old.len() as u64, "run");
    // What was typed is clear: a script need not say it twice.
    if !args.yes && io::stdin().is_terminal() {
        guard::confirm(&format!(
            "this will delete {all} in {}{unfinished}, with all rejected records and receipts",
            runs.place()
        ))
        .await?;
    }
    for run in &old {
        run.folder.delete().await?;
    }
    show(&format!("{all} deleted"));
    Ok(())
}

/// A time such as `30d`.
///
/// # Errors
/// A usage error that says what is allowed.
fn age(text: &str) -> Result<TimeDelta> {
    let wrong = || {
        CliError::usage(format!(
            "--older-than {text}: it is a number with a unit, such as 30d, 12h or 90m"
        ))
    };
    let text = text.trim();
    let (end, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let number: u32 = text[..end].trim().parse().map_err(|_| wrong())?;
    let hours = |hours: u32| TimeDelta::try_hours(i64::from(number) * i64::from(hours));
    let age = match unit.to_ascii_lowercase() {
        'm' => TimeDelta::try_minutes(i64::from(number)),
        'h' => hours(1),
        'd' => hours(24),
        'w' => hours(24 * 7),
        _ => None,
    };
    age.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        let days = |text| age(text).unwrap().num_days();
        assert_eq!(
            ["30d", "48h", "2 W", "1440m", "0d"].map(days),
            [30, 2, 14, 1, 0]
        );
        for wrong in ["", "d", "30", "30 days", "-1d", "1.5d", "3ä"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
