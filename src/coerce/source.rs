//! Source values of any Arrow type -> their exact text, which the functions of `literal` judge.
//!
//! Numbers are plain decimals, dates and times ISO 8601, bytes base64, lists, structs and maps
//! compact JSON. A type that has no plain meaning in a field has no text for it.

use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringBuilder, UnionArray};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, Field, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike, Timelike};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::function::append;
use super::literal::{LiteralType, Problem};
use super::{json, temporal};

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// `sf_source(column)`: the text of values for fields of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SourceText {
    to: LiteralType,
    signature: Signature,
}

/// The scalar function that makes texts of values, for fields of the type.
pub(super) fn function(to: LiteralType) -> ScalarUDF {
    ScalarUDF::new_from_impl(SourceText {
        to,
        signature: Signature::any(1, Volatility::Immutable),
    })
}

impl ScalarUDFImpl for SourceText {
    fn name(&self) -> &str {
        "sf_source"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args.first();
        let values = values.ok_or_else(|| exec_datafusion_err!("sf_source takes a column"))?;
        let texts = texts(&values.to_array(args.number_rows)?, self.to)?;
        Ok(ColumnarValue::Array(texts))
    }
}

/// Whether values of an Arrow type have a plain meaning in fields of a type.
pub(super) fn has_text(source: &DataType, to: LiteralType) -> bool {
    use LiteralType::{
        Base64, Boolean, Date, DateTime, Decimal, Int, Long, MultiPicklist, Text, Time,
    };
    let choice = matches!(to, Text | MultiPicklist);
    match source {
        DataType::Null => true,
        string if string.is_string() => true,
        number if number.is_numeric() => choice || matches!(to, Boolean | Int | Long | Decimal),
        DataType::Boolean => choice || to == Boolean,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            matches!(to, Text | Date | DateTime)
        }
        DataType::Time32(_) | DataType::Time64(_) => matches!(to, Text | Time),
        binary if binary.is_binary() || matches!(binary, DataType::FixedSizeBinary(_)) => {
            to == Base64
        }
        DataType::Dictionary(_, values) => has_text(values, to),
        DataType::RunEndEncoded(_, values) => has_text(values.data_type(), to),
        DataType::Union(fields, _) => fields
            .iter()
            .all(|(_, field)| has_text(field.data_type(), kind_of(field, to))),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match to {
                Text => has_text(item.data_type(), Text),
                MultiPicklist => {
                    let item = item.data_type();
                    !item.is_nested() && has_text(item, MultiPicklist)
                }
                _ => false,
            }
        }
        DataType::Struct(fields) => {
            to == Text && fields.iter().all(|field| has_text(field.data_type(), Text))
        }
        DataType::Map(entries, _) => to == Text && has_text(entries.data_type(), Text),
        _ => false,
    }
}

/// What a child of a union is written for: values that mean nothing in the field are known by their
/// text, as values of untyped columns are.
fn kind_of(child: &Field, to: LiteralType) -> LiteralType {
    if has_text(child.data_type(), to) {
        to
    } else {
        LiteralType::Text
    }
}

/// What is wrong with a value that has no text.
pub(super) fn unwritable(source: &DataType) -> Problem {
    Problem::Type(match source {
        DataType::Dictionary(_, values) => return unwritable(values),
        DataType::RunEndEncoded(_, values) => return unwritable(values.data_type()),
        float if float.is_floating() => "not a finite number",
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            "not within the years 1 to 9999"
        }
        DataType::Time32(_) | DataType::Time64(_) => "not a time of a day",
        _ => "a value that cannot be written as text",
    })
}

