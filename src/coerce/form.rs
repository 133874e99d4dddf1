//! How the values of a column are written, in words that stay the same whatever libraries are
//! underneath: two attempts of a load whose words differ cannot compare their rows.

use arrow::datatypes::{DataType, Field as SourceField, TimeUnit};

use super::literal::LiteralType;
use super::target::Target;
use crate::source::DeclaredType;

/// The words for a column: what its values come as, and what they are written as.
pub(super) fn form(source: &SourceField, target: &Target, names_record_type: bool) -> String {
    let from = source_form(source, target.literal_type);
    let to = if names_record_type {
        "record type"
    } else {
        type_name(target.literal_type)
    };
    format!("{from} as {to}{}", target.form())
}

fn source_form(source: &SourceField, to: LiteralType) -> String {
    let name = match source.data_type() {
        DataType::Utf8 if matches!(to, LiteralType::Text | LiteralType::MultiPicklist) => {
            match DeclaredType::of(source) {
                Some(DeclaredType::Integer) => "integer text",
                Some(DeclaredType::Number) => "number text",
                _ => "text",
            }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Boolean => "boolean",
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "float",
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => return format!("decimal({scale})"),
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(unit, zone) => {
            return format!(
                "timestamp({}, {})",
                unit_name(unit),
                zone.as_deref().unwrap_or("no zone")
            );
        }
        DataType::Time32(unit) | DataType::Time64(unit) => {
            return format!("time({})", unit_name(unit));
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytes",
        other if other.is_integer() => "integer",
        other if other.is_nested() => "json",
        _ => "other",
    };
    name.to_owned()
}

fn unit_name(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn type_name(literal_type: LiteralType) -> &'static str {
    match literal_type {
        LiteralType::Text => "text",
        LiteralType::MultiPicklist => "multipicklist",
        LiteralType::Boolean => "boolean",
        LiteralType::Int => "int",
        LiteralType::Long => "long",
        LiteralType::Decimal => "decimal",
        LiteralType::Date => "date",
        LiteralType::DateTime => "datetime",
        LiteralType::Time => "time",
        LiteralType::Base64 => "base64",
    }
}
