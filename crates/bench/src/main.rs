//! `salesforce-bench`: the referee of loaders into Salesforce. It starts a simulated org, makes the
//! input, runs any command against it, and judges what the command lost and what it cost.
//!
//! Data flows one way: `workload` and `columns` say what there is, `plan` which record comes as
//! which line, `input` writes it, `org` serves, `watch` runs and measures, `rejects` and `judge`
//! compare, `result` is what comes of it, `report`, `task`, `plot` and `markdown`
//! draw it.

mod cli;
mod columns;
mod error;
mod input;
mod judge;
mod loaders;
mod markdown;
mod org;
mod plan;
mod plot;
mod process;
mod rejects;
mod report;
mod result;
mod run;
mod task;
mod watch;
mod workload;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run::run(*options).await,
        Command::Report {
            results,
            out,
            markdown,
        } => report::write(&results, &out, markdown.as_deref()),
        Command::List => cli::list(),
        Command::Org => match org::serve().await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error::Error::NoOrg(error.to_string())),
        },
    };
    done.unwrap_or_else(|error| {
        eprintln!("salesforce-bench: {error}");
        ExitCode::from(2)
    })
}
