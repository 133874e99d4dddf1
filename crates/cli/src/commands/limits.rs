//! `limits`.

use crate::cli::orgs::LimitsArgs;
use crate::error::{CliError, Result};

/// Shows what is left of the limits.
pub(crate) async fn limits(args: LimitsArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
