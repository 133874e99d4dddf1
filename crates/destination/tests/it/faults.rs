//! Faults of the org and the network: nothing is lost, nothing is doubled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, codes};
use testkit::sim::{TestSim, jobs_in_state};

use crate::harness::lines::{contact, contacts};
use crate::harness::process::{Job, Output};

/// Runs a load of contacts, of which each tenth is refused by the org, while the org has a fault.
struct Case {
    sim: TestSim,
    job: Job,
    output: Output,
    records: usize,
}

impl Case {
    async fn run(fault: Value, records: usize, max_job_rows: usize) -> Self {
        let (sim, stream) = (TestSim::start().await, contacts());
        sim.fault(&fault).await;
        let mut lines: Vec<String> = (0..records)
            .map(|number| {
                let mut data = contact(number);
                if number % 10 == 9 {
                    data["LastName"] = Value::Null;
                }
                stream.record(&data)
            })
            .collect();
        lines.push(stream.state(1, records));
        lines.push(stream.complete());
        let job = Job::new(&sim, &[&stream])
            .set("max_job_rows", max_job_rows)
            .rejects_to_folder();
        let output = job.write(&lines).await;
        Self {
            sim,
            job,
            output,
            records,
        }
    }

    /// The load succeeded, and each record is where it belongs exactly once.
    async fn loaded_once(self) -> Self {
        let Self {
            sim,
            job,
            output,
            records,
        } = self;
        let output = output.succeeded();
        let keys = sim.column("Contact", KEY).await;
        let distinct: BTreeSet<&String> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "a record is doubled");
        let bad = records / 10;
        assert_eq!(keys.len(), records - bad);
        let files = job.reject_files();
        let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
        assert_eq!(codes(&rejected), [("REQUIRED_FIELD_MISSING", bad)].into());
        let numbers: BTreeSet<usize> = rejected
            .iter()
            .map(|r| r.text(KEY)[2..].parse().unwrap())
            .collect();
        assert_eq!(
            numbers,
            (0..records).filter(|number| number % 10 == 9).collect()
        );
        assert_eq!(output.state_ids(), [1]);
        let state = output.states()[0].clone();
        assert_eq!(state["committedRecordsCount"], records - bad);
        assert_eq!(state["rejectedRecordsCount"], bad);
        Self {
            sim,
            job,
            output,
            records,
        }
    }
}

#[tokio::test]
async fn rows_of_a_failed_job_that_were_not_processed_are_retried() {
    // The first internal batch of 10,000 is processed, the rest is not.
    let fault = json!({"object": "Contact", "do": {"fail_job": {"after_batches": 1}}});
    let case = Case::run(fault, 11_000, 11_000).await.loaded_once().await;
    let state = case.sim.state().await;
    assert_eq!(jobs_in_state(&state, "Failed"), 1);
    assert_eq!(jobs_in_state(&state, "JobComplete"), 1);
}

#[tokio::test]
async fn a_job_that_was_refused_as_a_whole_is_a_config_error() {
    let fault = json!({"object": "Contact", "do": {"fail_job": {
        "after_batches": 0,
        "message": "InvalidBatch : Field name not found : Secret__c",
    }}});
    let case = Case::run(fault, 20, 20).await;
    let message = case.output.failed("config_error");
    assert!(
        message.contains("Field name not found : Secret__c"),
        "{message}"
    );
    assert!(case.output.states().is_empty());
}

#[tokio::test]
async fn an_upload_that_failed_is_redone_in_a_new_job() {
    let fault = json!({"method": "PUT", "path": "*/batches", "do": {"status": {"code": 503}}});
    let case = Case::run(fault, 30, 30).await.loaded_once().await;
    let state = case.sim.state().await;
    assert_eq!(jobs_in_state(&state, "JobComplete"), 1);
    assert_eq!(
        jobs_in_state(&state, "Open"),
        0,
        "the first job was not aborted"
    );
}

