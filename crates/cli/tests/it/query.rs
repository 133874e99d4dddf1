//! Records come out of an org: into each format and place, as a table, in parts that are gone on with;
//! and from there into another org.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_ipc::reader::FileReader;
use arrow_salesforce::arrow::array::{AsArray as _, RecordBatch};
use arrow_salesforce::arrow::compute::concat_batches;
use arrow_salesforce::arrow::util::display::array_value_to_string;
use object_store::ObjectStoreExt as _;
use object_store::aws::AmazonS3Builder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

use super::desk::Desk;

const SOQL: &str = "SELECT Ext_Id__c, LastName, Email, Birthdate, HasOptedOutOfEmail FROM Contact";

/// Contacts with what CSV and JSON must escape.
fn contacts(rows: usize) -> String {
    let mut csv = "Ext_Id__c,LastName,Email,Birthdate,HasOptedOutOfEmail\n".to_owned();
    for row in 0..rows {
        let email = match row % 3 {
            0 => String::new(),
            _ => format!("c{row}@example.com"),
        };
        let day = row % 28 + 1;
        let is_out = row % 2 == 0;
        writeln!(
            csv,
            "C-{row:05},\"Núñez \"\"{row}\"\",\nthe second\",{email},2001-02-{day:02},{is_out}"
        )
        .unwrap();
    }
    csv
}

/// A desk whose org has so many contacts.
async fn desk(rows: usize) -> Desk {
    let desk = Desk::new().await;
    desk.org.insert("Contact", &contacts(rows)).await;
    desk
}

fn parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// All values as texts, in the order of the first column.
fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |row, column| array_value_to_string(batch.column(column), row).unwrap();
    let row = |row| {
        (0..batch.num_columns())
            .map(|column| cell(row, column))
            .collect()
    };
    let mut rows: Vec<Vec<String>> = (0..batch.num_rows()).map(row).collect();
    rows.sort();
    rows
}

async fn expected(desk: &Desk) -> Vec<Vec<String>> {
    let fields = [
        "Ext_Id__c",
        "LastName",
        "Email",
        "Birthdate",
        "HasOptedOutOfEmail",
    ];
    desk.rows("Contact", &fields).await
}

#[tokio::test]
async fn every_format_holds_the_records() {
    let desk = desk(300).await;
    let expected = expected(&desk).await;
    for name in [
        "out.parquet",
        "out.csv",
        "out.csv.gz",
        "out.jsonl",
        "out.arrow",
    ] {
        let query = desk
            .run_args(&["query", SOQL, "-o", name])
            .await
            .with_code(0);
        assert!(
            query
                .stdout
                .starts_with(&format!("Contact: 300 records in {name};")),
            "{}",
            query.stdout
        );
        let found = match name {
            "out.parquet" => texts(&parquet(&desk.path(name))),
            "out.arrow" => {
                let reader =
                    FileReader::try_new(File::open(desk.path(name)).unwrap(), None).unwrap();
                let schema = reader.schema();
                let batches: Vec<_> = reader.map(Result::unwrap).collect();
                texts(&concat_batches(&schema, &batches).unwrap())
            }
            "out.jsonl" => {
                let text = |value: &Value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let lines = desk.read(name);
                let lines = lines
                    .lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap());
                let names = [
                    "Ext_Id__c",
                    "LastName",
                    "Email",
                    "Birthdate",
                    "HasOptedOutOfEmail",
                ];
                let row = |line: Value| names.iter().map(|name| text(&line[*name])).collect();
                let mut rows: Vec<Vec<String>> = lines.map(row).collect();
                rows.sort();
                rows
            }
            name => {
                let file = File::open(desk.path(name)).unwrap();
                let file: Box<dyn std::io::Read> =
                    match Path::new(name).extension().unwrap() == "gz" {
                        true => Box::new(flate2::read::MultiGzDecoder::new(file)),
                        false => Box::new(file),
                    };
                let rows = csv::Reader::from_reader(file).into_records();
                let mut rows: Vec<Vec<String>> = rows
                    .map(|row| row.unwrap().iter().map(str::to_owned).collect())
                    .collect();
                rows.sort();
                rows
            }
        };
        assert_eq!(found, expected, "{name}");
    }
    // What one command writes the other reads.
    for name in ["out.parquet", "out.csv.gz", "out.jsonl", "out.arrow"] {
        let load = format!("load {name} --object Contact --upsert Ext_Id__c --yes");
        desk.run(&load).await.with_code(0);
        assert_eq!(self::expected(&desk).await, expected, "{name}");
    }
}

