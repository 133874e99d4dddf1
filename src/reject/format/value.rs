//! The values of a column as JSON and as cells of a CSV file.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::types::Int64Type;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use memchr::memchr_iter;
use serde_json::Value;

use super::wire::{to_wire, wire_type};
use crate::source::DeclaredType;

/// Year 1 and year 9999, in days since 1970: what Arrow both prints and reads.
const DAYS: RangeInclusive<i64> = -719_162..=2_932_896;
const DAY_SECONDS: i64 = 86_400;

/// What is printed of a column: see [`to_wire`]. A type that cannot be read back is kept as it is.
pub(super) fn printable(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match wire_type(array.data_type()) {
        Some(_) => to_wire(array),
        None => Ok(Arc::clone(array)),
    }
}

/// The values of a [`printable`] array.
pub(super) enum Values<'a> {
    Null,
    Text(&'a StringArray, Kind),
    Boolean(&'a BooleanArray),
    Number(&'a dyn Array, ArrayFormatter<'a>),
    /// Dates and times; those that Arrow does not print and read alike are the numbers they are.
    Moment {
        numbers: PrimitiveArray<Int64Type>,
        printed: RangeInclusive<i64>,
        formatter: ArrayFormatter<'a>,
    },
    List(&'a ListArray, Box<Values<'a>>),
    Struct(&'a StructArray, Vec<(Vec<u8>, Values<'a>)>),
    /// Of a type that has no form of its own.
    Shown(&'a dyn Array, ArrayFormatter<'a>),
}

/// One value.
#[derive(Debug)]
pub(super) enum Literal<'v> {
    Null,
    Number(Cow<'v, str>),
    Boolean(bool),
    Text(Cow<'v, str>),
    Json(Cow<'v, str>),
}

impl<'a> Values<'a> {
    /// `declared` is the type that a text had before.
    pub(super) fn new(
        declared: Option<DeclaredType>,
        array: &'a ArrayRef,
    ) -> Result<Self, ArrowError> {
        let kind = array.data_type();
        let formatter = || {
            let options = FormatOptions::default().with_display_error(true);
            ArrayFormatter::try_new(array.as_ref(), &options)
        };
        Ok(match kind {
            DataType::Null => Self::Null,
            DataType::Utf8 => Self::Text(array.as_string(), Kind::of(declared)),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::List(_) if wire_type(kind).is_some() => {
                let list = array.as_list();
                Self::List(list, Box::new(Self::new(None, list.values())?))
            }
            DataType::Struct(fields) if wire_type(kind).is_some() => {
                let parent = array.as_struct();
                let columns = fields.iter().zip(parent.columns());
                let columns = columns.map(|(field, column)| {
                    let mut key = Vec::new();
                    push_string(&mut key, field.name());
                    key.push(b':');
                    Ok((key, Self::new(None, column)?))
                });
                Self::Struct(parent, columns.collect::<Result<_, ArrowError>>()?)
            }
            number if number.is_numeric() => Self::Number(array.as_ref(), formatter()?),
            _ => match printed(kind) {
                Some(printed) => Self::Moment {
                    numbers: numbers(array)?,
                    printed,
                    formatter: formatter()?,
                },
                None => Self::Shown(array.as_ref(), formatter()?),
            },
        })
    }

    pub(super) fn literal(&self, row: usize) -> Result<Literal<'_>, ArrowError> {
        if self.is_null(row) {
            return Ok(Literal::Null);
        }
        Ok(match self {
            Self::Null => Literal::Null,
            Self::Text(texts, kind) => kind.literal(texts.value(row)),
            Self::Boolean(values) => Literal::Boolean(values.value(row)),
            Self::Number(_, formatter) => {
                let text = formatter.value(row).try_to_string()?;
                if is_number(&text) {
                    Literal::Number(text.into())
                } else {
                    Literal::Text(text.into())
                }
            }
            Self::Moment {
                numbers,
                printed,
                formatter,
            } => match numbers.value(row) {
                number if printed.contains(&number) => {
                    Literal::Text(formatter.value(row).try_to_string()?.into())
                }
                number => Literal::Number(number.to_string().into()),
            },
            Self::Shown(_, formatter) => Literal::Text(formatter.value(row).to_string().into()),
            Self::List(..) | Self::Struct(..) => {
                let mut json = Vec::new();
                self.push_nested(row, &mut json)?;
                // Made of texts and ASCII.
                Literal::Json(String::from_utf8_lossy(&json).into_owned().into())
            }
        })
    }

    pub(super) fn push_json(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if matches!(self, Self::List(..) | Self::Struct(..)) && !self.is_null(row) {
            return self.push_nested(row, out);
        }
        self.literal(row)?.push_json(out);
        Ok(())
    }

    fn push_nested(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::List(list, items) => {
                let (first, end) = (list.value_offsets()[row], list.value_offsets()[row + 1]);
                out.push(b'[');
                for item in first..end {
                    if item > first {
                        out.push(b',');
                    }
                    items.push_json(item as usize, out)?;
                }
                out.push(b']');
            }
            Self::Struct(_, columns) => {
                out.push(b'{');
                for (index, (key, values)) in columns.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    values.push_json(row, out)?;
                }
                out.push(b'}');
            }
            _ => {}
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Text(array, _) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Number(array, _) | Self::Shown(array, _) => array.is_null(row),
            Self::Moment { numbers, .. } => numbers.is_null(row),
            Self::List(array, _) => array.is_null(row),
            Self::Struct(array, _) => array.is_null(row),
        }
    }
}

