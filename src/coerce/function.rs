//! The literal and canonical functions as DataFusion scalar functions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::literal::{CLEAR, LiteralType, Rewrite, is_suspicious};
use super::number;
use super::target::Target;
use super::{CoerceError, canonical};

/// What a function makes of a text.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Form {
    /// The literal that is sent: `sf_date(text)`. Where nulls clear fields and the source has a
    /// flag column that says which it states, that is the second argument.
    Literal(Target),
    /// A number without its exponent, any other text as it is: `sf_plain(text)`.
    Plain,
    /// A whole number as digits, any other number without its exponent, any other text as it is:
    /// `sf_integer(text)`.
    Integer,
    /// The form that is compared: `sf_canonical_date(text)`. That of decimals takes the scale of
    /// the field as a second argument.
    Canonical(LiteralType),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: String,
    form: Form,
    signature: Signature,
}

/// The scalar function that writes literals of a target.
pub(super) fn literal(target: Target) -> ScalarUDF {
    let name = format!("sf_{}", target.literal_type.name());
    let text = TypeSignature::Exact(vec![DataType::Utf8]);
    let with_flag = TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]);
    ScalarUDF::new_from_impl(Function {
        name,
        form: Form::Literal(target),
        signature: Signature::one_of(vec![text, with_flag], Volatility::Immutable),
    })
}

/// The scalar function that takes the exponents off numbers.
pub(super) fn plain() -> ScalarUDF {
    of_number("sf_plain", Form::Plain)
}

/// The scalar function that writes whole numbers as digits.
pub(super) fn integer() -> ScalarUDF {
    of_number("sf_integer", Form::Integer)
}

fn of_number(name: &str, form: Form) -> ScalarUDF {
    ScalarUDF::new_from_impl(Function {
        name: name.to_owned(),
        form,
        signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
    })
}

/// The scalar function of a type's canonical forms.
pub(super) fn canonical(literal_type: LiteralType) -> ScalarUDF {
    let mut arguments = vec![DataType::Utf8];
    if literal_type == LiteralType::Decimal {
        arguments.push(DataType::UInt32);
    }
    ScalarUDF::new_from_impl(Function {
        name: format!("sf_canonical_{}", literal_type.name()),
        form: Form::Canonical(literal_type),
        signature: Signature::exact(arguments, Volatility::Immutable),
    })
}

/// Makes `sf_text`, `sf_date`, … and `sf_canonical_text`, … known to SQL.
///
/// # Errors
/// [`CoerceError::Plan`] if the registry takes no functions.
pub fn register_udfs(registry: &mut dyn FunctionRegistry) -> Result<(), CoerceError> {
    for literal_type in LiteralType::ALL {
        let functions = [
            literal(Target::of_type(literal_type)),
            canonical(literal_type),
        ];
        for function in functions {
            registry
                .register_udf(Arc::new(function))
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
        let is_array = |value: &ColumnarValue| matches!(value, ColumnarValue::Array(_));
        let Some(text) = args.args.first() else {
            return Err(exec_datafusion_err!("{} takes a text", self.name));
        };
        let rows = if args.args.iter().any(is_array) {
            args.number_rows
        } else {
            1
        };
        let column = text.to_array(rows)?;
        let result = match &self.form {
            Form::Literal(target) => {
                let explicit = args.args.get(1).map(|flags| flags.to_array(rows));
                self.literals(target, &column, explicit.transpose()?.as_ref())?
            }
            Form::Plain => rewrite(&column, self.texts(&column)?, |_| None, number::plain)?,
            Form::Integer => rewrite(&column, self.texts(&column)?, |_| None, number::integer)?,
            Form::Canonical(literal_type) => {
                let scale = self.scale(args.args.get(1))?;
                self.canonicals(*literal_type, scale, &column)?
            }
        };
        if args.args.iter().any(is_array) {
            return Ok(ColumnarValue::Array(result));
        }
        ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar)
    }
}

impl Function {
    fn scale(&self, argument: Option<&ColumnarValue>) -> Result<u32> {
        match argument {
            None => Ok(0),
            Some(ColumnarValue::Scalar(ScalarValue::UInt32(Some(scale)))) => Ok(*scale),
            Some(_) => Err(exec_datafusion_err!(
                "{}: the scale is a constant",
                self.name
            )),
        }
    }

