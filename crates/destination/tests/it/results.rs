//! Results in any shape that an org gives them: each record still has one end, and it is its own.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, Rejected};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, Output};
use crate::harness::receipts::receipts;
use crate::rejects::as_texts;

const OBJECT: &str = "Everything__c";
const NUMBER_KEY: &str = "Number_Key__c";
const BY_ELIMINATION: &str = "(matched by elimination)";

/// Different records of a load.
const RECORDS: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Insert,
    UpsertByText,
    UpsertByNumber,
    Update,
    Delete,
}

use Load::{Delete, Insert, Update, UpsertByNumber, UpsertByText};

const LOADS: [Load; 5] = [Insert, UpsertByText, UpsertByNumber, Update, Delete];

/// What the results of a job allow to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The end of each record, from one job.
    Known,
    /// Not the end of each: records with a key are retried, the load of others stops.
    Unknown,
    /// Either.
    Any,
}

/// Why the org refuses a record; `None` if it takes it.
fn code(load: Load, number: usize) -> Option<&'static str> {
    match (load, number % 6) {
        (Delete, 2 | 5) | (Update, 4) => Some("INVALID_CROSS_REFERENCE_KEY"),
        (Delete, _) => None,
        (_, 2) => Some("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        (_, 5) => Some("INVALID_EMAIL_ADDRESS"),
        _ => None,
    }
}

impl Load {
    fn stream(self) -> Stream {
        let key = match self {
            Insert | UpsertByText => (KEY, "string"),
            UpsertByNumber => (NUMBER_KEY, "integer"),
            Update | Delete => ("Id", "string"),
        };
        let values = [
            ("Name", "string"),
            ("Text__c", "string"),
            ("Email__c", "string"),
            ("Restricted__c", "string"),
            ("Flag__c", "boolean"),
            ("Int__c", "integer"),
            ("Double__c", "number"),
            ("Date__c", "string"),
            ("Date_Time__c", "string"),
        ];
        let values = if self == Delete { &[] } else { &values[..] };
        Stream::typed("things", OBJECT, [key].into_iter().chain(values.to_vec()))
    }

    fn catalog(self, stream: &Stream) -> Value {
        let mut catalog = catalog(&[stream]);
        let configured = &mut catalog["streams"][0];
        configured["destination_sync_mode"] = json!(match self {
            Insert => "append",
            UpsertByText | UpsertByNumber => "append_dedup",
            Update => "update",
            Delete => "soft_delete",
        });
        configured["primary_key"] = json!([[stream.columns[0].0]]);
        catalog
    }

    /// Record `number`, whose Id is known where the org has it.
    fn record(self, number: usize, ids: &BTreeMap<usize, String>) -> Value {
        let id = || match code(self, number) {
            Some("INVALID_CROSS_REFERENCE_KEY") => format!("a0000000000ZZ{number:02}"),
            _ => ids[&number].clone(),
        };
        if self == Delete {
            return json!({"Id": id()});
        }
        let mut record = json!({
            "Name": format!("T{number}"),
            "Text__c": format!("\"text\",\n{number}"),
            "Email__c": null,
            "Restricted__c": "Small",
            "Flag__c": number.is_multiple_of(2),
            "Int__c": number,
            "Double__c": 912_260_031 + number,
            "Date__c": format!("2026-03-{:02}", number + 1),
            "Date_Time__c": format!("2026-03-01T10:{number:02}:00.000Z"),
        });
        match self {
            Insert if !number.is_multiple_of(4) => record[KEY] = Value::Null,
            Insert | UpsertByText => record[KEY] = json!(format!("key {number}")),
            UpsertByNumber => record[NUMBER_KEY] = json!(896_852_810 + number),
            Update | Delete => record["Id"] = json!(id()),
        }
        match number % 6 {
            2 => record["Restricted__c"] = json!(format!("Huge {number}")),
            5 => record["Email__c"] = json!(format!("address {number}")),
            _ => {}
        }
        record
    }

    /// Which records are sent, in this order: some that need no key come twice.
    fn numbers(self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..RECORDS).collect();
        if self == Insert {
            numbers.retain(|number| !number.is_multiple_of(4));
            numbers.extend([5, 1, 3, 13, 17, 7, 1, 21, 9, 5]);
            numbers.extend((0..RECORDS).step_by(4));
        }
        numbers
    }
}

/// A load into an org whose results have some shape.
struct Ran {
    load: Load,
    case: String,
    sim: TestSim,
    job: Job,
    output: Output,
    ids: BTreeMap<usize, String>,
    jobs: usize,
}

