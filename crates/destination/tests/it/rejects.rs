//! Rejected records: each with its own reason, its values as they came, where the config says.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, Rejected, codes};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, contact, contacts};
use crate::harness::process::Job;
use crate::storage::mixed;

fn things() -> Stream {
    Stream::typed(
        "things",
        "Everything__c",
        [
            ("Name", "string"),
            ("Text__c", "string"),
            ("Long_Text__c", "string"),
            ("Email__c", "string"),
            ("Restricted__c", "string"),
            ("Flag__c", "boolean"),
            ("Int__c", "integer"),
            ("Double__c", "number"),
            ("Currency__c", "number"),
            ("Date__c", "string"),
            ("Date_Time__c", "string"),
        ],
    )
}

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    /// Refused by the org with this code.
    Refused(&'static str),
    /// Never sent: this field cannot be written.
    Unwritable(&'static str),
}

/// A record that is hard to find again: CSV's special characters, numbers that the org rewrites,
/// nulls, long texts. Every sixth or so is bad in one of several ways.
fn thing(number: usize, random: &mut fastrand::Rng) -> (Value, Fate) {
    let tails = [
        "",
        ", Ltd.",
        " \"quoted\"",
        "\nsecond line",
        " 😀",
        ",\"\n\"",
        "'",
        "#N/A?",
    ];
    let numbers = [
        json!(912_260_031),
        json!(1.1),
        json!(0),
        json!("896852810"),
        Value::Null,
    ];
    let texts = [
        Value::Null,
        json!(""),
        json!("x,y"),
        json!(" a\r\nb "),
        json!("é".repeat(99)),
    ];
    let dates = [
        json!("2026-03-01"),
        json!("1969-12-31T23:30:00+02:00"),
        Value::Null,
    ];
    let mut pick = |values: &[Value]| values[random.usize(..values.len())].clone();
    let mut data = json!({
        "Name": format!("T{number}{}", tails[number % tails.len()]),
        "Text__c": pick(&texts),
        "Long_Text__c": pick(&texts),
        "Email__c": Value::Null,
        "Restricted__c": pick(&[json!("Small"), Value::Null]),
        "Flag__c": pick(&[json!(true), json!("no"), json!(1)]),
        "Int__c": pick(&[json!(-7), json!(250.0), Value::Null]),
        "Double__c": pick(&numbers),
        "Currency__c": pick(&numbers),
        "Date__c": pick(&dates),
        "Date_Time__c": pick(&dates),
    });
    let fate = match random.u8(..48) {
        0..3 => {
            data["Email__c"] = json!(format!("thing, {number} \"at\" home"));
            Fate::Refused("INVALID_EMAIL_ADDRESS")
        }
        3 => {
            data["Email__c"] = json!(format!("thing {number}"));
            data["Long_Text__c"] = json!("ü,".repeat(65_000));
            Fate::Refused("INVALID_EMAIL_ADDRESS")
        }
        4..6 => {
            data["Restricted__c"] = json!(format!("Huge {number}"));
            Fate::Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
        }
        6..8 => {
            data["Text__c"] = json!(format!("T{number} {}", "long, \"text\"\n".repeat(24)));
            Fate::Refused("STRING_TOO_LONG")
        }
        8 => {
            data["Date__c"] = json!("31/12/2026");
            Fate::Unwritable("Date__c")
        }
        9 => {
            data["Currency__c"] = json!("1,000");
            Fate::Unwritable("Currency__c")
        }
        10 => {
            data["Int__c"] = json!(1.5);
            Fate::Unwritable("Int__c")
        }
        _ => Fate::Accepted,
    };
    (data, fate)
}

#[tokio::test]
async fn each_reason_is_joined_to_its_record() {
    let (sim, stream) = (TestSim::start().await, things());
    let mut random = fastrand::Rng::with_seed(7);
    let mut sent: Vec<(Value, Fate)> = Vec::new();
    for number in 0..1_500 {
        let copied = random.u8(..6) == 0 && number > 0;
        let earlier = copied.then(|| sent[random.usize(..number)].clone());
        sent.push(earlier.unwrap_or_else(|| thing(number, &mut random)));
    }
    let mut lines: Vec<String> = sent.iter().map(|(data, _)| stream.record(data)).collect();
    lines.push(stream.state(1, lines.len()));
    lines.push(stream.complete());
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 400)
        .rejects_to_folder();

    let output = job.write(&lines).await.succeeded();

    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    assert_eq!(output.states()[0]["rejectedRecordsCount"], rejected.len());
    let mut ledger = Ledger::default();
    for (data, fate) in &sent {
        ledger.sent(data, *fate);
    }
    for rejected in &rejected {
        ledger.rejected(rejected);
    }
    for row in sim.rows("Everything__c").await {
        ledger.accepted(row["Name"].as_str().unwrap());
    }
    ledger.balance();
}

