//! `ledger`: what is entered, what a new attempt would do about it, and the way out.

use std::path::Path;

use super::stop::Stop;
use super::{LedgerTask, rotation};
use crate::config::Config;
use crate::protocol::output::Output;
use arrow_salesforce::bulk::{BulkError, Client, JobState};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::ledger::{Ledger, Listed, Listing, LoadIdentity};
use arrow_salesforce::storage::Storage;

/// Does what `task` says with the ledger of the config at `path`, and prints it as text.
///
/// # Errors
/// A config error if there is no ledger; those of reading and deleting it.
pub(super) async fn run(path: &Path, task: LedgerTask, output: &Output, stop: &Stop) -> Result<()> {
    let config = Config::read(path)?;
    let storage = storage(&config)?;
    if task == LedgerTask::Forget {
        let forgotten = stop
            .unless_asked(Ledger::forget(storage, config.org.waits))
            .await??;
        if forgotten.entries == 0 {
            return output.text("the ledger has no entries");
        }
        return output.text(&format!(
            "{} entries of {} loads are forgotten: the next syncs send all of their records",
            forgotten.entries, forgotten.loads
        ));
    }
    let Listing {
        entries,
        unreadable,
        ..
    } = stop.unless_asked(Ledger::list(storage)).await??;
    if entries.is_empty() && unreadable.is_empty() {
        return output.text("the ledger has no entries");
    }
    let lines = match task {
        LedgerTask::Explain => explain(&config, &entries, output, stop).await?,
        LedgerTask::List | LedgerTask::Forget => entries.iter().map(shown).collect(),
    };
    // Behind what the log says meanwhile.
    lines.iter().try_for_each(|line| output.text(line))?;
    unreadable
        .iter()
        .try_for_each(|error| output.text(&error.to_string()))
}

/// Entries, and what a new attempt would do about each.
async fn explain(
    config: &Config,
    entries: &[Listed],
    output: &Output,
    stop: &Stop,
) -> Result<Vec<String>> {
    let login = rotation::login(config, output).connect();
    let client = stop.unless_asked_for_long(login).await?;
    let client = client.map_err(Error::from)?;
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        let said = stop.unless_asked(explained(&client, entry)).await??;
        lines.push(format!("{}: {said}", shown(entry)));
    }
    Ok(lines)
}

fn storage(config: &Config) -> Result<Storage> {
    let rejects = config.reject_store()?;
    config.ledger_storage(rejects.as_ref())?.ok_or_else(|| {
        Error::config(
            "the config has no ledger: it needs object_storage_config, rejected_records_url or \
             ledger_url",
        )
    })
}

/// An entry as a line.
fn shown(entry: &Listed) -> String {
    let LoadIdentity {
        org,
        generation,
        ledger_id,
        ..
    } = &entry.load;
    let generation = generation.map_or_else(|| "none".to_owned(), |number| number.to_string());
    format!(
        "{} (org {org}, generation {generation}, ledger_id {ledger_id}): attempt {}, covered {}; job \
         {} of {}, {} rows, {} of them not covered, {} of these stored as rejected",
        entry.load,
        entry.attempt,
        entry.covered,
        entry.job,
        entry.written.format("%Y-%m-%dT%H:%M:%SZ"),
        entry.rows,
        entry.open,
        entry.rejected,
    )
}

/// What a new attempt would do about an entry.
async fn explained(client: &Client, entry: &Listed) -> Result<String> {
    if entry.open == 0 {
        return Ok("nothing is expected of it any more".to_owned());
    }
    if entry.at_work {
        return Ok(
            "its attempt has not said that it ended: a new one waits a minute whether it is at work"
                .to_owned(),
        );
    }
    let text = match client.job_state(&entry.job).await {
        Ok(JobState::Open) => "it is open: a new attempt aborts it, and it holds nothing",
        Ok(JobState::JobComplete) => {
            let counts = counts(client, &entry.job).await?;
            return Ok(format!(
                "it ended{counts}: rows that it inserted take the place of equal ones that come, if \
                 columns are sent as they were, the results say what became of each row, and the \
                 records are still there; else the new attempt ends with an error that says which"
            ));
        }
        Ok(JobState::Failed | JobState::Aborted) => {
            "it ended early: rows that its results show as inserted take the place of equal ones that \
             come, if columns are sent as they were and the records are still there; else the new \
             attempt ends with an error that says which"
        }
        Ok(_) => "it is in progress: a new attempt waits for it",
        Err(BulkError::JobGone { .. }) => {
            "Salesforce has no results of it any more: compare the org with the source, and set \
             ledger: forget"
        }
        Err(error) => return Err(error.into()),
    };
    Ok(text.to_owned())
}

/// How many rows a job that ended has inserted and refused, as far as it says.
async fn counts(client: &Client, job: &str) -> Result<String> {
    let ended = client.job(job).await.map_err(Error::from)?;
    let ended = ended.finished().await.map_err(Error::from)?;
    Ok(match (ended.processed, ended.failed) {
        (Some(processed), Some(refused)) => format!(
            ", with {} rows inserted and {refused} refused",
            processed.saturating_sub(refused)
        ),
        _ => String::new(),
    })
}