/// An org with an object that has a field of each type, and records of values that are hard to write.
async fn org_of_kinds() -> TestSim {
    let folder = tempfile::TempDir::new().unwrap();
    let field = |name: &str, kind: &str, more: &Value| {
        let mut field = json!({"name": name, "type": kind, "custom": true});
        for (key, value) in more.as_object().unwrap() {
            field[key] = value.clone();
        }
        field
    };
    let text = json!({"length": 255});
    let fields = json!([
        {"name": "Name", "type": "string", "length": 80, "nameField": true, "nillable": false},
        field("Key__c", "string", &json!({"length": 20, "externalId": true, "idLookup": true, "unique": true})),
        field("Yes__c", "boolean", &json!({"nillable": false, "defaultedOnCreate": true})),
        field("Day__c", "date", &json!({})),
        field("Moment__c", "datetime", &json!({})),
        field("Time__c", "time", &json!({})),
        field("Int__c", "int", &json!({"digits": 9})),
        field("Double__c", "double", &json!({"precision": 18, "scale": 4})),
        field("Money__c", "currency", &json!({"precision": 18, "scale": 2})),
        field("Share__c", "percent", &json!({"precision": 5, "scale": 1})),
        field("Pick__c", "picklist", &json!({"length": 255, "values": ["a", "b"]})),
        field("Picks__c", "multipicklist", &json!({"length": 4099, "values": ["a", "b", "c,d"]})),
        field("Long__c", "textarea", &json!({"length": 32768})),
        field("Mail__c", "email", &json!({"length": 80})),
        field("Phone__c", "phone", &json!({"length": 40})),
        field("Url__c", "url", &text),
    ]);
    let records = "Name,Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c\n\
        all,k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999Z,-2147483,1234567890.5678,-0.01,99.9,a,\"a;c,d\",\"two\nlines, \"\"quoted\"\" ✓\",x@example.com,+49 1,https://example.com/?a=b\n\
        none,k2,false,,,,,,,,,,,,,\n\
        odd,k3,false,1700-01-01,1700-01-01T00:00:00.000Z,00:00:00.000Z,0,0,912260031,0,b,b,#N/A,,,\n";
    let org = json!({"extends": "builtin", "objects": [
        {"name": "Kind__c", "keyPrefix": "a99", "custom": true, "label": "Kind", "fields": fields, "records": records},
    ]});
    let file = folder.path().join("org.json");
    fs::write(&file, org.to_string()).unwrap();
    let mut options = TestSim::options(Duration::ZERO);
    options.org = Some(file);
    TestSim::with_options(options).await
}