/// The texts of values, null where one has none: a `StringArray`.
pub(super) fn texts(values: &ArrayRef, to: LiteralType) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Utf8 => Ok(Arc::clone(values)),
        DataType::Dictionary(..) => {
            let dictionary = values.as_any_dictionary();
            let texts = texts(dictionary.values(), to)?;
            Ok(take(&texts, dictionary.keys(), None)?)
        }
        DataType::RunEndEncoded(_, item) => texts(&cast(values, item.data_type())?, to),
        DataType::Union(..) => union(values.as_union(), |child, field| {
            texts(child, kind_of(field, to))
        }),
        nested if nested.is_nested() => Ok(Arc::new(json::texts(values)?)),
        float if float.is_floating() => floats(values),
        DataType::Date32 => rows(values, |row, out| {
            write_moment(
                i64::from(values.as_primitive::<Date32Type>().value(row)) * DAY_SECONDS,
                0,
                Precision::Day,
                out,
            )
        }),
        DataType::Date64 => rows(values, |row, out| {
            let ms = values.as_primitive::<Date64Type>().value(row);
            write_moment(ms.div_euclid(1_000), 0, Precision::Day, out)
        }),
        DataType::Timestamp(unit, zone) => match unit {
            TimeUnit::Second => moments::<TimestampSecondType>(values, zone.is_some(), to, 1),
            TimeUnit::Millisecond => {
                moments::<TimestampMillisecondType>(values, zone.is_some(), to, 1_000)
            }
            TimeUnit::Microsecond => {
                moments::<TimestampMicrosecondType>(values, zone.is_some(), to, 1_000_000)
            }
            TimeUnit::Nanosecond => {
                moments::<TimestampNanosecondType>(values, zone.is_some(), to, NANOS)
            }
        },
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(values, to, 1),
        DataType::Time32(_) => times::<Time32MillisecondType>(values, to, 1_000),
        DataType::Time64(TimeUnit::Microsecond) => {
            times::<Time64MicrosecondType>(values, to, 1_000_000)
        }
        DataType::Time64(_) => times::<Time64NanosecondType>(values, to, NANOS),
        DataType::Binary => bytes(values, |row| values.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(values, |row| values.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(values, |row| values.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => {
            bytes(values, |row| values.as_fixed_size_binary().value(row))
        }
        _ => Ok(cast(values, &DataType::Utf8)?),
    }
}

/// The values of a union, each by its own kind.
pub(super) fn union(
    values: &UnionArray,
    of_child: impl Fn(&ArrayRef, &Field) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let mut children = Vec::new();
    let mut positions = [0; 128];
    for (position, (id, field)) in values.fields().iter().enumerate() {
        children.push(of_child(values.child(id), field)?);
        if let Some(slot) = usize::try_from(id)
            .ok()
            .and_then(|id| positions.get_mut(id))
        {
            *slot = position;
        }
    }
    let places = values.type_ids().iter().enumerate().map(|(row, id)| {
        let position = usize::try_from(*id).ok().and_then(|id| positions.get(id));
        (
            position.copied().unwrap_or_default(),
            values.value_offset(row),
        )
    });
    let places: Vec<(usize, usize)> = places.collect();
    let children: Vec<&dyn Array> = children.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&children, &places)?)
}

/// Writes each value that is not null; one that cannot be written becomes null.
pub(super) fn rows(
    values: &dyn Array,
    mut write: impl FnMut(usize, &mut String) -> bool,
) -> Result<ArrayRef> {
    let nulls = values.logical_nulls();
    let mut texts = StringBuilder::with_capacity(values.len(), 0);
    let mut buffer = String::new();
    for row in 0..values.len() {
        buffer.clear();
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let written = !is_null && write(row, &mut buffer);
        append(&mut texts, written.then_some(buffer.as_str()))?;
    }
    Ok(Arc::new(texts.finish()))
}

/// Shortest plain decimals that read back as the same value; whole ones without a point.
fn floats(values: &ArrayRef) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Float16 => rows(values, |row, out| {
            let half = values.as_primitive::<Float16Type>().value(row);
            write_float(double(half), f64::is_finite, out)
        }),
        DataType::Float32 => {
            let values_32 = values.as_primitive::<Float32Type>();
            rows(values, |row, out| {
                write_float(values_32.value(row), f32::is_finite, out)
            })
        }
        _ => {
            let values_64 = values.as_primitive::<Float64Type>();
            rows(values, |row, out| {
                write_float(values_64.value(row), f64::is_finite, out)
            })
        }
    }
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// A whole number as it is; else the double whose digits are the fewest that mean this half.
fn double(half: Half) -> f64 {
    let single = half.to_f32();
    let same = |text: &String| text.parse().map(Half::from_f32) == Ok(half);
    let shortest = (0..8)
        .map(|digits| format!("{single:.digits$e}"))
        .find(same)
        .filter(|_| single.fract() != 0.0);
    let double = shortest.and_then(|text| text.parse().ok());
    double.unwrap_or(single.into())
}

fn write_float<T: Copy + ToString>(
    value: T,
    is_finite: impl Fn(T) -> bool,
    out: &mut String,
) -> bool {
    out.push_str(&value.to_string());
    is_finite(value)
}

/// How much of a moment is written.
#[derive(Clone, Copy)]
enum Precision {
    Day,
    /// As Salesforce holds it: always three digits.
    Millisecond,
    /// All that is not zero: none, three, six or nine digits.
    Full,
}

impl Precision {
    fn of(to: LiteralType) -> Self {
        match to {
            LiteralType::Text => Self::Full,
            _ => Self::Millisecond,
        }
    }
}

