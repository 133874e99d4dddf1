//! Receipts: which record each accepted row became, compared with the org.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::KEY;
use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, catalog, contact, contacts};
use crate::harness::process::{Job, Running, run};
use crate::harness::receipts::{Receipt, receipts, receipts_below, reports};

/// Fails unless each receipt has the Id of the record whose `field` is as in the row, each record once.
async fn are_of(sim: &TestSim, object: &str, field: &str, receipts: &[Receipt], rows: &[Value]) {
    let mut records: BTreeMap<String, Value> = BTreeMap::new();
    for record in sim.rows(object).await {
        let id = record["Id"].as_str().unwrap().to_owned();
        records.insert(id, record[field].clone());
    }
    let mut ids = BTreeSet::new();
    for receipt in receipts {
        let id = receipt.id.as_ref().unwrap();
        assert_eq!(records[id], rows[receipt.ordinal][field], "{receipt:?}");
        assert!(ids.insert(id), "{receipt:?}");
        assert_eq!(receipt.mark, None);
    }
}

fn lines(stream: &Stream, rows: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(|row| stream.record(row)).collect();
    lines.push(stream.state(1, rows.len()));
    lines.push(stream.complete());
    lines
}

#[tokio::test]
async fn rows_that_were_retried_have_the_receipt_of_the_job_that_took_them() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let lock = json!({"object": "Contact", "times": 0, "do": {"lock_rows": {"share": 0.4}}});
    sim.fault(&lock).await;
    let mut rows: Vec<Value> = (0..120).map(contact).collect();
    for row in rows.iter_mut().step_by(10) {
        row["LastName"] = Value::Null;
    }
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 40)
        .set("max_attempts", 20)
        .rejects_to_folder()
        .receipts_to_folder();
    let output = job.write(&lines(&stream, &rows)).await.succeeded();

    let receipts = receipts(&job);
    are_of(&sim, "Contact", KEY, &receipts, &rows).await;
    let expected: Vec<usize> = (0..120).filter(|row| row % 10 != 0).collect();
    let ordinals: Vec<usize> = receipts.iter().map(|receipt| receipt.ordinal).collect();
    assert_eq!(ordinals, expected);
    let jobs = sim.jobs().await;
    let jobs: BTreeMap<&str, u64> = jobs
        .iter()
        .map(|job| {
            (
                job["id"].as_str().unwrap(),
                job["processed"].as_u64().unwrap_or_default(),
            )
        })
        .collect();
    let named: BTreeSet<&str> = receipts
        .iter()
        .map(|receipt| receipt.job.as_str())
        .collect();
    assert!(named.len() > 3, "{named:?}");
    assert!(named.iter().all(|job| jobs.contains_key(job)), "{jobs:?}");
    for receipt in &receipts {
        let attempt = receipt.attempt.as_ref().unwrap();
        let file = format!("42/contacts/{attempt}/{}.parquet", receipt.job);
        assert_eq!(receipt.file, file);
        assert_eq!(receipt.action.as_deref(), Some("created"));
        assert!(receipt.columns.is_empty(), "an insert has no key");
    }

    let [report] = &reports(&job)[..] else {
        panic!("one report");
    };
    for (key, expected) in [
        ("ended", json!("complete")),
        ("stream", json!("contacts")),
        ("object", json!("Contact")),
        ("operation", json!("insert")),
        ("run", json!("42")),
        ("attempt", json!(receipts[0].attempt)),
        ("read", json!(120)),
        ("accepted", json!(108)),
        ("rejected", json!(12)),
        ("without_end", json!(0)),
        ("acknowledged", json!(120)),
        ("receipts", json!(108)),
        ("receipts_without_id", json!(0)),
        ("jobs", json!(sim.jobs().await.len())),
        ("came_again", json!(0)),
        ("error", Value::Null),
    ] {
        assert_eq!(report[key], expected, "{key}: {report:#}");
    }
    let reject = json!({"stage": "salesforce", "code": "REQUIRED_FIELD_MISSING",
        "fields": ["LastName"], "count": 12});
    assert_eq!(report["rejects"], json!([reject]));
    assert_eq!(report["settings"]["max_job_rows"], 40);
    assert!(report["api_calls"].as_u64().unwrap() > 10 && report["seconds"].is_f64());
    output.keeps_secret(&["sim-client-secret"]);
    assert!(!report.to_string().contains("sim-"), "{report:#}");
}

