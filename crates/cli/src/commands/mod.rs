//! What may be asked for.

mod rejects;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::CliError;

/// Does it, and says what to exit with.
pub(crate) async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            error.code()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Rejects(args) => rejects::rejects(&args).await,
        _ => Err(CliError::usage("nothing is there yet")),
    }
}
