//! The binary: a simulated Salesforce on this machine.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use salesforce_sim::cli::{Calibrate, Simulate};

/// A simulated Salesforce on this machine, for trials and tests.
#[derive(Debug, Parser)]
#[command(
    name = "salesforce-sim",
    version,
    about = "A simulated Salesforce on this machine, for trials and tests",
    long_about = None,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    simulate: Simulate,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Measure a real sandbox with 20,000 rows, which are deleted again, and write a profile
    Calibrate(Calibrate),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.other {
        Some(Other::Calibrate(calibrate)) => calibrate.run().await,
        None => cli.simulate.run().await,
    }
}
