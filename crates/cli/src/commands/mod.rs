//! What may be asked for.

mod completions;
mod drive;
mod dry_run;
mod interrupt;
mod load;
mod prepare;
mod rejected;
mod rejects;
mod reload;
mod runs;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::Result;

/// Does it, and says what to exit with.
pub(crate) async fn run(cli: Cli) -> ExitCode {
    match Box::pin(dispatch(cli)).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            error.code()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Load(args) => Box::pin(load::load(*args)).await,
        Command::Resume(args) => Box::pin(load::resume(args)).await,
        Command::Rejects(args) => Box::pin(rejects::rejects(*args)).await,
        Command::Runs(args) => runs::runs(args).await.map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            completions::completions(shell).map(|()| ExitCode::SUCCESS)
        }
        Command::Man => completions::man().map(|()| ExitCode::SUCCESS),
    }
}
