//! Why a record was rejected, and where on its way.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// The step that rejected a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Its line could not be read.
    Decode,
    /// A value cannot be written into its field.
    Coerce,
    /// Salesforce refused it.
    Salesforce,
}

impl Stage {
    /// The word that rejected records carry: `decode`, `coerce` or `salesforce`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Coerce => "coerce",
            Self::Salesforce => "salesforce",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why one record was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The step that rejected it.
    pub stage: Stage,
    /// Salesforce's error code, or one of this crate's: [`Reason::INVALID_VALUE`],
    /// [`Reason::INVALID_RECORD`], [`Reason::VALUE_TOO_LONG`], [`Reason::RECORD_TOO_LONG`],
    /// [`Reason::MISSING_KEY`].
    pub code: Cow<'static, str>,
    /// What was wrong, for people. Written here it names fields and never holds a value; in the
    /// words of Salesforce it may.
    pub message: String,
    /// API names of the fields at fault; empty where the record as a whole is.
    pub fields: Vec<String>,
}

impl Reason {
    /// A value that has no literal of its field's type.
    pub const INVALID_VALUE: &'static str = "INVALID_VALUE";
    /// A line that could not be read as a record.
    pub const INVALID_RECORD: &'static str = "INVALID_RECORD";
    /// A value longer than a job takes.
    pub const VALUE_TOO_LONG: &'static str = "VALUE_TOO_LONG";
    /// A record without a value in its key field.
    pub const MISSING_KEY: &'static str = "MISSING_KEY";
    /// An error of Salesforce that has no code.
    pub const UNKNOWN: &'static str = "UNKNOWN";
    /// A record longer than a job takes.
    pub const RECORD_TOO_LONG: &'static str = "RECORD_TOO_LONG";

    /// A reason of this crate's own.
    pub(crate) fn local(
        stage: Stage,
        code: &'static str,
        message: String,
        fields: Vec<String>,
    ) -> Self {
        Self {
            stage,
            code: Cow::Borrowed(code),
            message,
            fields,
        }
    }
}
