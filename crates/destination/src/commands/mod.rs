//! What the platform may ask: one module a command.

mod check;
mod discover;
mod rotation;
mod spec;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::failure::Failure;
use crate::log;
use crate::protocol::message::{Message, Output};

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
}

/// Does what `command` says, with every message and log line on stdout.
///
/// The exit code is 0 on success, and where `check` answered that the config does not work; 1 after
/// a failure, which one error trace on stdout explains.
pub async fn run(command: Command) -> ExitCode {
    let output = Arc::new(Output::stdout());
    log::install(Arc::clone(&output));
    match execute(command, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.log();
            let Failure { error, stream } = failure;
            // If stdout is closed, the exit code is all that is left to say it with.
            let _ = output.print(&Message::error(&error, stream));
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command, output: &Arc<Output>) -> Result<(), Failure> {
    match command {
        Command::Spec => Ok(spec::run(output)?),
        Command::Check { config } => Ok(check::run(&config, output).await?),
        Command::Discover { config } => Ok(discover::run(&config, output).await?),
        Command::Write { config, catalog } => write::run(&config, &catalog, output).await,
    }
}
