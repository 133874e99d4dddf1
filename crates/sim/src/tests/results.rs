//! The forms in which results come.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended, many};

/// A client whose org keeps the order of rows, in processing and in results.
async fn orderly() -> Client {
    Client::start(SimOptions {
        shuffle: false,
        shuffle_processing: false,
        ..SimOptions::default()
    })
    .await
}

/// The result of one job under faults.
async fn under(client: &Client, faults: &[Value], csv: &str, which: &str) -> Vec<String> {
    let faults: Vec<Value> = faults.iter().map(|fault| json!({"do": fault})).collect();
    client.post("faults", &json!(faults)).await;
    let job = client.insert("Everything__c", csv).await;
    let text = client.result_text(&job, which).await;
    text.lines().map(str::to_owned).collect()
}

const CSV: &str = "Name,Flag__c,Date__c,Date_Time__c,Currency__c,Text__c\n\
    A,true,2024-01-31,2024-01-31T12:00:00+02:00,912260031,x\nB,0,bad,,1,\n";

#[tokio::test]
async fn values_come_back_in_another_form() {
    let client = orderly().await;
    let plain = under(&client, &[], CSV, "successfulResults").await;
    let other = "\"2024-01-31T12:00:00+02:00\",\"9.12260031E8\",\"x\"";
    assert!(plain[1].ends_with(&format!("\"A\",\"true\",\"2024-01-31\",{other}")));
    let reformat = json!({"reformat": {}});
    let formed = under(&client, &[reformat], CSV, "successfulResults").await;
    assert!(formed[1].ends_with(
        "\"A\",\"TRUE\",\"2024-01-31T00:00:00.000Z\",\"2024-01-31T10:00:00.000+0000\",\
         \"9.12260031E8\",\"x\""
    ));
    let some = json!({"reformat": {"numbers": false, "dates": false}});
    let formed = under(&client, &[some], CSV, "failedResults").await;
    assert!(formed[1].ends_with("\"B\",\"FALSE\",\"bad\",\"\",\"1.0\",\"\""));
}

#[tokio::test]
async fn results_say_that_they_are_utf8() {
    let client = orderly().await;
    let job = client.insert("Contact", "LastName\nŒuvre 🚀\n").await;
    let id = job["id"].as_str().unwrap();
    for which in ["successfulResults", "failedResults", "unprocessedrecords"] {
        let get = client.call(Method::GET, &format!("/jobs/ingest/{id}/{which}"));
        let response = get.send().await.unwrap();
        // Without a charset, HTTP libraries read text as ISO 8859-1.
        assert_eq!(
            response.headers()["content-type"],
            "text/csv; charset=UTF-8"
        );
    }
}

#[tokio::test]
async fn headers_change_and_columns_are_missing() {
    let client = orderly().await;
    let faults = [
        json!({"other_header": {"case": "lower", "order": "sorted"}}),
        json!({"drop_columns": {"names": ["name", "Flag__c"]}}),
        json!({"blank_columns": {"names": ["Text__c"]}}),
    ];
    let lines = under(&client, &faults, CSV, "successfulResults").await;
    assert_eq!(
        lines[0],
        "\"sf__Id\",\"sf__Created\",currency__c,date_time__c,date__c,text__c"
    );
    assert!(
        lines[1].ends_with("\"9.12260031E8\",\"2024-01-31T12:00:00+02:00\",\"2024-01-31\",\"\"")
    );
    let all = json!({"drop_columns": {"share": 1.0}});
    let lines = under(&client, &[all], CSV, "failedResults").await;
    assert_eq!(lines[0], "\"sf__Id\",\"sf__Error\"");
    assert!(lines[1].starts_with("\"\",\"INVALID_FIELD:Failed to deserialize"));
}

#[tokio::test]
async fn rows_come_twice_or_were_never_uploaded() {
    let client = orderly().await;
    let faults = [
        json!({"repeat_rows": {"count": 1, "result": "failed"}}),
        json!({"foreign_rows": {"count": 2}}),
        json!({"withhold_rows": {"count": 1, "result": "successful"}}),
    ];
    let faults: Vec<Value> = faults.iter().map(|fault| json!({"do": fault})).collect();
    client.post("faults", &json!(faults)).await;
    let job = client.insert("Everything__c", CSV).await;
    let failed = client.result_text(&job, "failedResults").await;
    let failed: Vec<&str> = failed.lines().collect();
    assert_eq!((failed.len(), failed[1]), (5, failed[2]));
    assert!(failed[3].contains("\"A~altered\""));
    let successful = client.result(&job, "successfulResults").await;
    assert_eq!(successful.len(), 3);
    let unprocessed = client.result(&job, "unprocessedrecords").await;
    assert!(unprocessed[1].starts_with("\"A~altered\""));
}

