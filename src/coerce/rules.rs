//! The table of rules: source type and field -> expression.

use arrow::datatypes::{DataType, Field as SourceField, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit, try_cast};

use super::CoerceError;
use super::function::{Form, function};
use super::literal::LiteralType;
use crate::object::{Field, FieldType};

/// How one column becomes cells: `sf_…(text)`.
pub(super) struct Rule {
    pub(super) literal_type: LiteralType,
    /// Exact text of the source value, null where it has none.
    pub(super) text: Expr,
}

impl Rule {
    /// The rule for a column that fills a field; the error says why there is none.
    pub(super) fn choose(source: &SourceField, field: &Field) -> Result<Self, String> {
        let literal_type = LiteralType::of(&field.field_type);
        let text = text(source, literal_type).ok_or_else(|| {
            let to = type_name(&field.field_type);
            CoerceError::source_type(source.name(), source.data_type(), &field.name, to)
        })?;
        Ok(Self { literal_type, text })
    }

    /// The whole expression.
    pub(super) fn cell(&self) -> Expr {
        function(self.literal_type, Form::Literal).call(vec![self.text.clone()])
    }
}

/// The expression of a column's canonical form.
pub(super) fn canonical(field: &Field) -> Expr {
    let literal_type = LiteralType::of(&field.field_type);
    let mut arguments = vec![column(&field.name)];
    if literal_type == LiteralType::Decimal {
        arguments.push(lit(field.scale));
    }
    function(literal_type, Form::Canonical).call(arguments)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Text of the source's values, if its type has a plain meaning as this type.
fn text(source: &SourceField, to: LiteralType) -> Option<Expr> {
    use LiteralType::{Boolean, Date, DateTime, Decimal, Int, Long, Text, Time};
    let value = column(source.name());
    let numeric = matches!(to, Decimal | Int | Long);
    match source.data_type() {
        DataType::Utf8 => Some(value),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Some(as_text(value)),
        DataType::Dictionary(_, values) if values.is_string() => Some(as_text(value)),
        DataType::Boolean if matches!(to, Text | Boolean) => Some(as_text(value)),
        integer if integer.is_integer() => {
            (numeric || matches!(to, Text | Boolean)).then(|| as_text(value))
        }
        float if float.is_floating() => match to {
            // Arrow's text of a float has an exponent, or is NaN: neither belongs into a text field.
            Text => Some(function(Decimal, Form::Literal).call(vec![as_text(value)])),
            _ => numeric.then(|| as_text(value)),
        },
        decimal if decimal.is_decimal() => (numeric || to == Text).then(|| as_text(value)),
        DataType::Date32 if matches!(to, Text | Date | DateTime) => Some(as_text(value)),
        DataType::Date64 if matches!(to, Text | Date | DateTime) => {
            Some(as_text(try_cast(value, DataType::Date32)))
        }
        DataType::Timestamp(unit, zone) if matches!(to, Text | Date | DateTime) => {
            Some(as_text(match zone {
                Some(_) => try_cast(value, utc(*unit)),
                None => value,
            }))
        }
        DataType::Time32(_) | DataType::Time64(_) if matches!(to, Text | Time) => {
            Some(as_text(value))
        }
        _ => None,
    }
}

/// A value that arrow cannot print becomes null, which rejects its row alone.
fn as_text(value: Expr) -> Expr {
    try_cast(value, DataType::Utf8)
}

fn utc(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("+00:00".into()))
}

/// Salesforce's word for the type.
fn type_name(field_type: &FieldType) -> &str {
    match field_type {
        FieldType::AnyType => "anyType",
        FieldType::Base64 => "base64",
        FieldType::Boolean => "boolean",
        FieldType::Combobox => "combobox",
        FieldType::Currency => "currency",
        FieldType::Date => "date",
        FieldType::DateTime => "datetime",
        FieldType::Double => "double",
        FieldType::Email => "email",
        FieldType::EncryptedString => "encryptedstring",
        FieldType::Id => "id",
        FieldType::Int => "int",
        FieldType::Long => "long",
        FieldType::MultiPicklist => "multipicklist",
        FieldType::Percent => "percent",
        FieldType::Phone => "phone",
        FieldType::Picklist => "picklist",
        FieldType::Reference => "reference",
        FieldType::String => "string",
        FieldType::TextArea => "textarea",
        FieldType::Time => "time",
        FieldType::Url => "url",
        FieldType::Other(name) => name,
    }
}
