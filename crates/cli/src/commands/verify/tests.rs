use std::path::Path;

use arrow_salesforce::arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema};
use arrow_salesforce::coerce::{CLEAR, Comparison};
use arrow_salesforce::object::{ObjectSchema, RelatedObjects};
use arrow_salesforce::options::ValueOptions;
use serde_json::json;

use super::*;
use crate::watch::Page;

const USER: &str = "005000000000001AAA";
const OTHER: &str = "005000000000002AAA";

/// When the results were read: 2026-03-01T12:00:00.500Z.
const AT: i64 = 1_772_366_400_500;

fn comparison() -> Arc<Comparison> {
    let object = br#"{"name":"Contact","fields":[
        {"name":"Id","type":"id"},
        {"name":"Key__c","type":"string","externalId":true},
        {"name":"LastName","type":"string"},
        {"name":"Birthdate","type":"date"}]}"#;
    let object = ObjectSchema::from_describe(object).unwrap();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let source = Schema::new(["Key__c", "LastName", "Birthdate"].map(text).to_vec());
    let operation = Operation::Upsert {
        external_id: "Key__c".to_owned(),
    };
    let (related, options) = (RelatedObjects::default(), ValueOptions::default());
    let comparison = Comparison::plan(&Arc::new(source), &object, &operation, &related, options);
    Arc::new(comparison.unwrap())
}

