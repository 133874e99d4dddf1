//! Why a line could not be decoded.

use std::fmt;

use crate::Syntax;

const NO_JSON: &str = "the line is not valid JSON";
const TOO_LONG: &str = "the line is longer than the 8 MiB that a record may have";

/// Why a line could not be decoded, free of the line's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Undecodable {
    reason: &'static str,
    field: Option<String>,
    /// Bytes that are kept of so many, if the line was cut.
    cut: Option<(usize, u64)>,
}

impl Undecodable {
    /// For this reason, of the line as a whole.
    pub fn new(reason: &'static str) -> Self {
        Self {
            reason,
            field: None,
            cut: None,
        }
    }

    /// For being longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    pub fn too_long() -> Self {
        Self::new(TOO_LONG)
    }

    /// The same, of a line of `length` bytes of which the first `kept` are kept.
    pub fn cut(kept: usize, length: u64) -> Self {
        Self {
            cut: Some((kept, length)),
            ..Self::too_long()
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
            Some(field) => write!(f, "field {field}: {}", self.reason)?,
            None => f.write_str(self.reason)?,
        }
        match self.cut {
            Some((kept, length)) => write!(
                f,
                ": of its {length} bytes only the first {kept} are kept here; take the others from \
                 the source"
            ),
            None => Ok(()),
        }
    }
}
