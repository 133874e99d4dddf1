//! One function a Salesforce type: text of a value -> its literal, or what is wrong with it.
//!
//! These are the only definitions of the types. A literal is what the CSV of a job may hold; none
//! is empty.

use std::fmt;

use serde_json::value::RawValue;

use super::{number, temporal};
use crate::object::FieldType;
use crate::options::Timezone;
use crate::text;

/// What becomes of the text of one value: its literal, or its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// The text is a literal as it is.
    Same,
    /// The literal was appended to the buffer.
    Written,
    /// The text says nothing: the cell is null.
    Null,
    /// There is no literal.
    Invalid(Problem),
}

/// What is wrong with a value, or with its absence. Does not hold the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Problem {
    /// Nothing of the field's type; what was expected.
    Type(&'static str),
    /// More characters than this, as Salesforce counts them.
    TooLong {
        /// Most characters of the field.
        most: u32,
        /// The text has characters that take two of Salesforce's.
        wide: bool,
    },
    /// A restricted picklist does not have it.
    NotListed,
    /// The field needs a value.
    Required,
    /// The field is the key.
    NoKey,
    /// The field has the only column, and a line without a value is none to Salesforce.
    Alone,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(problem) => f.write_str(problem),
            Self::TooLong { most, wide } => {
                write!(f, "longer than {most} characters")?;
                f.write_str(if *wide { text::TWO } else { "" })
            }
            Self::NotListed => f.write_str("not an active value of the restricted picklist"),
            Self::Required => f.write_str("no value, and the field is required"),
            Self::NoKey => f.write_str("no value, and the field is the key of the record"),
            Self::Alone => f.write_str(
                "no value, and it is the only column; a job skips a line that has no value",
            ),
        }
    }
}

/// How the values of a field are written; several types of fields share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LiteralType {
    Text,
    MultiPicklist,
    Boolean,
    Int,
    Long,
    Decimal,
    Date,
    DateTime,
    Time,
    Base64,
}

/// The cell that clears a field (Bulk API 2.0 Developer Guide, "Prepare CSV Files"). A job's results
/// show it as an empty cell, or as it was sent; [`Coercion::canonical`](super::Coercion::canonical)
/// makes null of it.
pub const CLEAR: &str = "#N/A";

pub(super) const CLEARS: Problem =
    Problem::Type("the text #N/A would clear the field and cannot be written");

const NOT_BOOLEAN: Problem =
    Problem::Type("not a boolean (expected true, false, yes, no, t, f, y, n, 1 or 0)");
const NOT_LIST: Problem = Problem::Type("not a list of texts, numbers and booleans");
const SEMICOLON: Problem = Problem::Type("a value of the list holds a semicolon");
const NOT_BASE64: Problem =
    Problem::Type("not base64 (expected the standard alphabet, padded with =)");

impl LiteralType {
    pub(super) const ALL: [Self; 10] = [
        Self::Text,
        Self::MultiPicklist,
        Self::Boolean,
        Self::Int,
        Self::Long,
        Self::Decimal,
        Self::Date,
        Self::DateTime,
        Self::Time,
        Self::Base64,
    ];

    pub(super) fn of(field_type: &FieldType) -> Self {
        match field_type {
            FieldType::MultiPicklist => Self::MultiPicklist,
            FieldType::Boolean => Self::Boolean,
            FieldType::Int => Self::Int,
            FieldType::Long => Self::Long,
            FieldType::Double | FieldType::Currency | FieldType::Percent => Self::Decimal,
            FieldType::Date => Self::Date,
            FieldType::DateTime => Self::DateTime,
            FieldType::Time => Self::Time,
            FieldType::Base64 => Self::Base64,
            FieldType::AnyType
            | FieldType::Combobox
            | FieldType::Email
            | FieldType::EncryptedString
            | FieldType::Id
            | FieldType::Phone
            | FieldType::Picklist
            | FieldType::Reference
            | FieldType::String
            | FieldType::TextArea
            | FieldType::Url
            | FieldType::Other(_) => Self::Text,
        }
    }

