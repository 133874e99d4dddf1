//! `query`.

use std::process::ExitCode;

use crate::cli::query::QueryArgs;
use crate::error::{CliError, Result};

/// Takes records out of an org.
pub(crate) async fn query(args: QueryArgs) -> Result<ExitCode> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