/// Runs a load while the results of its jobs, or of the first one only, have these faults.
async fn run(load: Load, faults: &[Value], always: bool) -> Ran {
    let sim = TestSim::start().await;
    let stream = load.stream();
    let mut ids = BTreeMap::new();
    if load != Insert {
        ids = prepare(&sim, load).await;
    }
    let before = sim.jobs().await.len();
    for fault in faults {
        let times = i32::from(!always);
        sim.fault(&json!({"object": OBJECT, "times": times, "do": fault}))
            .await;
    }
    let sent = load.numbers();
    let records = sent.iter().map(|n| stream.record(&load.record(*n, &ids)));
    let mut lines: Vec<String> = records.collect();
    lines.push(stream.state(1, sent.len()));
    lines.push(stream.complete());
    let job = Job::with_catalog(&sim, load.catalog(&stream))
        .rejects_to_folder()
        .receipts_to_folder();
    let output = job.write(&lines).await;
    let jobs = sim.jobs().await.len() - before;
    Ran {
        load,
        case: format!("{load:?} {}", json!(faults)),
        sim,
        job,
        output,
        ids,
        jobs,
    }
}

/// Puts records with old values into the org: of an upsert those of even numbers, otherwise all.
async fn prepare(sim: &TestSim, load: Load) -> BTreeMap<usize, String> {
    let columns = [
        ("Name", "string"),
        (KEY, "string"),
        (NUMBER_KEY, "integer"),
        ("Int__c", "integer"),
    ];
    let old = Stream::typed("old", OBJECT, columns);
    let every = if matches!(load, Update | Delete) {
        1
    } else {
        2
    };
    let records = (0..RECORDS).step_by(every).map(|number| {
        old.record(&json!({
            "Name": format!("old {number}"),
            KEY: format!("key {number}"),
            NUMBER_KEY: 896_852_810 + number,
            "Int__c": 1_000 + number,
        }))
    });
    let mut lines: Vec<String> = records.collect();
    lines.push(old.complete());
    Job::new(sim, &[&old]).write(&lines).await.succeeded();
    let rows = sim.rows(OBJECT).await.into_iter();
    let ids = rows.map(|row| {
        let name = row["Name"].as_str().unwrap();
        let number = name.strip_prefix("old ").unwrap().parse().unwrap();
        (number, row["Id"].as_str().unwrap().to_owned())
    });
    ids.collect()
}

impl Ran {
    /// Asks the org and the reject files what became of each record.
    async fn check(self, end: End) {
        let case = &self.case;
        println!("{case}: {} jobs", self.jobs);
        let stopped = self.load == Insert && self.output.code == Some(1);
        if stopped {
            assert_ne!(end, End::Known, "{case}: {:#?}", self.output.error());
            let message = self.output.failed("transient_error");
            assert!(
                message.contains("may or may not be in the org"),
                "{message}"
            );
            assert!(self.output.states().is_empty(), "{case}");
            assert_eq!(self.jobs, 1, "{case}: rows without a key were retried");
            let held = self.held().await;
            for number in 0..RECORDS {
                let sent = self.sent(number);
                let found = held.get(&number).copied().unwrap_or_default();
                let good = code(self.load, number).is_none();
                assert!(found <= sent && (found > 0) == good, "{case}: {number}");
            }
            return;
        }
        assert_eq!(self.output.code, Some(0), "{case}: {:#?}", self.output);
        match end {
            End::Known => assert_eq!(self.jobs, 1, "{case}"),
            End::Unknown => assert!(self.load != Insert && self.jobs > 1, "{case}"),
            End::Any => {}
        }
        let rejected = self.rejected();
        let held = self.held().await;
        self.check_receipts(end).await;
        for number in 0..RECORDS {
            let refused = rejected.get(&number).copied().unwrap_or_default();
            let found = held.get(&number).copied().unwrap_or_default();
            let case = format!("{case}: record {number}");
            if self.load == Delete && self.jobs > 1 && code(self.load, number).is_some() {
                // Whether the Id never was, or the first job has deleted it, nobody can say.
                assert!(found == 0 && refused <= self.sent(number), "{case}");
                continue;
            }
            assert_eq!(found + refused, self.sent(number), "{case}");
            if code(self.load, number).is_some() {
                assert_eq!(found, 0, "{case} was refused");
            } else {
                assert!(found > 0, "{case} was written");
            }
        }
        let state = self.output.states()[0];
        let refused: usize = rejected.values().sum();
        assert_eq!(state["rejectedRecordsCount"], refused, "{case}");
        let sent = self.load.numbers().len();
        assert_eq!(state["committedRecordsCount"], sent - refused, "{case}");
    }

    fn sent(&self, number: usize) -> usize {
        let numbers = self.load.numbers();
        numbers.iter().filter(|sent| **sent == number).count()
    }

