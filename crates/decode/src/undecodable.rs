//! Why a line could not be decoded.

use std::fmt;

use crate::Syntax;

const NO_JSON: &str = "the line is not valid JSON";

/// Why a line could not be decoded, free of the line's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Undecodable {
    reason: &'static str,
    field: Option<String>,
}

impl Undecodable {
    /// For this reason, of the line as a whole.
    pub fn new(reason: &'static str) -> Self {
        Self {
            reason,
            field: None,
        }
    }

    /// The same reason, of one field of the record.
    pub(crate) fn of_field(self, field: Option<&str>) -> Self {
        Self {
            field: field.map(str::to_owned),
            ..self
        }
    }

    /// The reason, without the field that it is about.
    pub fn reason(&self) -> &'static str {
        self.reason
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
