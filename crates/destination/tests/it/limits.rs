//! Daily limits of the org: watched, left to others, and not used up by many small jobs.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, contact, contacts};
use crate::harness::process::{Job, Output};

/// Records with a state after each.
fn lines(stream: &Stream, records: usize) -> Vec<String> {
    let mut lines: Vec<String> = (0..records)
        .flat_map(|number| {
            [
                stream.record(&contact(number)),
                stream.state(number as u64, 1),
            ]
        })
        .collect();
    lines.push(stream.complete());
    lines
}

/// A load whose jobs have one record each.
fn one_by_one(sim: &TestSim, stream: &Stream) -> Job {
    Job::new(sim, &[stream])
        .set("max_job_rows", 1)
        .set("max_jobs_in_flight", 1)
        .set("wait_permille", 1)
}

/// A line of the log of one kind of event.
fn event(output: &Output, name: &str) -> Value {
    let logged = format!("{} {}", output.lines.join("\n"), output.stderr);
    let name = format!("\"event\":\"{name}\"");
    let logged = logged.replace("\\\"", "\"");
    let before = logged.find(&name).unwrap();
    let start = logged[..before].rfind("{\"").unwrap();
    let mut values = serde_json::Deserializer::from_str(&logged[start..]).into_iter();
    values.next().unwrap().unwrap()
}

fn logged(output: &Output, words: &str) -> bool {
    output.stderr.contains(words) || output.lines.iter().any(|line| line.contains(words))
}

#[tokio::test]
async fn what_is_used_and_left_is_reported() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"other_batches": 100, "other_api_calls": 1_000}))
        .await;
    let output = one_by_one(&sim, &stream).write(&lines(&stream, 3)).await;
    let output = output.succeeded();
    let report = event(&output, "sync_report");
    assert_eq!(report["batches"], 3);
    assert_eq!(report["batches_left"], 15_000 - 100 - 3);
    let calls = report["api_calls"].as_u64().unwrap();
    assert_eq!(report["api_calls_left"], 100_000 - 1_000 - calls);
}

#[tokio::test]
async fn limits_that_the_org_does_not_say_are_no_error() {
    for fault in [
        json!({"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "no"}}),
        json!({"status": {"code": 404}}),
        json!({"status": {"code": 503}}),
        json!({"status": {"code": 200, "body": "[]"}}),
        json!({"status": {"code": 200, "body": "{}"}}),
    ] {
        let (sim, stream) = (TestSim::start().await, contacts());
        sim.fault(&json!({"path": "*/limits", "do": fault})).await;
        let job = one_by_one(&sim, &stream).set("limit_reserve_percent", 50);
        let output = job.write(&lines(&stream, 2)).await.succeeded();
        assert_eq!(output.state_ids(), [0, 1]);
    }
}

#[tokio::test]
async fn batches_that_are_left_to_others_are_not_used() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"max_batches": 10, "other_batches": 2}))
        .await;
    let job = one_by_one(&sim, &stream).set("limit_reserve_percent", 50);
    let output = job.write(&lines(&stream, 8)).await;
    let message = output.failed("transient_error");
    insta::assert_snapshot!(message, @"limit_reserve_percent leaves 50 % of the org's 10 Bulk API batches of 24 hours (DailyBulkApiBatches) to others, and 5 are left; each is free again a day after it was used: start again later, wait for that by a longer limit_wait_seconds, or lower limit_reserve_percent");
    // What was sent before has its end, whichever records that were.
    assert!(output.states().len() <= 3, "{output:#?}");
    assert_eq!(sim.rows("Contact").await.len(), 3);
    assert_eq!(sim.jobs().await.len(), 3);
}

#[tokio::test]
async fn api_requests_that_are_left_to_others_are_not_used() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"max_api_calls": 1_000, "other_api_calls": 780}))
        .await;
    let job = one_by_one(&sim, &stream).set("limit_reserve_percent", 20);
    let output = job.write(&lines(&stream, 30)).await;
    let message = output.failed("transient_error");
    assert!(message.contains("DailyApiRequests"), "{message}");
    assert!(message.contains("limit_reserve_percent"), "{message}");
    let loaded = sim.rows("Contact").await.len();
    assert!((1..30).contains(&loaded), "{loaded}");
    assert_eq!(sim.jobs().await.len(), loaded);
    let used = sim.state().await["api_calls"].as_u64().unwrap();
    assert!(used < 60, "20 are used, and those of the last job: {used}");
}

#[tokio::test]
async fn a_reserve_is_waited_for_if_that_is_set() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let window = json!({"secs": 1, "nanos": 0});
    sim.set(&json!({"max_batches": 10, "batch_window": window}))
        .await;
    let job = one_by_one(&sim, &stream)
        .set("limit_reserve_percent", 60)
        .set("limit_wait_seconds", 86_400)
        .set("wait_permille", 10);
    let output = job.write(&lines(&stream, 10)).await.succeeded();
    assert_eq!(output.states().len(), 10);
    assert_eq!(sim.rows("Contact").await.len(), 10);
    assert!(logged(&output, "keeps the rest for others"));
}

#[tokio::test]
async fn a_limit_that_will_not_suffice_is_warned_of() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"max_batches": 10})).await;
    let output = one_by_one(&sim, &stream).write(&lines(&stream, 8)).await;
    let output = output.succeeded();
    assert!(logged(&output, "may be reached in this sync"));
    let output = one_by_one(&sim, &stream).write(&lines(&stream, 1)).await;
    assert!(!logged(&output.succeeded(), "may be reached in this sync"));
}

#[tokio::test]
async fn slow_streams_do_not_use_up_the_batches_of_a_day() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"max_batches": 40})).await;
    let job = Job::new(&sim, &[&stream]).set("flush_interval_seconds", 1);
    let mut running = job.start_write();
    let send = |number: usize| {
        [
            stream.record(&contact(number)),
            stream.state(number as u64, 1),
        ]
    };
    // At first each record goes as the setting says.
    for number in 0..3 {
        running.send(&send(number)).await;
        running.wait_for_states(number + 1).await;
    }
    // A job a second would take 86,400 batches a day.
    for number in 3..5 {
        running.send(&send(number)).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    running.send(&[stream.complete()]).await;
    let output = running.finish().await.succeeded();
    assert_eq!(output.states().len(), 5);
    assert_eq!(sim.jobs().await.len(), 4);
    assert!(logged(&output, "jobs are started less often"));
}

#[tokio::test]
async fn a_job_of_many_records_takes_few_calls() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let mut lines: Vec<String> = (0..20_000)
        .map(|number| stream.record(&contact(number)))
        .collect();
    lines.push(stream.complete());
    let output = Job::new(&sim, &[&stream]).write(&lines).await.succeeded();
    let report = event(&output, "sync_report");
    let count = |key: &str| report[key].as_u64().unwrap();
    // Describe, limits, create, upload, close; no result is read where all rows are accepted.
    assert_eq!(count("api_calls") - count("polls"), 5);
    assert_eq!(count("jobs"), 1);
}
