//! `objects`.

use crate::cli::orgs::ObjectsArgs;
use crate::error::{CliError, Result};

/// Lists the objects.
pub(crate) async fn objects(args: ObjectsArgs) -> Result<()> {
    Err(CliError::failed(format!("not there yet: {args:?}")))
}
