//! What the platform hands over: files, and nulls in them.

use std::path::Path;

use arrow_salesforce::error::{Error, Result};
use serde::{Deserialize, Deserializer};

/// A null of the platform's is as if its key were missing.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the file that an option of the command line names, without the mark that some editors put
/// before UTF-8.
pub(crate) fn read_file(option: &str, path: &Path) -> Result<Vec<u8>> {
    let mut content = std::fs::read(path).map_err(|error| {
        Error::config(format!(
            "the file of --{option} cannot be read: {}: {error}",
            path.display()
        ))
    })?;
    if content.starts_with("\u{feff}".as_bytes()) {
        content.drain(.."\u{feff}".len());
    }
    Ok(content)
}
