//! Arrays of any type, with values of any bits, by any settings.

use std::sync::Arc;

use arrow::array::types::Int32Type;
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, UnionFields};
use proptest::prelude::*;

use super::is_legal;
use crate::coerce::Coercion;
use crate::coerce::literal::LiteralType;
use crate::coerce::tests::{contact, with_another};
use crate::object::{Operation, RelatedObjects};
use crate::options::{NullHandling, OnTooLong, Timezone, Validate, ValueOptions};

type Bits = Vec<Option<i64>>;

#[allow(clippy::cast_possible_truncation, reason = "any bits will do")]
fn scalar(kind: usize, bits: &Bits) -> ArrayRef {
    let narrow = || bits.iter().map(|bits| bits.map(|bits| bits as i32));
    let wide = || bits.iter().copied();
    let texts = || bits.iter().map(|bits| bits.map(|bits| bits.to_string()));
    let cast_of = |to: DataType| cast(&Int64Array::from_iter(wide()), &to).unwrap();
    let micros = |zone: &str| TimestampMicrosecondArray::from_iter(wide()).with_timezone(zone);
    match kind {
        0 => cast_of(DataType::Int8),
        1 => cast_of(DataType::UInt16),
        2 => Arc::new(UInt64Array::from_iter(wide().map(|b| b.map(|b| b as u64)))),
        3 => Arc::new(Int64Array::from_iter(wide())),
        4 => cast_of(DataType::Float16),
        5 => Arc::new(Float32Array::from_iter(
            narrow().map(|b| b.map(|b| f32::from_bits(b as u32))),
        )),
        6 => Arc::new(Float64Array::from_iter(
            wide().map(|b| b.map(|b| f64::from_bits(b as u64))),
        )),
        7 => Arc::new(
            Decimal32Array::from_iter(narrow())
                .with_precision_and_scale(9, 2)
                .unwrap(),
        ),
        8 => Arc::new(
            Decimal64Array::from_iter(wide())
                .with_precision_and_scale(18, -3)
                .unwrap(),
        ),
        9 => Arc::new(
            Decimal128Array::from_iter(wide().map(|b| b.map(i128::from)))
                .with_precision_and_scale(38, 30)
                .unwrap(),
        ),
        10 => Arc::new(
            Decimal256Array::from_iter(wide().map(|b| b.map(Into::into)))
                .with_precision_and_scale(70, 0)
                .unwrap(),
        ),
        11 => Arc::new(BooleanArray::from_iter(
            wide().map(|b| b.map(|b| b % 2 == 0)),
        )),
        12 => Arc::new(Date32Array::from_iter(narrow())),
        13 => Arc::new(Date64Array::from_iter(wide())),
        14 => Arc::new(TimestampSecondArray::from_iter(wide())),
        15 => Arc::new(TimestampMillisecondArray::from_iter(wide())),
        16 => Arc::new(micros("America/New_York")),
        17 => Arc::new(TimestampNanosecondArray::from_iter(wide())),
        18 => Arc::new(Time32SecondArray::from_iter(narrow())),
        19 => Arc::new(Time32MillisecondArray::from_iter(narrow())),
        20 => Arc::new(Time64MicrosecondArray::from_iter(wide())),
        21 => Arc::new(Time64NanosecondArray::from_iter(wide())),
        22 => Arc::new(StringViewArray::from_iter(texts())),
        23 => Arc::new(LargeStringArray::from_iter(texts())),
        24 => Arc::new(BinaryViewArray::from_iter(texts())),
        25 => Arc::new(BinaryArray::from_iter(texts())),
        _ => Arc::new(NullArray::new(bits.len())),
    }
}

const SCALARS: usize = 27;