#[tokio::test]
async fn columns_that_are_asked_for_take_the_place_of_the_key() {
    let sim = TestSim::start().await;
    let stream = Stream::typed(
        "things",
        "Everything__c",
        [
            (KEY, "string"),
            ("Name", "string"),
            ("Int__c", "integer"),
            ("Double__c", "number"),
        ],
    );
    let row = |number: usize| {
        let double = format!("{number}e1").parse::<f64>().unwrap();
        json!({KEY: format!("k{number}"), "Name": format!("T{number}"), "Int__c": number, "Double__c": double})
    };
    let rows: Vec<Value> = (0..20).map(row).collect();
    let mut upsert = catalog(&[&stream]);
    upsert["streams"][0]["destination_sync_mode"] = json!("append_dedup");
    upsert["streams"][0]["primary_key"] = json!([[KEY]]);
    let mut job = Job::with_catalog(&sim, upsert).receipts_to_folder();
    job.write(&lines(&stream, &rows[..10])).await.succeeded();
    let first = receipts(&job);
    are_of(&sim, "Everything__c", "Name", &first, &rows).await;
    for receipt in &first {
        let key = format!("k{}", receipt.ordinal);
        assert_eq!(receipt.columns, [(KEY.to_owned(), Some(key))].into());
        assert_eq!(receipt.action.as_deref(), Some("created"));
    }

    // The last of two rows of a key is sent, with what the one before had.
    job.change("receipt_columns", json!(["name", "Int__c"]));
    let mut again = rows.clone();
    again.push(json!({KEY: "k3", "Name": "T3"}));
    job.write(&lines(&stream, &again)).await.succeeded();
    let second: Vec<Receipt> = receipts(&job).split_off(first.len());
    let ordinals: Vec<usize> = second.iter().map(|receipt| receipt.ordinal).collect();
    let expected: Vec<usize> = (0..21).filter(|row| *row != 3).collect();
    assert_eq!(ordinals, expected);
    are_of(&sim, "Everything__c", "Name", &second, &again).await;
    for receipt in &second {
        let number = if receipt.ordinal == 20 {
            3
        } else {
            receipt.ordinal
        };
        let names: Vec<&str> = receipt.columns.keys().map(String::as_str).collect();
        assert_eq!(names, ["Int__c", "Name"]);
        assert_eq!(receipt.columns["Name"], Some(format!("T{number}")));
        let action = if number < 10 { "updated" } else { "created" };
        assert_eq!(receipt.action.as_deref(), Some(action), "{receipt:?}");
    }
    assert_eq!(reports(&job)[1]["merged"], 1);

    job.change("receipt_columns", json!("Name, Nmae"));
    let message = job.write(&[]).await.failed("config_error");
    assert!(message.contains("no stream has: Nmae"), "{message}");
}

#[tokio::test]
async fn a_stream_that_fails_has_its_report_too() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let rows: Vec<Value> = (0..200)
        .map(|number| json!({KEY: format!("C-{number}"), "LastName": null}))
        .collect();
    let job = Job::new(&sim, &[&stream])
        .set("max_rejected_percent", 5)
        .receipts_to_folder();
    let output = job.write(&lines(&stream, &rows)).await;
    output.failed("config_error");
    let [report] = &reports(&job)[..] else {
        panic!("one report");
    };
    assert_eq!(report["ended"], "failed", "{report:#}");
    assert_eq!(report["error"]["kind"], "config");
    assert_eq!(
        (&report["rejected"], &report["accepted"]),
        (&json!(200), &json!(0))
    );
    assert!(receipts(&job).is_empty());
}

