//! `describe`.

use crate::cli::orgs::DescribeArgs;
use crate::error::{CliError, Result};

/// Lists the fields of an object.
pub(crate) async fn describe(args: DescribeArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
