//! The table of rules: source type and field -> expression.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as SourceField, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, lit, try_cast};
use datafusion::scalar::ScalarValue;

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
            // Arrow's text of a float has an exponent, or is NaN: neither belongs into a text
            // field.
            Text => Some(function(Decimal, Form::Literal).call(vec![as_text(value)])),
            _ => numeric.then(|| as_text(value)),
        },
        decimal if decimal.is_decimal() => (numeric || to == Text).then(|| as_text(value)),
        DataType::Date32 if matches!(to, Text | Date | DateTime) => Some(as_text(in_years(
            value,
            ScalarValue::Date32(Some(FIRST_DAY)),
            ScalarValue::Date32(Some(LAST_DAY)),
        ))),
        DataType::Date64 if matches!(to, Text | Date | DateTime) => {
            let days = in_years(
                value,
                ScalarValue::Date64(Some(i64::from(FIRST_DAY) * DAY_MS)),
                ScalarValue::Date64(Some(i64::from(LAST_DAY) * DAY_MS)),
            );
            Some(as_text(try_cast(days, DataType::Date32)))
        }
        DataType::Timestamp(_, zone) if matches!(to, Text | Date | DateTime) => {
            Some(timestamp_text(value, zone.is_some()))
        }
        DataType::Time32(_) | DataType::Time64(_) if matches!(to, Text | Time) => {
            Some(as_text(value))
        }
        _ => None,
    }
}

fn as_text(value: Expr) -> Expr {
    try_cast(value, DataType::Utf8)
}

/// A timestamp in UTC as text, with `Z` if it has a zone. Salesforce keeps milliseconds.
fn timestamp_text(value: Expr, zoned: bool) -> Expr {
    let zone: Option<Arc<str>> = zoned.then(|| "+00:00".into());
    let bound = |micros: i64| ScalarValue::TimestampMicrosecond(Some(micros), zone.clone());
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    as_text(in_years(
        try_cast(value, micros),
        bound(i64::from(FIRST_DAY) * DAY_MS * 1_000),
        bound(i64::from(LAST_DAY + 1) * DAY_MS * 1_000 - 1),
    ))
}

/// Year 1 and year 9999, in days since 1970.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;

const DAY_MS: i64 = 86_400_000;

/// The value if it lies between the bounds, else null, which rejects its row alone: arrow fails on
/// a whole batch with a date that it cannot print.
fn in_years(value: Expr, first: ScalarValue, last: ScalarValue) -> Expr {
    let within = value.clone().between(lit(first), lit(last));
    let branches = vec![(Box::new(within), Box::new(value))];
    Expr::Case(Case::new(None, branches, None))
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
