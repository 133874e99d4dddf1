//! Schemas of several files -> the one that all of them fit.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow_salesforce::arrow::compute::{can_cast_types, cast};
use arrow_salesforce::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;

use super::InputError;

/// The columns of all files, in the order in which they come first; null where a file lacks one.
///
/// # Errors
/// [`InputError::Content`] if two files have a column in types of which neither holds the other's
/// values exactly.
pub(crate) fn merge<'a>(
    files: impl IntoIterator<Item = (&'a str, SchemaRef)>,
) -> Result<SchemaRef, InputError> {
    merge_by(files, wider)
}

/// The same of files whose formats differ in what types they know: text beside another type is text.
///
/// # Errors
/// As [`merge`].
pub(crate) fn merge_as_text<'a>(
    files: impl IntoIterator<Item = (&'a str, SchemaRef)>,
) -> Result<SchemaRef, InputError> {
    merge_by(files, |a, b| {
        let texts = is_text(a) || is_text(b);
        let cast = |kind| can_cast_types(kind, &DataType::Utf8) && !kind.is_binary();
        wider(a, b).or_else(|| (texts && cast(a) && cast(b)).then_some(DataType::Utf8))
    })
}

fn merge_by<'a>(
    files: impl IntoIterator<Item = (&'a str, SchemaRef)>,
    wider: impl Fn(&DataType, &DataType) -> Option<DataType>,
) -> Result<SchemaRef, InputError> {
    let mut merged: Vec<(Field, &str)> = Vec::new();
    for (file, schema) in files {
        for field in schema.fields() {
            let known = merged
                .iter_mut()
                .find(|(known, _)| known.name() == field.name());
            let Some((known, first)) = known else {
                merged.push((field.as_ref().clone().with_nullable(true), file));
                continue;
            };
            let wider = wider(known.data_type(), field.data_type());
            let wider = wider.ok_or_else(|| InputError::Content {
                name: file.to_owned(),
                problem: format!(
                    "column {} is {} here and {} in {first}; give each file a name \
                     (name=file) and bring them together by --sql",
                    field.name(),
                    field.data_type(),
                    known.data_type(),
                ),
            })?;
            known.set_data_type(wider);
        }
    }
    let fields: Vec<Field> = merged.into_iter().map(|(field, _)| field).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The type that holds the values of both exactly.
fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{
        Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Null, UInt8, UInt16, UInt32,
    };

    const WHOLE: [DataType; 7] = [Int8, UInt8, Int16, UInt16, Int32, UInt32, Int64];
    let whole = |kind: &DataType| WHOLE.contains(kind);
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (a, b) if whole(a) && whole(b) => Some(Int64),
        (a, b) if is_text(a) && is_text(b) => Some(LargeUtf8),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (DataType::Dictionary(_, a), b) => wider(a, b),
        (a, DataType::Dictionary(_, b)) => wider(a, b),
        _ => None,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// A batch with the columns of `schema`, which [`merge`] made of this one's and others.
pub(crate) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let kind = field.data_type();
        match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == kind => Ok(Arc::clone(column)),
            Some(column) => cast(column, kind),
            None => Ok(new_null_array(kind, batch.num_rows())),
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, ArrowError>>()?;
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &arrow_salesforce::arrow::array::RecordBatchOptions::new()
            .with_row_count(Some(batch.num_rows())),
    )
}

/// The columns that directories give, without those that the files have themselves.
pub(crate) fn directory_fields(names: &[String], of_files: &Schema) -> Vec<FieldRef> {
    let is_new = |name: &&String| {
        let mut fields = of_files.fields().iter();
        !fields.any(|field| field.name().eq_ignore_ascii_case(name))
    };
    let new = names.iter().filter(is_new);
    new.map(|name| Arc::new(Field::new(name, DataType::Utf8, true)))
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow_salesforce::arrow::array::{AsArray as _, Int32Array};
    use arrow_salesforce::arrow::datatypes::Int64Type;

    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
        let fields = fields
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.clone(), false));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    #[test]
    fn files_may_differ_where_nothing_is_lost() {
        let one = schema(&[("a", DataType::Int32), ("b", DataType::Utf8)]);
        let two = schema(&[
            ("c", DataType::Date32),
            ("a", DataType::Int64),
            ("b", DataType::Null),
        ]);
        let merged = merge([("one", Arc::clone(&one)), ("two", two)]).unwrap();
        let expected = [
            ("a", DataType::Int64),
            ("b", DataType::Utf8),
            ("c", DataType::Date32),
        ];
        let found = merged.fields().iter();
        let found: Vec<_> = found
            .map(|f| (f.name().as_str(), f.data_type().clone()))
            .collect();
        assert_eq!(found, expected);

        let ids: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        let names = new_null_array(&DataType::Utf8, 1);
        let batch = RecordBatch::try_from_iter([("b", names), ("a", ids)]).unwrap();
        let fitted = fit(&batch, &merged).unwrap();
        assert_eq!(fitted.column(0).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(fitted.column(2).null_count(), 1);
    }

    #[test]
    fn files_that_differ_in_meaning_are_refused() {
        let one = schema(&[("a", DataType::Int32)]);
        let two = schema(&[("a", DataType::Utf8)]);
        let error = merge([("one", one), ("two", two)]).unwrap_err().to_string();
        assert!(
            error.starts_with("two: column a is Utf8 here and Int32 in one"),
            "{error}"
        );
    }
}