    fn texts<'a>(&self, column: &'a ArrayRef) -> Result<&'a StringArray> {
        column
            .as_string_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("{} takes Utf8 text", self.name))
    }

    fn literals(
        &self,
        target: &Target,
        column: &ArrayRef,
        explicit: Option<&ArrayRef>,
    ) -> Result<ArrayRef> {
        let texts = self.texts(column)?;
        let explicit = explicit.map(AsArray::as_boolean);
        let null = |row: usize| match explicit {
            _ if !target.clears() => None,
            Some(stated) if !stated.value(row) => None,
            _ => Some(CLEAR),
        };
        if target.literal_type == LiteralType::Text && is_clean(texts) {
            return rewrite(column, texts, null, |value, out| match value {
                "" | CLEAR => target.literal(value, out),
                _ if target.admits(value) => Rewrite::Same,
                _ => target.literal(value, out),
            });
        }
        rewrite(column, texts, null, |value, out| target.literal(value, out))
    }

    fn canonicals(
        &self,
        literal_type: LiteralType,
        scale: u32,
        column: &ArrayRef,
    ) -> Result<ArrayRef> {
        let texts = self.texts(column)?;
        let none = |_| None;
        if literal_type == LiteralType::Text && is_clean(texts) {
            if is_canonical(texts) {
                return Ok(Arc::clone(column));
            }
            return rewrite(column, texts, none, canonical::clean_text);
        }
        rewrite(column, texts, none, |value, out| {
            literal_type.canonical(value, scale, out)
        })
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

/// Whether clean text certainly is its own canonical form, by the ends of the values alone: none is
/// empty, has outer blanks, or clears its field.
fn is_canonical(column: &StringArray) -> bool {
    let bytes = column.value_data();
    let offsets = column.value_offsets().windows(2).enumerate();
    let mut values = offsets.map(|(row, ends)| match *ends {
        [start, end] if start < end => {
            let (first, last) = (bytes[start as usize], bytes[end as usize - 1]);
            first.is_ascii_graphic() & last.is_ascii_graphic() & (first != CLEAR.as_bytes()[0])
        }
        _ => column.is_null(row),
    });
    values.all(|is_canonical| is_canonical)
}

/// The column itself as long as every value stays as it is; otherwise a new one, whose values are
/// copied up to the first that changes. What has no literal becomes null, a null what `null` says.
fn rewrite(
    column: &ArrayRef,
    texts: &StringArray,
    null: impl Fn(usize) -> Option<&'static str>,
    convert: impl Fn(&str, &mut String) -> Rewrite,
) -> Result<ArrayRef> {
    let mut buffer = String::new();
    let first_changed = (0..texts.len()).find(|row| {
        if texts.is_null(*row) {
            return null(*row).is_some();
        }
        buffer.clear();
        convert(texts.value(*row), &mut buffer) != Rewrite::Same
    });
    let Some(first_changed) = first_changed else {
        return Ok(Arc::clone(column));
    };
    let mut cells = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    cells.append_array(&texts.slice(0, first_changed))?;
    for row in first_changed..texts.len() {
        if texts.is_null(row) {
            append(&mut cells, null(row))?;
            continue;
        }
        buffer.clear();
        let value = texts.value(row);
        let cell = match convert(value, &mut buffer) {
            Rewrite::Same => Some(value),
            Rewrite::Written => Some(buffer.as_str()),
            Rewrite::Null | Rewrite::Invalid(_) => None,
        };
        append(&mut cells, cell)?;
    }
    Ok(Arc::new(cells.finish()))
}

/// Appends a cell, unless the column's text would pass the 2 GiB that its offsets reach.
pub(super) fn append(cells: &mut StringBuilder, cell: Option<&str>) -> Result<()> {
    let bytes = cells.values_slice().len() + cell.map_or(0, str::len);
    if i32::try_from(bytes).is_err() {
        return Err(exec_datafusion_err!(
            "the text of one column is over 2 GiB; send smaller batches"
        ));
    }
    cells.append_option(cell);
    Ok(())
}