#[tokio::test]
async fn a_lost_response_to_the_close_is_resolved_by_reading() {
    let fault = json!({"method": "PATCH", "path": "*/jobs/ingest/*", "do": {"lose": {}}});
    let case = Case::run(fault, 30, 30).await.loaded_once().await;
    assert_eq!(case.sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_close_that_never_arrived_is_repeated() {
    let fault = json!({"method": "PATCH", "path": "*/jobs/ingest/*", "do": {"close": {}}});
    let case = Case::run(fault, 30, 30).await.loaded_once().await;
    assert_eq!(case.sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn an_expired_session_is_renewed_once_for_all_jobs() {
    let fault = json!({
        "method": "PATCH", "path": "*/jobs/ingest/*", "skip": 1, "do": {"expire_tokens": {}},
    });
    let case = Case::run(fault, 80, 20).await.loaded_once().await;
    assert_eq!(case.sim.logins().await, 2);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let fault = json!({
        "method": "POST", "path": "*/jobs/ingest",
        "do": {"status": {"code": 429, "retry_after": 400}},
    });
    let start = Instant::now();
    Case::run(fault, 20, 20).await.loaded_once().await;
    assert!(start.elapsed() >= Duration::from_secs(2), "400 s, scaled");
}

#[tokio::test]
async fn a_connection_that_breaks_while_polling_is_opened_again() {
    let fault = json!({
        "method": "GET", "path": "*/jobs/ingest/*", "times": 2, "do": {"close": {}},
    });
    let case = Case::run(fault, 30, 30).await.loaded_once().await;
    assert_eq!(case.sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn every_call_may_fail_once() {
    let html = json!({"status": {"code": 502, "body": "<html>Bad Gateway</html>"}});
    let (lose, close) = (json!({"lose": {}}), json!({"close": {}}));
    let expired = json!({"expire_tokens": {}});
    for (method, path) in [
        ("POST", "/services/oauth2/token"),
        ("GET", "*/describe*"),
        ("POST", "*/jobs/ingest"),
        ("PUT", "*/batches"),
        ("PATCH", "*/jobs/ingest/*"),
        ("GET", "*/jobs/ingest/*"),
        ("GET", "*/failedResults*"),
        ("GET", "*/unprocessedrecords*"),
    ] {
        let cases = [&html, &lose, &close, &expired].map(|action| {
            Case::run(
                json!({"method": method, "path": path, "do": action}),
                30,
                20,
            )
        });
        for case in futures::future::join_all(cases).await {
            case.loaded_once().await;
        }
    }
}

#[tokio::test]
async fn results_in_other_shapes_are_understood() {
    for action in [
        json!({"no_counts": {}}),
        json!({"other_header": {}}),
        json!({"empty_body": {}}),
        json!({"pages": {"rows": 1}}),
        json!({"wrong_counts": {"failed": 1}}),
    ] {
        Case::run(
            json!({"object": "Contact", "times": 0, "do": action}),
            30,
            30,
        )
        .await
        .loaded_once()
        .await;
    }
}

#[tokio::test]
async fn rows_without_a_known_end_stop_the_load() {
    let fault = json!({"object": "Contact", "do": {"withhold_rows": {"count": 1}}});
    let case = Case::run(fault, 30, 30).await;
    let message = case.output.failed("transient_error");
    assert!(
        message.contains("Contact") || message.contains("contacts"),
        "{message}"
    );
    assert!(case.output.states().is_empty());
}

#[tokio::test]
async fn a_result_that_matches_no_row_is_joined_by_elimination() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.fault(&json!({"object": "Contact", "do": {"alter_rows": {"count": 1}}}))
        .await;
    let job = Job::new(&sim, &[&stream]).rejects_to_folder();
    let mut lines: Vec<String> = (0..10)
        .map(|number| {
            let mut data = contact(number);
            data["LastName"] = Value::Null;
            stream.record(&data)
        })
        .collect();
    lines.push(stream.complete());

    job.write(&lines).await.succeeded();

    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    assert_eq!(codes(&rejected), [("REQUIRED_FIELD_MISSING", 10)].into());
    let keys: BTreeSet<&str> = rejected.iter().map(|rejected| rejected.text(KEY)).collect();
    assert_eq!(keys.len(), 10);
    let eliminated = rejected.iter().filter(|rejected| {
        let message = rejected.reason()["message"].as_str().unwrap();
        message.contains("matched by elimination")
    });
    assert_eq!(eliminated.count(), 1);
}
