//! Lists, structs, maps -> compact JSON, with the texts of `source` inside.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, OffsetSizeTrait, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::literal::LiteralType;
use super::source;

/// JSON of each value, null where it is null or holds a value that has no text.
pub(super) fn texts(values: &ArrayRef) -> Result<StringArray> {
    let texts = match values.data_type() {
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            lists(values, list.values(), |row| {
                bounds(list.value_offsets(), row)
            })?
        }
        DataType::LargeList(_) => {
            let list = values.as_list::<i64>();
            lists(values, list.values(), |row| {
                bounds(list.value_offsets(), row)
            })?
        }
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or_default();
            let list = values.as_fixed_size_list();
            lists(values, list.values(), |row| {
                (row * length, (row + 1) * length)
            })?
        }
        DataType::Struct(_) => structs(values.as_struct())?,
        DataType::Map(..) => maps(values.as_map())?,
        DataType::Dictionary(..) => {
            let dictionary = values.as_any_dictionary();
            take(&texts(dictionary.values())?, dictionary.keys(), None)?
        }
        DataType::RunEndEncoded(_, item) => return texts(&cast(values, item.data_type())?),
        DataType::Union(..) => {
            source::union(values.as_union(), |child, _| Ok(Arc::new(texts(child)?)))?
        }
        scalar => {
            let bare = scalar.is_numeric() || *scalar == DataType::Boolean;
            let texts = source::texts(values, LiteralType::Text)?;
            if bare {
                texts
            } else {
                let texts = texts.as_string::<i32>();
                source::rows(texts, |row, out| {
                    push_string(texts.value(row), out);
                    true
                })?
            }
        }
    };
    Ok(texts.as_string::<i32>().clone())
}

/// Values inside another, as JSON.
struct Items {
    texts: StringArray,
    nulls: Option<NullBuffer>,
}

impl Items {
    fn new(values: &ArrayRef) -> Result<Self> {
        Ok(Self {
            texts: texts(values)?,
            nulls: values.logical_nulls(),
        })
    }

    /// Appends a value; false if it has no text.
    fn push(&self, index: usize, out: &mut String) -> bool {
        if self.texts.is_valid(index) {
            out.push_str(self.texts.value(index));
            return true;
        }
        out.push_str("null");
        self.nulls
            .as_ref()
            .is_some_and(|nulls| nulls.is_null(index))
    }
}

fn bounds<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> (usize, usize) {
    (offsets[row].as_usize(), offsets[row + 1].as_usize())
}

fn lists(
    values: &ArrayRef,
    items: &ArrayRef,
    bounds: impl Fn(usize) -> (usize, usize),
) -> Result<ArrayRef> {
    let items = Items::new(items)?;
    source::rows(values, |row, out| {
        let (first, end) = bounds(row);
        separated(('[', ']'), first..end, out, |index, out| {
            items.push(index, out)
        })
    })
}

fn structs(values: &StructArray) -> Result<ArrayRef> {
    let names = values.fields().iter().map(|field| {
        let mut name = String::new();
        push_string(field.name(), &mut name);
        name.push(':');
        name
    });
    let items = names
        .zip(values.columns())
        .map(|(name, column)| Ok((name, Items::new(column)?)));
    let items = items.collect::<Result<Vec<_>>>()?;
    source::rows(values, |row, out| {
        separated(('{', '}'), 0..items.len(), out, |index, out| {
            let (name, items) = &items[index];
            out.push_str(name);
            items.push(row, out)
        })
    })
}

fn maps(values: &MapArray) -> Result<ArrayRef> {
    let keys = source::texts(values.keys(), LiteralType::Text)?;
    let keys = keys.as_string::<i32>();
    let items = Items::new(values.values())?;
    source::rows(values, |row, out| {
        let (first, end) = bounds(values.value_offsets(), row);
        separated(('{', '}'), first..end, out, |index, out| {
            if keys.is_null(index) {
                return false;
            }
            push_string(keys.value(index), out);
            out.push(':');
            items.push(index, out)
        })
    })
}

/// Appends items between brackets with commas; false as soon as one has no text.
fn separated(
    (open, close): (char, char),
    items: std::ops::Range<usize>,
    out: &mut String,
    mut push: impl FnMut(usize, &mut String) -> bool,
) -> bool {
    out.push(open);
    let first = items.start;
    for index in items {
        if index > first {
            out.push(',');
        }
        if !push(index, out) {
            return false;
        }
    }
    out.push(close);
    true
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, Int64Array, ListArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Float64Type, Int32Type};

    use super::*;

    fn found(values: impl Array + 'static) -> Vec<Option<String>> {
        let texts = texts(&(Arc::new(values) as ArrayRef)).unwrap();
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn a_value_that_has_no_text_leaves_its_row_without_one() {
        let floats = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(0.5), None, Some(3.0)]),
            Some(vec![Some(f64::NAN)]),
            None,
            Some(vec![]),
        ]);
        let expected = [Some("[0.5,null,3]"), None, None, Some("[]")];
        assert_eq!(found(floats), expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn texts_are_quoted_and_numbers_of_dictionaries_are_not() {
        let words: DictionaryArray<Int32Type> =
            [Some("a\"b"), None, Some("\u{1}")].into_iter().collect();
        let expected = [Some(r#""a\"b""#), None, Some(r#""\u0001""#)];
        assert_eq!(found(words), expected.map(|text| text.map(str::to_owned)));
        let numbers = DictionaryArray::<Int32Type>::new(
            Int32Array::from(vec![Some(1), None]),
            Arc::new(Int64Array::from(vec![5, 7])),
        );
        assert_eq!(found(numbers), [Some("7".to_owned()), None]);
    }

    #[test]
    fn a_slice_of_lists_has_its_own_items() {
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let items = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let lists = ListArray::new(item, OffsetBuffer::from_lengths([1, 2]), items, None);
        assert_eq!(found(lists.slice(1, 1)), [Some("[2,3]".to_owned())]);
    }
}
