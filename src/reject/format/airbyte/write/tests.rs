use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int64Array, TimestampSecondArray};
use arrow::datatypes::{DataType, Field};
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::coerce::{Reason, Stage};
use crate::reject::airbyte::labels;
use crate::reject::{RejectedRow, rejected};
use crate::source::{CHANGES, DECLARED_TYPE, EMITTED_AT, RAW, RAW_ERROR};

const AT: i64 = 1_772_323_209_000;

fn reason(stage: Stage, code: &'static str, message: &str, fields: &[&str]) -> Reason {
    Reason {
        stage,
        code: code.into(),
        message: message.to_owned(),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
    }
}

fn declared(name: &str, kind: &str) -> Field {
    let metadata = HashMap::from([(DECLARED_TYPE.to_owned(), kind.to_owned())]);
    Field::new(name, DataType::Utf8, true).with_metadata(metadata)
}

fn batch(columns: Vec<(Field, ArrayRef)>, reasons: &[Reason], job_id: Option<&str>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let source = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let rows: Vec<RejectedRow> = (0..)
        .zip(reasons)
        .map(|(ordinal, reason)| RejectedRow {
            ordinal,
            reason: Arc::new(reason.clone()),
            job_id: job_id.map(Arc::from),
        })
        .collect();
    let at = DateTime::from_timestamp_millis(AT).unwrap();
    rejected(source, &rows, at).unwrap()
}

fn contacts() -> RejectStream {
    RejectStream {
        name: "contacts".to_owned(),
        namespace: None,
        labels: labels(42, 3),
        attempt: None,
    }
}

fn render(batch: &RecordBatch, file_type: FileType) -> String {
    render_as(batch, file_type, Flattening::No)
}

