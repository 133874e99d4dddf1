//! The contract of a source batch: what a producer of [`RecordBatch`](arrow::array::RecordBatch)es
//! may say beside the values, and what [`coerce`](crate::coerce) and [`reject`](crate::reject) make
//! of it.
//!
//! Nothing of it is required. A batch of plain columns is a source batch; each column whose name is
//! that of a field fills the field. A producer adds what it knows:
//!
//! | what | how it is said | what is made of it |
//! |---|---|---|
//! | a column's type before it became text | metadata [`DECLARED_TYPE`] of the column | numbers are written plainly into text fields; rejected records give values in their type |
//! | null given on purpose, not a value left out | a flag column, metadata [`EXPLICIT_NULL_OF`] | clears the field where the load's null handling says so; rejected records keep the null |
//! | when a row was emitted | column [`EMITTED_AT`] | stands in rejected records |
//! | what happened to values on the way here | column [`CHANGES`] | stands in rejected records |
//! | a row that could not be read | columns [`RAW`] and [`RAW_ERROR`] | the row is rejected, with its text |
//!
//! The columns named here are bookkeeping: they fill no field. All may be null in any row and may
//! be left out of a schema. They count only if they have the type given here.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};

/// What the names of all bookkeeping columns begin with. A column of such a name that no field of
/// the object has is left out of what is written, whether or not it is named below.
pub const PREFIX: &str = "_airbyte_";

/// Bookkeeping column, `Int64`: when the source emitted the row, in milliseconds since 1970.
pub const EMITTED_AT: &str = "_airbyte_emitted_at";

/// Bookkeeping column, `Utf8`: what happened to the row's values before they came here, as a
/// compact JSON array; null if nothing did.
pub const CHANGES: &str = "_airbyte_changes";

/// Bookkeeping column, `Utf8`: the text of a row that could not be read; all other columns of the
/// row but [`RAW_ERROR`] are null.
pub const RAW: &str = "_airbyte_raw";

/// Bookkeeping column, `Utf8`: why the row in [`RAW`] could not be read, free of its values. A row
/// that has it is rejected with this reason.
pub const RAW_ERROR: &str = "_airbyte_raw_error";

/// Key of the metadata of a flag column: the name of the column that it is about. The flag is a
/// `Boolean` without nulls, true where the row has null on purpose, and false where it has a value
/// or lacks one. [`explicit_null_flag`] makes the field of one.
pub const EXPLICIT_NULL_OF: &str = "explicit_null_of";

/// Key of the metadata of a `Utf8` column whose values had a type before they became text: the
/// name of a [`DeclaredType`]. Objects and arrays are JSON texts, numbers have the digits they came
/// with. A column without it is text, and so is a value that is not of its column's type.
pub const DECLARED_TYPE: &str = "airbyte_type";

/// The type that the values of a column had before they became text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeclaredType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A calendar date.
    Date,
    /// A time of day, with an offset.
    TimeWithTimezone,
    /// A time of day, without one.
    TimeWithoutTimezone,
    /// Date and time, with an offset.
    TimestampWithTimezone,
    /// Date and time, without one.
    TimestampWithoutTimezone,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// Several of these types.
    Union,
    /// Not stated.
    Unknown,
}

impl DeclaredType {
    const ALL: [Self; 13] = [
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::Date,
        Self::TimeWithTimezone,
        Self::TimeWithoutTimezone,
        Self::TimestampWithTimezone,
        Self::TimestampWithoutTimezone,
        Self::Object,
        Self::Array,
        Self::Union,
        Self::Unknown,
    ];

    /// The type that the metadata of a `Utf8` field declares, if it does.
    pub fn of(field: &Field) -> Option<Self> {
        if *field.data_type() != DataType::Utf8 {
            return None;
        }
        let name = field.metadata().get(DECLARED_TYPE)?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What stands in the metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::TimeWithTimezone => "time_with_timezone",
            Self::TimeWithoutTimezone => "time_without_timezone",
            Self::TimestampWithTimezone => "timestamp_with_timezone",
            Self::TimestampWithoutTimezone => "timestamp_without_timezone",
            Self::Object => "object",
            Self::Array => "array",
            Self::Union => "union",
            Self::Unknown => "unknown",
        }
    }

    /// A nullable `Utf8` field of this type.
    pub fn field(self, name: impl Into<String>) -> Field {
        let metadata = HashMap::from([(DECLARED_TYPE.to_owned(), self.name().to_owned())]);
        Field::new(name, DataType::Utf8, true).with_metadata(metadata)
    }
}

/// What the name of a flag column begins with; the name of the column that it is about follows.
const EXPLICIT_NULL_PREFIX: &str = "_airbyte_null_";

/// The field of the flag column that distinguishes null on purpose from a value left out in `column`.
pub fn explicit_null_flag(column: &str) -> Field {
    let metadata = HashMap::from([(EXPLICIT_NULL_OF.to_owned(), column.to_owned())]);
    let name = format!("{EXPLICIT_NULL_PREFIX}{column}");
    Field::new(name, DataType::Boolean, false).with_metadata(metadata)
}

/// Whether a column of this name is one that [`explicit_null_flag`] names.
pub fn is_explicit_null_flag(name: &str) -> bool {
    name.starts_with(EXPLICIT_NULL_PREFIX)
}

/// Whether a column of this name is bookkeeping by this contract.
pub fn is_bookkeeping(name: &str) -> bool {
    matches!(name, EMITTED_AT | CHANGES | RAW | RAW_ERROR) || is_explicit_null_flag(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_declares_its_type() {
        for kind in DeclaredType::ALL {
            assert_eq!(DeclaredType::of(&kind.field("x")), Some(kind));
        }
        let plain = Field::new("x", DataType::Utf8, true);
        let no_text = DeclaredType::Number
            .field("x")
            .with_data_type(DataType::LargeUtf8);
        assert_eq!([plain, no_text].each_ref().map(DeclaredType::of), [None; 2]);
    }

    #[test]
    fn flags_name_their_column() {
        let flag = explicit_null_flag("Name");
        assert_eq!(flag.metadata()[EXPLICIT_NULL_OF], "Name");
        assert!(is_explicit_null_flag(flag.name()) && is_bookkeeping(flag.name()));
    }

    #[test]
    fn bookkeeping_is_what_the_contract_names() {
        for name in [EMITTED_AT, CHANGES, RAW, RAW_ERROR] {
            assert!(is_bookkeeping(name) && name.starts_with(PREFIX), "{name}");
        }
        for name in ["Name", "_airbyte_meta", "_raw"] {
            assert!(!is_bookkeeping(name), "{name}");
        }
    }
}