/// How often each distinct record was sent, rejected and accepted.
#[derive(Default)]
struct Ledger(BTreeMap<String, (Entry, Fate)>);

#[derive(Default)]
struct Entry {
    name: String,
    sent: usize,
    rejected: usize,
    accepted: usize,
}

impl Ledger {
    fn sent(&mut self, data: &Value, fate: Fate) {
        let name = data["Name"].as_str().unwrap_or_default().to_owned();
        let entry = self.0.entry(as_texts(data));
        entry
            .or_insert((
                Entry {
                    name,
                    ..Entry::default()
                },
                fate,
            ))
            .0
            .sent += 1;
    }

    fn rejected(&mut self, rejected: &Rejected) {
        let record = as_texts(&rejected.record());
        let Some((entry, fate)) = self.0.get_mut(&record) else {
            panic!("never sent: {record:.300}");
        };
        entry.rejected += 1;
        let reason = rejected.reason();
        match fate {
            Fate::Refused(code) => {
                assert_eq!(rejected.stage(), "salesforce", "{reason}");
                assert_eq!(rejected.code(), *code, "{reason}");
                assert!(rejected.sf_error().starts_with(*code), "{reason}");
                assert!(reason["job_id"].as_str().unwrap().starts_with("750"));
                // Salesforce's text quotes the address: the reason of this record, no other's.
                if *code == "INVALID_EMAIL_ADDRESS" {
                    let message = reason["message"].as_str().unwrap();
                    assert!(message.ends_with(rejected.text("Email__c")), "{reason}");
                }
            }
            Fate::Unwritable(field) => {
                assert_eq!(rejected.stage(), "coerce", "{reason}");
                assert_eq!(rejected.code(), "INVALID_VALUE", "{reason}");
                assert_eq!(reason["fields"], json!([field]), "{reason}");
                assert!(
                    rejected.sf_error().starts_with("INVALID_VALUE:"),
                    "{reason}"
                );
            }
            // The org refuses one of two identical records now and then.
            Fate::Accepted => assert!(entry.sent > 1, "{reason} for {record:.300}"),
        }
    }

    fn accepted(&mut self, name: &str) {
        let mut entries = self.0.values_mut();
        let found = entries.find(|(entry, fate)| entry.name == name && *fate == Fate::Accepted);
        let Some((entry, _)) = found else {
            panic!("in the org, but never sent: {name}");
        };
        entry.accepted += 1;
    }

    /// Each record has exactly one end.
    fn balance(&self) {
        for (record, (entry, fate)) in &self.0 {
            assert_eq!(
                entry.sent,
                entry.accepted + entry.rejected,
                "{fate:?}: {record:.300}"
            );
        }
        let refused_copies = self
            .0
            .values()
            .filter(|(entry, _)| entry.accepted * entry.rejected > 0);
        assert!(
            refused_copies.count() > 0,
            "no copy was refused: the join was not tried"
        );
    }
}

