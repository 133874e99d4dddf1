//! Texts as Salesforce writes values -> values of their types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array,
    ListBuilder, PrimitiveArray, StringArray, StringBuilder, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field as ArrowField, TimeUnit};
use chrono::{NaiveDate, NaiveTime, Timelike};

use crate::bulk::http::api_date;
use crate::object::{Field, FieldType};

/// Most digits of a decimal.
const MOST_DIGITS: u32 = 38;

/// Characters of a value's shape at most.
const SHAPE_CHARS: usize = 40;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Date,
    DateTime,
    Time,
    Int,
    Long,
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// Values of a picklist that takes several.
    List,
}

impl Kind {
    /// What a field holds.
    pub(super) fn of(field: &Field) -> Self {
        match &field.field_type {
            FieldType::Boolean => Self::Boolean,
            FieldType::Date => Self::Date,
            FieldType::DateTime => Self::DateTime,
            FieldType::Time => Self::Time,
            FieldType::Int => Self::Int,
            FieldType::Long => Self::Long,
            FieldType::Double | FieldType::Currency | FieldType::Percent => decimal(field),
            FieldType::MultiPicklist => Self::List,
            _ => Self::Text,
        }
    }

    /// The type of its column.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::DateTime => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::Time => DataType::Time32(TimeUnit::Millisecond),
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::List => {
                DataType::List(Arc::new(ArrowField::new_list_field(DataType::Utf8, true)))
            }
        }
    }

    /// The values of these texts; or the index of the first that is none.
    pub(super) fn read(self, texts: &StringArray) -> Result<ArrayRef, usize> {
        Ok(match self {
            Self::Text => Arc::new(texts.clone()),
            Self::Boolean => Arc::new(booleans(texts)?),
            Self::Date => Arc::new(values::<_, Date32Array>(texts, date)?),
            Self::DateTime => {
                let values: TimestampMillisecondArray = values(texts, date_time)?;
                Arc::new(values.with_timezone("UTC"))
            }
            Self::Time => Arc::new(values::<_, Time32MillisecondArray>(texts, time)?),
            Self::Int => Arc::new(values::<_, Int32Array>(texts, |text| {
                i32::try_from(scaled(text, 0)?).ok()
            })?),
            Self::Long => Arc::new(values::<_, Int64Array>(texts, |text| {
                i64::try_from(scaled(text, 0)?).ok()
            })?),
            Self::Decimal { precision, scale } => {
                let most = 10_i128.checked_pow(precision.into());
                let value = |text: &str| {
                    let value = scaled(text, i32::from(scale))?;
                    most.is_none_or(|most| value.abs() < most).then_some(value)
                };
                let values: Decimal128Array = values(texts, value)?;
                let values = values.with_data_type(self.data_type());
                Arc::new(values)
            }
            Self::List => Arc::new(lists(texts)),
        })
    }
}

/// Numbers of a field whose digits are known; of others, the texts.
fn decimal(field: &Field) -> Kind {
    let (precision, scale) = (field.precision, field.scale);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(digits), Ok(places))
            if digits > 0 && precision <= MOST_DIGITS && scale <= precision =>
        {
            Kind::Decimal {
                precision: digits,
                scale: places,
            }
        }
        _ => Kind::Text,
    }
}

fn values<T, A>(texts: &StringArray, read: impl Fn(&str) -> Option<T::Native>) -> Result<A, usize>
where
    T: ArrowPrimitiveType,
    A: From<PrimitiveArray<T>>,
{
    let mut values = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        values.push(match text {
            None => None,
            Some(text) => Some(read(text).ok_or(index)?),
        });
    }
    Ok(PrimitiveArray::<T>::from_iter(values).into())
}

fn booleans(texts: &StringArray) -> Result<BooleanArray, usize> {
    let mut values = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        values.push(match text {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Some(_) => return Err(index),
        });
    }
    Ok(values.into())
}

fn lists(texts: &StringArray) -> arrow::array::ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for text in texts {
        for value in text.into_iter().flat_map(|text| text.split(';')) {
            lists.values().append_value(value);
        }
        lists.append(text.is_some());
    }
    lists.finish()
}

/// Days since 1970 of `2024-02-29`.
fn date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = i32::try_from(number(&bytes[..4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&bytes[5..7])?, number(&bytes[8..])?)?;
    i32::try_from((date - NaiveDate::default()).num_days()).ok()
}

/// Milliseconds since 1970.
fn date_time(text: &str) -> Option<i64> {
    usual_date_time(text).or_else(|| Some(api_date(text)?.timestamp_millis()))
}

