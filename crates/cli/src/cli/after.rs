//! What may be typed after a load: take it back, or compare the org with it.

use std::path::PathBuf;

use clap::Args;

use super::{OrgArgs, OutputArgs, PlaceArgs};

/// A load that is taken back.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The run, by its id or the beginning of it
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Show what it would do, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also take back what has changed since the load
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// A load that the org is compared with.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The run, by its id or the beginning of it
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The file of the differences [default: differences.csv in the run]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) differences: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) org: OrgArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
