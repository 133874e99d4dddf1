//! Columns as a country writes them are read as they were meant, or refused.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow_salesforce::coerce::register_udfs;
use chrono::NaiveDate;
use datafusion::execution::FunctionRegistry as _;
use datafusion::prelude::{SessionContext, col};
use proptest::prelude::*;

use super::super::Kind;
use super::{decimal, read_with};
use crate::spec::{DateOrder, DecimalMark, ReadSpec};

/// How a country writes numbers: before a fraction, between thousands.
const STYLES: [(char, &str); 7] = [
    ('.', ","),
    ('.', "'"),
    ('.', ""),
    ('.', " "),
    (',', "."),
    (',', "\u{a0}"),
    (',', ""),
];

fn write_number(thousandths: i64, places: usize, (mark, group): (char, &str)) -> (String, f64) {
    let cut = thousandths / 10_i64.pow(3 - u32::try_from(places).unwrap());
    let unit = 10_i64.pow(u32::try_from(places).unwrap());
    let whole = (cut.abs() / unit).to_string();
    let mut text = String::from(if cut < 0 { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push_str(group);
        }
        text.push(digit);
    }
    if places > 0 {
        text.push_str(&format!("{mark}{:0places$}", cut.abs() % unit));
    }
    (text, cut as f64 / unit as f64)
}

proptest! {
    /// A column of numbers in one style is read as they were meant, or refused.
    #[test]
    fn numbers_are_never_misread(
        style in prop::sample::select(&STYLES[..]),
        numbers in prop::collection::vec((-10_000_000_000..10_000_000_000_i64, 0..=3_usize), 1..20),
    ) {
        let written: Vec<(String, f64)> =
            numbers.into_iter().map(|(number, places)| write_number(number, places, style)).collect();
        let texts: Vec<&str> = written.iter().map(|(text, _)| text.as_str()).collect();
        if let Ok((read, _)) = read_with(Kind::Number, &texts, &ReadSpec::default()) {
            for (read, (text, number)) in read.iter().zip(&written) {
                prop_assert_eq!(read.parse::<f64>().unwrap(), *number, "{}", text);
            }
        }
        let mark = if style.0 == ',' { DecimalMark::Comma } else { DecimalMark::Point };
        let (read, _) = read_with(Kind::Number, &texts, &decimal(mark)).unwrap();
        for (read, (text, number)) in read.iter().zip(&written) {
            prop_assert_eq!(read.parse::<f64>().unwrap(), *number, "{}", text);
        }
    }

    /// A column of dates in one order is read as they were meant, or refused.
    #[test]
    fn dates_are_never_misread(
        order in prop::sample::select(&[("%d/%m/%Y", DateOrder::Dmy), ("%m-%d-%Y", DateOrder::Mdy),
            ("%Y.%m.%d", DateOrder::Ymd), ("%d.%m.%y", DateOrder::Dmy), ("%m/%d/%y", DateOrder::Mdy),
            ("%y-%m-%d", DateOrder::Ymd), ("%d %b %Y", DateOrder::Mdy)][..]),
        days in prop::collection::vec(0..20_000_i32, 1..12),
    ) {
        let (format, order) = order;
        let dates: Vec<NaiveDate> = days.into_iter()
            .map(|day| NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(i64::from(day)))
            .collect();
        let written: Vec<String> = dates.iter().map(|date| date.format(format).to_string()).collect();
        let texts: Vec<&str> = written.iter().map(String::as_str).collect();
        let expected: Vec<String> = dates.iter().map(NaiveDate::to_string).collect();
        if let Ok((read, _)) = read_with(Kind::Date, &texts, &ReadSpec::default()) {
            prop_assert_eq!(read, &expected[..]);
        }
        let (read, _) = read_with(Kind::Date, &texts, &super::dates(order)).unwrap();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn no_text_is_too_strange(texts in prop::collection::vec("\\PC{0,20}|[-0-9.,/: ]{0,14}", 1..6)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for kind in [Kind::Number, Kind::Whole, Kind::Percent, Kind::Date, Kind::DateTime, Kind::Time, Kind::Boolean] {
            let _ = read_with(kind, &texts, &ReadSpec::default());
        }
    }
}

/// What the engine writes for each text; none where it takes the text for no value.
fn engine(kind: Kind, texts: &[String]) -> Vec<Option<String>> {
    let function = match kind {
        Kind::Number | Kind::Percent => "sf_decimal",
        Kind::Whole => "sf_long",
        Kind::Date => "sf_date",
        Kind::DateTime => "sf_datetime",
        Kind::Time => "sf_time",
        Kind::Boolean => "sf_boolean",
    };
    let mut session = SessionContext::new();
    register_udfs(&mut session).unwrap();
    let udf = session.udf(function).unwrap();
    let cells: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("F", cells)]).unwrap();
    let literals = async {
        let rows = session
            .read_batch(batch)?
            .select(vec![udf.call(vec![col("\"F\"")])])?;
        rows.collect().await
    };
    let literals = futures::executor::block_on(literals).unwrap();
    let cells = literals
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter());
    cells.map(|cell| cell.map(str::to_owned)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What a reading writes is a value to the engine, and what it leaves is none of another meaning.
    #[test]
    fn the_engine_takes_what_is_written(
        texts in prop::collection::vec("[-+(]?[0-9]{1,4}[.,/:' -]?[0-9]{0,4}[.,/: -]?[0-9]{0,4}( ?(€|%|PM|am|Z))?", 1..20),
        asked: bool,
    ) {
        let spec = ReadSpec {
            dates: asked.then_some(DateOrder::Dmy),
            decimal: asked.then_some(DecimalMark::Comma),
            ..ReadSpec::default()
        };
        let given: Vec<&str> = texts.iter().map(String::as_str).collect();
        for kind in [Kind::Number, Kind::Whole, Kind::Percent, Kind::Date, Kind::DateTime, Kind::Time] {
            let Ok((read, found)) = read_with(kind, &given, &spec) else {
                continue;
            };
            let comma = found.iter().any(|note| note.contains("decimal comma"));
            for ((text, read), literal) in texts.iter().zip(&read).zip(engine(kind, &read)) {
                if read == text {
                    let meant = !comma || !text.contains('.');
                    prop_assert!(literal.is_none() || meant, "{kind:?} {text} stays, and is {literal:?}");
                } else {
                    prop_assert_eq!(literal.is_none(), read.starts_with('"'), "{:?} {} is {}", kind, text, read);
                }
            }
        }
    }
}
