//! `undo`.

use std::process::ExitCode;

use crate::cli::after::UndoArgs;
use crate::error::{CliError, Result};

/// Takes a run back.
pub(crate) async fn undo(args: UndoArgs) -> Result<ExitCode> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
