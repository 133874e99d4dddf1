//! The literal and canonical functions as DataFusion scalar functions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::CoerceError;
use super::literal::{LiteralType, Outcome, is_suspicious};

/// What a function makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// The literal that is sent: `sf_date(text)`.
    Literal,
    /// The form that is compared: `sf_canonical_date(text)`. That of decimals takes the scale of
    /// the field as a second argument.
    Canonical,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: String,
    form: Form,
    literal_type: LiteralType,
    signature: Signature,
}

/// The scalar function of a type.
pub(super) fn function(literal_type: LiteralType, form: Form) -> ScalarUDF {
    let (prefix, arguments) = match (form, literal_type) {
        (Form::Literal, _) => ("sf_", vec![DataType::Utf8]),
        (Form::Canonical, LiteralType::Decimal) => {
            ("sf_canonical_", vec![DataType::Utf8, DataType::UInt32])
        }
        (Form::Canonical, _) => ("sf_canonical_", vec![DataType::Utf8]),
    };
    ScalarUDF::new_from_impl(Function {
        name: format!("{prefix}{}", literal_type.name()),
        form,
        literal_type,
        signature: Signature::exact(arguments, Volatility::Immutable),
    })
}

/// Makes `sf_text`, `sf_date`, … and `sf_canonical_text`, … known to SQL.
///
/// # Errors
/// [`CoerceError::Plan`] if the registry takes no functions.
pub fn register_udfs(registry: &mut dyn FunctionRegistry) -> Result<(), CoerceError> {
    for literal_type in LiteralType::ALL {
        for form in [Form::Literal, Form::Canonical] {
            registry
                .register_udf(Arc::new(function(literal_type, form)))
                .map_err(CoerceError::Plan)?;
        }
    }
    Ok(())
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scale = match args.args.get(1) {
            None => 0,
            Some(ColumnarValue::Scalar(ScalarValue::UInt32(Some(scale)))) => *scale,
            Some(_) => {
                return Err(exec_datafusion_err!(
                    "{}: the scale is a constant",
                    self.name
                ));
            }
        };
        match args.args.first() {
            Some(ColumnarValue::Array(column)) => {
                Ok(ColumnarValue::Array(self.convert(column, scale)?))
            }
            Some(ColumnarValue::Scalar(value)) => {
                let result = self.convert(&value.to_array()?, scale)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                    &result, 0,
                )?))
            }
            None => Err(exec_datafusion_err!("{} takes a text", self.name)),
        }
    }
}

impl Function {
    fn convert(&self, column: &ArrayRef, scale: u32) -> Result<ArrayRef> {
        let text = column
            .as_string_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("{} takes Utf8 text", self.name))?;
        let literal_type = self.literal_type;
        match (self.form, literal_type) {
            (Form::Literal, LiteralType::Text) if is_clean(text) => {
                rewrite(column, text, |value, out| match value {
                    "" | "#N/A" => literal_type.literal(value, out),
                    _ => Outcome::Same,
                })
            }
            (Form::Literal, _) => {
                rewrite(column, text, |value, out| literal_type.literal(value, out))
            }
            (Form::Canonical, _) => rewrite(column, text, |value, out| {
                literal_type.canonical(value, scale, out)
            }),
        }
    }
}

/// Whether no byte of the column belongs to a character that text may not keep: one pass over the
/// values, without their bounds.
fn is_clean(column: &StringArray) -> bool {
    let values = match column.value_offsets() {
        [first, .., last] => column.value_data().get(*first as usize..*last as usize),
        _ => None,
    };
    let blocks = values.unwrap_or_default().chunks(64);
    let dirty = |block: &[u8]| block.iter().fold(false, |any, b| any | is_suspicious(*b));
    !blocks.into_iter().any(dirty)
}

/// The column itself as long as every value stays as it is; otherwise a new one, whose values are
/// copied up to the first that changes. What has no literal becomes null.
fn rewrite(
    column: &ArrayRef,
    text: &StringArray,
    convert: impl Fn(&str, &mut String) -> Outcome,
) -> Result<ArrayRef> {
    let mut buffer = String::new();
    let first_changed = (0..text.len()).find(|row| {
        let unchanged = text.is_null(*row) || {
            buffer.clear();
            convert(text.value(*row), &mut buffer) == Outcome::Same
        };
        !unchanged
    });
    let Some(first_changed) = first_changed else {
        return Ok(Arc::clone(column));
    };
    let mut cells = StringBuilder::with_capacity(text.len(), text.value_data().len());
    cells.append_array(&text.slice(0, first_changed))?;
    for row in first_changed..text.len() {
        if text.is_null(row) {
            cells.append_null();
            continue;
        }
        buffer.clear();
        let value = text.value(row);
        match convert(value, &mut buffer) {
            Outcome::Same => cells.append_value(value),
            Outcome::Written => cells.append_value(&buffer),
            Outcome::Null | Outcome::Invalid(_) => cells.append_null(),
        }
    }
    Ok(Arc::new(cells.finish()))
}