#[tokio::test]
async fn each_type_of_field_is_written_as_it_is() {
    let desk = Desk::of(org_of_kinds().await);
    let fields = "Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c";
    let query = [
        "query", "--object", "Kind__c", "--fields", fields, "--quiet",
    ];
    let with = |more: &[&'static str]| [&query, more].concat();
    let before = desk.org.rows("Kind__c").await;
    let csv = desk.run_args(&query).await.with_code(0).stdout;
    let texts = desk.run_args(&with(&["--texts"])).await.with_code(0).stdout;
    let jsonl = with(&["--format", "jsonl"]);
    let jsonl = desk.run_args(&jsonl).await.with_code(0).stdout;
    // All of it comes back as it went out, and so it does in another org.
    for name in ["out.parquet", "out.csv", "out.jsonl", "out.arrow"] {
        desk.run_args(&with(&["-o", name])).await.with_code(0);
        let load =
            format!("load {name} --object Kind__c --upsert Key__c --nulls clear --yes --quiet");
        desk.run(&load).await.with_code(0);
        let after = desk.org.rows("Kind__c").await;
        assert_eq!(values(&after), values(&before), "{name}");
    }
    let other = org_of_kinds().await;
    desk.write("other.json", config(&other).to_string());
    let named = format!("Name,{fields}");
    let copy = [
        "copy",
        "Kind__c",
        "--from",
        "org.json",
        "--to",
        "other.json",
        "--key",
        "Key__c",
        "--fields",
        &named,
        "--yes",
    ];
    desk.run_args(&copy).await.with_code(0);
    assert_eq!(values(&other.rows("Kind__c").await), values(&before));

    let schema = parquet(&desk.path("out.parquet")).schema();
    let columns = schema.fields().iter();
    let columns: Vec<_> = columns
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    let columns = columns.join("\n");
    insta::assert_snapshot!(format!("{csv}\n{texts}\n{jsonl}\n{columns}"), @r#"
    Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c
    k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999,-2147483,1234567890.5678,-0.01,99.9,a,"a;c,d","two
    lines, ""quoted"" ✓",x@example.com,+49 1,https://example.com/?a=b
    k2,false,,,,,,,,,,,,,
    k3,false,1700-01-01,1700-01-01T00:00:00Z,00:00:00,0,0.0000,912260031.00,0.0,b,b,,,,

    Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c
    k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999Z,-2147483,1.2345678905678E9,-0.01,99.9,a,"a;c,d","two
    lines, ""quoted"" ✓",x@example.com,+49 1,https://example.com/?a=b
    k2,false,,,,,,,,,,,,,
    k3,false,1700-01-01,1700-01-01T00:00:00.000Z,00:00:00.000Z,0,0.0,9.12260031E8,0.0,b,b,,,,

    {"Key__c":"k1","Yes__c":true,"Day__c":"2024-02-29","Moment__c":"2024-12-31T23:59:59.999Z","Time__c":"23:59:59.999","Int__c":-2147483,"Double__c":1234567890.5678,"Money__c":-0.01,"Share__c":99.9,"Pick__c":"a","Picks__c":["a","c,d"],"Long__c":"two\nlines, \"quoted\" ✓","Mail__c":"x@example.com","Phone__c":"+49 1","Url__c":"https://example.com/?a=b"}
    {"Key__c":"k2","Yes__c":false,"Day__c":null,"Moment__c":null,"Time__c":null,"Int__c":null,"Double__c":null,"Money__c":null,"Share__c":null,"Pick__c":null,"Picks__c":null,"Long__c":null,"Mail__c":null,"Phone__c":null,"Url__c":null}
    {"Key__c":"k3","Yes__c":false,"Day__c":"1700-01-01","Moment__c":"1700-01-01T00:00:00Z","Time__c":"00:00:00","Int__c":0,"Double__c":0.0000,"Money__c":912260031.00,"Share__c":0.0,"Pick__c":"b","Picks__c":["b"],"Long__c":null,"Mail__c":null,"Phone__c":null,"Url__c":null}

    Key__c Utf8
    Yes__c Boolean
    Day__c Date32
    Moment__c Timestamp(ms, "UTC")
    Time__c Time32(ms)
    Int__c Int32
    Double__c Decimal128(18, 4)
    Money__c Decimal128(18, 2)
    Share__c Decimal128(5, 1)
    Pick__c Utf8
    Picks__c List(Utf8)
    Long__c Utf8
    Mail__c Utf8
    Phone__c Utf8
    Url__c Utf8
    "#);
}

/// Records by their keys, without what differs from org to org.
fn values(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        row.retain(|name, value| (name.ends_with("__c") || name == "Name") && !value.is_null());
    }
    rows.sort_by_key(|row| row["Key__c"].to_string());
    rows
}

/// A config file for an org.
fn config(org: &TestSim) -> Value {
    json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN,
        "is_sandbox": true, "login_url": org.url(), "wait_permille": 5,
    })
}

#[tokio::test]
async fn stdout_takes_csv_or_what_is_asked_for() {
    let desk = desk(3).await;
    let soql = "SELECT Ext_Id__c, Email FROM Contact ORDER BY Ext_Id__c";
    let piped = desk.run_args(&["query", soql]).await.with_code(0);
    assert_eq!(
        piped.stdout,
        "Ext_Id__c,Email\nC-00000,\nC-00001,c1@example.com\nC-00002,c2@example.com\n"
    );
    assert!(
        piped.stderr.contains("Contact: 3 records; 1 job"),
        "{}",
        piped.stderr
    );
    for args in [
        ["query", soql, "--json"].as_slice(),
        &["query", soql, "--format", "jsonl", "--quiet"],
    ] {
        let lines = desk.run_args(args).await.with_code(0).stdout;
        assert_eq!(
            lines.lines().next().unwrap(),
            r#"{"Ext_Id__c":"C-00000","Email":null}"#
        );
        assert_eq!(lines.lines().count(), 3);
    }
    let table = desk
        .run_args(&["query", soql, "--format", "table"])
        .await
        .with_code(0);
    let lines: Vec<_> = table.stdout.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    ────────────────────────────
     Ext_Id__c   Email
    ════════════════════════════
     C-00000
     C-00001     c1@example.com
     C-00002     c2@example.com
    ────────────────────────────

    3 records
    ");
}