fn moments<T: ArrowPrimitiveType<Native = i64>>(
    values: &ArrayRef,
    zoned: bool,
    to: LiteralType,
    per_second: i64,
) -> Result<ArrayRef> {
    let moments = values.as_primitive::<T>();
    rows(values, |row, out| {
        let value = moments.value(row);
        let nanos = value.rem_euclid(per_second) * (NANOS / per_second);
        let written = write_moment(value.div_euclid(per_second), nanos, Precision::of(to), out);
        if zoned {
            out.push('Z');
        }
        written
    })
}

fn times<T: ArrowPrimitiveType<Native: Into<i64>>>(
    values: &ArrayRef,
    to: LiteralType,
    per_second: i64,
) -> Result<ArrayRef> {
    let times = values.as_primitive::<T>();
    rows(values, |row, out| {
        let value: i64 = times.value(row).into();
        let seconds = value.div_euclid(per_second);
        let nanos = value.rem_euclid(per_second) * (NANOS / per_second);
        let Ok(second) = u32::try_from(seconds) else {
            return false;
        };
        temporal::write_clock(
            second,
            nanos,
            matches!(Precision::of(to), Precision::Full),
            out,
        );
        if to == LiteralType::Time {
            out.push('Z');
        }
        seconds < DAY_SECONDS
    })
}

/// Seconds since 1970 and nanoseconds as ISO 8601, if in the years 1 to 9999.
fn write_moment(seconds: i64, nanos: i64, precision: Precision, out: &mut String) -> bool {
    let moment = DateTime::from_timestamp(seconds, 0).map(|moment| moment.naive_utc());
    let Some(moment) = moment.filter(|moment| (1..=9999).contains(&moment.year())) else {
        return false;
    };
    temporal::write_date(moment.date(), out);
    let full = match precision {
        Precision::Day => return true,
        Precision::Millisecond => false,
        Precision::Full => true,
    };
    out.push('T');
    temporal::write_clock(moment.num_seconds_from_midnight(), nanos, full, out);
    true
}

/// Base64 of the standard alphabet, padded.
fn bytes<'a>(values: &'a ArrayRef, value: impl Fn(usize) -> &'a [u8]) -> Result<ArrayRef> {
    rows(values, |row, out| {
        STANDARD.encode_string(value(row), out);
        true
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Float16Array, Float32Array, Float64Array, Time64NanosecondArray,
        TimestampNanosecondArray,
    };

    use super::*;

    fn found(values: impl Array + 'static, to: LiteralType) -> Vec<String> {
        let texts = texts(&(Arc::new(values) as ArrayRef), to).unwrap();
        let texts = texts.as_string::<i32>().iter();
        texts.map(|text| text.unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn floats_are_the_shortest_plain_decimals() {
        let doubles = vec![
            0.1,
            1e21,
            -2.5e-7,
            250.0,
            f64::MAX.sqrt(),
            f64::NEG_INFINITY,
        ];
        let digits = f64::MAX.sqrt().to_string();
        assert_eq!(
            found(Float64Array::from(doubles), LiteralType::Decimal),
            [
                "0.1",
                "1000000000000000000000",
                "-0.00000025",
                "250",
                &digits,
                "-"
            ]
        );
        let singles = Float32Array::from(vec![0.1, 16_777_216.0, f32::NAN]);
        assert_eq!(found(singles, LiteralType::Text), ["0.1", "16777216", "-"]);
        let halves = [0.1, 1.0 / 3.0, 65_504.0, 6e-8, f32::INFINITY];
        let halves = halves.map(<Float16Type as ArrowPrimitiveType>::Native::from_f32);
        assert_eq!(
            found(Float16Array::from(halves.to_vec()), LiteralType::Text),
            ["0.1", "0.3333", "65504", "0.00000006", "-"]
        );
    }

    #[test]
    fn moments_have_the_digits_that_their_field_holds() {
        let moments = TimestampNanosecondArray::from(vec![0, -1, 1_500_000, 1_000]);
        assert_eq!(
            found(moments.clone(), LiteralType::Text),
            [
                "1970-01-01T00:00:00",
                "1969-12-31T23:59:59.999999999",
                "1970-01-01T00:00:00.001500",
                "1970-01-01T00:00:00.000001",
            ]
        );
        assert_eq!(
            found(moments.with_timezone("Asia/Tokyo"), LiteralType::DateTime)[1],
            "1969-12-31T23:59:59.999Z"
        );
        let times = Time64NanosecondArray::from(vec![86_399_999_999_999, 86_400_000_000_000, -1]);
        assert_eq!(found(times, LiteralType::Time), ["23:59:59.999Z", "-", "-"]);
    }

    #[test]
    fn bytes_are_padded_base64() {
        let bytes: Vec<&[u8]> = vec![b"", b"f", b"fo", b"foo", b"foob", &[0xFB, 0xFF, 0xFE]];
        assert_eq!(
            found(BinaryArray::from(bytes), LiteralType::Base64),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "+//+"]
        );
    }
}
