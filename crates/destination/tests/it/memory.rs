//! Memory that is used up: rows that wait for an answer go to disk, and come back as they were.

use serde_json::{Value, json};
use testkit::sim::{TestSim, jobs_in_state};
use testkit::{KEY, rejected};

use crate::harness::lines::Stream;
use crate::harness::process::{Job, Output};

const RECORDS: usize = 6_000;
/// Every so many records lack what the org requires.
const BAD: usize = 10;
/// Characters of a record's text: with the records above, several times what rows may take.
const TEXT: usize = 25_000;

/// Random text, so that compressing it saves nothing.
fn record(number: usize) -> Value {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let text: String = (0..TEXT).map(|_| random.alphanumeric()).collect();
    let name = (!number.is_multiple_of(BAD)).then_some("Ng");
    json!({KEY: format!("M-{number}"), "LastName": name, "Description": text})
}

#[tokio::test]
async fn rows_that_wait_go_to_disk_and_come_back() {
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName", "Description"]);
    let job = Job::new(&sim, &[&stream])
        .set("memory_limit_bytes", 128 << 20)
        .set("max_job_bytes", 12_000_000)
        .set("max_jobs_in_flight", 8)
        .rejects_to_folder();
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    let mut lines: Vec<String> = records.iter().map(|data| stream.record(data)).collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());

    // As long as the org holds its jobs, their rows can only wait.
    sim.hold().await;
    let mut running = job.start_write();
    running.feed(lines);
    sim.wait_for("eight jobs in progress", |state| {
        jobs_in_state(state, "InProgress") == 8
    })
    .await;
    assert_eq!(running.states(), 0);
    sim.release().await;
    let output = running.finish().await.succeeded();

    assert!(spilled(&output) > 0, "nothing went to disk");
    assert_eq!(output.state_ids(), [1]);
    let good = RECORDS - RECORDS / BAD;
    assert_eq!(sim.column("Contact", KEY).await.len(), good);
    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    let mut numbers: Vec<usize> = rejected
        .iter()
        .map(|rejected| {
            let record = rejected.record();
            let key = record[KEY].as_str().unwrap();
            let number = key.trim_start_matches("M-").parse().unwrap();
            assert_eq!(record, records[number], "{key} came back as another record");
            number
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..RECORDS).step_by(BAD).collect::<Vec<_>>());
}

/// A state after each record, each far larger than its record: states that wait are memory too.
#[tokio::test]
async fn states_that_wait_close_jobs_early() {
    const STATES: usize = 3_000;
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName"]);
    let job = Job::new(&sim, &[&stream]).set("memory_limit_bytes", 128 << 20);
    let blob = json!({"cursor": "x".repeat(50_000)}).to_string();
    let mut lines = Vec::new();
    for id in 0..STATES {
        lines.push(stream.record(&json!({KEY: format!("S-{id}"), "LastName": "Ng"})));
        lines.push(stream.state_text(id as u64, 1, &blob));
    }
    lines.push(stream.complete());

    let output = job.write(&lines).await.succeeded();

    assert!(output.state_ids().into_iter().eq(0..STATES as u64));
    assert_eq!(sim.column("Contact", KEY).await.len(), STATES);
    let jobs = sim.jobs().await.len();
    assert!(jobs > 1, "150 MB of states waited for one job");
}

/// Bytes that went to disk, as the structured summary says.
fn spilled(output: &Output) -> u64 {
    output
        .of("LOG")
        .into_iter()
        .filter_map(|message| {
            let text = message["log"]["message"].as_str()?;
            let report: Value = serde_json::from_str(text).ok()?;
            report["spilled"].as_u64()
        })
        .sum()
}
