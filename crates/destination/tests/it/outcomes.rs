//! Jobs that fail, are aborted, or whose counts and results lag: each record still has one end.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, codes};
use testkit::sim::TestSim;

use crate::harness::few_at_once;
use crate::harness::lines::{Stream, catalog, contact, contacts};
use crate::harness::process::{Job, Output};

const RECORDS: usize = 30;

/// What is done with the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Insert,
    Upsert,
}

use Load::{Insert, Upsert};

/// A load of contacts, of which each tenth lacks its required name.
struct Ran {
    sim: TestSim,
    job: Job,
    output: Output,
}

fn job(sim: &TestSim, stream: &Stream, load: Load) -> Job {
    let mut catalog = catalog(&[stream]);
    if load == Upsert {
        catalog["streams"][0]["destination_sync_mode"] = json!("append_dedup");
        catalog["streams"][0]["primary_key"] = json!([[KEY]]);
    }
    Job::with_catalog(sim, catalog).rejects_to_folder()
}

fn lines(stream: &Stream) -> Vec<String> {
    let records = (0..RECORDS).map(|number| {
        let mut data = contact(number);
        if number % 10 == 9 {
            data["LastName"] = Value::Null;
        }
        stream.record(&data)
    });
    let mut lines: Vec<String> = records.collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());
    lines
}

/// Runs a load into an org with these faults.
async fn run(load: Load, faults: &[Value], settings: &[(&str, Value)]) -> Ran {
    let sim = TestSim::start().await;
    for fault in faults {
        sim.fault(fault).await;
    }
    let stream = contacts();
    let mut job = job(&sim, &stream, load);
    for (key, value) in settings {
        job = job.set(key, value.clone());
    }
    let output = job.write(&lines(&stream)).await;
    Ran { sim, job, output }
}

impl Ran {
    /// The load succeeded; each good record is in the org once, each bad one is rejected.
    async fn loaded_once(&self, case: &str) {
        assert_eq!(self.output.code, Some(0), "{case}: {:#?}", self.output);
        let keys = self.sim.column("Contact", KEY).await;
        let distinct: BTreeSet<&String> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (27, 27), "{case}");
        let files = self.job.reject_files();
        let rejects = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
        let expected = [("REQUIRED_FIELD_MISSING", 3)].into();
        assert_eq!(codes(&rejects), expected, "{case}");
        assert_eq!(self.output.states()[0]["committedRecordsCount"], 27);
    }

    async fn jobs(&self) -> usize {
        self.sim.jobs().await.len()
    }
}

fn failed(message: &str, times: u32) -> Value {
    json!({"times": times, "do": {"end_job": {"state": "failed", "message": message}}})
}

#[tokio::test]
async fn jobs_that_failed_for_a_reason_that_passes_are_made_again() {
    let messages = [
        "TooManyLockFailure : Too many lock failure 200 Trying again later",
        "Too many lock failure 200 Trying again later",
        "ApiUnavailable : try later",
        "InternalServerError : InternalServerError : 500",
        "Timeout : a batch took too long",
        "Unknown : ?",
        "nobody knows this one",
    ];
    let cases = messages.map(|message| [(message, Insert), (message, Upsert)]);
    let cases = cases
        .into_iter()
        .flatten()
        .map(|(message, load)| async move {
            let ran = run(load, &[failed(message, 3)], &[]).await;
            ran.loaded_once(message).await;
            assert_eq!(ran.jobs().await, 4, "{message}");
        });
    few_at_once(cases).await;
}

#[tokio::test]
async fn what_was_processed_before_a_job_failed_is_not_sent_again() {
    for state in ["failed", "aborted"] {
        for load in [Insert, Upsert] {
            let end = json!({"times": 2, "do": {"end_job": {"state": state, "after_rows": 11}}});
            let ran = run(load, &[end], &[]).await;
            ran.loaded_once(state).await;
            assert_eq!(ran.jobs().await, 3, "{state}");
        }
    }
}

