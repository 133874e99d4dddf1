//! What passes is waited for: nothing is given up too early, and so nothing is doubled.

use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::{TestSim, jobs_in_state};

use crate::harness::few_at_once;
use crate::harness::lines::{contact, contacts};
use crate::harness::process::{Job, Output};

const RECORDS: usize = 40;

/// Thousandths of each pause: ten minutes of patience become six seconds.
const WAIT_PERMILLE: u32 = 10;

/// A load of new contacts, of which each fifth is refused, into an org with faults.
struct Case {
    sim: TestSim,
    output: Output,
}

impl Case {
    async fn run(faults: &[Value], settings: &[(&str, Value)]) -> Self {
        Self::run_in(TestSim::start().await, faults, settings).await
    }

    async fn run_in(sim: TestSim, faults: &[Value], settings: &[(&str, Value)]) -> Self {
        let stream = contacts();
        for fault in faults {
            sim.fault(fault).await;
        }
        let mut lines: Vec<String> = (0..RECORDS)
            .map(|number| {
                let mut data = contact(number);
                if number % 5 == 4 {
                    data["LastName"] = Value::Null;
                }
                stream.record(&data)
            })
            .collect();
        lines.push(stream.state(1, RECORDS));
        lines.push(stream.complete());
        let mut job = Job::new(&sim, &[&stream]).set("wait_permille", WAIT_PERMILLE);
        for (name, value) in settings {
            job = job.set(name, value.clone());
        }
        let output = job.write(&lines).await;
        Self { sim, output }
    }

    /// Each good record is there once, and no job is left open.
    async fn loaded_once(self, what: &Value) {
        let output = self.output.succeeded();
        assert_eq!(output.state_ids(), [1], "{what}");
        let keys = self.sim.column("Contact", KEY).await;
        assert_eq!(keys.len(), RECORDS - RECORDS / 5, "{what}");
        let open = jobs_in_state(&self.sim.state().await, "Open");
        assert_eq!(open, 0, "{what}");
    }
}

/// Ways in which a call goes wrong, and the work is not done.
fn ways() -> Vec<Value> {
    vec![
        json!({"page": {"code": 400}}),
        json!({"page": {"code": 403}}),
        json!({"page": {"code": 404}}),
        json!({"status": {"code": 420}}),
        json!({"status": {"code": 429, "retry_after": 20}}),
        json!({"status": {"code": 503}}),
        json!({"page": {"code": 503}}),
        json!({"redirect": {"code": 302}}),
        json!({"redirect": {"code": 307}}),
        json!({"api_error": {"status": 400, "code": "UNKNOWN_EXCEPTION"}}),
        json!({"close": {}}),
    ]
}

/// The calls of a job of inserts, all of whose results are read.
const CALLS: [&str; 5] = ["create", "upload", "close", "poll", "failed_results"];

#[tokio::test]
async fn each_call_of_a_job_goes_wrong_three_times() {
    few_at_once(ways().iter().map(async |way| {
        let faults = CALLS.map(|call| json!({"calls": [call], "times": 3, "do": way}));
        Case::run(&faults, &[]).await.loaded_once(way).await;
    }))
    .await;
}

#[tokio::test]
async fn answers_that_are_lost_or_cut_after_the_work() {
    for way in [
        json!({"lose": {}}),
        json!({"cut_body": {}}),
        json!({"page": {"code": 503}}),
    ] {
        for call in CALLS {
            let fault = json!({"calls": [call], "times": 2, "after_work": true, "do": way});
            let what = fault.clone();
            Case::run(&[fault], &[]).await.loaded_once(&what).await;
        }
    }
}

#[tokio::test]
async fn what_is_no_result_file_is_asked_for_again() {
    for way in [
        json!({"page": {}}),
        json!({"truncate": {"share": 0.9}}),
        json!({"truncate": {"share": 0.5}}),
        json!({"api_error": {"status": 404, "code": "NOT_FOUND"}}),
        json!({"status": {"code": 200, "body": "sorry, later\n1,2\n"}}),
    ] {
        let fault = json!({"calls": ["failed_results"], "times": 4, "do": way});
        Case::run(&[fault], &[]).await.loaded_once(&way).await;
    }
}

#[tokio::test]
async fn sessions_that_end_and_logins_that_fail_in_mid_load() {
    let expired = json!({"calls": ["create", "poll", "failed_results"], "times": 5,
        "do": {"expire_tokens": {}}});
    let ways = [
        json!({"status": {"code": 503}}),
        json!({"page": {"code": 404}}),
        json!({"page": {}}),
        json!({"redirect": {}}),
        json!({"close": {}}),
    ];
    few_at_once(ways.iter().map(async |way| {
        let login = json!({"calls": ["token"], "skip": 1, "times": 8, "do": way});
        let case = Case::run(&[expired.clone(), login], &[]).await;
        case.loaded_once(way).await;
    }))
    .await;
}