    /// Name of the type in the names of the functions: `text` as in `sf_text`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::MultiPicklist => "multipicklist",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Time => "time",
            Self::Base64 => "base64",
        }
    }

    /// The literal of a text; `out` is empty when called and used when the text is `Written`.
    /// Dates are those of `zone`, as are timestamps without an offset.
    pub(super) fn literal(self, value: &str, zone: Timezone, out: &mut String) -> Rewrite {
        if value == CLEAR {
            return Rewrite::Invalid(CLEARS);
        }
        match self {
            Self::Text => text(value, out),
            Self::MultiPicklist => multi_picklist(value, out),
            Self::Boolean => boolean(value, out),
            Self::Int => number::int(value, out),
            Self::Long => number::long(value, out),
            Self::Decimal => number::decimal(value, out),
            Self::Date => temporal::date(value, zone, out),
            Self::DateTime => temporal::datetime(value, zone, out),
            Self::Time => temporal::time(value, out),
            Self::Base64 => base64(value, out),
        }
    }
}

/// Whether this byte may begin a character that [`text`] changes; false for nearly all text.
pub(super) fn is_suspicious(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') & (byte != b'\n') | (byte == 0xEF)
}

/// Whether XML 1.0, which Salesforce stores text through, can hold this character.
fn is_xml(c: char) -> bool {
    c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}') || matches!(c, '\t' | '\n' | '\r')
}

/// Any text, line breaks as LF, without characters that XML cannot hold.
fn text(value: &str, out: &mut String) -> Rewrite {
    if value.is_empty() {
        return Rewrite::Null;
    }
    if !value.bytes().any(is_suspicious) || value.chars().all(|c| is_xml(c) && c != '\r') {
        return Rewrite::Same;
    }
    clean(value, out);
    finish(out)
}

/// Appends the text with its line breaks as LF and without characters that XML cannot hold.
pub(super) fn clean(value: &str, out: &mut String) {
    let mut after_cr = false;
    for c in value.chars().filter(|c| is_xml(*c)) {
        match c {
            '\r' => out.push('\n'),
            '\n' if after_cr => {}
            c => out.push(c),
        }
        after_cr = c == '\r';
    }
}

fn finish(out: &str) -> Rewrite {
    match out {
        "" => Rewrite::Null,
        CLEAR => Rewrite::Invalid(CLEARS),
        _ => Rewrite::Written,
    }
}

/// Text as it is, or a JSON array -> its values joined by `;`.
fn multi_picklist(value: &str, out: &mut String) -> Rewrite {
    if !value.trim_start().starts_with('[') {
        return text(value, out);
    }
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(value) else {
        return text(value, out);
    };
    let mut joined = String::new();
    for value in values.into_iter().map(RawValue::get) {
        let choice = match value.as_bytes().first() {
            Some(b'n') => continue,
            Some(b'{' | b'[') => return Rewrite::Invalid(NOT_LIST),
            Some(b'"') => match serde_json::from_str::<String>(value) {
                Ok(choice) => choice,
                Err(_) => return Rewrite::Invalid(NOT_LIST),
            },
            _ => value.to_owned(),
        };
        if choice.contains(';') {
            return Rewrite::Invalid(SEMICOLON);
        }
        if !joined.is_empty() {
            joined.push(';');
        }
        joined.push_str(&choice);
    }
    clean(&joined, out);
    finish(out)
}

/// A word, or a number equal to 0 or 1.
fn boolean(value: &str, out: &mut String) -> Rewrite {
    if matches!(value, "true" | "false") {
        return Rewrite::Same;
    }
    let value = value.trim();
    let is = |words: [&str; 4]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    let flag = if value.is_empty() {
        return Rewrite::Null;
    } else if is(["true", "t", "yes", "y"]) {
        true
    } else if is(["false", "f", "no", "n"]) {
        false
    } else {
        match number::bit(value) {
            Some(flag) => flag,
            None => return Rewrite::Invalid(NOT_BOOLEAN),
        }
    };
    out.push_str(if flag { "true" } else { "false" });
    Rewrite::Written
}

/// Padded base64, without the blanks and line breaks that mail puts in.
fn base64(value: &str, out: &mut String) -> Rewrite {
    if is_base64(value) {
        return Rewrite::Same;
    }
    out.extend(value.chars().filter(|c| !c.is_ascii_whitespace()));
    if out.is_empty() {
        Rewrite::Null
    } else if is_base64(out) {
        Rewrite::Written
    } else {
        Rewrite::Invalid(NOT_BASE64)
    }
}

fn is_base64(value: &str) -> bool {
    let bare = value.strip_suffix('=').unwrap_or(value);
    let bare = bare.strip_suffix('=').unwrap_or(bare);
    !bare.is_empty()
        && value.len().is_multiple_of(4)
        && bare
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}
