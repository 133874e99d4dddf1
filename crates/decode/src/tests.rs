//! Whole lines through the decoder. Lines within messages, with a parser of another make as the
//! oracle, are tested where messages are read.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow_salesforce::source::{DeclaredType, EXPLICIT_NULL_OF, RAW, RAW_ERROR};

use super::*;

const COLUMNS: [&str; 5] = ["Id", "Name", "name", "Größe", "é \"x\""];

fn schema(columns: &[&str]) -> SourceSchema {
    let columns = columns.iter();
    SourceSchema::new(columns.map(|name| (*name, DeclaredType::String))).unwrap()
}

fn decoder() -> RowDecoder {
    RowDecoder::new(&schema(&COLUMNS))
}

/// The texts of a row by column, nulls left out.
fn row(batch: &RecordBatch, row: usize) -> HashMap<String, String> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .filter(|(_, column)| column.is_valid(row))
        .map(|(field, column)| {
            let text = column.as_string::<i32>().value(row);
            (field.name().clone(), text.to_owned())
        })
        .collect()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

/// The row of one line.
fn decode(decoder: &mut RowDecoder, line: &[u8]) -> HashMap<String, String> {
    decoder.line(line);
    let batch = decoder.flush().unwrap();
    assert_eq!(batch.num_rows(), 1);
    row(&batch, 0)
}

#[test]
fn values_are_exact_texts() {
    let line = r#" {"name":"a\nb","Id":12345678901234567890,"Größe":[1.10, {"b": 1e5, "a": null}],
        "é \"x\"":true,"Name":null} "#;
    assert_eq!(
        decode(&mut decoder(), line.as_bytes()),
        texts([
            ("name", "a\nb"),
            ("Id", "12345678901234567890"),
            ("Größe", r#"[1.10,{"b":1e5,"a":null}]"#),
            ("é \"x\"", "true"),
        ])
    );
}

#[test]
fn lines_that_are_no_record_are_rows_with_their_text() {
    for (line, error) in [
        ("[1]", "the line is no JSON object"),
        ("hello", "the line is no JSON object"),
        (r#"{"Id":1"#, "the line is not valid JSON"),
        (r#"{"Id":1}{}"#, "the line is not valid JSON"),
        (
            r#"{"id":"\ud800"}"#,
            "field Id: a text has an escape that stands for no character",
        ),
    ] {
        let expected = texts([(RAW, line), (RAW_ERROR, error)]);
        assert_eq!(decode(&mut decoder(), line.as_bytes()), expected);
    }
    let found = decode(&mut decoder(), b"{\"Id\":\"\xff\"}");
    assert_eq!(found[RAW_ERROR], "the line is not valid UTF-8");
    assert!(found[RAW].contains('\u{FFFD}'));
}

#[test]
fn blank_lines_are_no_rows() {
    let mut decoder = decoder();
    for line in [&b""[..], b" \t"] {
        decoder.line(line);
    }
    assert!(decoder.is_empty() && decoder.flush().is_none());
}

#[test]
fn nulls_that_records_state_have_flags() {
    let schema = schema(&["a", "b"]).with_explicit_nulls();
    let mut decoder = RowDecoder::new(&schema);
    for line in [
        r#"{"a":null}"#,
        r#"{"b":"x","A":null}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"b":null,"b":1,"a":2,"a":null}"#,
        "{}",
        "5",
    ] {
        decoder.line(line.as_bytes());
    }
    let batch = decoder.flush().unwrap();
    assert_eq!(batch.num_columns(), 8);
    let flags = |of: &str| -> Vec<bool> {
        let schema = batch.schema();
        let mut fields = schema.fields().iter();
        let index = fields.position(|field| {
            let metadata = field.metadata().get(EXPLICIT_NULL_OF);
            metadata.is_some_and(|name| name == of)
        });
        let flags = batch.column(index.unwrap()).as_boolean();
        flags.values().iter().collect()
    };
    assert_eq!(flags("a"), [true, true, false, true, false, false]);
    assert_eq!(flags("b"), [false, false, true, false, false, false]);
}

#[test]
fn keys_of_no_column_are_dropped_and_their_records_counted() {
    let mut decoder = decoder();
    for line in [
        r#"{"x":1,"y":{"z":" "},"Id":1}"#,
        r#"{"Id":1}"#,
        r#"{"x":1}"#,
        r#"{"x":1"#,
    ] {
        decode(&mut decoder, line.as_bytes());
    }
    assert_eq!(decoder.unknown_keys(), 2);
}

#[test]
fn a_batch_is_full_by_rows_or_by_text() {
    let mut decoder = decoder();
    for _ in 0..2 {
        for number in 1..=8192 {
            decoder.line(br#"{"Id":"1"}"#);
            assert_eq!(decoder.is_full(), number == 8192);
        }
        assert_eq!(decoder.len(), 8192);
        assert_eq!(decoder.flush().unwrap().num_rows(), 8192);
        assert!(decoder.is_empty());
    }
    let half = "x".repeat(5 << 20);
    for full in [false, true] {
        decoder.line(format!(r#"{{"Id":"{half}"}}"#).as_bytes());
        assert_eq!(decoder.is_full(), full);
    }
    assert_eq!(row(&decoder.flush().unwrap(), 1)["Id"], half);
}

#[test]
fn a_record_that_is_too_long_is_a_row_with_its_text() {
    let mut decoder = decoder();
    let line = |length: usize| format!(r#"{{"Id":"{}"}}"#, "x".repeat(length - 9));
    decoder.line(line(MAX_RECORD_BYTES).as_bytes());
    let long = line(MAX_RECORD_BYTES + 1);
    decoder.line(long.as_bytes());
    let batch = decoder.flush().unwrap();
    assert_eq!(row(&batch, 0)["Id"].len(), MAX_RECORD_BYTES - 9);
    let rejected = row(&batch, 1);
    assert_eq!(rejected[RAW], long);
    assert!(rejected[RAW_ERROR].contains("8 MiB"));
}

#[test]
fn batches_hold_no_more_memory_than_their_rows_take() {
    let mut decoder = decoder();
    decoder.line(br#"{"Id":"1"}"#);
    let small = decoder.flush().unwrap().get_array_memory_size();
    for _ in 0..8192 {
        decoder.line(format!(r#"{{"Id":"{}"}}"#, "x".repeat(1000)).as_bytes());
    }
    assert!(decoder.memory() > 8 << 20);
    let full = decoder.flush().unwrap().get_array_memory_size();
    assert!(full < 9 << 20, "{full} bytes for 8 MiB of text");
    decoder.line(br#"{"Id":"1"}"#);
    assert_eq!(decoder.flush().unwrap().get_array_memory_size(), small);
    assert_eq!(decoder.memory(), 0);
}

#[test]
fn records_that_leave_keys_out_are_read_like_any() {
    let mut decoder = decoder();
    for line in [
        r#"{"Id":"1","Name":"a","name":"b","Größe":"c"}"#,
        r#"{"Id":"1","Größe":"c"}"#,
        r#"{"Größe":"c"}"#,
        r#"{"name":"b","Größe":"c","Id":"1"}"#,
        r#"{ "Id" : "1" , "Gr\u00f6\u00dfe" : "c" }"#,
        r#"{ "Id" : "1" , "Gr\u00f6\u00dfe" : "c", "Id":"2" }"#,
    ] {
        let found = decode(&mut decoder, line.as_bytes());
        let alone = decode(&mut self::decoder(), line.as_bytes());
        assert_eq!(found, alone, "{line}");
        assert_eq!(found["Größe"], "c");
    }
}