#[tokio::test]
async fn some_failed_updates_have_no_id() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(100)).await;
    let update = json!({"object": "Contact", "operation": "update"});
    let rows = client.inspect("objects/Contact/rows").await;
    let csv = rows
        .as_array()
        .unwrap()
        .iter()
        .fold("Email,Id\n".to_owned(), |csv, row| {
            format!("{csv}bad,{}\n", row["Id"].as_str().unwrap())
        });
    for (faults, filled) in [
        (json!([]), 25..75),
        (json!([{"do": {"failed_ids": {"share": 0.0}}}]), 0..1),
        (json!([{"do": {"failed_ids": {"share": 1.0}}}]), 100..101),
    ] {
        client.post("faults", &faults).await;
        let job = client.run(&update, &csv).await;
        assert_eq!(counts(&job), ended("JobComplete", 100, 100));
        let lines = client.result(&job, "failedResults").await;
        let with_id = lines[1..].iter().filter(|line| !line.starts_with("\"\""));
        assert!(filled.contains(&with_id.count()), "{filled:?}");
    }
}

#[tokio::test]
async fn batches_left_over_are_not_the_last_ones() {
    let client = Client::start(SimOptions::default()).await;
    let fail = json!([{"do": {"fail_job": {"after_batches": 2}}}]);
    client.post("faults", &fail).await;
    let job = client.insert("Contact", &many(50_000)).await;
    assert_eq!(counts(&job), ended("Failed", 20_000, 0));
    let unprocessed = client.result_text(&job, "unprocessedrecords").await;
    assert_eq!(unprocessed.lines().count(), 30_001);
    let last = unprocessed.lines().filter(|line| {
        let key = line.split_once(',').unwrap().1;
        key.parse::<u32>().is_ok_and(|key| key >= 20_000)
    });
    assert!(last.count() < 30_000);
}

#[tokio::test]
async fn jobs_are_listed_in_pages_and_a_lost_one_is_found() {
    let client = Client::start(SimOptions::default()).await;
    let lose = json!([{"method": "POST", "path": "*/jobs/ingest", "do": {"lose": {}}}]);
    client.post("faults", &lose).await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"job\"\r\n\
        Content-Type: application/json\r\n\r\n\
        {\"object\":\"Lead\",\"operation\":\"insert\"}\r\n--b\r\n\
        Content-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n\
        Content-Type: text/csv\r\n\r\nLastName,Company\nAda,Acme\n\r\n--b--\r\n";
    let post = client.call(Method::POST, "/jobs/ingest");
    let post = post.header("content-type", "multipart/form-data; boundary=b");
    assert!(post.body(form).send().await.is_err());
    let list = client.get("/jobs/ingest?jobType=V2Ingest").await;
    let job = &list["records"][0];
    assert_eq!(
        (&job["object"], &job["operation"]),
        (&json!("Lead"), &json!("insert"))
    );
    assert!(job["createdDate"].is_string() && job["state"].is_string());
    let job = client.ended(job["id"].as_str().unwrap()).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    assert_eq!(list["done"], true);
    let other = client.get("/jobs/ingest?jobType=Classic").await;
    assert_eq!(other["records"], json!([]));
    for _ in 0..1_000 {
        client
            .create(&json!({"object": "Contact", "operation": "insert"}))
            .await;
    }
    let first = client.get("/jobs/ingest").await;
    assert_eq!(
        (first["records"].as_array().unwrap().len(), &first["done"]),
        (1_000, &json!(false))
    );
    let next = first["nextRecordsUrl"].as_str().unwrap();
    let next = next.strip_prefix("/services/data/v62.0").unwrap();
    let last = client.get(next).await;
    assert_eq!(
        (last["records"].as_array().unwrap().len(), &last["done"]),
        (1, &json!(true))
    );
}