/// As [`date_time`], in the form in which Salesforce writes it: `2024-02-29T23:59:59.999Z`.
fn usual_date_time(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let time: &[u8; 14] = rest.as_bytes().try_into().ok()?;
    let points = [time[0], time[3], time[6], time[9], time[13]];
    if points != *b"T::.Z" {
        return None;
    }
    let [hour, minute, second] = [1, 4, 7].map(|at| number(&time[at..at + 2]));
    let time = NaiveTime::from_hms_milli_opt(hour?, minute?, second?, number(&time[10..13])?)?;
    let millis = i64::from(time.num_seconds_from_midnight()) * 1_000;
    let millis = millis + i64::from(time.nanosecond() / 1_000_000);
    Some(i64::from(date(day)?) * 86_400_000 + millis)
}

/// The number of these digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

/// Milliseconds since midnight.
fn time(text: &str) -> Option<i32> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    let millis = time.num_seconds_from_midnight() * 1_000 + time.nanosecond() / 1_000_000;
    i32::try_from(millis).ok()
}

/// The number of a text, as a whole number of units of this many places after the point. `250.0` and
/// `9.12260031E8` are numbers. None if it is no number, or would lose a digit.
fn scaled(text: &str, places: i32) -> Option<i128> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let part = part.trim_end_matches('0');
    let mut value = 0_i128;
    for digit in whole.bytes().chain(part.bytes()) {
        let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if value == 0 {
        return Some(0);
    }
    let mut shift = exponent
        .checked_add(places)?
        .checked_sub(i32::try_from(part.len()).ok()?)?;
    while shift < 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    let shift = u32::try_from(shift).ok()?;
    let value = value.checked_mul(10_i128.checked_pow(shift)?)?;
    Some(if negative { -value } else { value })
}

/// A value without what it says: digits as 9, letters as a.
pub(super) fn shape(value: &str) -> String {
    let of = |character: char| match character {
        _ if character.is_numeric() => '9',
        _ if character.is_alphabetic() => 'a',
        _ => character,
    };
    value.chars().take(SHAPE_CHARS).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_each_form() {
        for (text, places, expected) in [
            ("0", 2, Some(0)),
            ("-0.0", 2, Some(0)),
            ("250.0", 0, Some(250)),
            ("9.12260031E8", 0, Some(912_260_031)),
            ("9.12260031E8", 2, Some(91_226_003_100)),
            ("-1.5e-1", 2, Some(-15)),
            ("1.50", 1, Some(15)),
            (".5", 1, Some(5)),
            ("5.", 1, Some(50)),
            ("+7", 0, Some(7)),
            ("1.25", 1, None),
            ("1E-3", 2, None),
            ("", 0, None),
            (".", 0, None),
            ("1,5", 1, None),
            ("abc", 1, None),
            ("NaN", 1, None),
            ("1E99999999999", 0, None),
            ("1E40", 0, None),
            ("0E40", 0, Some(0)),
            ("1e-2147483648", 0, None),
        ] {
            assert_eq!(scaled(text, places), expected, "{text} {places}");
        }
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("1699-12-31"), Some(-98_616));
        assert_eq!(date("2024-02-30"), None);
        assert_eq!(date_time("1970-01-01T00:00:01.005Z"), Some(1_005));
        assert_eq!(date_time("1970-01-01T00:00:01.005+0000"), Some(1_005));
        assert_eq!(date_time("1970-01-01T02:00:01+02:00"), Some(1_000));
        assert_eq!(date_time("1970-01-01"), None);
        for text in [
            "2024-02-29T23:59:59.999Z",
            "0001-01-01T00:00:00.000Z",
            "2024-02-30T23:59:59.999Z",
            "2024-02-29T24:00:00.000Z",
            "2024-02-29T23:59:59,999Z",
            "2024-02-29é23:59:59.99Z",
        ] {
            let slow = api_date(text).map(|date| date.timestamp_millis());
            assert_eq!(usual_date_time(text), slow, "{text}");
        }
        assert_eq!(time("00:00:01.005Z"), Some(1_005));
        assert_eq!(time("23:59:59"), Some(86_399_000));
        assert_eq!(time("24:00:00"), None);
    }

    #[test]
    fn what_is_no_value_is_named_by_its_index() {
        let texts = StringArray::from(vec![Some("1"), None, Some("100000")]);
        assert!(Kind::Int.read(&texts).is_ok());
        let four = Kind::Decimal {
            precision: 4,
            scale: 1,
        };
        assert_eq!(four.read(&texts).unwrap_err(), 2);
        assert_eq!(Kind::Boolean.read(&texts).unwrap_err(), 0);
        assert_eq!(shape("Ümit 4.5"), "aaaa 9.9");
    }

    #[test]
    fn lists_are_split() {
        let texts = StringArray::from(vec![Some("a;b"), None, Some("c")]);
        let lists = lists(&texts);
        assert_eq!(lists.value_offsets(), [0, 2, 2, 3]);
        assert!(lists.is_null(1));
    }
}
