//! The parts of a directory, and of a bucket, which can be gone on with.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use arrow_salesforce::arrow::array::AsArray as _;
use object_store::ObjectStoreExt as _;
use object_store::aws::AmazonS3Builder;
use serde_json::{Value, json};
use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

use super::{SOQL, desk, expected, parquet, texts};
use crate::harness::ended;

/// The first values of all parts, in their order; fails if a part is not noted as whole.
fn parts(folder: &Path) -> Vec<String> {
    let state: Value =
        serde_json::from_slice(&fs::read(folder.join("_query.json")).unwrap()).unwrap();
    assert_eq!(state["complete"], true);
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "_query.json")
        .collect();
    names.sort();
    let noted = state["parts"].as_array().unwrap().iter();
    let noted: Vec<_> = noted
        .map(|part| part["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, noted);
    let mut values = Vec::new();
    for name in names {
        let part = parquet(&folder.join(name));
        let column = part.column(0).as_string::<i32>().iter();
        values.extend(column.map(|value| value.unwrap().to_owned()));
    }
    values
}

#[tokio::test]
async fn parts_go_on_after_an_error() {
    let desk = desk(100).await;
    let fault = json!({"calls": ["query_results"], "skip": 3, "times": 0,
        "do": {"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "not now"}}});
    desk.org.fault(&fault).await;
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "13",
        "--page-rows",
        "10",
    ];
    let failed = desk.run_args(&query).await.with_code(2);
    assert!(
        failed
            .stderr
            .contains("26 records are in parts/: the same command with --resume goes on"),
        "{}",
        failed.stderr
    );
    let again = desk.run_args(&query).await.with_code(2);
    assert!(
        again.stderr.contains("--resume goes on"),
        "{}",
        again.stderr
    );
    let other = [
        "query",
        "SELECT Id FROM Contact",
        "-o",
        "parts/",
        "--resume",
    ];
    let other = desk.run_args(&other).await.with_code(2);
    assert!(
        other.stderr.contains("of another query"),
        "{}",
        other.stderr
    );

    desk.org.clear_faults().await;
    // What a killed process leaves.
    desk.write("parts/part-00002.parquet", "half");
    desk.write("parts/part-00003.parquet#1", "half");
    let resume = [&query, ["--resume"].as_slice()].concat();
    desk.run_args(&resume).await.with_code(0);
    let found = parts(&desk.path("parts"));
    let all: Vec<String> = (0..100).map(|row| format!("C-{row:05}")).collect();
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), all.iter().collect());
    assert_eq!(found.len(), 100);
    // It was one job all the time, and it is deleted with its results.
    let state = desk.org.state().await;
    assert_eq!(state["query_jobs"].as_array().unwrap().len(), 0);
    let done = desk.run_args(&resume).await.with_code(2);
    assert!(
        done.stderr.contains("has all 100 records already"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn parts_with_a_gap_are_not_gone_on_with() {
    let desk = desk(100).await;
    // A page that lacks rows and whose header agrees with it; the next attempt is never so far.
    for fault in [
        json!({"calls": ["query_results"], "skip": 1, "do": {"result_page": {"cut": {"share": 0.5, "counted": true}}}}),
        json!({"calls": ["query_results"], "skip": 6, "times": 0,
            "do": {"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "not now"}}}),
    ] {
        desk.org.fault(&fault).await;
    }
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "20",
        "--page-rows",
        "10",
        "--resume",
    ];
    desk.run_args(&query).await.with_code(2);
    desk.org.clear_faults().await;
    let again = desk.run_args(&query).await.with_code(2);
    assert!(
        again
            .stderr
            .contains("a page that was not whole: begin anew with --overwrite"),
        "{}",
        again.stderr
    );
    let anew = [&query[..query.len() - 1], ["--overwrite"].as_slice()].concat();
    desk.run_args(&anew).await.with_code(0);
    assert_eq!(
        parts(&desk.path("parts"))
            .into_iter()
            .collect::<BTreeSet<_>>()
            .len(),
        100
    );
}

#[tokio::test]
async fn parts_go_on_while_the_count_of_the_job_lags() {
    let desk = desk(100).await;
    let lag =
        json!({"calls": ["query_create"], "do": {"lag_counts": {"ms": 4_000, "readings": 1}}});
    let stop = json!({"calls": ["query_results"], "skip": 5, "times": 0,
        "do": {"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "not now"}}});
    desk.org.fault(&lag).await;
    desk.org.fault(&stop).await;
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "10",
        "--page-rows",
        "10",
        "--resume",
    ];
    desk.run_args(&query).await.with_code(2);
    desk.org.clear_faults().await;
    // While the count is not true yet, it does not end well.
    while desk.run_args(&query).await.code != 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(
        parts(&desk.path("parts"))
            .into_iter()
            .collect::<BTreeSet<_>>()
            .len(),
        100
    );
}

#[tokio::test]
async fn parts_go_on_after_kills() {
    const ROWS: usize = 20_000;
    let desk = desk(ROWS).await;
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--part-rows",
        "200",
        "--page-rows",
        "2000",
        "--resume",
    ];
    let mut kills = 0;
    loop {
        let mut child = desk.start(&query);
        let moment = Duration::from_millis(100 + fastrand::u64(..1_500));
        if kills < 4 && tokio::time::timeout(moment, child.wait()).await.is_err() {
            child.kill().await.unwrap();
            kills += 1;
            continue;
        }
        ended(child).await.with_code(0);
        break;
    }
    let found = parts(&desk.path("parts"));
    assert_eq!(found.len(), ROWS);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), ROWS);
}

#[tokio::test]
async fn ranges_of_ids_give_all_records_once() {
    let desk = desk(200).await;
    let split = ["query", SOQL, "-o", "out.parquet", "--split", "4"];
    let split = desk.run_args(&split).await.with_code(0);
    assert!(
        split.stdout.contains("200 records in out.parquet; 4 jobs"),
        "{}",
        split.stdout
    );
    assert_eq!(
        texts(&parquet(&desk.path("out.parquet"))),
        expected(&desk).await
    );
    let query = [
        "query",
        SOQL,
        "-o",
        "parts/",
        "--split",
        "4",
        "--part-rows",
        "60",
    ];
    desk.run_args(&query).await.with_code(0);
    assert_eq!(parts(&desk.path("parts")).len(), 200);
}

#[tokio::test]
async fn s3_takes_files_and_parts() {
    let s3 = S3Server::start().await;
    let desk = desk(50).await;
    let desk = desk
        .with("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ENDPOINT_URL", s3.endpoint())
        .with("AWS_ALLOW_HTTP", "true");
    let bucket = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_endpoint(s3.endpoint())
        .with_allow_http(true)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .build()
        .unwrap();
    let file = format!("s3://{BUCKET}/out/contacts.csv");
    desk.run_args(&["query", SOQL, "-o", &file])
        .await
        .with_code(0);
    desk.run_args(&["query", SOQL, "-o", &file])
        .await
        .with_code(2);
    let written = bucket.get(&"out/contacts.csv".into()).await.unwrap();
    let written = written.bytes().await.unwrap();
    let rows = csv::Reader::from_reader(written.as_ref()).into_records();
    assert_eq!(rows.map(Result::unwrap).count(), 50);

    let folder = format!("s3://{BUCKET}/parts/");
    let query = ["query", SOQL, "-o", &folder, "--part-rows", "20"];
    desk.run_args(&query).await.with_code(0);
    for (part, rows) in [("00000", 20), ("00001", 20), ("00002", 10)] {
        let part = format!("parts/part-{part}.parquet");
        let bytes = bucket
            .get(&part.as_str().into())
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        desk.write("part.parquet", &bytes);
        assert_eq!(parquet(&desk.path("part.parquet")).num_rows(), rows);
    }
}
