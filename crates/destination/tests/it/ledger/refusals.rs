//! What the user has to decide.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use testkit::sim::TestSim;

use super::{anew, expected, interrupted, job, names, org, people};
use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, run};

const PEOPLE: usize = 40;

async fn interrupted_job(sim: &TestSim) -> (Stream, Job) {
    let stream = people();
    let job = job(sim, &stream, PEOPLE);
    interrupted(sim, &job, &stream, PEOPLE).await;
    (stream, job)
}

/// The id of a job stands for those that are random.
fn without_job(message: &str) -> String {
    let words = message.split(' ');
    let shown = words.map(|word| {
        if word.starts_with("750") {
            "750…"
        } else {
            word
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn another_mapping_is_refused_until_all_is_sent_again() {
    let sim = org(Duration::ZERO).await;
    let (stream, mut job) = interrupted_job(&sim).await;
    job.change("on_too_long", "truncate");
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(without_job(&message), @"");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    job.change("ledger", "forget");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn records_that_were_deleted_are_the_users_choice() {
    let sim = org(Duration::ZERO).await;
    let (stream, mut repeated) = interrupted_job(&sim).await;
    // The user cleans up half of them.
    let rows = sim.rows("Contact").await;
    let gone = Stream::new("gone", "Contact", &["Id"]);
    let mut deletes = catalog(&[&gone]);
    deletes["streams"][0]["destination_sync_mode"] = json!("soft_delete");
    let mut lines: Vec<String> = rows
        .iter()
        .take(PEOPLE / 2)
        .map(|row| gone.record(&json!({"Id": row["Id"]})))
        .collect();
    lines.push(gone.complete());
    Job::with_catalog(&sim, deletes)
        .write(&lines)
        .await
        .succeeded();

    let lines = anew(&stream, PEOPLE);
    let message = repeated.write(&lines).await.failed("config_error");
    assert_snapshot!(message, @"");
    repeated.change("ledger", "trust");
    repeated.write(&lines).await.succeeded();
    assert_eq!(sim.column("Contact", "LastName").await.len(), PEOPLE / 2);
}

#[tokio::test]
async fn a_job_that_is_gone_is_the_users_choice() {
    let sim = org(Duration::ZERO).await;
    let (stream, mut job) = interrupted_job(&sim).await;
    let gone = json!({"api_error": {"status": 404, "code": "NOT_FOUND"}});
    sim.fault(&json!({"calls": ["poll"], "times": 0, "do": gone}))
        .await;
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(without_job(&message), @"");
    sim.clear_faults().await;
    job.change("ledger", "forget");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

#[tokio::test]
async fn two_attempts_at_once_are_refused() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let job = job(&sim, &stream, PEOPLE).set("wait_permille", 100);
    let mut first = job.start_write();
    first.send(&super::records(&stream, 0..PEOPLE / 2)).await;
    first.wait_for_log("the org is ready").await;
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("transient_error");
    assert!(
        message.starts_with("another attempt of this sync is at work ("),
        "{message}"
    );
    let mut lines = super::records(&stream, PEOPLE / 2..PEOPLE);
    lines.push(stream.complete());
    first.feed(lines);
    first.finish().await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
}

#[tokio::test]
async fn a_place_that_refuses_is_a_warning_unless_it_was_named() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let mut job = job(&sim, &stream, PEOPLE);
    job.block_ledger();
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let warned = |line: &&String| line.contains("the place of the ledger") && line.contains("WARN");
    assert_eq!(output.lines.iter().filter(warned).count(), 1, "{output:#?}");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    let url = format!(
        "{}/_ledger",
        job.config()["rejected_records_url"].as_str().unwrap()
    );
    job.change("ledger_url", url);
    job.write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    let checked = run(&job.check_args()).await;
    let status = checked.of("CONNECTION_STATUS")[0]["connectionStatus"].clone();
    assert_eq!(status["status"], "FAILED");
    job.change("ledger", "off");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
}
