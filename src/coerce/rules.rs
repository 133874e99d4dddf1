//! The table of rules: source type and field -> expression.

use arrow::datatypes::{DataType, Field as SourceField};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};

use super::literal::LiteralType;
use super::target::Target;
use super::{CoerceError, function, source};
use crate::object::{Field, FieldType};
use crate::source::DeclaredType;

/// The exact text of a column's values, null where one has none; the error says why no text of its
/// type can fill the field.
pub(super) fn source_text(source: &SourceField, field: &Field) -> Result<Expr, String> {
    let to = LiteralType::of(&field.field_type);
    let value = column(source.name());
    match source.data_type() {
        DataType::Utf8 if matches!(to, LiteralType::Text | LiteralType::MultiPicklist) => {
            Ok(match DeclaredType::of(source) {
                Some(DeclaredType::Integer) => function::integer().call(vec![value]),
                Some(DeclaredType::Number) => function::plain().call(vec![value]),
                _ => value,
            })
        }
        DataType::Utf8 => Ok(value),
        other if source::has_text(other, to) => Ok(source::function(to).call(vec![value])),
        other => {
            let to = type_name(&field.field_type);
            Err(CoerceError::source_type(
                source.name(),
                other,
                &field.name,
                to,
            ))
        }
    }
}

/// The cells made of a text; `explicit_null` is the flag column that says which nulls are stated.
pub(super) fn cell(text: Expr, target: Target, explicit_null: Option<&SourceField>) -> Expr {
    let mut arguments = vec![text];
    if target.clears() {
        arguments.extend(explicit_null.map(|flag| column(flag.name())));
    }
    function::literal(target).call(arguments)
}

/// The expression of a column's canonical form.
pub(super) fn canonical(field: &Field) -> Expr {
    let literal_type = LiteralType::of(&field.field_type);
    let mut arguments = vec![column(&field.name)];
    if literal_type == LiteralType::Decimal {
        arguments.push(lit(field.scale));
    }
    function::canonical(literal_type).call(arguments)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
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