#[tokio::test]
async fn a_table_has_the_first_records() {
    let desk = desk(150).await;
    let table = desk
        .run_args(&["query", SOQL, "--format", "table"])
        .await
        .with_code(0);
    let last = table.stdout.lines().last().unwrap();
    assert_eq!(
        last,
        "the first 100 of 150 records; -o FILE takes all of them"
    );
    let none = "SELECT Id FROM Contact WHERE LastName = 'none'";
    let none = desk
        .run_args(&["query", none, "--format", "table"])
        .await
        .with_code(0);
    assert_eq!(none.stdout, "0 records\n");
}

#[tokio::test]
async fn no_records_are_a_file_of_columns() {
    let desk = desk(1).await;
    let none = "SELECT Ext_Id__c, Birthdate FROM Contact WHERE LastName = 'none'";
    desk.run_args(&["query", none, "-o", "none.csv"])
        .await
        .with_code(0);
    assert_eq!(desk.read("none.csv"), "Ext_Id__c,Birthdate\n");
    desk.run_args(&["query", none, "-o", "none.parquet"])
        .await
        .with_code(0);
    assert_eq!(parquet(&desk.path("none.parquet")).num_columns(), 2);
    desk.run_args(&["query", none, "-o", "none/"])
        .await
        .with_code(0);
    assert_eq!(parquet(&desk.path("none/part-00000.parquet")).num_rows(), 0);
}

#[tokio::test]
async fn ranges_of_ids_give_all_records_once() {
    let desk = desk(200).await;
    let split = ["query", SOQL, "-o", "out.parquet", "--split", "4"];
    let split = desk.run_args(&split).await.with_code(0);
    assert!(
        split.stdout.contains("200 records in out.parquet; 4 jobs"),
        "{}",
        split.stdout
    );
    assert_eq!(
        texts(&parquet(&desk.path("out.parquet"))),
        expected(&desk).await
    );
    let parts = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--split",
        "4",
        "--part-rows",
        "60",
    ];
    desk.run_args(&parts).await.with_code(0);
    assert_eq!(self::parts(&desk.path("parts")).len(), 200);
}

