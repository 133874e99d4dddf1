//! Properties of the literals, held by checkers that share no code with them.

mod arrays;

use arrow::array::{Array, AsArray};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use proptest::prelude::*;

use super::{plan, text_batch, with_another};
use crate::coerce::literal::{LiteralType, Rewrite};
use crate::options::Timezone;

fn literal(literal_type: LiteralType, value: &str) -> Option<String> {
    let mut out = String::new();
    match literal_type.literal(value, Timezone::default(), &mut out) {
        Rewrite::Same => Some(value.to_owned()),
        Rewrite::Written => Some(out),
        Rewrite::Null | Rewrite::Invalid(_) => None,
    }
}

fn canonical(literal_type: LiteralType, value: &str, scale: u32) -> Option<String> {
    let mut out = String::new();
    match literal_type.canonical(value, scale, &mut out) {
        Rewrite::Same => Some(value.to_owned()),
        Rewrite::Written => Some(out),
        Rewrite::Null | Rewrite::Invalid(_) => None,
    }
}

/// Whether Salesforce would read this cell of a job as a value of the type.
fn is_legal(literal_type: LiteralType, cell: &str) -> bool {
    let plain_number = || {
        let digits = cell.strip_prefix('-').unwrap_or(cell);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
            && cell.parse::<f64>().is_ok()
    };
    if cell.is_empty() || cell == "#N/A" {
        return false;
    }
    match literal_type {
        LiteralType::Text | LiteralType::MultiPicklist => !cell
            .chars()
            .any(|c| matches!(c, '\0'..='\u{8}' | '\u{B}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')),
        LiteralType::Boolean => cell == "true" || cell == "false",
        LiteralType::Int => plain_number() && cell.parse::<i32>().is_ok(),
        LiteralType::Long => plain_number() && cell.parse::<i64>().is_ok(),
        LiteralType::Decimal => plain_number(),
        LiteralType::Date => {
            cell.len() == 10 && NaiveDate::parse_from_str(cell, "%Y-%m-%d").is_ok()
        }
        LiteralType::DateTime => {
            cell.len() == 24
                && NaiveDateTime::parse_from_str(cell, "%Y-%m-%dT%H:%M:%S%.3fZ").is_ok()
        }
        LiteralType::Time => {
            cell.len() == 13 && NaiveTime::parse_from_str(cell, "%H:%M:%S%.3fZ").is_ok()
        }
        LiteralType::Base64 => {
            cell.len().is_multiple_of(4)
                && cell
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        }
    }
}

/// Anything, with a leaning to what nearly is a value of some type.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,12}[.]?[0-9]{0,12}([eE][-+]?[0-9]{0,4})?",
        "[0-9]{4}-[0-2][0-9]-[0-4][0-9]([T ][0-3][0-9]:[0-6][0-9](:[0-6][0-9]([.][0-9]{0,10})?)?\
         (Z|[+-][0-2][0-9](:?[0-6][0-9])?)?)?",
        "[0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.][0-9]{1,9})?)?(Z|[+-][0-2][0-9])?",
        "(true|FALSE|y|No|0|1|#N/A| )",
        "[A-Za-z0-9+/]{0,12}={0,3}",
        "\\[(\"[a-z;\r]{0,3}\"(,\"[a-z#N/A]{0,4}\"){0,2})?\\]",
        "[a\r\n\0\u{FFFE} ]{0,8}",
    ]
}

