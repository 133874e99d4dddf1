//! `salesforce-bench`: the referee of loaders into Salesforce. It starts a simulated org, makes the
//! input, runs any command against it, and judges what the command lost and what it cost.
//!
//! Data flows one way: `workload` and `columns` say what there is, `plan` which record comes as
//! which line, `input` writes it, `org` serves, `watch` runs and measures, `rejects` and `judge`
//! compare: a `bout`. `repeats` makes one `result` of several. Of results, `task`, `matrix` and
//! `curves` are what is shown, `plot` and `figure` draw it, `report` is a page of HTML, and
//! `markdown` a page of tables with the `commands` that made them.

mod bout;
mod cli;
mod columns;
mod commands;
mod curves;
mod error;
mod figure;
mod input;
mod judge;
mod loaders;
mod markdown;
mod matrix;
mod org;
mod plan;
mod plot;
mod process;
mod rejects;
mod repeats;
mod report;
mod result;
mod run;
mod sizes;
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
