//! `spec`: the settings that the platform's form shows.

use serde_json::value::RawValue;

use crate::protocol::message::Message;
use crate::protocol::output::Output;
use arrow_salesforce::error::{Error, Result};

/// The specification: Airbyte's own for this destination, then the settings that only this one has.
const SPEC: &str = include_str!("spec.json");

/// Prints the SPEC message.
pub(super) fn run(output: &Output) -> Result<()> {
    // A string of JSON holds no raw line break: lines joined are the same document on one line.
    let line: String = SPEC.lines().map(str::trim_start).collect();
    let spec = RawValue::from_string(line)
        .map_err(|error| Error::system("the built-in spec is not JSON").with_source(error))?;
    output.print(&Message::Spec { spec: &spec })
}

#[cfg(test)]
mod tests;
