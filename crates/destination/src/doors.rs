//! Doors into what reads bytes from outside, for programs that try arbitrary bytes on them. No part
//! of the API.

use arrow_salesforce::Result;

use crate::config::Config;
use crate::protocol::{self, State, Statistics, StreamSchema};

/// What is printed of a STATE line; none if it is a message of another kind.
///
/// # Errors
/// A system error if the line is no state.
pub fn state(line: &[u8]) -> Result<Option<String>> {
    let Some(state) = State::read(line)? else {
        return Ok(None);
    };
    let printed = state.with_statistics(&Statistics::default())?;
    Ok(Some(printed.get().to_owned()))
}

/// Reads the text of a config file.
///
/// # Errors
/// A config error that names the key and what is allowed.
pub fn config(text: &[u8]) -> Result<()> {
    Config::parse(text).map(drop)
}

/// Reads the text of a catalog, with the schemas of its streams.
///
/// # Errors
/// What is wrong with it.
pub fn catalog(text: &[u8]) -> Result<(), String> {
    let streams = protocol::catalog::parse(text).map_err(|failure| failure.error.to_string())?;
    for stream in streams {
        let schema = stream.json_schema.get();
        let schema = StreamSchema::from_json_schema(&stream.descriptor.name, None, schema);
        schema.map_err(|error| error.to_string())?;
    }
    Ok(())
}