#[tokio::test]
async fn a_place_that_refuses_is_a_config_error() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let taken = tempfile::NamedTempFile::new().unwrap();
    for url in [
        format!("file://{}/receipts", taken.path().display()),
        "s3//bucket".to_owned(),
    ] {
        let job = Job::new(&sim, &[&stream]).set("receipts_url", url);
        let output = run(&job.check_args()).await.succeeded();
        let status = &output.of("CONNECTION_STATUS")[0]["connectionStatus"];
        assert_eq!(status["status"], "FAILED", "{status}");
        job.write(&[]).await.failed("config_error");
    }
    assert!(sim.jobs().await.is_empty());
}

#[tokio::test]
async fn rows_that_come_again_have_the_receipt_of_the_job_that_wrote_them() {
    let sim = TestSim::start().await;
    sim.set(&json!({"refuse_duplicates": false})).await;
    let stream = Stream::typed(
        "people",
        "Contact",
        [("LastName", "string"), ("FirstName", "string")],
    );
    // Each third is equal to the one before.
    let row = |number: usize| {
        let name = number - usize::from(number % 3 == 2);
        json!({"LastName": format!("Ng {name}"), "FirstName": "Ada"})
    };
    let rows: Vec<Value> = (0..90).map(row).collect();
    let mut job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 30)
        .set("receipt_columns", "LastName")
        .rejects_to_folder()
        .receipts_to_folder();
    let mut running = job.start_write();
    let all = lines(&stream, &rows);
    running.send(&all[..41]).await;
    running.send(&[stream.state(1, 41)]).await;
    running.send(&all[41..90]).await;
    running.wait_for_states(1).await;
    let waiting = async {
        while sim.column("Contact", "LastName").await.len() < rows.len() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
    let killed = running.kill().await;
    assert!(waited.is_ok() && killed.state_ids() == [1], "{killed:#?}");
    let first = receipts(&job);

    job.change("max_job_rows", 7);
    let mut again = rows[41..].to_vec();
    again.reverse();
    job.write(&lines(&stream, &again)).await.succeeded();
    assert_eq!(sim.column("Contact", "LastName").await.len(), rows.len());
    let attempts: BTreeSet<_> = first
        .iter()
        .map(|receipt| receipt.attempt.clone())
        .collect();
    let second: Vec<Receipt> = receipts(&job)
        .into_iter()
        .filter(|receipt| !attempts.contains(&receipt.attempt))
        .collect();
    let ordinals: Vec<usize> = second.iter().map(|receipt| receipt.ordinal).collect();
    assert_eq!(ordinals, (0..49).collect::<Vec<_>>());
    are_of(&sim, "Contact", "LastName", &second, &again).await;
    for receipt in &second {
        let name = again[receipt.ordinal]["LastName"].as_str().unwrap();
        assert_eq!(receipt.columns["LastName"].as_deref(), Some(name));
    }
    let ids = |receipts: &[Receipt]| -> BTreeSet<String> {
        receipts
            .iter()
            .filter_map(|receipt| receipt.id.clone())
            .collect()
    };
    let (covered, later) = (ids(&first[..41]), ids(&second));
    assert!(covered.is_disjoint(&later), "a record is of one row");
    assert_eq!(covered.len() + later.len(), rows.len());
    let report = reports(&job).pop().unwrap();
    assert_eq!(report["came_again"], 49, "{report:#}");
    assert_eq!(report["receipts_without_id"], 0);
}

#[tokio::test]
async fn a_bucket_that_is_busy_is_waited_for() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let rows: Vec<Value> = (0..20).map(contact).collect();
    let job = Job::new(&sim, &[&stream]).set("receipts_url", format!("s3://{BUCKET}/receipts"));
    let environment = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", s3.endpoint()),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    sim.hold().await;
    let mut running = Running::start_in(&job.write_args(), &environment);
    running.feed(lines(&stream, &rows));
    sim.wait_for("a job", |org| !org["jobs"].as_array().unwrap().is_empty())
        .await;
    s3.be_busy(7);
    sim.release().await;
    let output = running.finish().await.succeeded();
    assert_eq!(s3.busy(), 0);
    assert_eq!(output.state_ids(), [1]);
    let receipts = receipts_below(&s3.directory(BUCKET).join("receipts"));
    assert_eq!(receipts.len(), rows.len());
    are_of(&sim, "Contact", KEY, &receipts, &rows).await;
    output.keeps_secret(&[SECRET_KEY]);
}