/// Id, whether it is there, when and by whom it was changed last, then sent and now of each field.
type Row = (
    Option<&'static str>,
    bool,
    &'static str,
    &'static str,
    [[Option<&'static str>; 2]; 3],
);

fn batch(rows: &[Row]) -> RecordBatch {
    let texts = |of: &dyn Fn(&Row) -> Option<&'static str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let at = TimestampMillisecondArray::from_value(AT, rows.len()).with_timezone("UTC");
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".to_owned(), texts(&|row| row.0)),
        ("at".to_owned(), Arc::new(at)),
        ("now_id".to_owned(), texts(&|row| row.0.filter(|_| row.1))),
        ("now_changed".to_owned(), texts(&|row| Some(row.2))),
        ("now_changed_by".to_owned(), texts(&|row| Some(row.3))),
    ];
    for field in 0..3 {
        columns.push((format!("sent_{field}"), texts(&|row| row.4[field][0])));
        columns.push((format!("now_{field}"), texts(&|row| row.4[field][1])));
    }
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

const EQUAL: [Option<&str>; 2] = [Some("Ng"), Some("Ng")];
const NONE: [Option<&str>; 2] = [None, None];
const BEFORE: &str = "2026-03-01T12:00:00.000+0000";
const AFTER: &str = "2026-03-01T12:00:01.000Z";

fn rows() -> Vec<Row> {
    let key = |key: &'static str| [Some(key), Some(key)];
    let record = |number: &'static str| Some(number);
    vec![
        (
            record("003000000000001AAA"),
            true,
            BEFORE,
            USER,
            [key("a"), EQUAL, NONE],
        ),
        (
            record("003000000000002AAA"),
            true,
            AFTER,
            OTHER,
            [
                key("b"),
                [Some("Ng"), Some("N, g")],
                [Some(CLEAR), Some("1980-01-02")],
            ],
        ),
        (
            record("003000000000003AAA"),
            true,
            BEFORE,
            USER,
            [
                key("c"),
                [Some("ng"), Some("Ng")],
                [None, Some("1980-01-02")],
            ],
        ),
        (
            record("003000000000004AAA"),
            true,
            BEFORE,
            OTHER,
            [key("d"), [Some("ng"), Some("Ng")], NONE],
        ),
        (
            record("003000000000005AAA"),
            false,
            BEFORE,
            USER,
            [[Some("e"), None], [Some("Ng"), None], NONE],
        ),
        (
            None,
            false,
            BEFORE,
            USER,
            [[Some("f"), None], [Some("Ng"), None], NONE],
        ),
    ]
}

/// The report of these rows, and the file of differences.
fn found(rows: &[Row], deleted: bool) -> (Report, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("differences.csv");
    std::fs::write(&path, "older").unwrap();
    let file = DifferencesFile::create(&path).unwrap();
    let mut findings = Findings::new(&comparison(), deleted, Some(USER), file);
    findings.add(&batch(rows)).unwrap();
    let found = findings.finish().unwrap();
    let record = serde_json::from_value(json!({
        "version": 1, "id": "20260301-1", "started": "2026-03-01T12:00:00Z",
        "changed": "2026-03-01T12:00:00Z", "state": "finished", "org": "00D", "host": "host",
        "spec": {"object": "Contact"}, "files": [], "volatile": false, "rejects_of": null,
        "attempts": [], "error": null,
        "counts": {"read": 6, "accepted": 6, "rejected": 0, "jobs": 1, "api_calls": 9},
    }));
    let report = Report::new(&record.unwrap(), found, Path::new("differences.csv"));
    (report, std::fs::read_to_string(&path).unwrap())
}

#[test]
fn each_kind_is_named() {
    let (report, csv) = found(&rows(), false);
    assert!(!report.is_equal());
    insta::assert_snapshot!(csv, @r#"
    Id,key,kind,field,sent,now
    003000000000002AAA,b,changed,LastName,Ng,"N, g"
    003000000000002AAA,b,changed,Birthdate,,1980-01-02
    003000000000003AAA,c,by_org,LastName,ng,Ng
    003000000000004AAA,d,changed,LastName,ng,Ng
    003000000000005AAA,e,gone,,,
    ,f,not_compared,,,
    "#);
    let page = Page {
        unicode: true,
        width: 100,
    };
    insta::assert_snapshot!(report.text(page), @r"
    Contact: 6 records, 1 as sent, 3 with other values, 1 gone, 1 not compared, since the Id is not known

    ─────────────────────────────────────────────
     Field       Differences   By the org itself
    ═════════════════════════════════════════════
     LastName              3                   1
     Birthdate             1                   0
    ─────────────────────────────────────────────

    ──────────────────────────────────────────────────────────────────────
     Id                   Key   What                    Sent   Now
    ══════════════════════════════════════════════════════════════════════
     003000000000002AAA   b     LastName                Ng     N, g
     003000000000002AAA   b     Birthdate                      1980-01-02
     003000000000003AAA   c     LastName (by the org)   ng     Ng
     003000000000004AAA   d     LastName                ng     Ng
     003000000000005AAA   e     gone
                          f     not compared
    ──────────────────────────────────────────────────────────────────────

    Differences: differences.csv
    Run: 20260301-1
    ");
    let line = serde_json::to_string_pretty(&report.line()).unwrap();
    insta::assert_snapshot!(line, @r#"
    {
      "type": "verified",
      "run": "20260301-1",
      "object": "Contact",
      "records": 6,
      "equal": 1,
      "different": 3,
      "gone": 1,
      "still_there": 0,
      "not_compared": 1,
      "fields": [
        {
          "field": "LastName",
          "differences": 3,
          "by_org": 1
        },
        {
          "field": "Birthdate",
          "differences": 1,
          "by_org": 0
        }
      ],
      "differences": "differences.csv"
    }
    "#);
}

#[test]
fn what_was_deleted_must_be_gone() {
    let (report, csv) = found(&rows()[3..5], true);
    insta::assert_snapshot!(csv, @r"
    Id,key,kind,field,sent,now
    003000000000004AAA,d,still_there,,,
    ");
    let page = Page {
        unicode: false,
        width: 60,
    };
    insta::assert_snapshot!(report.text(page), @r"
    Contact: 2 records, 1 as sent, 1 still there, though deleted

    -----------------------------------------------------
     Id                   Key   What          Sent   Now
    =====================================================
     003000000000004AAA   d     still there
    -----------------------------------------------------

    Differences: differences.csv
    Run: 20260301-1
    ");
    let (report, _) = found(&rows()[4..5], true);
    assert!(report.is_equal());
}
