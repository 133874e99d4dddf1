//! `copy`.

use std::process::ExitCode;

use crate::cli::query::CopyArgs;
use crate::error::{CliError, Result};

/// Copies records from one org to another.
pub(crate) async fn copy(args: CopyArgs) -> Result<ExitCode> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
