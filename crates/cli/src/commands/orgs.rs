//! `orgs`.

use crate::cli::orgs::OrgsArgs;
use crate::error::{CliError, Result};

/// Lists the orgs that are logged in to.
pub(crate) fn orgs(args: &OrgsArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