    /// How often each record was rejected, each time as it was sent and for its own reason.
    fn rejected(&self) -> BTreeMap<usize, usize> {
        let records: BTreeMap<String, usize> = (0..RECORDS)
            .map(|number| (as_texts(&self.load.record(number, &self.ids)), number))
            .collect();
        let files = self.job.reject_files();
        let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
        let mut counts = BTreeMap::new();
        for rejected in &rejected {
            let number = records[&as_texts(&rejected.record())];
            self.check_reason(number, rejected);
            *counts.entry(number).or_default() += 1;
        }
        counts
    }

    fn check_reason(&self, number: usize, rejected: &Rejected) {
        let (case, reason) = (&self.case, rejected.reason());
        let message = reason["message"].as_str().unwrap();
        if message.ends_with(BY_ELIMINATION) {
            return;
        }
        let Some(code) = code(self.load, number) else {
            // The org refuses one of two identical records now and then.
            assert!(self.sent(number) > 1, "{case}: {number} {reason}");
            assert_eq!(rejected.code(), "DUPLICATES_DETECTED", "{case}: {number}");
            return;
        };
        assert_eq!(rejected.code(), code, "{case}: {number} {reason}");
        if code != "INVALID_CROSS_REFERENCE_KEY" {
            let own = format!(" {number}");
            assert!(message.ends_with(&own), "{case}: {number} {reason}");
        }
    }

    /// The Id that a record is sent with.
    fn id(&self, number: usize) -> String {
        let record = self.load.record(number, &self.ids);
        record["Id"].as_str().unwrap().to_owned()
    }

    /// Each accepted record has one receipt, and the Id in it is its own.
    async fn check_receipts(&self, end: End) {
        let (case, numbers) = (&self.case, self.load.numbers());
        let receipts = receipts(&self.job);
        let ordinals: BTreeSet<usize> = receipts.iter().map(|receipt| receipt.ordinal).collect();
        assert_eq!(ordinals.len(), receipts.len(), "{case}");
        let accepted = &self.output.states()[0]["committedRecordsCount"];
        assert_eq!(*accepted, receipts.len(), "{case}");
        let rows = self.sim.rows(OBJECT).await.into_iter();
        let names: BTreeMap<String, Value> = rows
            .map(|row| (row["Id"].as_str().unwrap().to_owned(), row["Name"].clone()))
            .collect();
        let mut ids = BTreeSet::new();
        for receipt in &receipts {
            let number = numbers[receipt.ordinal];
            let Some(id) = &receipt.id else {
                assert!(receipt.mark.is_some(), "{case}: {receipt:?}");
                continue;
            };
            assert_eq!(receipt.mark, None, "{case}");
            assert!(ids.insert(id.clone()), "{case}: {id} comes twice");
            match self.load {
                Delete => assert_eq!(id[..15], self.id(number)[..15], "{case}"),
                _ => assert_eq!(names[id], format!("T{number}"), "{case}: {receipt:?}"),
            }
            let action = match self.load {
                Insert => "created",
                Update => "updated",
                Delete => "deleted",
                _ if !number.is_multiple_of(2) => "created",
                _ => "updated",
            };
            // A job whose results did not say so may have created it before.
            if end == End::Known || matches!(self.load, Insert | Update | Delete) {
                assert_eq!(receipt.action.as_deref(), Some(action), "{case}");
            }
        }
    }

