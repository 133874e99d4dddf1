//! `verify`: what a run has sent, compared with what its org has now.

mod differences;
mod findings;
mod report;

use std::process::ExitCode;
use std::sync::Arc;

use arrow_salesforce::Operation;
use futures::TryStreamExt as _;

use super::interrupt::Interrupt;
use super::prepare::values;
use crate::cli::after::VerifyArgs;
use crate::credentials;
use crate::error::{CliError, Result};
use crate::records;
use crate::records::compare::{Now, joined};
use crate::records::sent::Receipts;
use crate::run::{RunFolder, RunRecord, RunState, Runs};
use crate::sql;
use crate::watch::Watch;
use crate::watch::numbers::counted;
use differences::DifferencesFile;
use findings::Findings;
use report::Report;

/// Share of the memory that the comparison may take.
const SHARE: usize = 2;

/// The file of the differences, in the folder of the run.
const DIFFERENCES: &str = "differences.csv";

/// All records are as they were sent.
const EQUAL: u8 = 0;
/// Some are not, or cannot be compared.
const DIFFERENT: u8 = 3;

/// Compares the org with what a run has sent.
pub(crate) async fn verify(args: VerifyArgs) -> Result<ExitCode> {
    let watch = Watch::new(&args.output);
    let interrupt = Interrupt::listen()?;
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let folder = runs.find(&args.run).await?;
    let record = folder.read().await?;
    // A run at work changes what it is compared with.
    let _lock = folder.lock().await?;
    if record.state != RunState::Finished {
        watch.say(&format!(
            "the run {} has not finished: what it has sent until now is compared",
            record.id
        ));
    }
    let report = tokio::select! {
        report = Box::pin(compare(&args, &folder, &record, &watch)) => report?,
        () = interrupt.asked() => return Err(CliError::failed("stopped before all was compared")),
    };
    report.show(args.output.json);
    Ok(ExitCode::from(match report.is_equal() {
        true => EQUAL,
        false => DIFFERENT,
    }))
}

async fn compare(
    args: &VerifyArgs,
    folder: &RunFolder,
    record: &RunRecord,
    watch: &Watch,
) -> Result<Report> {
    let receipts = Receipts::find(folder, record).await?;
    let org = credentials::org(&args.org, &record.spec).await?;
    let now = org.client().org_id();
    if now != record.org {
        return Err(CliError::usage(format!(
            "the run {} has loaded into the org {}, and this login is of the org {now}: log in to that \
             one",
            record.id, record.org
        )));
    }
    let object = org.object(&record.spec.object).await?;
    let operation = record.spec.operation();
    let values = values(&record.spec)?;
    let source = receipts.source();
    let comparison = records::comparison(&org, source, &object, &operation, values).await?;
    let comparison = Arc::new(comparison);
    for left_out in comparison.left_out() {
        let (name, reason) = (&left_out.name, left_out.reason);
        watch.say(&format!("{name} is not compared: it {reason}"));
    }
    let memory = usize::try_from(org.options().memory_limit_bytes).unwrap_or(usize::MAX);
    let session = sql::session(memory / SHARE, true)?;
    // What is made on the way goes with the directory.
    let directory = tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(folder.local()?);
    let directory = directory.map_err(|error| {
        let place = folder.local_path().display();
        CliError::failed(format!(
            "{place}: a directory cannot be made in it: {error}"
        ))
    })?;
    let sent = receipts
        .sent(&comparison, &session, directory.path())
        .await?;
    let client = org.client();
    let now = Now::of(client, &object, &comparison, &sent, &session).await?;
    watch.say(&format!(
        "{} of the run are read {}",
        counted(sent.records - sent.without_id, "record"),
        now.said()
    ));
    let now = now.read(directory.path()).await?;
    let path = match &args.differences {
        Some(path) => path.clone(),
        None => folder.local()?.join(DIFFERENCES),
    };
    let deleted = matches!(operation, Operation::Delete | Operation::HardDelete);
    let user = record.user.as_deref();
    let file = DifferencesFile::create(&path)?;
    let mut findings = Findings::new(&comparison, deleted, user, file);
    let mut rows = joined(&session, &sent, &now).await?;
    while let Some(batch) = rows.try_next().await? {
        findings.add(&batch)?;
    }
    let found = findings.finish()?;
    client.login_at_rest().await;
    Ok(Report::new(record, found, &path))
}

#[cfg(test)]
mod tests;
