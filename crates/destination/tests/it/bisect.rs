//! Jobs that are refused as a whole: the rows at fault are found and rejected, all others are loaded.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, Rejected};
use testkit::sim::TestSim;

use crate::harness::lines::{catalog, contact, contacts};
use crate::harness::process::{Job, Output};

const POISON: &str = "poison";

/// A load of contacts, of which some make Salesforce refuse their job.
struct Ran {
    sim: TestSim,
    job: Job,
    output: Output,
}

async fn run(records: usize, at_fault: &[usize], upsert: bool, settings: &[(&str, Value)]) -> Ran {
    let sim = TestSim::start().await;
    let message = "InvalidBatch : Failed to parse CSV. Found unescaped quote";
    let refuse = json!({"refuse_file": {"text": POISON, "message": message}});
    sim.fault(&json!({"times": 0, "do": refuse})).await;
    let stream = contacts();
    let records_of = |number: usize| {
        let mut data = contact(number);
        if at_fault.contains(&number) {
            data["FirstName"] = json!(POISON);
        }
        stream.record(&data)
    };
    let mut lines: Vec<String> = (0..records).map(records_of).collect();
    lines.push(stream.state(1, records));
    lines.push(stream.complete());
    let mut catalog = catalog(&[&stream]);
    if upsert {
        catalog["streams"][0]["destination_sync_mode"] = json!("append_dedup");
        catalog["streams"][0]["primary_key"] = json!([[KEY]]);
    }
    let mut job = Job::with_catalog(&sim, catalog).rejects_to_folder();
    for (key, value) in settings {
        job = job.set(key, value.clone());
    }
    let output = job.write(&lines).await;
    Ran { sim, job, output }
}

impl Ran {
    /// The load succeeded: the rows at fault are rejected, all others are in the org once.
    async fn check(&self, records: usize, at_fault: &[usize]) {
        assert_eq!(self.output.code, Some(0), "{:#?}", self.output);
        let keys = self.sim.column("Contact", KEY).await;
        let distinct: BTreeSet<String> = keys.iter().cloned().collect();
        assert_eq!(keys.len(), distinct.len(), "a record is doubled");
        let good = (0..records).filter(|number| !at_fault.contains(number));
        let good: BTreeSet<String> = good.map(|number| format!("C-{number}")).collect();
        assert_eq!(distinct, good);
        let rejects = self.rejects();
        let rejected: BTreeSet<&str> = rejects.iter().map(|row| row.text(KEY)).collect();
        assert_eq!(rejected.len(), at_fault.len());
        for row in &rejects {
            assert_eq!(row.text("FirstName"), POISON);
            assert_eq!(row.code(), "InvalidBatch");
            let message = row.reason()["message"].as_str().unwrap();
            assert_eq!(message, "Failed to parse CSV. Found unescaped quote");
        }
        let state = self.output.states()[0];
        assert_eq!(state["rejectedRecordsCount"], at_fault.len());
    }

    fn rejects(&self) -> Vec<Rejected> {
        let files = self.job.reject_files();
        rejected::read_all(files.iter().map(|(name, content)| (name, content)))
    }

    async fn jobs(&self) -> usize {
        self.sim.jobs().await.len()
    }
}

#[tokio::test]
async fn the_rows_at_fault_are_found_and_all_others_are_loaded() {
    for upsert in [false, true] {
        for at_fault in [&[0][..], &[399], &[123], &[17, 300], &[5, 6, 7]] {
            let ran = run(400, at_fault, upsert, &[]).await;
            ran.check(400, at_fault).await;
            assert!(ran.jobs().await <= 41, "{at_fault:?}: {}", ran.jobs().await);
        }
    }
}

#[tokio::test]
async fn a_chunk_of_one_row_rejects_it() {
    let ran = run(1, &[0], false, &[]).await;
    ran.check(1, &[0]).await;
    assert_eq!(ran.jobs().await, 1);
}

#[tokio::test]
async fn where_every_part_is_refused_columns_are_blamed() {
    let all: Vec<usize> = (0..300).collect();
    let ran = run(300, &all, false, &[]).await;
    let error = ran.output.failed("config_error");
    for text in ["correct the columns", "Found unescaped quote"] {
        assert!(error.contains(text), "{error}");
    }
    assert!(ran.jobs().await <= 41);
    assert!(ran.rejects().is_empty());
}

#[tokio::test]
async fn more_rows_at_fault_than_can_be_found_end_the_load_and_those_found_are_shown() {
    // In one half alone, or columns were blamed.
    let many: Vec<usize> = (0..500).step_by(20).collect();
    let ran = run(1_000, &many, false, &[]).await;
    let error = ran.output.failed("config_error");
    assert!(error.contains("Found unescaped quote"), "{error}");
    assert_eq!(ran.jobs().await, 41);
    let held = ran.sim.column("Contact", KEY).await;
    let distinct: BTreeSet<&String> = held.iter().collect();
    assert_eq!(held.len(), distinct.len(), "a record is doubled");
    assert!(ran.output.states().is_empty());
}

#[tokio::test]
async fn each_chunk_is_split_by_itself() {
    let at_fault: Vec<usize> = (7..200).step_by(40).collect();
    let settings = [("max_job_rows", json!(40))];
    let ran = run(200, &at_fault, true, &settings).await;
    ran.check(200, &at_fault).await;
    assert!(ran.jobs().await <= 5 + 5 * 9, "{}", ran.jobs().await);
}

#[tokio::test]
async fn rows_that_were_merged_into_one_at_fault_are_rejected_with_it() {
    let sim = TestSim::start().await;
    let refuse = json!({"refuse_file": {"text": POISON}});
    sim.fault(&json!({"times": 0, "do": refuse})).await;
    let stream = contacts();
    let mut lines: Vec<String> = (0..50)
        .map(|number| stream.record(&contact(number)))
        .collect();
    let mut later = contact(20);
    later["FirstName"] = json!(POISON);
    lines.push(stream.record(&later));
    lines.push(stream.state(1, 51));
    lines.push(stream.complete());
    let mut catalog = catalog(&[&stream]);
    catalog["streams"][0]["destination_sync_mode"] = json!("append_dedup");
    catalog["streams"][0]["primary_key"] = json!([[KEY]]);
    let job = Job::with_catalog(&sim, catalog).rejects_to_folder();

    let output = job.write(&lines).await.succeeded();

    assert_eq!(sim.column("Contact", KEY).await.len(), 49);
    assert_eq!(output.states()[0]["rejectedRecordsCount"], 2);
}