/// A record with each value as its text: the kind that a value had in JSON is not kept where it
/// differs from the schema's.
pub(crate) fn as_texts(record: &Value) -> String {
    let fields = record.as_object().unwrap().iter();
    let texts: BTreeMap<&String, Value> = fields
        .map(|(field, value)| match value {
            Value::Null | Value::String(_) => (field, value.clone()),
            _ => (field, json!(value.to_string())),
        })
        .collect();
    json!(texts).to_string()
}

#[tokio::test]
async fn a_folder_takes_one_file_a_job() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 10)
        .rejects_to_folder();
    let mut lines: Vec<String> = (0..40)
        .map(|number| {
            let mut data = contact(number);
            if number % 4 == 0 {
                data["Email"] = json!("not an address");
            }
            stream.record(&data)
        })
        .collect();
    lines.push(stream.complete());

    job.write(&lines).await.succeeded();

    let files = job.reject_files();
    assert_eq!(files.len(), 4);
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    assert_eq!(
        codes(&rejected),
        BTreeMap::from([("INVALID_EMAIL_ADDRESS", 10)])
    );
    for (_, content) in &files {
        let jobs: Vec<Value> = rejected::read("x.csv", content)
            .iter()
            .map(|rejected| rejected.reason()["job_id"].clone())
            .collect();
        assert!(jobs.windows(2).all(|pair| pair[0] == pair[1]), "{jobs:?}");
    }
}

#[tokio::test]
async fn rejects_that_were_never_sent_make_no_job() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).rejects_to_folder();
    let record = stream.record_text(r##"{"LastName":"#N/A"}"##);
    let lines = [
        record.clone(),
        record,
        stream.state(1, 2),
        stream.complete(),
    ];

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.states()[0]["rejectedRecordsCount"], 2);
    assert!(sim.jobs().await.is_empty());
    assert_eq!(job.reject_files().len(), 1);
}

#[tokio::test]
async fn without_storage_rejects_are_counted() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let output = Job::new(&sim, &[&stream])
        .write(&mixed(&stream))
        .await
        .succeeded();

    let state = output.states()[0];
    assert_eq!(
        state["destinationStats"],
        json!({"recordCount": 5.0, "rejectedRecordCount": 3.0})
    );
    let logs: Vec<String> = output
        .of("LOG")
        .iter()
        .map(|log| log["log"].to_string())
        .collect();
    assert!(
        logs.iter()
            .any(|log| log.contains("REQUIRED_FIELD_MISSING")),
        "{logs:#?}"
    );
    output.keeps_secret(&["No, name"]);
    assert_eq!(sim.column("Contact", KEY).await.len(), 5);
}

#[tokio::test]
async fn a_value_is_taken_up_to_the_limit_of_a_job() {
    let sim = TestSim::start().await;
    let stream = Stream::new("things", "Everything__c", &[KEY, "Long_Text__c"]);
    let job = Job::new(&sim, &[&stream]).rejects_to_folder();
    let thing = |key: &str, length: usize| {
        stream.record(&json!({KEY: key, "Long_Text__c": "é".repeat(length)}))
    };
    let lines = [
        thing("E-1", 131_072),
        thing("E-2", 131_073),
        thing("E-3", 1),
        thing("E-4", 4_000_000),
        stream.state(1, 4),
        stream.complete(),
    ];

    let output = job.write(&lines).await.succeeded();

    let state = output.states()[0];
    assert_eq!(
        state["destinationStats"],
        json!({"recordCount": 2.0, "rejectedRecordCount": 2.0})
    );
    let mut keys = sim.column("Everything__c", KEY).await;
    keys.sort();
    assert_eq!(keys, ["E-1", "E-3"]);
    let files = job.reject_files();
    let rejected = rejected::read(&files[0].0, &files[0].1);
    let lengths: Vec<usize> = rejected
        .iter()
        .map(|rejected| rejected.text("Long_Text__c").chars().count())
        .collect();
    assert_eq!(lengths, [131_073, 4_000_000]);
    for rejected in &rejected {
        assert_eq!(rejected.reason()["fields"], json!(["Long_Text__c"]));
    }
}