#[tokio::test]
async fn a_job_that_someone_aborts_before_its_close_is_made_anew() {
    let gone = json!({"status": 400, "code": "INVALIDJOBSTATE", "message": "?"});
    let aborted = json!({"code": 200, "body": r#"{"id":"?","state":"Aborted"}"#});
    let faults = [
        json!({"calls": ["close"], "do": {"api_error": gone}}),
        json!({"calls": ["poll"], "do": {"status": aborted}}),
    ];
    let ran = run(Insert, &faults, &[]).await;
    ran.loaded_once("aborted").await;
    assert_eq!(ran.jobs().await, 2);
}

#[tokio::test]
async fn a_job_that_fails_each_time_ends_the_load_after_its_attempts_and_blames_no_column() {
    let message = "TooManyLockFailure : Too many lock failure 200 Trying again later";
    let ran = run(Insert, &[failed(message, 0)], &[("max_attempts", json!(3))]).await;
    let error = ran.output.failed("transient_error");
    assert!(error.contains("in each of 3 jobs"), "{error}");
    assert!(error.contains("Too many lock failure 200"), "{error}");
    assert!(!error.contains("column"), "{error}");
    assert_eq!(ran.jobs().await, 3);
}

#[tokio::test]
async fn a_name_like_a_code_that_passes_is_a_name() {
    let message = "InvalidBatch : Field name not found : Timeout__c";
    let ran = run(Insert, &[failed(message, 0)], &[]).await;
    let error = ran.output.failed("config_error");
    assert!(error.contains(message), "{error}");
    assert_eq!(ran.jobs().await, 1);
}

#[tokio::test]
async fn an_allocation_of_the_day_ends_the_load_at_once_or_is_waited_for() {
    let fault = |times| failed("ExceededQuota : ApiBatchItems Limit exceeded", times);
    let ran = run(Insert, &[fault(0)], &[]).await;
    let error = ran.output.failed("transient_error");
    for text in [
        "ApiBatchItems Limit exceeded",
        "15,000",
        "limit_wait_seconds",
        "24 hours",
    ] {
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(ran.jobs().await, 1);

    Box::pin(few_at_once([Insert, Upsert].map(|load| async move {
        let waits = [
            ("limit_wait_seconds", json!(7_200)),
            ("max_attempts", json!(1)),
        ];
        let ran = run(load, &[fault(3)], &waits).await;
        ran.loaded_once("quota").await;
        assert_eq!(ran.jobs().await, 4);
    })))
    .await;
    let ran = run(Insert, &[fault(0)], &[("limit_wait_seconds", json!(1_000))]).await;
    ran.output.failed("transient_error");
    assert!(ran.jobs().await > 1, "it was waited for");
}

#[tokio::test]
async fn a_lock_in_a_trigger_or_a_flow_goes_round_again() {
    let lock =
        "UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record or 1 records: {id}";
    let trigger = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of AfterInsert caused by: \
                   System.DmlException: Update failed. First exception on row 0 with id {id}; first \
                   error: ";
    let flow = "CANNOT_EXECUTE_FLOW_TRIGGER:We can't save this record because the Totals process \
                failed. This error occurred when the flow tried to update records: ";
    for wrapper in [trigger, flow] {
        for error in [lock, "QUERY_TIMEOUT, too long", "LIMIT_EXCEEDED: too many"] {
            let attempts = if error.starts_with("LIMIT") { 1 } else { 4 };
            let error = format!("{wrapper}{error}: []:--");
            let fail = json!({"share": 0.7, "attempts": attempts, "error": error});
            let ran = run(
                Insert,
                &[json!({"times": 0, "do": {"fail_rows": fail}})],
                &[],
            )
            .await;
            ran.loaded_once(&error).await;
        }
        let error =
            format!("{wrapper}FIELD_CUSTOM_VALIDATION_EXCEPTION, UNABLE_TO_LOCK_ROW, no: []:--");
        let fail = json!({"share": 1.0, "error": error});
        let ran = run(
            Insert,
            &[json!({"times": 0, "do": {"fail_rows": fail}})],
            &[],
        )
        .await;
        assert_eq!(ran.output.states()[0]["rejectedRecordsCount"], RECORDS);
        assert_eq!(ran.jobs().await, 1);
    }
}

#[tokio::test]
async fn counts_that_lag_double_nothing() {
    let slower = [("wait_permille", json!(100))];
    let lags = [(0, 900), (7, 900), (7, 0), (13, 300)];
    let cases = lags.map(|lag| [("failed", lag), ("aborted", lag)]);
    let cases = cases
        .into_iter()
        .flatten()
        .map(async |(state, (late, lag))| {
            let faults = [
                json!({"do": {"end_job": {"state": state, "after_rows": 9}}}),
                json!({"do": {"late_rows": {"count": late, "ms": 200}}}),
                json!({"do": {"lag_counts": {"ms": lag}}}),
            ];
            let case = format!("{state} {late} {lag}");
            let ran = run(Insert, &faults, &slower).await;
            ran.loaded_once(&case).await;
            assert_eq!(ran.jobs().await, 2, "{case}");
        });
    few_at_once(cases).await;
    let faults = [json!({"do": {"lag_counts": {"ms": 900}}})];
    let ran = run(Insert, &faults, &slower).await;
    ran.loaded_once("complete").await;
    assert_eq!(ran.jobs().await, 1);
}

#[tokio::test]
async fn a_refused_job_whose_counts_and_files_lag_doubles_nothing() {
    let slower = [("wait_permille", json!(100))];
    for message in ["InvalidBatch : Failed to parse CSV", "ClientInputError : ?"] {
        let faults = [
            json!({"do": {"end_job": {"state": "failed", "after_rows": 9, "message": message}}}),
            json!({"do": {"lag_counts": {"ms": 900}}}),
            json!({"do": {"lag_results": {"ms": 900}}}),
        ];
        let ran = run(Insert, &faults, &slower).await;
        let keys = ran.sim.column("Contact", KEY).await;
        let distinct: BTreeSet<&String> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (27, 27), "{message}");
    }
}

#[tokio::test]
async fn results_that_lag_are_asked_for_again() {
    let lags = [
        json!({"readings": 2, "share": 0.5}),
        json!({"readings": 1, "result": "failed"}),
        json!({"readings": 3, "result": "successful"}),
    ];
    few_at_once(lags.iter().map(async |lag| {
        for counts in [json!({"wrong_counts": {}}), json!({"no_counts": {}})] {
            let faults = [
                json!({"times": 0, "do": {"lag_results": lag}}),
                json!({"times": 0, "do": counts}),
            ];
            for load in [Insert, Upsert] {
                let case = format!("{load:?} {lag} {counts}");
                let ran = run(load, &faults, &[]).await;
                ran.loaded_once(&case).await;
                assert!(load == Upsert || ran.jobs().await == 1, "{case}");
            }
        }
    }))
    .await;
}

fn withheld(result: &str) -> [Value; 2] {
    let rows = json!({"withhold_rows": {"count": 4, "result": result}});
    [
        json!({"times": 0, "do": rows}),
        json!({"times": 0, "do": {"no_counts": {}}}),
    ]
}

#[tokio::test]
async fn rows_without_a_result_are_found_in_the_org_by_their_external_id() {
    let ran = run(Insert, &withheld("successful"), &[]).await;
    ran.loaded_once("found").await;
    assert_eq!(ran.jobs().await, 1);
}

#[tokio::test]
async fn what_is_not_found_in_the_org_proves_nothing() {
    let ran = run(Insert, &withheld("failed"), &[]).await;
    let error = ran.output.failed("transient_error");
    let id = ran.sim.jobs().await[0]["id"].as_str().unwrap().to_owned();
    for text in ["3 inserted rows", "may or may not be in the org", &id] {
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(ran.jobs().await, 1);
    assert!(ran.output.states().is_empty());
}

#[tokio::test]
async fn a_record_that_was_there_before_proves_nothing() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let old = [stream.record(&contact(3)), stream.complete()];
    job(&sim, &stream, Insert).write(&old).await.succeeded();
    // A record of the same second would be taken for one of the job.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    for fault in withheld("failed") {
        sim.fault(&fault).await;
    }

    let output = job(&sim, &stream, Insert).write(&lines(&stream)).await;

    let error = output.failed("transient_error");
    assert!(error.contains("4 inserted rows"), "{error}");
}

#[tokio::test]
async fn rows_without_an_external_id_stay_unknown() {
    let sim = TestSim::start().await;
    for fault in withheld("successful") {
        sim.fault(&fault).await;
    }
    let stream = Stream::new("contacts", "Contact", &["LastName", "FirstName", "Email"]);
    let output = job(&sim, &stream, Insert).write(&lines(&stream)).await;
    let error = output.failed("transient_error");
    assert!(error.contains("4 inserted rows"), "{error}");
    assert_eq!(sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn files_that_cannot_hold_a_row_are_not_read() {
    let ran = run(Insert, &[], &[]).await;
    ran.loaded_once("plain").await;
    let requests = ran.sim.state().await["requests"].clone();
    assert_eq!(requests["failed_results"], 1, "{requests}");
    for file in ["successful_results", "unprocessed_records"] {
        assert_eq!(requests[file].as_u64().unwrap_or(0), 0, "{requests}");
    }
}
