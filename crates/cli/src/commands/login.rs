//! `login`.

use crate::cli::orgs::LoginArgs;
use crate::error::{CliError, Result};

/// Logs in, and keeps the login.
pub(crate) async fn login(args: LoginArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
