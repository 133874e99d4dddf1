//! JSON values as Arrow arrays of any type.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int32Array,
    LargeListArray, ListArray, MapArray, StringArray, StructArray, UnionArray, new_null_array,
};
use arrow_salesforce::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_salesforce::arrow::compute::kernels::zip::zip;
use arrow_salesforce::arrow::compute::{CastOptions, cast, cast_with_options, is_not_null};
use arrow_salesforce::arrow::datatypes::{DataType, FieldRef, TimeUnit, UnionFields, UnionMode};
use serde_json::value::RawValue;

/// An array of the type; no value is null, as is null.
pub(crate) fn array(kind: &DataType, values: &[Option<&RawValue>]) -> ArrayRef {
    let values: Vec<Option<&RawValue>> = values
        .iter()
        .map(|value| value.filter(|value| value.get() != "null"))
        .collect();
    let nulls = || NullBuffer::from_iter(values.iter().map(Option::is_some));
    match kind {
        DataType::Null | DataType::Duration(_) | DataType::Interval(_) => {
            new_null_array(kind, values.len())
        }
        DataType::Dictionary(_, inner) => {
            let keys = Int32Array::from_iter_values(0..i32::try_from(values.len()).unwrap());
            let entries = DictionaryArray::new(keys, array(inner, &values));
            cast(&entries, kind).unwrap()
        }
        DataType::RunEndEncoded(_, inner) => {
            cast(&array(inner.data_type(), &values), kind).unwrap()
        }
        DataType::List(item) => {
            let (lengths, items) = items(item, &values);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(
                Arc::clone(item),
                offsets,
                items,
                Some(nulls()),
            ))
        }
        DataType::LargeList(item) => {
            let (lengths, items) = items(item, &values);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(LargeListArray::new(
                Arc::clone(item),
                offsets,
                items,
                Some(nulls()),
            ))
        }
        DataType::FixedSizeList(item, length) => {
            let (_, items) = items(item, &values);
            let item = Arc::clone(item);
            Arc::new(FixedSizeListArray::new(item, *length, items, Some(nulls())))
        }
        DataType::Struct(fields) => {
            let objects: Vec<_> = values.iter().map(|value| value.map(object)).collect();
            let columns = fields.iter().map(|field| {
                let child =
                    |entries: &BTreeMap<String, Box<RawValue>>| entries.get(field.name()).cloned();
                let children: Vec<Option<Box<RawValue>>> = objects
                    .iter()
                    .map(|entries| entries.as_ref().and_then(child))
                    .collect();
                array(field.data_type(), &borrowed(&children))
            });
            let columns = columns.collect();
            Arc::new(StructArray::new(fields.clone(), columns, Some(nulls())))
        }
        DataType::Map(entries, _) => map(entries, &values, nulls()),
        DataType::Union(fields, mode) => union(fields, *mode, &values),
        DataType::FixedSizeBinary(length) => {
            let texts = values.iter().map(|value| value.map(text));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(texts, *length).unwrap())
        }
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            cast(&scalars(&utc, &values), kind).unwrap()
        }
        scalar => scalars(scalar, &values),
    }
}

/// Values read from their text; a bare number is what a timestamp counts.
fn scalars(kind: &DataType, values: &[Option<&RawValue>]) -> ArrayRef {
    let texts: StringArray = values.iter().map(|value| value.map(text)).collect();
    let exact = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    if matches!(kind, DataType::Timestamp(TimeUnit::Second, _)) {
        let counts = cast(&cast(&texts, &DataType::Int64).unwrap(), kind).unwrap();
        let moments = cast(&texts, kind).unwrap();
        return zip(&is_not_null(&counts).unwrap(), &counts, &moments).unwrap();
    }
    cast_with_options(&texts, kind, &exact).unwrap()
}

fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

fn object(value: &RawValue) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(value.get()).unwrap()
}

fn borrowed(values: &[Option<Box<RawValue>>]) -> Vec<Option<&RawValue>> {
    values.iter().map(Option::as_deref).collect()
}

/// Lengths of lists, and their items one after the other.
fn items(item: &FieldRef, values: &[Option<&RawValue>]) -> (Vec<usize>, ArrayRef) {
    let lists: Vec<Vec<Box<RawValue>>> = values
        .iter()
        .map(|value| value.map_or_else(Vec::new, |v| serde_json::from_str(v.get()).unwrap()))
        .collect();
    let items: Vec<Option<&RawValue>> = lists.iter().flatten().map(|v| Some(v.as_ref())).collect();
    let lengths = lists.iter().map(Vec::len).collect();
    (lengths, array(item.data_type(), &items))
}

fn map(entries: &FieldRef, values: &[Option<&RawValue>], nulls: NullBuffer) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else {
        panic!("the entries of a map are a struct");
    };
    let maps: Vec<_> = values
        .iter()
        .map(|value| value.map(object).unwrap_or_default())
        .collect();
    let keys: StringArray = maps.iter().flat_map(BTreeMap::keys).map(Some).collect();
    let items: Vec<Option<&RawValue>> = maps
        .iter()
        .flat_map(BTreeMap::values)
        .map(|value| Some(value.as_ref()))
        .collect();
    let columns = vec![
        Arc::new(keys) as ArrayRef,
        array(fields[1].data_type(), &items),
    ];
    let entry = StructArray::new(fields.clone(), columns, None);
    let offsets = OffsetBuffer::from_lengths(maps.iter().map(BTreeMap::len));
    Arc::new(MapArray::new(
        Arc::clone(entries),
        offsets,
        entry,
        Some(nulls),
        false,
    ))
}

/// Each value an object of one entry: the name of its child, and its value there.
fn union(fields: &UnionFields, mode: UnionMode, values: &[Option<&RawValue>]) -> ArrayRef {
    let entries: Vec<(String, Box<RawValue>)> = values
        .iter()
        .map(|value| object(value.unwrap()).pop_first().unwrap())
        .collect();
    let mut offsets = vec![0; entries.len()];
    let mut ids = vec![0; entries.len()];
    let children = fields.iter().map(|(id, field)| {
        let mut child = Vec::new();
        for (row, (name, value)) in entries.iter().enumerate() {
            let own = name == field.name();
            if own {
                ids[row] = id;
                offsets[row] = i32::try_from(child.len()).unwrap();
            }
            if own || mode == UnionMode::Sparse {
                child.push(own.then_some(value.as_ref()));
            }
        }
        array(field.data_type(), &child)
    });
    let children: Vec<ArrayRef> = children.collect();
    let offsets = (mode == UnionMode::Dense).then(|| ScalarBuffer::from(offsets));
    Arc::new(
        UnionArray::try_new(fields.clone(), ScalarBuffer::from(ids), offsets, children).unwrap(),
    )
}
