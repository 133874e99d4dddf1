//! Jobs that end early, late or never, counts and results that lag, limits that roll, and an org
//! that moves.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended, many};

/// Long enough for what a test sees before it is over.
const LAG: u64 = 400;

async fn meeting(faults: &Value) -> Client {
    let client = Client::start(SimOptions {
        shuffle_processing: false,
        ..SimOptions::default()
    })
    .await;
    client.post("faults", faults).await;
    client
}

async fn until(what: &str, client: &Client, path: &str, holds: impl Fn(&Value) -> bool) {
    let begin = Instant::now();
    while !holds(&client.get(path).await) {
        assert!(begin.elapsed() < Duration::from_secs(30), "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_job_fails_at_any_row_and_late_batches_follow() {
    let client = meeting(&json!([
        {"do": {"end_job": {"after_rows": 3, "message": "InternalServerError : InternalServerError : x"}}},
        {"do": {"late_rows": {"count": 4, "ms": LAG}}},
    ]))
    .await;
    let job = client.insert("Contact", &many(10)).await;
    assert_eq!(counts(&job), ended("Failed", 3, 0));
    assert_eq!(
        job["errorMessage"],
        "InternalServerError : InternalServerError : x"
    );
    assert_eq!(client.result(&job, "unprocessedrecords").await.len(), 1 + 7);
    let path = format!("/jobs/ingest/{}", job["id"].as_str().unwrap());
    until("late rows", &client, &path, |job| {
        job["numberRecordsProcessed"] == 7
    })
    .await;
    assert_eq!(client.result(&job, "unprocessedrecords").await.len(), 1 + 3);
    assert_eq!(client.inspect("objects/Contact").await["count"], 7);
}

#[tokio::test]
async fn a_job_stays_until_it_is_aborted_and_its_batches_end() {
    let client = meeting(&json!([
        {"do": {"end_job": {"state": "in_progress", "after_rows": 2}}},
        {"skip": 1, "do": {"end_job": {"state": "aborted", "after_rows": 10}}},
    ]))
    .await;
    let settings = json!({"object": "Contact", "operation": "insert"});
    let id = client.create(&settings).await;
    client.upload(&id, &many(10)).await;
    client.enter(&id, "UploadComplete").await;
    let path = format!("/jobs/ingest/{id}");
    until("two rows", &client, &path, |job| {
        job["numberRecordsProcessed"] == 2
    })
    .await;
    assert_eq!(client.get(&path).await["state"], "InProgress");
    client.enter(&id, "Aborted").await;
    assert_eq!(counts(&client.get(&path).await), ended("Aborted", 2, 0));
    let state = client.inspect("state").await;
    let job = &state["jobs"][0];
    let time = |key: &str| job[key].as_i64().unwrap();
    assert!(time("created_ms") <= time("closed_ms") && time("closed_ms") <= time("ended_ms"));
    assert_eq!(
        (&job["requests"]["close"], &job["requests"]["abort"]),
        (&json!(1), &json!(1))
    );
    let job = client.insert("Contact", "LastName\nA\n").await;
    assert_eq!(counts(&job), ended("Aborted", 1, 0));
}

#[tokio::test]
async fn counts_and_results_lag() {
    let client = meeting(&json!([
        {"do": {"lag_counts": {"ms": LAG}}},
        {"do": {"lag_results": {"readings": 1, "share": 0.5, "result": "successful"}}},
        {"do": {"slow_job": {"ms": 1}}},
    ]))
    .await;
    let job = client.insert("Contact", &many(8)).await;
    assert_eq!(job["state"], "JobComplete");
    assert!(job["numberRecordsProcessed"].as_u64().unwrap() < 8, "{job}");
    assert_eq!(client.result(&job, "successfulResults").await.len(), 1 + 4);
    assert_eq!(client.result(&job, "successfulResults").await.len(), 1 + 8);
    let path = format!("/jobs/ingest/{}", job["id"].as_str().unwrap());
    until("all counts", &client, &path, |job| {
        job["numberRecordsProcessed"] == 8
    })
    .await;
}

#[tokio::test]
async fn one_row_refuses_a_file_and_errors_name_records() {
    let client = meeting(&json!([
        {"object": "Lead", "times": 0, "do": {"refuse_file": {"text": "poison"}}},
        {"object": "Contact", "do": {"fail_rows": {"share": 1.0, "error":
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trig: execution of AfterInsert caused by: \
             System.DmlException: Update failed. first error: UNABLE_TO_LOCK_ROW, unable to obtain \
             exclusive access to this record or 1 records: {id}: []:--"}}},
    ]))
    .await;
    let bad = client
        .insert("Lead", "LastName,Company\nA,poison\nB,b\n")
        .await;
    assert_eq!(counts(&bad), ended("Failed", 0, 0));
    assert_eq!(bad["errorMessage"], "InvalidBatch : Records not processed");
    assert_eq!(client.inspect("objects/Lead").await["count"], 0);
    let good = client.insert("Lead", "LastName,Company\nB,b\n").await;
    assert_eq!(counts(&good), ended("JobComplete", 1, 0));
    let job = client.insert("Contact", "LastName\nA\n").await;
    let errors = client.errors(&job).await;
    assert!(errors["A"].contains("1 records: 001"), "{errors:?}");
}

#[tokio::test]
async fn limits_roll() {
    let client = Client::start(SimOptions {
        max_api_calls: 12,
        other_api_calls: 10,
        api_window: Some(Duration::from_millis(LAG)),
        max_batches: 1,
        other_batches: 1,
        ..SimOptions::default()
    })
    .await;
    let limits = client.get("/limits").await;
    assert_eq!(
        limits["DailyApiRequests"],
        json!({"Max": 12, "Remaining": 1})
    );
    assert_eq!(limits["DailyBulkApiBatches"]["Remaining"], 0);
    client.get("/limits").await;
    let refused = client.get("/limits").await;
    assert_eq!(refused[0]["errorCode"], "REQUEST_LIMIT_EXCEEDED");
    until("free calls", &client, "/limits", Value::is_object).await;
    client
        .post("options", &json!({"max_api_calls": 100_000}))
        .await;
    let job = client.insert("Contact", "LastName\nA\n").await;
    assert_eq!(counts(&job), ended("Failed", 0, 0));
    let state = client.inspect("state").await;
    assert_eq!(state["charged"]["create"], 1);
    let changes = json!({"other_batches": 0, "batch_window": {"secs": 1, "nanos": 0}});
    client.post("options", &changes).await;
    let job = client.insert("Contact", "LastName\nA\n").await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
}

#[tokio::test]
async fn an_org_moves_to_another_host() {
    let mut client = meeting(&json!([
        {"calls": ["limits"], "skip": 1, "do": {"move_host": {"code": 307}}},
    ]))
    .await;
    client.http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    assert!(client.get("/limits").await.is_object());
    let moved = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(moved.status(), StatusCode::TEMPORARY_REDIRECT);
    let location = moved.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.ends_with("/services/data/v62.0/limits"));
    assert!(!location.starts_with(&client.sim.url()));
    let (_, login) = client
        .ask_token("sim-client-secret", "sim-refresh-token")
        .await;
    let url = login["instance_url"].as_str().unwrap();
    assert!(location.starts_with(url));
    let there = client.http.get(&location).bearer_auth(&client.token);
    assert_eq!(there.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn accounts_may_be_of_persons() {
    let org = std::env::temp_dir().join(format!("persons-{}.json", std::process::id()));
    let fields = json!([
        {"name": "Name", "type": "string", "length": 255, "nillable": false},
        {"name": "LastName", "type": "string", "length": 80},
        {"name": "IsPersonAccount", "type": "boolean", "createable": false, "updateable": false},
    ]);
    let file = json!({"objects": [{"name": "Account", "keyPrefix": "001", "fields": fields}]});
    std::fs::write(&org, file.to_string()).unwrap();
    let client = Client::start(SimOptions {
        org: Some(org.clone()),
        ..SimOptions::default()
    })
    .await;
    std::fs::remove_file(org).unwrap();
    let csv = "Name,LastName\nAcme,\n,Ada\n,\n";
    let job = client.insert("Account", csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 3, 1));
    let failed = client.result(&job, "failedResults").await;
    assert!(failed[1].contains("Required fields are missing: [Name]:Name --"));
}