    /// How often each record is as it should be in the org.
    async fn held(&self) -> BTreeMap<usize, usize> {
        let rows = self.sim.rows(OBJECT).await;
        let mut counts = BTreeMap::new();
        if self.load == Delete {
            let ids: Vec<&str> = rows.iter().map(|row| row["Id"].as_str().unwrap()).collect();
            for (number, id) in &self.ids {
                if !ids.contains(&id.as_str()) {
                    counts.insert(*number, 1);
                }
            }
            return counts;
        }
        for row in rows {
            let name = row["Name"].as_str().unwrap();
            let Some(number) = name.strip_prefix('T') else {
                assert!(name.starts_with("old "), "{name}");
                continue;
            };
            let number = number.parse().unwrap();
            let record = self.load.record(number, &self.ids);
            for (field, value) in record.as_object().unwrap() {
                let cell = match value {
                    Value::Null => continue,
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                assert_eq!(row[field], cell, "{}: {number} {field}", self.case);
            }
            *counts.entry(number).or_default() += 1;
        }
        counts
    }
}

/// Every load with these faults, of which the results of some loads are not enough.
async fn each_load(faults: &[Value], unknown: &[Load]) {
    let cases = LOADS.map(|load| async move {
        let end = if unknown.contains(&load) {
            End::Unknown
        } else {
            End::Known
        };
        run(load, faults, end == End::Known).await.check(end).await;
    });
    join_all(cases).await;
}

#[tokio::test]
async fn headers_and_columns_in_other_forms() {
    let (keys, some) = (
        json!([KEY, NUMBER_KEY, "Id"]),
        json!(["text__c", "Double__c"]),
    );
    for faults in [
        json!([{"other_header": {}}]),
        json!([{"other_header": {"case": "lower", "order": "sorted"}}]),
        json!([{"other_header": {"case": "kept", "order": "kept"}}]),
        json!([{"drop_columns": {"names": some}}]),
        json!([{"drop_columns": {"names": keys}}]),
        json!([{"drop_columns": {"share": 0.5}}]),
        json!([{"drop_columns": {"names": keys}}, {"failed_ids": {"share": 0.0}}]),
        json!([{"drop_columns": {"names": keys}}, {"failed_ids": {"share": 1.0}}]),
        json!([{"blank_columns": {"names": some}}]),
        json!([{"blank_columns": {"names": keys}}]),
        json!([{"blank_columns": {"names": keys}}, {"failed_ids": {"share": 1.0}}]),
        json!([{"blank_columns": {"share": 0.5}}]),
    ] {
        each_load(faults.as_array().unwrap(), &[]).await;
    }
}

#[tokio::test]
async fn values_and_files_in_other_forms() {
    for faults in [
        json!([{"reformat": {}}]),
        json!([{"reformat": {}}, {"other_header": {}}, {"pages": {"rows": 3}}]),
        json!([{"empty_body": {}}]),
        json!([{"empty_body": {}}, {"no_counts": {}}]),
        json!([{"pages": {"rows": 1}}]),
        json!([{"failed_ids": {"share": 0.0}}]),
        json!([{"failed_ids": {"share": 1.0}}]),
        json!([{"no_counts": {}}]),
        json!([{"wrong_counts": {"failed": 1}}]),
        json!([{"wrong_counts": {"failed": -1}}]),
        json!([{"wrong_counts": {"processed": -1}}]),
    ] {
        each_load(faults.as_array().unwrap(), &[]).await;
    }
}

#[tokio::test]
async fn rows_too_many() {
    for faults in [
        json!([{"repeat_rows": {"count": 40}}]),
        json!([{"repeat_rows": {"count": 2, "result": "failed"}}]),
        json!([{"repeat_rows": {"count": 40, "result": "failed"}}]),
        json!([{"repeat_rows": {"count": 40, "result": "successful"}}, {"no_counts": {}}]),
        json!([{"foreign_rows": {"count": 2}}]),
        json!([{"foreign_rows": {"count": 2, "result": "failed"}}]),
        json!([{"foreign_rows": {"count": 2}}, {"no_counts": {}}]),
    ] {
        each_load(faults.as_array().unwrap(), &[]).await;
    }
}

#[tokio::test]
async fn rows_too_few() {
    for faults in [
        json!([{"withhold_rows": {"count": 1}}]),
        json!([{"withhold_rows": {"count": 3, "result": "failed"}}]),
        json!([{"withhold_rows": {"count": 3, "result": "successful"}}, {"no_counts": {}}]),
        json!([{"alter_rows": {"count": 1}}]),
    ] {
        each_load(faults.as_array().unwrap(), &LOADS).await;
    }
    // They are not needed: the failed rows are as many as the job counted.
    let faults = json!([{"withhold_rows": {"count": 3, "result": "successful"}}]);
    each_load(faults.as_array().unwrap(), &[]).await;
}

#[tokio::test]
async fn several_of_these_at_once() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shapes = vec![
            json!({"other_header": {}}),
            json!({"drop_columns": {"share": 0.3}}),
            json!({"blank_columns": {"share": 0.3}}),
            json!({"reformat": {}}),
            json!({"empty_body": {}}),
            json!({"pages": {"rows": 4}}),
            json!({"failed_ids": {"share": 0.0}}),
            json!({"repeat_rows": {"count": 3}}),
            json!({"repeat_rows": {"count": 3, "result": "failed"}}),
            json!({"foreign_rows": {"count": 1}}),
            json!({"foreign_rows": {"count": 1, "result": "failed"}}),
            json!({"withhold_rows": {"count": 1, "result": "failed"}}),
            json!({"withhold_rows": {"count": 1}}),
            json!({"alter_rows": {"count": 1}}),
            json!({"no_counts": {}}),
        ];
        random.shuffle(&mut shapes);
        let faults = &shapes[..random.usize(2..5)];
        let cases = LOADS.map(|load| async move {
            run(load, faults, false).await.check(End::Any).await;
        });
        join_all(cases).await;
    }
}
