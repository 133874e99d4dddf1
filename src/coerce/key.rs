//! Keys: which record of Salesforce a row names.

use xxhash_rust::xxh3::xxh3_128;

use super::literal::{LiteralType, Outcome};
use crate::object::{Field, FieldType, RecordId};

/// Where the key of a row stands in its cells, and when two of them name one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Index of its column in the cells.
    pub column: usize,
    /// How its values compare.
    pub form: KeyForm,
}

/// The normal form of the values of a key field: equal for values that name one record.
///
/// Rows are merged, held back, and found in a job's results by the same form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyForm {
    /// A record Id: its 15 characters, whether it came with 15 or 18. What is no Id is text.
    Id,
    /// Text without its outer blanks, which Salesforce does not keep.
    Text {
        /// Letter case does not count: the field is unique without regard to it.
        ignore_case: bool,
    },
    /// The number that Salesforce keeps: `01` is `1` and `9.1E3` is `9100`.
    Number {
        /// Digits after the point.
        scale: u32,
    },
    /// A value of any other type, by what it says: a date, a boolean, ….
    Value(FieldType),
}

impl KeyForm {
    /// The form of this field's values.
    pub fn of(field: &Field) -> Self {
        match LiteralType::of(&field.field_type) {
            LiteralType::Text if field.field_type == FieldType::Id => Self::Id,
            LiteralType::Text => Self::Text {
                ignore_case: field.unique && !field.case_sensitive,
            },
            LiteralType::Int | LiteralType::Long => Self::Number { scale: 0 },
            LiteralType::Decimal => Self::Number { scale: field.scale },
            _ => Self::Value(field.field_type.clone()),
        }
    }

    /// The xxh3 of the normal form of a cell, or of its echo in a job's results, 128 bits wide so
    /// that no two keys of a load share it. Changes `buffer`, which spares an allocation a cell.
    pub fn digest(&self, cell: &str, buffer: &mut String) -> u128 {
        if *self == Self::Id
            && let Some(id) = RecordId::parse(cell.trim())
        {
            return xxh3_128(id.as_bytes());
        }
        xxh3_128(self.normal(cell, buffer).as_bytes())
    }

    fn normal<'a>(&self, cell: &'a str, buffer: &'a mut String) -> &'a str {
        buffer.clear();
        let (literal_type, scale) = match self {
            Self::Id | Self::Text { .. } => (LiteralType::Text, 0),
            Self::Number { scale } => (LiteralType::Decimal, *scale),
            Self::Value(field_type) => (LiteralType::of(field_type), 0),
        };
        let outcome = literal_type.canonical(cell, scale, buffer);
        if *self == (Self::Text { ignore_case: true }) {
            match outcome {
                Outcome::Same => fold(cell, buffer),
                _ => fold(&std::mem::take(buffer), buffer),
            }
            return buffer;
        }
        match outcome {
            Outcome::Same => cell,
            _ => buffer,
        }
    }
}

/// Appends the text in lower case.
fn fold(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}
