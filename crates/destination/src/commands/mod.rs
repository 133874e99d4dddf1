//! What the platform may ask: one module a command.

mod check;
mod discover;
mod ledger;
mod proof;
mod rotation;
mod signals;
mod spec;
mod stop;
mod write;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use arrow_salesforce::error::Error;
use futures::FutureExt as _;

use crate::failure::Failure;
use crate::log;
use crate::protocol::message::Message;
use crate::protocol::output::Output;
use stop::Stop;

/// What the platform asks of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Prints the settings that a config may hold.
    Spec,
    /// Tries a config: the org, and the location of rejected records.
    Check {
        /// Path of the config file.
        config: PathBuf,
    },
    /// Lists the objects of the org, and what can be done to them.
    Discover {
        /// Path of the config file.
        config: PathBuf,
    },
    /// Loads the records that come on stdin.
    Write {
        /// Path of the config file.
        config: PathBuf,
        /// Path of the configured catalog.
        catalog: PathBuf,
    },
    /// Shows the ledger of inserts, or deletes it. No command of Airbyte's: it prints text.
    Ledger {
        /// What to do.
        task: LedgerTask,
        /// Path of the config file.
        config: PathBuf,
    },
}

/// What to do with a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerTask {
    /// Lists its entries.
    List,
    /// Lists them with what a new attempt would do.
    Explain,
    /// Deletes them.
    Forget,
}

/// Does what `command` says, with every message and log line on stdout.
///
/// The exit code is 0 on success, and where `check` answered that the config does not work; 1 after
/// a failure, and after a signal, which one error trace on stdout explains.
pub async fn run(command: Command) -> ExitCode {
    let output = match Output::stdout() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    log::install(output.clone());
    let executed = AssertUnwindSafe(execute(command, &output)).catch_unwind();
    let failed = executed.await.unwrap_or_else(|_| Err(panicked()));
    let failed = failed.map_err(|failure| {
        failure.log();
        let Failure { error, stream } = failure;
        output.last_words(&Message::error(&error, stream));
    });
    match (failed, output.written().await) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn panicked() -> Failure {
    let text =
        "the process failed by a defect (a panic); please report it with the lines on stderr";
    Error::system(text).into()
}

async fn execute(command: Command, output: &Output) -> Result<(), Failure> {
    let command = match command {
        // Platforms end it by a signal once they have what they asked for: that is no failure.
        Command::Spec => return Ok(spec::run(output)?),
        other => other,
    };
    let stop = Stop::listen(output)?;
    match command {
        Command::Spec => Ok(()),
        Command::Check { config } => Ok(check::run(&config, output, &stop).await?),
        Command::Discover { config } => Ok(discover::run(&config, output, &stop).await?),
        Command::Ledger { task, config } => Ok(ledger::run(&config, task, output, &stop).await?),
        Command::Write { config, catalog } => write::run(&config, &catalog, output, &stop).await,
    }
}
