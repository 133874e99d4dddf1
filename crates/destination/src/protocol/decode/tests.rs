//! Whole lines through the decoder.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use serde_json::{Value, json};

use super::*;
use arrow_salesforce::source::{CHANGES, EMITTED_AT, RAW, RAW_ERROR};

pub(super) const COLUMNS: [&str; 5] = ["Id", "Name", "name", "Größe", "é \"x\""];

fn stream(name: &str, namespace: Option<&str>, columns: &[&str]) -> StreamSchema {
    let properties: serde_json::Map<String, Value> = columns
        .iter()
        .map(|column| ((*column).to_owned(), json!({"type": "string"})))
        .collect();
    let schema = json!({"properties": properties});
    StreamSchema::from_json_schema(name, namespace, &schema.to_string()).unwrap()
}

pub(super) fn contacts() -> MessageDecoder {
    MessageDecoder::new(&[stream("contacts", None, &COLUMNS)]).unwrap()
}

pub(super) fn contacts_and_others() -> MessageDecoder {
    let streams = ["contacts", "others"].map(|name| stream(name, None, &COLUMNS));
    MessageDecoder::new(&streams).unwrap()
}

pub(super) fn record(data: &str) -> String {
    format!(r#"{{"type":"RECORD","record":{{"stream":"contacts","data":{data},"emitted_at":5}}}}"#)
}

/// The texts of a row by column, nulls left out.
pub(super) fn row(batch: &RecordBatch, row: usize) -> HashMap<String, String> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .filter(|(_, column)| column.is_valid(row))
        .map(|(field, column)| {
            let text = match column.as_string_opt::<i32>() {
                Some(column) => column.value(row).to_owned(),
                None => column.as_primitive::<Int64Type>().value(row).to_string(),
            };
            (field.name().clone(), text)
        })
        .collect()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

/// Decodes one line that must be a record of the only stream, and returns its row.
fn decode(decoder: &mut MessageDecoder, line: &[u8]) -> HashMap<String, String> {
    let answer = decoder.line(line);
    assert!(
        matches!(answer, Line::Record { stream: 0, .. }),
        "{answer:?}"
    );
    let batch = decoder.flush(0).unwrap();
    assert_eq!(batch.num_rows(), 1);
    row(&batch, 0)
}

#[test]
fn values_are_exact_texts() {
    let data = r#"{"name":"a\nb","Id":12345678901234567890,"Größe":[1.10, {"b": 1e5, "a": null}],
        "é \"x\"":true,"Name":null}"#;
    assert_eq!(
        decode(&mut contacts(), record(data).as_bytes()),
        texts([
            ("name", "a\nb"),
            ("Id", "12345678901234567890"),
            ("Größe", r#"[1.10,{"b":1e5,"a":null}]"#),
            ("é \"x\"", "true"),
            (EMITTED_AT, "5000"),
        ])
    );
}

#[test]
fn every_optional_key_may_be_there_and_null() {
    let line = r#"{"type":"RECORD","log":null,"spec":null,"connectionStatus":null,"catalog":null,
        "record":{"namespace":null,"stream":"contacts","data":{"id":"0","NAME":1.5},
        "emitted_at":1700000000.5,"meta":null,"file_reference":null},"state":null,"trace":null,
        "control":null,"destination_catalog":null}"#;
    assert_eq!(
        decode(&mut contacts(), line.as_bytes()),
        texts([("Id", "0"), ("Name", "1.5"), (EMITTED_AT, "1700000000500"),])
    );
    let line = r#"{"record":{"meta":{"changes":[{"field": "x"}]},"emitted_at":null,
        "data":{"Id":""},"stream":"contacts"},"type":"RECORD"}"#;
    assert_eq!(
        decode(&mut contacts(), line.as_bytes()),
        texts([("Id", ""), (CHANGES, r#"[{"field":"x"}]"#)])
    );
}

#[test]
fn keys_of_no_column_are_dropped_and_their_records_counted() {
    let mut decoder = contacts();
    for data in [
        r#"{"x":1,"y":{"z":" "},"Id":1}"#,
        r#"{"Id":1}"#,
        r#"{"x":1}"#,
    ] {
        decode(&mut decoder, record(data).as_bytes());
    }
    assert_eq!(decoder.unknown_keys(0), 2);
}

#[test]
fn other_messages_are_handed_back() {
    let mut decoder = contacts();
    for (line, kind) in [
        (
            r#"{"type":"STATE","state":{"type":"STREAM"}}"#,
            MessageType::State,
        ),
        (r#"{"type":null,"data":{"cursor":1}}"#, MessageType::State),
        (
            r#"{"global_":{"shared_state":1},"global_":null}"#,
            MessageType::State,
        ),
        (
            r#"{"trace":{"type":"X"},"type":"TRACE"}"#,
            MessageType::Trace,
        ),
        (r#" {"type":"LOG","log":{}} "#, MessageType::Log),
        (r#"{"type":"CONTROL"}"#, MessageType::Control),
        (r#"{"type":"NEW","record":null}"#, MessageType::Other),
    ] {
        let line = line.as_bytes();
        assert_eq!(decoder.line(line), Line::Message(line, kind));
    }
    assert_eq!(decoder.line(b" \t"), Line::Blank);
    assert_eq!(decoder.line(b""), Line::Blank);
    assert_eq!(decoder.flush(0), None);
}

#[test]
fn garbage_says_why() {
    let mut decoder = contacts();
    for (line, reason) in [
        (&b"hello"[..], "the line is not valid JSON"),
        (b"[1]", "the line is not valid JSON"),
        (b"{}", "the JSON is no message: it has no type"),
        (b"{\"a\":\"\xff\"}", "the line is not valid UTF-8"),
        (
            br#"{"type":"RECORD","record":null}"#,
            "a RECORD without a record",
        ),
        (
            br#"{"type":"RECORD","record":{"data":{}}}"#,
            "a RECORD without a stream",
        ),
    ] {
        let answer = decoder.line(line);
        let Line::Garbage { reason: found } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(found, reason);
    }
    assert_eq!(decoder.rows(0), 0);
}

#[test]
fn a_broken_state_is_passed_on() {
    let line = br#"{"type":"STATE","state":{"type":"LEGACY","data":{"x":NaN}}}"#;
    let answer = contacts().line(line);
    assert_eq!(answer, Line::Message(line, MessageType::State));
}

#[test]
fn a_broken_record_of_a_known_stream_is_a_row_with_its_text() {
    for (data, error) in [
        (
            r#"{"Id":"\ud800"}"#,
            "field Id: a text has an escape that stands for no character",
        ),
        (
            r#"{"z":["\udc00"]}"#,
            "a text has an escape that stands for no character",
        ),
        (r#"{"Id":NaN}"#, "the line is not valid JSON"),
        (r#"{"Id":01}"#, "the line is not valid JSON"),
        (r#"{"Id":"a	b"}"#, "the line is not valid JSON"),
        ("[1]", "the record's data is not an object"),
        ("\"{}\"", "the record's data is not an object"),
        ("\"\\n\"", "the record's data is not an object"),
        ("null", "the record's data is not an object"),
    ] {
        let line = record(data);
        let expected = texts([(RAW, &line), (RAW_ERROR, error)]);
        assert_eq!(decode(&mut contacts(), line.as_bytes()), expected);
        let late = format!(r#"{{"record":{{"data":{data},"stream":"contacts"}},"type":"RECORD"}}"#);
        let found = decode(&mut contacts(), late.as_bytes());
        assert_eq!(found[RAW], late);
    }
    let glued = record("{}").repeat(2);
    assert!(decode(&mut contacts(), glued.as_bytes()).contains_key(RAW));
    let mut line = record(r#"{"Id":"?"}"#).into_bytes();
    let place = line.iter().position(|byte| *byte == b'?').unwrap();
    line[place] = 0xFF;
    let found = decode(&mut contacts(), &line);
    assert_eq!(found[RAW_ERROR], "the line is not valid UTF-8");
    assert!(found[RAW].contains('\u{FFFD}'));
    let missing = br#"{"type":"RECORD","record":{"stream":"contacts"}}"#;
    assert_eq!(
        decode(&mut contacts(), missing)[RAW_ERROR],
        "the record's data is not an object"
    );
}

#[test]
fn nesting_may_be_deep() {
    for levels in [21, 22, 1_000_000] {
        let list = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let data = format!(r#"{{"z":{{"y":{list}}},"Id":{list},"Name":"\u00e9","name":1.10}}"#);
        let found = decode(&mut contacts(), record(&data).as_bytes());
        assert!(found["Id"] == list, "{levels}");
        assert_eq!(
            (found["Name"].as_str(), found["name"].as_str()),
            ("é", "1.10")
        );
        let answer = record(&data[1..]);
        assert!(decode(&mut contacts(), answer.as_bytes()).contains_key(RAW));
    }
}

#[test]
fn streams_may_interleave() {
    let mut decoder = MessageDecoder::new(&[
        stream("a", None, &["x"]),
        stream("a", Some("n"), &["x", "y"]),
        stream("b", Some("n"), &["z"]),
    ])
    .unwrap();
    let lines = [
        (r#""stream":"a","data":{"x":1}"#, 0),
        (r#""stream":"a","namespace":"n","data":{"y":2}"#, 1),
        (r#""stream":"a","data":{"y":3,"x":4},"namespace":"n""#, 1),
        (r#""namespace":"n","stream":"b","data":{"z":5}"#, 2),
        (r#""data":{"x":6},"stream":"a","namespace":null"#, 0),
        (r#""stream":"b","data":{"z":7},"namespace":"n""#, 2),
        (r#""stream":"\u0061","namespace":"n","data":{"x":8}"#, 1),
    ];
    for (body, stream) in lines {
        let line = format!(r#"{{"type":"RECORD","record":{{{body}}}}}"#);
        let expected = Line::Record {
            stream,
            full: false,
        };
        assert_eq!(decoder.line(line.as_bytes()), expected, "{body}");
    }
    for (body, namespace) in [
        (r#""stream":"b","data":{"z":7}"#, None),
        (
            r#""stream":"b","data":{"z":7},"namespace":"m""#,
            Some("m".to_owned()),
        ),
    ] {
        let line = format!(r#"{{"type":"RECORD","record":{{{body}}}}}"#);
        let expected = Line::UnknownStream {
            name: "b".to_owned(),
            namespace,
        };
        assert_eq!(decoder.line(line.as_bytes()), expected, "{body}");
    }
    let rows = |batch: Option<RecordBatch>| {
        let batch = batch.unwrap();
        (0..batch.num_rows())
            .map(|index| row(&batch, index))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rows(decoder.flush(0)),
        [texts([("x", "1")]), texts([("x", "6")])]
    );
    assert_eq!(
        rows(decoder.flush(1)),
        [
            texts([("y", "2")]),
            texts([("x", "4"), ("y", "3")]),
            texts([("x", "8")])
        ]
    );
    assert_eq!(
        rows(decoder.flush(2)),
        [texts([("z", "5")]), texts([("z", "7")])]
    );
}

#[test]
fn a_batch_is_full_by_rows_or_by_text() {
    let mut decoder = contacts();
    let line = record(r#"{"Id":"1"}"#);
    for _ in 0..2 {
        for number in 1..=8192 {
            let full = number == 8192;
            assert_eq!(
                decoder.line(line.as_bytes()),
                Line::Record { stream: 0, full }
            );
        }
        assert_eq!(decoder.rows(0), 8192);
        assert_eq!(decoder.flush(0).unwrap().num_rows(), 8192);
        assert_eq!(decoder.rows(0), 0);
    }
    let long = record(&format!(r#"{{"Id":"{}"}}"#, "x".repeat(20 << 20)));
    assert_eq!(
        decoder.line(long.as_bytes()),
        Line::Record {
            stream: 0,
            full: true
        }
    );
    let rejected = row(&decoder.flush(0).unwrap(), 0);
    assert_eq!(rejected[RAW], long);
    assert_eq!(
        rejected[RAW_ERROR],
        "the line is longer than the 8 MiB that a record may have"
    );
    let broken = record(&format!("{{\"Id\":\"{}\t\"}}", "x".repeat(9 << 20)));
    assert_eq!(
        decoder.line(broken.as_bytes()),
        Line::Record {
            stream: 0,
            full: true
        }
    );
}

#[test]
fn a_long_line_is_what_its_type_says() {
    let mut decoder = contacts();
    let filler = "x".repeat(9 << 20);
    let state = format!(r#"{{"type":"STATE","state":{{"data":"{filler}"}}}}"#);
    let state = state.as_bytes();
    assert_eq!(
        decoder.line(state),
        Line::Message(state, MessageType::State)
    );
    let log = format!(r#"{{"log":"{filler}","type":"LOG"}}"#);
    let log = log.as_bytes();
    assert_eq!(decoder.line(log), Line::Message(log, MessageType::Log));
    let other =
        format!(r#"{{"type":"RECORD","record":{{"data":{{"a":"{filler}"}},"stream":"other"}}}}"#);
    assert!(matches!(
        decoder.line(other.as_bytes()),
        Line::UnknownStream { name, namespace: None } if name == "other"
    ));
    let garbage = decoder.line(filler.as_bytes());
    assert!(matches!(garbage, Line::Garbage { .. }), "{garbage:?}");
}

#[test]
fn of_a_line_that_was_cut_the_reason_says_how_long_it_was() {
    let mut decoder = contacts();
    let line = record(r#"{"Id":"1"}"#);
    let scan = Scan::of(line.as_bytes());
    let found = decoder.cut_line(&line.as_bytes()[..20], &scan, 99);
    assert!(matches!(found, Line::Record { stream: 0, .. }), "{found:?}");
    let rejected = row(&decoder.flush(0).unwrap(), 0);
    assert_eq!(rejected[RAW], line[..20]);
    let reason = &rejected[RAW_ERROR];
    assert!(
        reason.contains("of its 99 bytes only the first 20"),
        "{reason}"
    );
}

#[test]
fn a_catalog_must_tell_its_streams_apart() {
    let error = MessageDecoder::new(&[
        stream("a", Some("n"), &["x"]),
        stream("a", None, &["x"]),
        stream("a", Some("n"), &["x"]),
    ])
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("stream n.a appeared multiple times")
    );
    let error = MessageDecoder::new(&[]).unwrap_err();
    assert!(error.to_string().contains("no streams"), "{error}");
}