fn render_as(batch: &RecordBatch, file_type: FileType, flattening: Flattening) -> String {
    let envelope = Envelope {
        file_type,
        flattening,
        ..Envelope::default()
    };
    let mut out = envelope.header(batch.schema_ref()).unwrap();
    envelope.write(&contacts(), batch, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Rows of a CSV rendering, each with the five columns as arrow-csv reads them.
fn read_csv(text: &str) -> RecordBatch {
    let names = [
        "_airbyte_raw_id",
        "_airbyte_extracted_at",
        "_airbyte_meta",
        "_airbyte_generation_id",
        "_airbyte_data",
    ];
    let fields: Vec<_> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, false))
        .collect();
    arrow_csv::ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_header(true)
        .build(text.as_bytes())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn required() -> Reason {
    reason(
        Stage::Salesforce,
        "REQUIRED_FIELD_MISSING",
        "Required fields are missing: [LastName]",
        &["LastName"],
    )
}

#[test]
fn the_envelope_as_designed() {
    let columns = vec![
        (declared("Ext_Id__c", "string"), texts(&[Some("A-1")])),
        (declared("LastName", "string"), texts(&[None])),
        (
            Field::new(EMITTED_AT, DataType::Int64, true),
            Arc::new(Int64Array::from(vec![1_772_323_201_100])) as ArrayRef,
        ),
        (
            Field::new(CHANGES, DataType::Utf8, true),
            texts(&[Some(r#"[{"field":"a","change":"NULLED"}]"#)]),
        ),
        (Field::new(RAW, DataType::Utf8, true), texts(&[None])),
        (Field::new(RAW_ERROR, DataType::Utf8, true), texts(&[None])),
    ];
    let batch = batch(columns, &[required()], Some("750A"));
    let line = render(&batch, FileType::Jsonl);
    let (id, rest) = line.split_at(20 + 36);
    let id = id.strip_prefix("{\"_airbyte_raw_id\":\"").unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(
        rest,
        concat!(
            r#"","_airbyte_extracted_at":1772323201100,"_airbyte_meta":{"sync_id":42,"#,
            r#""changes":[{"field":"a","change":"NULLED"}],"rejected":{"version":2,"ordinal":0,"#,
            r#""stage":"salesforce","code":"REQUIRED_FIELD_MISSING","#,
            r#""message":"Required fields are missing: [LastName]","fields":["LastName"],"#,
            r#""job_id":"750A","at":1772323209000}},"_airbyte_generation_id":3,"#,
            r#""_airbyte_data":{"sf__Id":"","sf__Error":"REQUIRED_FIELD_MISSING:"#,
            r#"Required fields are missing: [LastName]:LastName --","#,
            r#""Ext_Id__c":"A-1","LastName":null}}"#,
            "\n"
        )
    );
}

#[test]
fn csv_quotes_what_is_no_number() {
    let batch = batch(
        vec![(declared("Name", "string"), texts(&[Some("say \"hi\"")]))],
        &[reason(Stage::Coerce, "INVALID_VALUE", "no", &[])],
        None,
    );
    let text = render(&batch, FileType::Csv);
    let (header, row) = text.split_once("\r\n").unwrap();
    assert_eq!(
        header,
        r#""_airbyte_raw_id","_airbyte_extracted_at","_airbyte_meta","_airbyte_generation_id","_airbyte_data""#
    );
    assert_eq!(
        row.get(38..).unwrap(),
        concat!(
            r#",1772323209000,"{""sync_id"":42,""changes"":[],""rejected"":{""version"":2,"#,
            r#"""ordinal"":0,""stage"":""coerce"",""code"":""INVALID_VALUE"",""message"":""no"",""fields"":[],"#,
            r#"""at"":1772323209000}}",3,"{""sf__Id"":"""",""sf__Error"":"#,
            r#"""INVALID_VALUE:no:--"",""Name"":""say \""hi\""""}""#,
            "\r\n"
        )
    );
}

/// A good row, an undecoded line, and a row of nulls and empty texts.
fn mixed() -> RecordBatch {
    let nulls = Field::new("_airbyte_null_LastName", DataType::Boolean, false);
    let about = HashMap::from([("explicit_null_of".to_owned(), "LastName".to_owned())]);
    let columns = vec![
        (
            declared("LastName", "string"),
            texts(&[Some("Ng, \"A\""), None, None]),
        ),
        (
            declared("Flag", "boolean"),
            texts(&[Some("true"), None, Some("")]),
        ),
        (
            declared("Size", "number"),
            texts(&[Some("1.10"), None, Some("")]),
        ),
        (
            declared("_raw", "string"),
            texts(&[Some("mine"), None, None]),
        ),
        (
            declared("_airbyte_meta", "object"),
            texts(&[Some("{\"a\":1}"), None, None]),
        ),
        (
            Field::new(RAW, DataType::Utf8, true),
            texts(&[None, Some("{\"torn"), None]),
        ),
        (
            nulls.with_metadata(about),
            Arc::new(BooleanArray::from(vec![false, false, true])),
        ),
    ];
    let torn = reason(Stage::Decode, "INVALID_RECORD", "the line ends early", &[]);
    batch(columns, &[required(), torn, required()], None)
}

/// Without the ids, and with the envelope's other columns left out.
fn tails(text: &str, at: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_once(at).unwrap().1.to_owned())
        .collect()
}

#[test]
fn root_level_flattening_as_jsonl() {
    let lines = render_as(&mixed(), FileType::Jsonl, Flattening::RootLevel);
    insta::assert_snapshot!(tails(&lines, "}},").join("\n"), @r#"
    "_airbyte_generation_id":3,"sf__Id":"","sf__Error":"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","LastName":"Ng, \"A\"","Flag":true,"Size":1.10,"_source__raw":"mine","_source__airbyte_meta":{"a":1}}
    "_airbyte_generation_id":3,"sf__Id":"","sf__Error":"INVALID_RECORD:the line ends early:--","LastName":null,"Flag":null,"Size":null,"_source__raw":null,"_source__airbyte_meta":null,"_raw":"{\"torn"}
    "_airbyte_generation_id":3,"sf__Id":"","sf__Error":"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","LastName":null,"Flag":"","Size":"","_source__raw":null,"_source__airbyte_meta":null}
    "#);
}

#[test]
fn root_level_flattening_as_csv() {
    let text = render_as(&mixed(), FileType::Csv, Flattening::RootLevel);
    let (header, rows) = text.split_once("\r\n").unwrap();
    insta::assert_snapshot!(header, @r#""_airbyte_raw_id","_airbyte_extracted_at","_airbyte_meta","_airbyte_generation_id","sf__Id","sf__Error","LastName","Flag","Size","_source__raw","_source__airbyte_meta","_raw""#);
    insta::assert_snapshot!(tails(rows, "1772323209000,").join("\n"), @r#"
    "{""sync_id"":42,""changes"":[],""rejected"":{""version"":2,""ordinal"":0,""stage"":""salesforce"",""code"":""REQUIRED_FIELD_MISSING"",""message"":""Required fields are missing: [LastName]"",""fields"":[""LastName""],""at"":1772323209000}}",3,"","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","Ng, ""A""","true",1.10,"mine","{""a"":1}",
    "{""sync_id"":42,""changes"":[],""rejected"":{""version"":2,""ordinal"":1,""stage"":""decode"",""code"":""INVALID_RECORD"",""message"":""the line ends early"",""fields"":[],""at"":1772323209000}}",3,"","INVALID_RECORD:the line ends early:--",,,,,,"{""torn"
    "{""sync_id"":42,""changes"":[],""rejected"":{""version"":2,""ordinal"":2,""stage"":""salesforce"",""code"":""REQUIRED_FIELD_MISSING"",""message"":""Required fields are missing: [LastName]"",""fields"":[""LastName""],""at"":1772323209000,""nulls"":[""LastName""],""empty"":[""Flag"",""Size""]}}",3,"","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",,"","",,,
    "#);
}

#[test]
fn a_line_that_was_not_decoded_is_kept_as_it_came() {
    let columns = vec![
        (declared("Name", "string"), texts(&[None])),
        (
            Field::new(RAW, DataType::Utf8, true),
            texts(&[Some("{\"type\":\"RECORD\",\"rec")]),
        ),
        (
            Field::new(RAW_ERROR, DataType::Utf8, true),
            texts(&[Some("the line ends early")]),
        ),
    ];
    let reasons = [reason(
        Stage::Decode,
        "INVALID_RECORD",
        "the line ends early",
        &[],
    )];
    let line = render(&batch(columns, &reasons, None), FileType::Jsonl);
    let row: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        row["_airbyte_data"],
        json!({"_raw": "{\"type\":\"RECORD\",\"rec"})
    );
    assert_eq!(row["_airbyte_meta"]["rejected"]["stage"], "decode");
    assert_eq!(row["_airbyte_extracted_at"], AT);
}

#[test]
fn texts_are_written_as_the_declared_kind_where_they_are_a_literal_of_it() {
    for (kind, text, written) in [
        ("number", "1.10", "1.10"),
        ("integer", "12345678901234567890", "12345678901234567890"),
        ("number", "-0.5E+3", "-0.5E+3"),
        ("number", "1,5", "\"1,5\""),
        ("number", "01", "\"01\""),
        ("number", "1.", "\"1.\""),
        ("number", " 1", "\" 1\""),
        ("number", "NaN", "\"NaN\""),
        ("number", "1e999", "\"1e999\""),
        ("number", "", "\"\""),
        ("boolean", "true", "true"),
        ("boolean", "yes", "\"yes\""),
        ("object", "{\"a\":[1]}", "{\"a\":[1]}"),
        ("object", "{\"a\":", "\"{\\\"a\\\":\""),
        ("object", "{\n}", "\"{\\n}\""),
        ("object", "[1]", "\"[1]\""),
        ("object", "{\"a\":\"\\ud800\"}", r#""{\"a\":\"\\ud800\"}""#),
        ("array", "[1e999]", "\"[1e999]\""),
        ("array", "[1]", "[1]"),
        ("array", "[1] x", "\"[1] x\""),
        ("union", "7", "7"),
        ("unknown", "null", "\"null\""),
        ("string", "7", "\"7\""),
        ("date", "7", "\"7\""),
    ] {
        let columns = vec![(declared("v", kind), texts(&[Some(text)]))];
        let line = render(&batch(columns, &[required()], None), FileType::Jsonl);
        let ends = format!(",\"v\":{written}}}}}\n");
        assert!(line.ends_with(&ends), "{kind} {text:?}: {line}");
    }
}

#[test]
fn columns_of_other_producers() {
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("f", DataType::Float64, true),
            Arc::new(Float64Array::from(vec![
                Some(1.5),
                Some(f64::NAN),
                Some(1e300),
                None,
            ])),
        ),
        (
            Field::new(
                "t",
                DataType::Timestamp(arrow::datatypes::TimeUnit::Second, None),
                true,
            ),
            Arc::new(TimestampSecondArray::from(vec![
                Some(0),
                None,
                Some(1),
                Some(2),
            ])),
        ),
    ];
    let reasons = vec![required(); 4];
    let lines = render(&batch(columns, &reasons, None), FileType::Jsonl);
    let data: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["_airbyte_data"].take())
        .collect();
    assert_eq!(data[0]["f"], 1.5);
    assert_eq!(data[0]["t"], "1970-01-01T00:00:00");
    assert_eq!(data[1]["f"], "NaN");
    assert_eq!(data[1]["t"], Value::Null);
    assert_eq!(data[2]["f"], 1e300);
    assert_eq!(data[3]["f"], Value::Null);
}