#[tokio::test]
async fn the_query_may_stand_in_a_file_and_programs_read_along() {
    let desk = desk(4).await;
    desk.write("contacts.soql", "SELECT Ext_Id__c\nFROM Contact\n");
    let query = "query -f contacts.soql -o out.csv --json";
    let lines = desk.run(query).await.with_code(0).stdout;
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    for (line, own) in lines.iter_mut().zip(["jobs", "seconds"]) {
        assert!(!line[own].is_null(), "{line}");
        line.as_object_mut().unwrap().remove(own);
        line.as_object_mut().unwrap().remove("api_calls");
    }
    assert_eq!(lines[0], json!({"type": "started", "object": "Contact"}));
    let finished = json!({"type": "finished", "object": "Contact", "records": 4, "output": "out.csv", "jobs": 1});
    assert_eq!(lines[1], finished);
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_count_is_answered_without_a_job() {
    let desk = desk(5).await;
    let count = desk
        .run_args(&["query", "SELECT COUNT() FROM Contact"])
        .await
        .with_code(0);
    assert_eq!(count.stdout, "count\n5\n");
    assert!(
        desk.org.state().await["query_jobs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn salesforce_points_at_what_is_wrong() {
    let desk = desk(1).await;
    let wrong = desk
        .run_args(&["query", "SELECT Ext_Id__c FROM Contact WHERE Nme = 'x'"])
        .await
        .with_code(2);
    insta::assert_snapshot!(wrong.stderr, @r"
    error: Salesforce refuses the query:
    SELECT Ext_Id__c, Id FROM Contact WHERE Nme = 'x'
                                            ^
    ERROR at Row:1:Column:41
    No such column 'Nme' on entity 'Contact'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the desc…
    ");
}

#[tokio::test]
async fn what_is_there_stays_unless_overwrite_is_typed() {
    let desk = desk(2).await;
    desk.write("out.csv", "mine");
    let refused = desk
        .run_args(&["query", SOQL, "-o", "out.csv"])
        .await
        .with_code(2);
    insta::assert_snapshot!(refused.stderr, @"error: out.csv is there already: --overwrite writes over it");
    assert_eq!(desk.read("out.csv"), "mine");
    assert!(
        desk.org.state().await["query_jobs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let again = ["query", SOQL, "-o", "out.csv", "--overwrite"];
    desk.run_args(&again).await.with_code(0);
    assert!(desk.read("out.csv").contains("C-00001"));

    desk.write("folder/mine.txt", "mine");
    let refused = desk
        .run_args(&["query", SOQL, "-o", "folder/", "--overwrite"])
        .await
        .with_code(2);
    insta::assert_snapshot!(refused.stderr, @"error: folder/ holds mine.txt, which is no part of a query: name a directory of their own");
}

#[tokio::test]
async fn a_query_that_fails_leaves_no_file() {
    let desk = desk(40).await;
    let gone = json!({"calls": ["query_results"], "skip": 1, "times": 0,
        "do": {"api_error": {"status": 404, "code": "NOT_FOUND", "message": "The requested resource does not exist"}}});
    desk.org.fault(&gone).await;
    for name in ["out.parquet", "out.csv", "out.jsonl", "out.arrow"] {
        let failed = desk
            .run_args(&["query", SOQL, "-o", name, "--page-rows", "10"])
            .await;
        assert_ne!(failed.code, 0, "{}", failed.stdout);
    }
    let names = fs::read_dir(desk.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().contains("out."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The first values of all parts, in their order; fails if a part is not noted as whole.
fn parts(folder: &Path) -> Vec<String> {
    let state: Value =
        serde_json::from_slice(&fs::read(folder.join("_query.json")).unwrap()).unwrap();
    assert_eq!(state["complete"], true);
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "_query.json")
        .collect();
    names.sort();
    let noted = state["parts"].as_array().unwrap().iter();
    let noted: Vec<_> = noted
        .map(|part| part["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, noted);
    let mut values = Vec::new();
    for name in names {
        let part = parquet(&folder.join(name));
        let column = part.column(0).as_string::<i32>().iter();
        values.extend(column.map(|value| value.unwrap().to_owned()));
    }
    values
}

#[tokio::test]
async fn parts_go_on_after_an_error() {
    let desk = desk(100).await;
    let fault = json!({"calls": ["query_results"], "skip": 3, "times": 0,
        "do": {"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "not now"}}});
    desk.org.fault(&fault).await;
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "13",
        "--page-rows",
        "10",
    ];
    let failed = desk.run_args(&query).await.with_code(2);
    assert!(
        failed
            .stderr
            .contains("26 records are in parts/: the same command with --resume goes on"),
        "{}",
        failed.stderr
    );
    let again = desk.run_args(&query).await.with_code(2);
    assert!(
        again.stderr.contains("--resume goes on"),
        "{}",
        again.stderr
    );
    let other = [
        "query",
        "SELECT Id FROM Contact",
        "-o",
        "parts/",
        "--resume",
    ];
    let other = desk.run_args(&other).await.with_code(2);
    assert!(
        other.stderr.contains("of another query"),
        "{}",
        other.stderr
    );

    desk.org.clear_faults().await;
    // What a killed process leaves.
    desk.write("parts/part-00002.parquet", "half");
    desk.write("parts/part-00003.parquet#1", "half");
    let resume = [&query, ["--resume"].as_slice()].concat();
    desk.run_args(&resume).await.with_code(0);
    let found = parts(&desk.path("parts"));
    let all: Vec<String> = (0..100).map(|row| format!("C-{row:05}")).collect();
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), all.iter().collect());
    assert_eq!(found.len(), 100);
    // It was one job all the time, and it is deleted with its results.
    let state = desk.org.state().await;
    assert_eq!(state["query_jobs"].as_array().unwrap().len(), 0);
    let done = desk.run_args(&resume).await.with_code(2);
    assert!(
        done.stderr.contains("has all 100 records already"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn parts_go_on_after_kills() {
    const ROWS: usize = 20_000;
    let desk = desk(ROWS).await;
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "200",
        "--page-rows",
        "2000",
        "--resume",
    ];
    let mut kills = 0;
    loop {
        let mut child = desk.start(&query);
        let moment = Duration::from_millis(100 + fastrand::u64(..1_500));
        if kills < 4 && tokio::time::timeout(moment, child.wait()).await.is_err() {
            child.kill().await.unwrap();
            kills += 1;
            continue;
        }
        super::harness::ended(child).await.with_code(0);
        break;
    }
    let found = parts(&desk.path("parts"));
    assert_eq!(found.len(), ROWS);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), ROWS);
}

#[tokio::test]
async fn s3_takes_files_and_parts() {
    let s3 = S3Server::start().await;
    let desk = desk(50).await;
    let desk = desk
        .with("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ENDPOINT_URL", s3.endpoint())
        .with("AWS_ALLOW_HTTP", "true");
    let bucket = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_endpoint(s3.endpoint())
        .with_allow_http(true)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .build()
        .unwrap();
    let file = format!("s3://{BUCKET}/out/contacts.csv");
    desk.run_args(&["query", SOQL, "-o", &file])
        .await
        .with_code(0);
    desk.run_args(&["query", SOQL, "-o", &file])
        .await
        .with_code(2);
    let written = bucket.get(&"out/contacts.csv".into()).await.unwrap();
    let written = written.bytes().await.unwrap();
    let rows = csv::Reader::from_reader(written.as_ref()).into_records();
    assert_eq!(rows.map(Result::unwrap).count(), 50);

    let folder = format!("s3://{BUCKET}/parts/");
    let query = ["query", SOQL, "-o", &folder, "--part-rows", "20"];
    desk.run_args(&query).await.with_code(0);
    for (part, rows) in [("00000", 20), ("00001", 20), ("00002", 10)] {
        let part = format!("parts/part-{part}.parquet");
        let bytes = bucket
            .get(&part.as_str().into())
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        desk.write("part.parquet", &bytes);
        assert_eq!(parquet(&desk.path("part.parquet")).num_rows(), rows);
    }
}

#[tokio::test]
async fn a_stop_aborts_the_job() {
    let desk = desk(5).await;
    desk.org
        .fault(&json!({"calls": ["query_create"], "do": {"slow_job": {"ms": 600_000}}}))
        .await;
    let child = desk.start(&["query", SOQL, "-o", "out.csv"]);
    let running = |state: &Value| state["query_jobs"].as_array().unwrap().len() == 1;
    desk.org.wait_for("a query job", running).await;
    let id = child.id().unwrap().to_string();
    desk.run_program("kill", &["-INT", &id]).await;
    let stopped = super::harness::ended(child).await.with_code(1);
    assert!(
        stopped.stderr.contains("stopped, as asked for"),
        "{}",
        stopped.stderr
    );
    assert_eq!(desk.org.state().await["query_jobs"][0]["state"], "Aborted");
    assert!(!desk.path("out.csv").exists());
}

#[tokio::test]
async fn records_are_copied_to_another_org() {
    let desk = desk(30).await;
    let other = TestSim::start().await;
    desk.write("other.json", config(&other).to_string());
    let copy = [
        "copy",
        "Contact",
        "--from",
        "org.json",
        "--to",
        "other.json",
        "--key",
        "Ext_Id__c",
        "--yes",
    ];
    let copied = desk.run_args(&copy).await.with_code(0);
    assert!(
        copied.stdout.contains("30 read, 30 accepted, 0 rejected"),
        "{}",
        copied.stdout
    );
    let fields = [
        "Ext_Id__c",
        "LastName",
        "Email",
        "Birthdate",
        "HasOptedOutOfEmail",
    ];
    let rows = other.rows("Contact").await;
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            fields
                .iter()
                .map(|field| text(&row[*field]).replace("null", ""))
                .collect()
        })
        .collect();
    rows.sort();
    assert_eq!(rows, expected(&desk).await);
    assert!(
        copied
            .stderr
            .contains("AccountId (a lookup; add Account.FIELD to --fields"),
        "{}",
        copied.stderr
    );
    let same = [
        "copy",
        "Contact",
        "--from",
        "org.json",
        "--to",
        "org.json",
        "--key",
        "Ext_Id__c",
    ];
    let same = desk.run_args(&same).await.with_code(2);
    assert!(same.stderr.contains("are the same org"), "{}", same.stderr);
}
