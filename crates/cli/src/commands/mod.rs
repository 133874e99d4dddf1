//! What may be asked for.

mod answer;
mod completions;
mod copy;
mod describe;
mod drive;
mod dry_run;
mod interrupt;
mod limits;
mod load;
mod login;
mod logout;
mod objects;
mod orgs;
mod prepare;
mod query;
mod rejected;
mod rejects;
mod reload;
mod resume;
mod runs;
mod snapshot;
mod taking;
mod undo;
mod verify;

use std::process::ExitCode;

use interrupt::unless_asked;

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
        Command::Resume(args) => Box::pin(resume::resume(args)).await,
        Command::Rejects(args) => Box::pin(rejects::rejects(*args)).await,
        Command::Runs(args) => runs::runs(args).await.map(|()| ExitCode::SUCCESS),
        Command::Query(args) => Box::pin(query::query(*args)).await,
        Command::Verify(args) => Box::pin(verify::verify(args)).await,
        Command::Undo(args) => Box::pin(undo::undo(args)).await,
        Command::Copy(args) => Box::pin(copy::copy(*args)).await,
        Command::Login(args) => login::login(args).await.map(|()| ExitCode::SUCCESS),
        Command::Logout(args) => logout::logout(args).await.map(|()| ExitCode::SUCCESS),
        Command::Orgs(args) => orgs::orgs(&args).map(|()| ExitCode::SUCCESS),
        Command::Limits(args) => Box::pin(unless_asked(limits::limits(args))).await,
        Command::Objects(args) => Box::pin(unless_asked(objects::objects(args))).await,
        Command::Describe(args) => Box::pin(unless_asked(describe::describe(args))).await,
        Command::Completions { shell } => {
            completions::completions(shell).map(|()| ExitCode::SUCCESS)
        }
        Command::Man => completions::man().map(|()| ExitCode::SUCCESS),
    }
}
