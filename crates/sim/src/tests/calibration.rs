//! Calibration against simulators.

use serde_json::{Value, json};

use super::{Client, SimOptions};
use crate::{Calibration, CalibrationError, Profile};

/// A sandbox whose jobs take little time.
async fn sandbox(faults: &Value) -> Client {
    let profile = json!({"speed": 1_000, "slots": 4, "chunk_seconds": 1, "job_seconds": 1,
        "row_seconds": 0.001, "refuse_duplicates": false, "faults": faults});
    let options = SimOptions {
        sandbox: true,
        ..SimOptions::of(Profile::parse(&profile.to_string()).unwrap())
    };
    let client = Client::start(options).await;
    // What is there already stays.
    client.insert("Contact", "LastName\nOld\n").await;
    client
}

impl Client {
    fn calibration(&self) -> Calibration {
        Calibration {
            instance_url: self.sim.url(),
            token: self.token.clone(),
            object: "Contact".to_owned(),
            values: Vec::new(),
            api_version: "62.0".to_owned(),
        }
    }

    async fn contacts(&self) -> Value {
        self.inspect("objects/Contact").await["count"].clone()
    }
}

#[tokio::test]
async fn a_sandbox_is_measured_and_left_as_it_was() {
    let client = sandbox(&json!([])).await;
    let checked = client.calibration().check().await.unwrap();
    let question = checked.question();
    assert!(question.contains("20000 rows of Contact"), "{question}");
    assert_eq!(client.contacts().await, 1);
    let profile = checked.run(|_| {}).await.unwrap();
    assert_eq!(client.contacts().await, 1);
    let deleted = client.inspect("state").await["jobs"].clone();
    let rows = deleted
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["operation"] == "delete");
    assert_eq!(
        rows.map(|job| job["rows"].as_u64().unwrap()).sum::<u64>(),
        20_000
    );
    assert_eq!(profile.speed, Some(1.0));
    assert!(profile.api_calls_used > Some(0) && profile.batches == Some(15_000));
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(Profile::parse(&text).unwrap(), profile);
}

#[tokio::test]
async fn an_org_that_is_no_sandbox_is_refused() {
    let client = Client::start(SimOptions::default()).await;
    let error = client.calibration().check().await.unwrap_err();
    assert!(matches!(error, CalibrationError::NoSandbox(_)), "{error}");
    // Nor one that does not say.
    let fault = json!([{"calls": ["query"], "do": {"status": {"code": 200, "body": "{}"}}}]);
    client.post("options", &json!({"sandbox": true})).await;
    client.post("faults", &fault).await;
    let error = client.calibration().check().await.unwrap_err();
    assert!(matches!(error, CalibrationError::NoSandbox(_)), "{error}");
    assert_eq!(client.inspect("state").await["jobs"], json!([]));
}

#[tokio::test]
async fn rows_are_deleted_when_it_fails_half_way() {
    for (fault, expected) in [
        (
            json!({"calls": ["upload"], "skip": 3, "do": {"status": {"code": 500}}}),
            "500",
        ),
        (
            json!({"calls": ["close"], "skip": 4, "do": {"lose": {}}}),
            "PATCH",
        ),
        (
            json!({"skip": 3, "do": {"fail_rows": {"share": 0.5, "error": "X:y:--"}}}),
            "X:y:--",
        ),
    ] {
        // Requests fail while rows are deleted, too.
        let later = json!({"calls": ["successful_results"], "do": {"status": {"code": 503}}});
        let client = sandbox(&json!([fault, later])).await;
        let checked = client.calibration().check().await.unwrap();
        let error = checked.run(|_| {}).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(client.contacts().await, 1, "{error}");
        let state = client.inspect("state").await;
        let jobs = state["jobs"].as_array().unwrap();
        assert!(jobs.len() > 4 && jobs.iter().any(|job| job["operation"] == "delete"));
    }
}

#[tokio::test]
async fn rows_that_cannot_be_deleted_are_named() {
    let fault = json!([
        {"path": "*/successfulResults", "times": 0, "do": {"close": {}}},
        {"calls": ["upload"], "skip": 3, "do": {"close": {}}},
    ]);
    let client = sandbox(&fault).await;
    let checked = client.calibration().check().await.unwrap();
    let error = checked.run(|_| {}).await.unwrap_err();
    let job = client.inspect("state").await["jobs"][1]["id"].clone();
    let text = error.to_string();
    assert!(text.contains(job.as_str().unwrap()), "{text}");
    assert!(
        matches!(error, CalibrationError::Left { left: 20_000, .. }),
        "{text}"
    );
}

#[tokio::test]
async fn an_org_with_few_calls_left_is_not_measured() {
    let client = Client::start(SimOptions {
        sandbox: true,
        max_api_calls: 1_000,
        ..SimOptions::default()
    });
    let error = client.await.calibration().check().await.unwrap_err();
    assert!(error.to_string().contains("API calls left"), "{error}");
}