/// A number as Java prints a double: what Salesforce echoes.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[test]
fn java_prints_doubles_so() {
    assert_eq!(java_double(912_260_031.0), "9.12260031E8");
    assert_eq!(java_double(1e7), "1.0E7");
    assert_eq!(java_double(250.0), "250.0");
    assert_eq!(java_double(0.0001), "1.0E-4");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_literal_is_legal_and_stays(
        value in value(),
        zone in prop::sample::select(vec!["UTC", "America/Sao_Paulo", "+14:00"]),
    ) {
        let zone = Timezone::parse(zone).unwrap();
        for literal_type in LiteralType::ALL {
            let mut out = String::new();
            let cell = match literal_type.literal(&value, zone, &mut out) {
                Rewrite::Same => value.clone(),
                Rewrite::Written => out,
                Rewrite::Null | Rewrite::Invalid(_) => continue,
            };
            prop_assert!(is_legal(literal_type, &cell), "{literal_type:?} {value:?} {cell:?}");
            let mut out = String::new();
            prop_assert_eq!(literal_type.literal(&cell, zone, &mut out), Rewrite::Same);
        }
    }

    #[test]
    fn numbers_keep_their_value(value in "[-+]?[0-9]{1,15}([.][0-9]{0,6})?([eE][-+]?[0-9]{1,2})?") {
        let cell = literal(LiteralType::Decimal, &value).unwrap();
        prop_assert_eq!(cell.parse::<f64>().unwrap(), value.parse::<f64>().unwrap());
    }

    #[test]
    fn timestamps_are_the_instant_that_chrono_reads(
        ms in -62_135_596_800_000_i64..253_402_300_800_000,
        offset in -1_439..1_440,
    ) {
        let zone = chrono::FixedOffset::east_opt(offset * 60).unwrap();
        let instant = chrono::DateTime::from_timestamp_millis(ms).unwrap();
        let local = instant.with_timezone(&zone);
        let text = local.format("%Y-%m-%dT%H:%M:%S%.9f%:z").to_string();
        prop_assume!(text.len() == 35 && !text.starts_with("0000"));
        let cell = literal(LiteralType::DateTime, &text).unwrap();
        prop_assert_eq!(cell, instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        let date = literal(LiteralType::Date, &text).unwrap();
        prop_assert_eq!(date, instant.format("%Y-%m-%d").to_string());
    }

    #[test]
    fn an_echoed_number_is_canonically_the_same(
        value in "-?[0-9]{1,20}([.][0-9]{1,20})?",
        scale in 0_u32..18,
    ) {
        let cell = literal(LiteralType::Decimal, &value).unwrap();
        let echo = java_double(cell.parse().unwrap());
        let form = canonical(LiteralType::Decimal, &cell, scale);
        prop_assert_eq!(&form, &canonical(LiteralType::Decimal, &echo, scale));
        let form = form.unwrap();
        prop_assert_eq!(canonical(LiteralType::Decimal, &form, scale), Some(form.clone()));
    }

    #[test]
    fn a_canonical_number_is_near(value in -1e12_f64..1e12, scale in 0_u32..6) {
        let form = canonical(LiteralType::Decimal, &value.to_string(), scale).unwrap();
        let distance = (form.parse::<f64>().unwrap() - value).abs();
        prop_assert!(distance <= 0.5001 * 10_f64.powi(-(scale as i32)) + value.abs() * 1e-15);
        prop_assert!(form.split_once('.').is_none_or(|(_, f)| f.len() <= scale as usize));
        prop_assert_ne!(form, "-0");
    }

    #[test]
    fn a_canonical_form_is_its_own(value in value()) {
        for literal_type in LiteralType::ALL {
            if let Some(form) = canonical(literal_type, &value, 2) {
                prop_assert!(!form.is_empty());
                prop_assert_eq!(canonical(literal_type, &form, 2), Some(form));
            }
        }
    }

    #[test]
    fn a_batch_is_its_values_one_by_one(
        values in prop::collection::vec(prop::option::weighted(0.8, value()), 1..40),
        from in 0_usize..40,
        column in prop::sample::select(vec![
            ("LastName", LiteralType::Text),
            ("Birthdate", LiteralType::Date),
            ("Budget__c", LiteralType::Decimal),
            ("Tags__c", LiteralType::MultiPicklist),
        ]),
    ) {
        let (name, literal_type) = column;
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let from = from.min(values.len());
        let batch = with_another(&text_batch(&[(name, &values)])).slice(from, values.len() - from);
        let cells = plan(&batch.schema()).unwrap().apply(&batch).unwrap();
        let column = cells.batch.column(0).as_string::<i32>();
        let mut invalid = Vec::new();
        for (row, value) in values[from..].iter().enumerate() {
            let expected = value.and_then(|value| literal(literal_type, value));
            let found = column.is_valid(row).then(|| column.value(row).to_owned());
            prop_assert_eq!(found, expected);
            let rewrite = value.map(|value| literal_type.literal(value, Timezone::default(), &mut String::new()));
            if matches!(rewrite, Some(Rewrite::Invalid(_))) {
                invalid.push(row);
            }
        }
        let rejected: Vec<usize> = cells.rejects.iter().map(|(row, _)| *row).collect();
        prop_assert_eq!(rejected, invalid);
    }
}