impl Literal<'_> {
    pub(super) fn push_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Boolean(true) => out.extend_from_slice(b"true"),
            Self::Boolean(false) => out.extend_from_slice(b"false"),
            Self::Number(text) | Self::Json(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => push_string(out, text),
        }
    }

    /// A cell: nothing for null, numbers bare, all else quoted.
    pub(super) fn push_cell(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::Boolean(true) => push_quoted(out, b"true"),
            Self::Boolean(false) => push_quoted(out, b"false"),
            Self::Text(text) | Self::Json(text) => push_quoted(out, text.as_bytes()),
        }
    }
}

/// Values of a temporal type that are printed, in its own unit; `None` for other types.
fn printed(kind: &DataType) -> Option<RangeInclusive<i64>> {
    let days = |units: i64| {
        let bound = |day: i64| day.saturating_mul(DAY_SECONDS).saturating_mul(units);
        bound(*DAYS.start())..=bound(DAYS.end() + 1).saturating_sub(1)
    };
    Some(match kind {
        DataType::Date32 => DAYS,
        DataType::Date64 => days(1_000),
        DataType::Timestamp(unit, _) => days(per_second(*unit)),
        DataType::Time32(unit) | DataType::Time64(unit) => 0..=DAY_SECONDS * per_second(*unit) - 1,
        // ISO 8601 durations are read by few.
        DataType::Duration(_) => RangeInclusive::new(1, 0),
        _ => return None,
    })
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn numbers(array: &ArrayRef) -> Result<PrimitiveArray<Int64Type>, ArrowError> {
    let native = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(array, &DataType::Int32)?,
        _ => Arc::clone(array),
    };
    Ok(cast(&native, &DataType::Int64)?.as_primitive().clone())
}

/// What a text is, by the type that its column declares.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    Object,
    Array,
    Any,
}

impl Kind {
    fn of(declared: Option<DeclaredType>) -> Self {
        match declared {
            Some(DeclaredType::Integer | DeclaredType::Number) => Self::Number,
            Some(DeclaredType::Boolean) => Self::Boolean,
            Some(DeclaredType::Object) => Self::Object,
            Some(DeclaredType::Array) => Self::Array,
            Some(DeclaredType::Union | DeclaredType::Unknown) => Self::Any,
            _ => Self::Text,
        }
    }

    /// The text as a literal of the kind if it is one, else as a text.
    fn literal(self, text: &str) -> Literal<'_> {
        let may = |kind: Self| matches!(self, Self::Any) || self as u8 == kind as u8;
        if may(Self::Number) && is_number(text) {
            return Literal::Number(text.into());
        }
        if may(Self::Boolean) && matches!(text, "true" | "false") {
            return Literal::Boolean(text == "true");
        }
        if (may(Self::Object) && is_json_line(text, b'{'))
            || (may(Self::Array) && is_json_line(text, b'['))
        {
            return Literal::Json(text.into());
        }
        Literal::Text(text.into())
    }
}

/// A JSON number that fits a double: readers fail on `1e999`.
pub(super) fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = bytes
        .first()
        .is_some_and(|&byte| byte == b'-' || byte.is_ascii_digit());
    let ends = bytes.last().is_some_and(u8::is_ascii_digit);
    begins && ends && serde_json::from_str::<f64>(text).is_ok()
}

/// Whether the text is an object or array, on one line, that other readers read too: without half
/// a surrogate pair or a number beyond a double.
pub(super) fn is_json_line(text: &str, begin: u8) -> bool {
    text.as_bytes().first() == Some(&begin)
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<Value>(text).is_ok()
}

pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    // Most texts have nothing to escape.
    let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        serde_json::to_writer(out, text).expect("a Vec takes every byte");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

pub(super) fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut from = 0;
    for quote in memchr_iter(b'"', text) {
        out.extend_from_slice(&text[from..=quote]);
        out.push(b'"');
        from = quote + 1;
    }
    out.extend_from_slice(&text[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_written_as_json_and_quoted(text in "(\\PC|[\"\\\\\n\u{0}\u{7f}]){0,40}") {
            let mut json = Vec::new();
            push_string(&mut json, &text);
            prop_assert_eq!(json, serde_json::to_vec(&text).unwrap());
            let mut quoted = Vec::new();
            push_quoted(&mut quoted, text.as_bytes());
            let doubled = format!("\"{}\"", text.replace('"', "\"\""));
            prop_assert_eq!(String::from_utf8(quoted).unwrap(), doubled);
        }
    }
}
