//! Records come out of an org: into each format and place, as a table, in parts that are gone on with;
//! and from there into another org.

mod kinds;
mod parts;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_ipc::reader::FileReader;
use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::compute::concat_batches;
use arrow_salesforce::arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

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