/// The array itself, or inside another.
fn nested(how: usize, values: ArrayRef) -> ArrayRef {
    let rows = i32::try_from(values.len()).unwrap();
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let keys = Int32Array::from_iter((0..rows).map(|row| (row % 5 != 4).then_some(rows - 1 - row)));
    match how {
        0 => Arc::new(DictionaryArray::new(keys, values)),
        1 => {
            let ends: Int32Array = (1..=rows).map(|row| row * 2).collect();
            Arc::new(RunArray::<Int32Type>::try_new(&ends, &values).unwrap())
        }
        2 => {
            let lengths = (0..rows).map(|row| usize::from(row % 3 != 0));
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(item, offsets, values, None))
        }
        3 => {
            let offsets = OffsetBuffer::from_lengths((0..rows).map(|_| 1));
            let nulls = NullBuffer::from_iter((0..rows).map(|row| row % 4 != 1));
            Arc::new(LargeListArray::new(item, offsets, values, Some(nulls)))
        }
        4 => Arc::new(FixedSizeListArray::new(item, 1, values, None)),
        5 => {
            let nulls = NullBuffer::from_iter((0..rows).map(|row| row % 4 != 2));
            Arc::new(StructArray::new(
                Fields::from(vec![item]),
                vec![values],
                Some(nulls),
            ))
        }
        6 => {
            let texts: StringArray = (0..rows).map(|row| Some(row.to_string())).collect();
            let text = Field::new("text", DataType::Utf8, true);
            let fields = UnionFields::try_new([3, 7], [item.as_ref().clone(), text]).unwrap();
            let ids: ScalarBuffer<i8> = (0..rows)
                .map(|row| if row % 2 == 0 { 3 } else { 7 })
                .collect();
            let children: Vec<ArrayRef> = vec![values, Arc::new(texts)];
            Arc::new(UnionArray::try_new(fields, ids, None, children).unwrap())
        }
        _ => values,
    }
}

fn settings() -> impl Strategy<Value = ValueOptions> {
    let zones = prop::sample::select(vec!["UTC", "Europe/Berlin", "Pacific/Apia", "-11:30"]);
    (any::<bool>(), any::<bool>(), any::<bool>(), zones).prop_map(|(clear, cut, strict, zone)| {
        ValueOptions {
            null_handling: if clear {
                NullHandling::Clear
            } else {
                NullHandling::Leave
            },
            on_too_long: if cut {
                OnTooLong::Truncate
            } else {
                OnTooLong::Reject
            },
            validate: if strict {
                Validate::Strict
            } else {
                Validate::Minimal
            },
            timezone: Timezone::parse(zone).unwrap(),
        }
    })
}

fn bits() -> impl Strategy<Value = Bits> {
    let value = prop_oneof![
        any::<i64>(),
        -1_000_i64..1_000,
        // Seconds, milliseconds and microseconds of dates that people know.
        -3_000_000_000_i64..3_000_000_000,
        -3_000_000_000_000_i64..3_000_000_000_000,
        -3_000_000_000_000_000_i64..3_000_000_000_000_000,
    ];
    prop::collection::vec(prop::option::weighted(0.8, value), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cells_of_any_array_are_legal(
        bits in bits(),
        kind in 0..SCALARS,
        outer in 0..9_usize,
        inner in 5..9_usize,
        slice in 0..3_usize,
        settings in settings(),
    ) {
        let array = nested(outer, nested(inner, scalar(kind, &bits)));
        let from = slice.min(array.len() - 1);
        let array = array.slice(from, array.len() - from);
        let object = contact();
        for field in object.fields() {
            if field.name == "Email" {
                continue;
            }
            let column = (field.name.as_str(), Arc::clone(&array), true);
            let batch = RecordBatch::try_from_iter_with_nullable([column]).unwrap();
            let batch = with_another(&batch);
            let Ok(coercion) = Coercion::plan(&batch.schema(), &object, &Operation::Insert, &RelatedObjects::default(), settings)
            else {
                continue;
            };
            let cells = coercion.apply(&batch).unwrap();
            let texts = cells.batch.column(0).as_string::<i32>();
            let given = array.logical_nulls();
            let literal_type = LiteralType::of(&field.field_type);
            let clears = settings.null_handling == NullHandling::Clear
                && literal_type != LiteralType::Boolean;
            for row in 0..array.len() {
                let is_null = given.as_ref().is_some_and(|nulls| nulls.is_null(row));
                let rejected = cells.rejects.iter().any(|(reject, _)| *reject == row);
                if texts.is_null(row) {
                    prop_assert!(!(is_null && (rejected || clears)), "{array:?} {row}");
                    continue;
                }
                let cell = texts.value(row);
                let cleared = clears && cell == "#N/A";
                prop_assert!(cleared || is_legal(literal_type, cell), "{array:?} {cell:?}");
                prop_assert!(!rejected);
                prop_assert!(!is_null || cleared);
            }
        }
    }
}
