//! `verify`.

use std::process::ExitCode;

use crate::cli::after::VerifyArgs;
use crate::error::{CliError, Result};

/// Compares the org with what a run has sent.
pub(crate) async fn verify(args: VerifyArgs) -> Result<ExitCode> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
