//! The binary: a simulated Salesforce on this machine.

use std::process::ExitCode;

use clap::Parser;
use salesforce_sim::cli::Simulate;

/// A simulated Salesforce on this machine, for trials and tests.
#[derive(Debug, Parser)]
#[command(
    name = "salesforce-sim",
    version,
    about = "A simulated Salesforce on this machine, for trials and tests",
    long_about = None
)]
struct Cli {
    #[command(flatten)]
    simulate: Simulate,
}

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().simulate.run().await
}
