//! Why a line could not be decoded.

use std::fmt;

use super::cursor::Syntax;

const NO_JSON: &str = "the line is not valid JSON";

pub(super) const NO_OBJECT: &str = "the record's data is not an object";

/// Why a line could not be decoded, free of the line's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecodable {
    pub(super) reason: &'static str,
    /// The field of the record it is about, if one is.
    pub(super) field: Option<String>,
}

impl Undecodable {
    pub(super) fn new(reason: &'static str) -> Self {
        Self::of_field(reason, None)
    }

    pub(super) fn of_field(reason: &'static str, field: Option<&str>) -> Self {
        Self {
            reason,
            field: field.map(str::to_owned),
        }
    }
}

impl From<Syntax> for Undecodable {
    fn from(Syntax: Syntax) -> Self {
        Self::new(NO_JSON)
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field {field}: {}", self.reason),
            None => f.write_str(self.reason),
        }
    }
}