#[test]
fn a_batch_without_reasons_is_refused() {
    let column: ArrayRef = texts(&[Some("a")]);
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let written = Envelope::default().write(&contacts(), &batch, &mut Vec::new());
    let error = written.unwrap_err();
    assert!(matches!(error, RejectError::Batch { .. }), "{error}");
}

type Row = (
    Option<String>,
    Option<f64>,
    String,
    Vec<String>,
    Option<i64>,
);

fn row() -> impl Strategy<Value = Row> {
    let field = "[A-Za-z_]{1,8}";
    (
        proptest::option::of(any::<String>()),
        proptest::option::of(any::<i32>().prop_map(|number| f64::from(number) / 8.0)),
        any::<String>(),
        proptest::collection::vec(field, 0..3),
        proptest::option::of(0_i64..2_000_000_000_000),
    )
}

proptest! {
    #[test]
    fn both_formats_round_trip(rows in proptest::collection::vec(row(), 1..20)) {
        let names: Vec<Option<&str>> = rows.iter().map(|row| row.0.as_deref()).collect();
        let numbers: Vec<Option<String>> =
            rows.iter().map(|row| row.1.map(|number| number.to_string())).collect();
        let columns: Vec<(Field, ArrayRef)> = vec![
            (declared("na\"me", "string"), texts(&names)),
            (declared("n", "number"), Arc::new(StringArray::from(numbers))),
            (
                Field::new(EMITTED_AT, DataType::Int64, true),
                Arc::new(rows.iter().map(|row| row.4).collect::<Int64Array>()),
            ),
        ];
        let reasons: Vec<Reason> = rows
            .iter()
            .map(|row| Reason {
                stage: Stage::Salesforce,
                code: "CODE".into(),
                message: row.2.clone(),
                fields: row.3.clone(),
            })
            .collect();
        let batch = batch(columns, &reasons, Some("750"));
        let jsonl = render(&batch, FileType::Jsonl);
        let lines: Vec<&str> = jsonl.split_terminator('\n').collect();
        let csv = read_csv(&render(&batch, FileType::Csv));
        prop_assert_eq!(lines.len(), rows.len());
        prop_assert_eq!(csv.num_rows(), rows.len());
        for (index, row) in rows.iter().enumerate() {
            let line: Value = serde_json::from_str(lines[index]).unwrap();
            let data = &line["_airbyte_data"];
            prop_assert_eq!(data["na\"me"].as_str(), row.0.as_deref());
            prop_assert_eq!(data["n"].as_f64(), row.1);
            let meta = &line["_airbyte_meta"]["rejected"];
            prop_assert_eq!(meta["message"].as_str(), Some(row.2.as_str()));
            prop_assert_eq!(&meta["fields"], &json!(row.3));
            let emitted_at = row.4.unwrap_or(AT);
            prop_assert_eq!(&line["_airbyte_extracted_at"], emitted_at);
            let cell = |column: usize| csv.column(column).as_string::<i32>().value(index);
            prop_assert_eq!(cell(1), emitted_at.to_string());
            prop_assert_eq!(&serde_json::from_str::<Value>(cell(2)).unwrap(), &line["_airbyte_meta"]);
            prop_assert_eq!(cell(3), "3");
            prop_assert_eq!(&serde_json::from_str::<Value>(cell(4)).unwrap(), data);
        }
    }
}
