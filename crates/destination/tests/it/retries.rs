//! Rows whose refusal is retryable are retried; a load that goes wrong stops.

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, codes};
use testkit::sim::TestSim;

use crate::harness::lines::{contact, contacts};
use crate::harness::process::{Job, Output};

/// Loads contacts, of which every `bad`th lacks its required name, with rejects in a folder.
async fn load(
    sim: &TestSim,
    records: usize,
    bad: usize,
    settings: &[(&str, Value)],
) -> (Job, Output) {
    let stream = contacts();
    let mut lines: Vec<String> = (0..records)
        .map(|number| {
            let mut data = contact(number);
            if number % bad == bad - 1 {
                data["LastName"] = Value::Null;
            }
            stream.record(&data)
        })
        .collect();
    lines.push(stream.state(1, records));
    lines.push(stream.complete());
    let mut job = Job::new(sim, &[&stream]).rejects_to_folder();
    for (key, value) in settings {
        job = job.set(key, value.clone());
    }
    let output = job.write(&lines).await;
    (job, output)
}

fn rejects(job: &Job) -> Vec<rejected::Rejected> {
    let files = job.reject_files();
    rejected::read_all(files.iter().map(|(name, content)| (name, content)))
}

#[tokio::test]
async fn rows_that_found_a_lock_are_retried_without_those_that_were_refused() {
    let sim = TestSim::start().await;
    sim.fault(&json!({"object": "Contact", "do": {"lock_rows": {"share": 0.5}}}))
        .await;

    let (job, output) = load(&sim, 40, 10, &[]).await;

    let output = output.succeeded();
    assert_eq!(
        codes(&rejects(&job)),
        [("REQUIRED_FIELD_MISSING", 4)].into()
    );
    let mut keys = sim.column("Contact", KEY).await;
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 36);
    assert_eq!(sim.jobs().await.len(), 2);
    let state = output.states()[0];
    assert_eq!(state["committedRecordsCount"], 36);
    assert_eq!(state["rejectedRecordsCount"], 4);
}

#[tokio::test]
async fn rows_that_stay_locked_are_rejected_in_the_words_of_salesforce() {
    let sim = TestSim::start().await;
    let fault = json!({"object": "Contact", "times": 0, "do": {"lock_rows": {"share": 1.0}}});
    sim.fault(&fault).await;

    let (job, output) = load(&sim, 5, 10, &[]).await;

    output.succeeded();
    let rejects = rejects(&job);
    assert_eq!(codes(&rejects), [("UNABLE_TO_LOCK_ROW", 5)].into());
    assert!(rejects[0].sf_error().starts_with("UNABLE_TO_LOCK_ROW:"));
    assert_eq!(sim.jobs().await.len(), 5, "as many as max_attempts");
}

#[tokio::test]
async fn good_rows_that_fell_with_bad_ones_are_retried_without_them() {
    let sim = TestSim::start().await;
    let error = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: Too many retries of batch save in the \
                 presence of Apex triggers with failures:--";
    let fault = json!({"object": "Contact", "do": {"fail_rows": {"share": 0.6, "error": error}}});
    sim.fault(&fault).await;

    let (job, output) = load(&sim, 40, 10, &[]).await;

    output.succeeded();
    assert_eq!(
        codes(&rejects(&job)),
        [("REQUIRED_FIELD_MISSING", 4)].into()
    );
    assert_eq!(sim.column("Contact", KEY).await.len(), 36);
}

#[tokio::test]
async fn a_load_that_goes_wrong_stops_when_its_share_of_rejects_is_known() {
    let sim = TestSim::start().await;
    let settings = [
        ("max_job_rows", json!(50)),
        ("max_jobs_in_flight", json!(1)),
        ("max_rejected_percent", json!(20)),
    ];

    let (_, output) = load(&sim, 2_000, 2, &settings).await;

    let message = output.failed("config_error");
    for text in [
        "max_rejected_percent",
        "20 %",
        "REQUIRED_FIELD_MISSING [LastName]",
    ] {
        assert!(message.contains(text), "{message}");
    }
    assert!(sim.jobs().await.len() < 40, "jobs went on");
    assert!(output.states().is_empty());
}

#[tokio::test]
async fn a_share_of_rejects_that_is_allowed_stops_nothing() {
    let sim = TestSim::start().await;
    let (job, output) = load(&sim, 200, 2, &[("max_rejected_percent", json!(50))]).await;
    output.succeeded();
    assert_eq!(rejects(&job).len(), 100);
}

#[tokio::test]
async fn messages_of_salesforce_are_logged_only_when_asked_for() {
    for (log_values, logged) in [(false, false), (true, true)] {
        let sim = TestSim::start().await;
        let error = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Ng is no name:LastName --";
        let fault = json!({"do": {"fail_rows": {"share": 1.0, "error": error}}});
        sim.fault(&fault).await;

        let (_, output) = load(&sim, 3, 10, &[("log_values", json!(log_values))]).await;

        let printed = output.succeeded().lines.join("\n");
        assert!(
            printed.contains("FIELD_CUSTOM_VALIDATION_EXCEPTION"),
            "{printed}"
        );
        assert_eq!(printed.contains("Ng is no name"), logged, "{printed}");
    }
}
