//! Arrow types that a file holds, and the way there and back.
//!
//! A file has fewer types than Arrow: texts are `Utf8`, bytes are base64 text, every list is a
//! `List`, timestamps with a zone are in UTC. What a column was is known from its schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;
use datafusion::functions::encoding::{decode, encode};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

type Result<T> = std::result::Result<T, ArrowError>;

/// The type that a file holds for a type; `None` if rejected records cannot hold it.
pub(super) fn wire_type(of: &DataType) -> Option<DataType> {
    Some(match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        binary if is_binary(binary) => DataType::Utf8,
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Dictionary(_, values) => wire_type(values)?,
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type())?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(wire_field(item)?),
        DataType::Struct(fields) if !fields.is_empty() => {
            DataType::Struct(fields.iter().map(wire_field).collect::<Option<_>>()?)
        }
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) | DataType::Interval(_) => {
            return None;
        }
        other => other.clone(),
    })
}

fn wire_field(field: &FieldRef) -> Option<FieldRef> {
    let kind = wire_type(field.data_type())?;
    Some(Arc::new(Field::new(field.name(), kind, true)))
}

/// The array as a file holds it.
pub(super) fn to_wire(array: &ArrayRef) -> Result<ArrayRef> {
    let kind = array.data_type();
    let wire = wire_type(kind).ok_or_else(|| unsupported(kind))?;
    if wire == *kind {
        return Ok(Arc::clone(array));
    }
    match (kind, &wire) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let parent = array.as_struct();
            let columns = parent.columns().iter().map(to_wire);
            struct_of(parent, fields, columns.collect::<Result<_>>()?)
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            // A slice has the values of the whole array.
            let (first, end) = (offsets[0] as usize, offsets[list.len()] as usize);
            let values = to_wire(&list.values().slice(first, end - first))?;
            let offsets = OffsetBuffer::from_lengths(offsets.lengths());
            let nulls = list.nulls().cloned();
            let list = ListArray::try_new(Arc::clone(item), offsets, values, nulls)?;
            Ok(Arc::new(list))
        }
        (
            DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item),
            _,
        ) => to_wire(&cast(array, &DataType::List(Arc::clone(item)))?),
        (DataType::Dictionary(_, values), _) => to_wire(&cast(array, values)?),
        (DataType::RunEndEncoded(_, values), _) => to_wire(&cast(array, values.data_type())?),
        (binary, _) if is_binary(binary) => {
            let bytes = cast(array, &DataType::Binary)?;
            base64(&encode(), bytes, &DataType::Utf8)
        }
        _ => cast(array, &wire),
    }
}

/// The array of the type that it had before [`to_wire`].
pub(super) fn from_wire(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if array.data_type() == kind {
        return Ok(Arc::clone(array));
    }
    match kind {
        DataType::Struct(fields) => {
            let parent = array.as_struct();
            let columns = parent.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| from_wire(column, field.data_type()));
            struct_of(parent, fields, columns.collect::<Result<_>>()?)
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = from_wire(list.values(), item.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let list = ListArray::try_new(Arc::clone(item), offsets, values, nulls)?;
            Ok(Arc::new(list))
        }
        DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            cast(&from_wire(array, &DataType::List(Arc::clone(item)))?, kind)
        }
        DataType::Dictionary(_, values) => cast(&from_wire(array, values)?, kind),
        DataType::RunEndEncoded(_, values) => cast(&from_wire(array, values.data_type())?, kind),
        binary if is_binary(binary) => {
            let text = cast(array, &DataType::Binary)?;
            let bytes = base64(&decode(), text, &DataType::Binary)?;
            cast(&bytes, kind)
        }
        _ => cast(array, kind),
    }
}

/// A struct of other columns, null where `parent` is.
fn struct_of(parent: &StructArray, fields: &Fields, columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    let nulls = parent.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(
        fields.clone(),
        columns,
        nulls,
    )?))
}

pub(super) fn is_binary(kind: &DataType) -> bool {
    kind.is_binary() || matches!(kind, DataType::FixedSizeBinary(_))
}

fn unsupported(kind: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("rejected records cannot hold the type {kind}"))
}

/// Padded base64 by DataFusion's `encode` or `decode`.
fn base64(function: &ScalarUDF, array: ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let rows = array.len();
    let field = |name: &str, kind: &DataType| Arc::new(Field::new(name, kind.clone(), true));
    let arguments = ScalarFunctionArgs {
        arg_fields: vec![
            field("value", array.data_type()),
            field("encoding", &DataType::Utf8),
        ],
        args: vec![
            ColumnarValue::Array(array),
            ColumnarValue::Scalar(ScalarValue::from("base64pad")),
        ],
        number_rows: rows,
        return_field: field("result", to),
        config_options: Arc::new(ConfigOptions::default()),
    };
    let result = function.invoke_with_args(arguments)?.into_array(rows)?;
    cast(&result, to)
}