#[tokio::test]
async fn the_start_of_a_load_is_as_patient() {
    let ways = [
        json!({"status": {"code": 503}}),
        json!({"page": {"code": 403}}),
        json!({"status": {"code": 420}}),
        json!({"close": {}}),
    ];
    few_at_once(ways.iter().map(async |way| {
        let mut faults = vec![json!({"calls": ["describe"], "times": 4, "do": way})];
        if way["page"].is_null() {
            faults.push(json!({"calls": ["token"], "times": 8, "do": {"status": {"code": 503}}}));
        }
        Case::run(&faults, &[]).await.loaded_once(way).await;
    }))
    .await;
}

#[tokio::test]
async fn an_org_that_moves_is_followed() {
    for call in CALLS {
        let fault = json!({"calls": [call], "do": {"move_host": {}}});
        let what = fault.clone();
        Case::run(&[fault], &[]).await.loaded_once(&what).await;
    }
}

const LIMIT: &str = "TotalRequests Limit exceeded.";

fn used_up() -> Value {
    json!({"api_error": {"status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": LIMIT}})
}

#[tokio::test]
async fn a_daily_limit_is_waited_for_while_a_job_is_in_flight() {
    let calls = [
        ("poll", None),
        ("failed_results", None),
        ("create", Some(("limit_wait_seconds", json!(7_200)))),
    ];
    few_at_once(calls.into_iter().map(async |(call, setting)| {
        let fault = json!({"calls": [call], "times": 4, "do": used_up()});
        let case = Case::run(std::slice::from_ref(&fault), setting.as_slice()).await;
        case.loaded_once(&fault).await;
    }))
    .await;
}

#[tokio::test]
async fn a_daily_limit_before_a_job_ends_at_once() {
    let fault = json!({"calls": ["create"], "times": 0, "do": used_up()});
    let case = Case::run(&[fault], &[]).await;
    let error = case.output.failed("transient_error");
    assert!(error.contains("(DailyApiRequests) are used up"), "{error}");
    assert!(error.contains("limit_wait_seconds"), "{error}");
}

#[tokio::test]
async fn a_job_that_cannot_be_watched_any_longer_goes_on() {
    let outage = json!({"calls": ["poll"], "times": 0, "do": {"status": {"code": 503}}});
    let slow = json!({"times": 0, "do": {"slow_job": {"ms": 60_000}}});
    for (fault, settings, words) in [
        (
            outage,
            ("patience_seconds", json!(60)),
            "was closed and goes on",
        ),
        (
            slow,
            ("job_timeout_seconds", json!(120)),
            "it goes on, so its rows may be loaded",
        ),
    ] {
        let case = Case::run(&[fault], &[settings]).await;
        assert!(case.output.state_ids().is_empty());
        let error = case.output.failed("transient_error");
        assert!(error.contains(words), "{error}");
        let jobs = case.sim.jobs().await;
        assert!(error.contains(jobs[0]["id"].as_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_close_that_is_confirmed_and_not_done_is_repeated() {
    let job = r#"{"id":"?","state":"UploadComplete"}"#;
    let confirmed = json!({"status": {"code": 200, "body": job}});
    let fault = json!({"calls": ["close"], "times": 3, "do": confirmed});
    let what = fault.clone();
    Case::run(&[fault], &[]).await.loaded_once(&what).await;

    let fault = json!({"calls": ["close"], "times": 0, "do": confirmed});
    let case = Case::run(&[fault], &[("patience_seconds", json!(60))]).await;
    let error = case.output.failed("transient_error");
    assert!(error.contains("none of its rows is loaded"), "{error}");
    let org = case.sim.state().await;
    assert_eq!(jobs_in_state(&org, "Aborted"), 1, "{org:#}");
}

#[tokio::test]
async fn a_file_that_stays_missing_is_not_asked_for_over_and_over() {
    let gone = json!({"api_error": {"status": 404, "code": "NOT_FOUND"}});
    let fault = json!({"calls": ["failed_results"], "times": 0, "do": gone});
    let case = Case::run(&[fault], &[]).await;
    let error = case.output.failed("transient_error");
    let jobs = case.sim.jobs().await;
    assert!(error.contains(jobs[0]["id"].as_str().unwrap()), "{error}");
    let asked = &case.sim.state().await["requests"]["failed_results"];
    let asked = asked.as_u64().unwrap();
    assert!((5..40).contains(&asked), "{asked}");
}
