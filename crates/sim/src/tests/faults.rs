//! What goes wrong on purpose, and what is awkward by default.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::super::{Action, Case, Fault, Order};
use super::{Client, SimOptions, counts, ended, many};

#[tokio::test]
async fn requests_meet_faults() {
    let client = Client::start(SimOptions::default()).await;
    let faults = json!([
        {"path": "*/limits", "do": {"status": {"code": 503, "retry_after": 7}}},
        {"path": "*/limits", "skip": 1, "do": {"close": {}}},
        {"method": "PATCH", "do": {"lose": {}}},
    ]);
    client.post("faults", &faults).await;
    let response = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "7");
    assert!(client.call(Method::GET, "/limits").send().await.is_err());
    let id = client
        .create(&json!({"object": "Contact", "operation": "insert"}))
        .await;
    client.upload(&id, "LastName\nAda\n").await;
    let patch = client.call(Method::PATCH, &format!("/jobs/ingest/{id}"));
    assert!(
        patch
            .json(&json!({"state": "UploadComplete"}))
            .send()
            .await
            .is_err()
    );
    assert_eq!(counts(&client.ended(&id).await), ended("JobComplete", 1, 0));
}

#[tokio::test]
async fn answers_are_lost_cut_and_replaced() {
    let client = Client::start(SimOptions::default()).await;
    let faults = json!([
        {"calls": ["limits"], "do": {"cut_body": {}}},
        {"calls": ["limits"], "skip": 1, "do": {"truncate": {}}},
        {"calls": ["limits"], "skip": 2, "do": {"page": {"code": 503, "retry_after": 9}}},
        {"calls": ["limits"], "skip": 3, "do": {"redirect": {"code": 307, "location": "/x"}}},
        {"calls": ["limits"], "skip": 4, "do": {"hang": {"ms": 1}}},
        {"calls": ["create"], "object": "Lead", "after_work": true, "do": {"status": {"code": 504}}},
        {"calls": ["create"], "object": "Contact", "do": {"close": {}}},
    ]);
    client.post("faults", &faults).await;
    let limits = || client.call(Method::GET, "/limits").send();
    let cut = limits().await.unwrap();
    assert!(cut.content_length().unwrap() > 100 && cut.text().await.is_err());
    let truncated = limits().await.unwrap().text().await.unwrap();
    assert!(truncated.starts_with('{') && !truncated.ends_with('}'));
    let page = limits().await.unwrap();
    assert_eq!(page.headers()["retry-after"], "9");
    assert_eq!(page.headers()["content-type"], "text/html; charset=UTF-8");
    let page = page.text().await.unwrap();
    assert!(page.lines().count() > 3 && page.contains(','));
    let moved = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let url = format!("{}/services/data/v62.0/limits", client.sim.url());
    let moved = moved.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (307, &"/x".parse().unwrap())
    );
    assert!(limits().await.is_err());
    let new = |object: &str| {
        let settings = json!({"object": object, "operation": "insert"});
        client
            .call(Method::POST, "/jobs/ingest")
            .json(&settings)
            .send()
    };
    assert_eq!(
        new("Lead").await.unwrap().status(),
        StatusCode::GATEWAY_TIMEOUT
    );
    assert!(new("Contact").await.is_err());
    let state = client.inspect("state").await;
    assert_eq!(state["jobs"][0]["object"], "Lead");
    assert_eq!(state["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(state["requests"]["limits"], 5);
    assert_eq!(client.inspect("faults").await[5]["hit"], 1);
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let client = Client::start(SimOptions::default()).await;
    let faults = json!([{"calls": ["limits"], "do": {"refuse": {"ms": 300}}}]);
    client.post("faults", &faults).await;
    assert!(client.call(Method::GET, "/limits").send().await.is_err());
    let refused = std::net::TcpStream::connect(client.sim.addr()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let response = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let taken = super::super::Sim::start(SimOptions {
        listen: client.sim.addr(),
        ..SimOptions::default()
    });
    assert!(taken.await.is_err(), "two simulators listen on one port");
}

#[tokio::test]
async fn a_job_can_fail_half_way() {
    let fail = Action::FailJob {
        after_batches: 1,
        message: "TooManyLockFailure : x".to_owned(),
    };
    let options = SimOptions {
        faults: vec![Fault::new(fail)],
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let job = client.insert("Contact", &many(10_003)).await;
    assert_eq!(counts(&job), ended("Failed", 10_000, 0));
    assert_eq!(job["errorMessage"], "TooManyLockFailure : x");
    let unprocessed = client.result(&job, "unprocessedrecords").await;
    assert_eq!(
        unprocessed[1..],
        ["N10000,10000", "N10001,10001", "N10002,10002"]
    );
    assert_eq!(client.inspect("objects/Contact").await["count"], 10_000);
}

#[tokio::test]
async fn jobs_and_results_meet_faults() {
    let faults = [
        Action::LockRows {
            share: 1.0,
            attempts: None,
        },
        Action::WrongCounts {
            processed: 0,
            failed: -1,
        },
        Action::WithholdRows {
            count: 1,
            result: None,
        },
        Action::AlterRows { count: 1 },
        Action::OtherHeader {
            case: Case::Upper,
            order: Order::Reversed,
        },
        Action::EmptyBody {},
        Action::Pages { rows: 2 },
    ];
    let options = SimOptions {
        faults: faults.map(Fault::new).to_vec(),
        shuffle: false,
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let job = client.insert("Contact", &many(5)).await;
    assert_eq!(counts(&job), ended("JobComplete", 5, 4));
    assert!(client.result(&job, "successfulResults").await.is_empty());
    let path = format!("/jobs/ingest/{}/failedResults", job["id"].as_str().unwrap());
    let first = client.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(first.headers()["Sforce-Locator"], "row-2");
    let text = first.text().await.unwrap();
    let lock = "\"\",\"UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--\"";
    let expected = format!(
        "\"sf__Id\",\"sf__Error\",EXT_ID__C,LASTNAME\n{lock},\"0~altered\",\"N0~altered\"\n\
         {lock},\"1\",\"N1\"\n"
    );
    assert_eq!(text, expected);
    let path = format!("{path}?locator=row-2");
    let last = client.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(last.headers()["Sforce-Locator"], "null");
    assert_eq!(last.text().await.unwrap().lines().count(), 3);
    let clean = client.insert("Contact", &many(5)).await;
    assert_eq!(counts(&clean), ended("JobComplete", 5, 0));
}

#[tokio::test]
async fn rows_are_refused_and_shuffled_as_the_seed_says() {
    let options = || SimOptions {
        fail_rate: 0.3,
        ..SimOptions::default()
    };
    let client = Client::start(options()).await;
    let csv = (0..100).fold("Name,Currency__c\n".to_owned(), |csv, row| {
        format!("{csv}N{row},91226003{row}\n")
    });
    let job = client.insert("Everything__c", &csv).await;
    let failed = client.result(&job, "failedResults").await;
    let refused = failed
        .iter()
        .filter(|line| line.contains("Refused by a rule"))
        .count();
    assert!(
        refused == failed.len() - 1 && (15..45).contains(&refused),
        "{refused} refused"
    );
    let text = client.result_text(&job, "successfulResults").await;
    let first: Vec<&str> = text.lines().skip(1).collect();
    assert!(!first.is_sorted(), "the order was kept");
    assert!(first.iter().any(|line| line.contains("E9\"")));
    let second = Client::start(options()).await;
    let job = second.insert("Everything__c", &csv).await;
    assert_eq!(second.result(&job, "failedResults").await, failed);
}

#[tokio::test]
async fn some_of_many_identical_rows_are_refused() {
    let client = Client::start(SimOptions::default()).await;
    let job = client
        .insert("Contact", &format!("LastName\n{}", "Twin\n".repeat(100)))
        .await;
    let (state, processed, failed) = counts(&job);
    assert_eq!((state.as_str(), processed), ("JobComplete", 100));
    assert!((25..75).contains(&failed), "{failed} refused");
    let errors = client.result(&job, "failedResults").await;
    assert!(
        errors[1..]
            .iter()
            .all(|line| line.contains("\"DUPLICATES_DETECTED:"))
    );
    let stored = client.inspect("objects/Contact").await;
    let count = 100 - failed;
    assert_eq!(
        stored,
        json!({"count": count, "distinct": 1, "duplicates": count - 1})
    );
}

#[tokio::test]
async fn rows_are_counted_and_forgotten() {
    let client = Client::start(SimOptions {
        forget: true,
        shuffle_processing: false,
        ..SimOptions::default()
    })
    .await;
    let csv = format!("{}Late,3\n,9999999\n", many(1_000));
    let job = client.insert("Contact", &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 1_002, 2));
    let failed = client.result(&job, "failedResults").await;
    assert!(
        failed[1].contains("\"Late\",\"3\"") && failed[2].contains("\"9999999\""),
        "{failed:?}"
    );
    let stored = client.inspect("objects/Contact").await;
    assert_eq!(
        stored,
        json!({"count": 1_000, "distinct": 1_000, "duplicates": 0})
    );
    client.post("reset", &json!({})).await;
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
    assert_eq!(client.inspect("state").await["jobs"], json!([]));
}

#[tokio::test]
async fn the_days_batches_can_be_used_up() {
    let client = Client::start(SimOptions {
        max_batches: 1,
        ..SimOptions::default()
    })
    .await;
    let job = client.insert("Contact", &many(10_001)).await;
    assert_eq!(counts(&job), ended("Failed", 10_000, 0));
    assert_eq!(
        job["errorMessage"],
        "ExceededQuota : ApiBatchItems Limit exceeded"
    );
    assert_eq!(client.result(&job, "unprocessedrecords").await.len(), 1);
}
