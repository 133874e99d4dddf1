//! `logout`.

use crate::cli::orgs::LogoutArgs;
use crate::error::{CliError, Result};

/// Logs out.
pub(crate) async fn logout(args: LogoutArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
