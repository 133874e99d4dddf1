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

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command};

/// Waits for Ctrl-c or a signal to end, ends the loaders, and returns the exit code.
async fn asked_to_end() -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let code = tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| 130)?,
        _ = terminate.recv() => 143,
    };
    watch::end_all().await;
    Ok(ExitCode::from(code))
}

/// Runs, until it is done or asked to end.
async fn run(options: cli::Run) -> error::Result<ExitCode> {
    // Making an input occupies a thread for minutes: signals are heard by another.
    let running = tokio::spawn(run::run(options));
    tokio::select! {
        done = running => done.unwrap_or_else(|error| Err(error::Error::Input(error.to_string()))),
        Ok(code) = asked_to_end() => Ok(code),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run(*options).await,
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
