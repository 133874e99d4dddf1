//! Values that would stop a whole stream, or be lost in it: each costs its own record at most.

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, Rejected};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, catalog, contacts};
use crate::harness::process::Job;

/// Loads records and a state behind them; returns what was rejected.
async fn load(job: Job, stream: &Stream, records: &[Value]) -> Vec<Rejected> {
    let mut lines: Vec<String> = records.iter().map(|data| stream.record(data)).collect();
    lines.push(stream.state(1, lines.len()));
    lines.push(stream.complete());
    let job = job.rejects_to_folder();
    let output = job.write(&lines).await.succeeded();
    assert_eq!(output.state_ids(), [1]);
    let files = job.reject_files();
    rejected::read_all(files.iter().map(|(name, text)| (name, text)))
}

fn upserts(sim: &TestSim, stream: &Stream) -> Job {
    let mut catalog = catalog(&[stream]);
    catalog["streams"][0]["destination_sync_mode"] = json!("append_dedup");
    catalog["streams"][0]["primary_key"] = json!([[KEY]]);
    Job::with_catalog(sim, catalog)
}

fn message(rejected: &Rejected) -> &str {
    rejected.reason()["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_record_of_one_column_needs_a_value() {
    let (sim, stream) = (
        TestSim::start().await,
        Stream::new("names", "Contact", &["LastName"]),
    );
    let mut records: Vec<Value> = (0..20)
        .map(|n| json!({"LastName": format!("Ng {n}")}))
        .collect();
    for blank in [json!(null), json!(""), json!(" "), json!("\t\u{a0}")] {
        records.insert(7, json!({"LastName": blank}));
    }
    records.push(json!({}));
    let rejected = load(Job::new(&sim, &[&stream]), &stream, &records).await;
    assert_eq!(sim.rows("Contact").await.len(), 20);
    assert_eq!(rejected.len(), 5);
    for rejected in &rejected {
        let expected =
            "LastName: no value, and it is the only column; a job skips a line that has no value";
        assert_eq!((rejected.stage(), message(rejected)), ("coerce", expected));
    }
}

#[tokio::test]
async fn an_emoji_is_two_characters_to_salesforce() {
    let stream = Stream::new("things", "Everything__c", &[KEY, "Long_Text__c"]);
    let (sim, text) = (TestSim::start().await, "😀".repeat(70_000));
    let records = [
        json!({KEY: "E-1", "Long_Text__c": "fits"}),
        json!({KEY: "E-2", "Long_Text__c": text}),
        json!({KEY: "E-3", "Long_Text__c": "fits"}),
    ];
    let rejected = load(Job::new(&sim, &[&stream]), &stream, &records).await;
    assert_eq!(sim.rows("Everything__c").await.len(), 2);
    let [rejected] = rejected.as_slice() else {
        panic!("{} rejected", rejected.len());
    };
    assert_eq!(rejected.code(), "VALUE_TOO_LONG");
    assert_eq!(
        message(rejected),
        "Long_Text__c: longer than the 131072 characters that a job takes in a field (an emoji is two)"
    );
}

#[tokio::test]
async fn keys_that_differ_by_a_wide_blank_are_two() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let record = |key: &str, name: &str| json!({KEY: key, "LastName": name});
    let records = [
        record("K", "Old"),
        record("K\u{a0}", "Wide"),
        record("\u{3000}K", "Wider"),
        record(" K\t", "New"),
        record("\u{a0}", "Nobody"),
        record(" \u{2003} ", "Nobody"),
    ];
    let rejected = load(upserts(&sim, &stream), &stream, &records).await;
    let codes: Vec<&str> = rejected.iter().map(Rejected::code).collect();
    assert_eq!(codes, ["MISSING_KEY"; 2]);
    let mut found: Vec<String> = sim
        .rows("Contact")
        .await
        .iter()
        .map(|row| {
            format!(
                "{}={}",
                row[KEY].as_str().unwrap(),
                row["LastName"].as_str().unwrap()
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["K=New", "K\u{a0}=Wide", "\u{3000}K=Wider"]);
}

#[tokio::test]
async fn a_declared_integer_is_one_key_however_it_is_written() {
    let columns = [(KEY, "integer"), ("LastName", "string")];
    let (sim, stream) = (
        TestSim::start().await,
        Stream::typed("contacts", "Contact", columns),
    );
    let mut lines = Vec::new();
    for (number, key) in ["12345", "12345.0", "1.2345e4", "12345.00e0"]
        .iter()
        .enumerate()
    {
        lines.push(stream.record_text(&format!(r#"{{"{KEY}":{key},"LastName":"Ng {number}"}}"#)));
        lines.push(stream.state(number as u64 + 1, 1));
    }
    lines.push(stream.complete());
    upserts(&sim, &stream)
        .set("max_job_rows", 1)
        .write(&lines)
        .await
        .succeeded();
    let rows = sim.rows("Contact").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0][KEY], &rows[0]["LastName"]),
        (&json!("12345"), &json!("Ng 3"))
    );
}

#[tokio::test]
async fn a_column_whose_name_has_an_invisible_character() {
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &["\u{feff}LastName", "Email"]);
    let lines = [
        stream.record(&json!({"Email": "a@example.com"})),
        stream.complete(),
    ];
    let output = Job::new(&sim, &[&stream]).write(&lines).await;
    insta::assert_snapshot!(output.failed("config_error"), @r#"object Contact: column "\u{feff}LastName": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them, so that it is LastName"#);
}
