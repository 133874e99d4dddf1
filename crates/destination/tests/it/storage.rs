//! Rejected records in S3: formats, names, credentials, encryption.

use chrono::TimeDelta;
use serde_json::json;
use testkit::KEY;
use testkit::bucket_faults::{BucketFault, Harm};
use testkit::rejected::{self, Rejected};
use testkit::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use testkit::sim::TestSim;
use testkit::sts::StsServer;

use crate::harness::lines::{Stream, contact, contacts};
use crate::harness::process::{Job, Output, Running, run, storage};

/// Contacts of which the second, fourth and sixth are bad: by decode, by coerce and by the org.
pub(crate) fn mixed(stream: &Stream) -> Vec<String> {
    let mut lines: Vec<String> = (0..8)
        .map(|number| stream.record(&contact(number)))
        .collect();
    lines[1] = stream.record_text(r#"{"Ext_Id__c":"C-1","LastName":"Ng \ud800"}"#);
    lines[3] = stream.record_text(r##"{"Ext_Id__c":"C-3","LastName":"#N/A"}"##);
    lines[5] = stream.record_text(r#"{"Ext_Id__c":"C-5","LastName":null,"FirstName":"No, name"}"#);
    lines.push(stream.state(1, 8));
    lines.push(stream.complete());
    lines
}

fn check_mixed(output: &Output, rejected: &[Rejected], lines: &[String]) {
    let state = output.states()[0];
    assert_eq!(
        state["destinationStats"],
        json!({"recordCount": 5.0, "rejectedRecordCount": 3.0})
    );
    let by_stage = |stage: &str| {
        let mut found = rejected.iter().filter(|rejected| rejected.stage() == stage);
        let first = found.next().unwrap();
        assert!(found.next().is_none());
        first
    };
    assert_eq!(rejected.len(), 3);
    assert_eq!(by_stage("decode").record(), json!({"_raw": lines[1]}));
    assert_eq!(
        by_stage("coerce").record(),
        json!({KEY: "C-3", "LastName": "#N/A", "FirstName": null, "Email": null})
    );
    assert_eq!(by_stage("coerce").code(), "INVALID_VALUE");
    let missing = by_stage("salesforce");
    assert_eq!(
        missing.record(),
        json!({KEY: "C-5", "LastName": null, "FirstName": "No, name", "Email": null})
    );
    assert_eq!(
        missing.sf_error(),
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
    );
    assert_eq!(
        missing.reason()["message"],
        "Required fields are missing: [LastName]"
    );
    assert_eq!(missing.reason()["fields"], json!(["LastName"]));
    assert!(missing.reason()["job_id"].is_string());
    for rejected in rejected {
        let envelope = &rejected.envelope;
        assert_eq!(envelope["_airbyte_generation_id"], 3);
        assert_eq!(envelope["_airbyte_meta"]["sync_id"], 42);
        assert_eq!(envelope["_airbyte_meta"]["changes"], json!([]));
        assert!(rejected.reason()["at"].as_u64().unwrap() > 1_700_000_000_000);
        let sent = rejected.stage() == "salesforce";
        assert_eq!(rejected.reason()["job_id"].is_string(), sent);
        if rejected.stage() != "decode" {
            assert_eq!(envelope["_airbyte_data"]["sf__Id"], "");
            assert_eq!(envelope["_airbyte_extracted_at"], 1_700_000_000_000_u64);
        }
    }
    let ids: std::collections::BTreeSet<&str> = rejected
        .iter()
        .map(|r| r.envelope["_airbyte_raw_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "each record has an id of its own");
}

#[tokio::test]
async fn s3_with_the_defaults_of_the_spec() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let stream = contacts().in_namespace("marts");
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage(&s3));
    let lines = mixed(&stream);

    let output = job.write(&lines).await.succeeded();

    let objects = s3.objects();
    let keys: Vec<&String> = objects.keys().collect();
    assert_eq!(
        keys.len(),
        1,
        "one file for the rejects of one job: {keys:?}"
    );
    let name = keys[0]
        .strip_prefix("rejected_records/42/marts/contacts/")
        .unwrap();
    let parts: Vec<&str> = name.strip_suffix(".csv").unwrap().split('_').collect();
    assert_eq!(parts.len(), 5, "date, time and part number: {name}");
    assert_eq!(parts[4], "0");
    check_mixed(&output, &rejected::read_all(&objects), &lines);
}

#[tokio::test]
async fn s3_as_jsonl_with_templates() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let stream = contacts();
    let mut storage = storage(&s3);
    storage["bucket_path"] = json!("a/b");
    storage["format"] = json!({"format_type": "JSONL"});
    storage["path_format"] = json!("{namespace}/{stream_name}/{year}");
    storage["file_name_format"] = json!("{sync_id}-{part_number}{format_extension}");
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage);
    let lines = mixed(&stream);

    let output = job.write(&lines).await.succeeded();
    check_mixed(&output, &rejected::read_all(&s3.objects()), &lines);
    // A second sync of the same name overwrites nothing.
    job.write(&lines).await.succeeded();

    let objects = s3.objects();
    let keys: Vec<&String> = objects.keys().collect();
    let [first, second] = keys.as_slice() else {
        panic!("{keys:?}");
    };
    assert!(first.starts_with("a/b/contacts/20"), "{first}");
    assert!(first.ends_with("/42-0.jsonl"), "{first}");
    assert!(second.ends_with("/42-1.jsonl"), "{second}");
}

#[tokio::test]
async fn every_format_flattening_and_compression() {
    let s3 = S3Server::start().await;
    let stream = contacts();
    let lines = mixed(&stream);
    for format in ["CSV", "JSONL"] {
        for flattening in ["No flattening", "Root level flattening"] {
            for compression in ["No Compression", "GZIP"] {
                let sim = TestSim::start().await;
                let prefix = format!("{format}/{flattening}/{compression}").replace(' ', "_");
                let mut storage = storage(&s3);
                storage["bucket_path"] = json!(prefix);
                storage["format"] = json!({"format_type": format, "flattening": flattening});
                storage["compression"] = json!({"compression_type": compression});
                let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage);

                let output = job.write(&lines).await.succeeded();

                let mut objects = s3.objects();
                objects.retain(|key, _| key.starts_with(&prefix));
                let keys: Vec<&String> = objects.keys().collect();
                assert_eq!(keys.len(), 1, "{keys:?}");
                let gzip = if compression == "GZIP" { ".gz" } else { "" };
                let extension = format!(".{}{gzip}", format.to_lowercase());
                assert!(keys[0].ends_with(&extension), "{keys:?}");
                let flat = objects.values().all(|text| !text.contains("_airbyte_data"));
                assert_eq!(flat, flattening.starts_with("Root"), "{prefix}");
                check_mixed(&output, &rejected::read_all(&objects), &lines);
            }
        }
    }
}

#[tokio::test]
async fn taken_names_get_a_number_behind_the_extension() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let stream = contacts().in_namespace("Ünter ﬁlm/..");
    let mut storage = storage(&s3);
    storage["bucket_path"] = json!("a//b/");
    storage["path_format"] = json!("{sync_id}//{namespace}/{stream_name}");
    storage["file_name_format"] = json!("{sync_id}{format_extension}");
    let job = Job::new(&sim, &[&stream])
        .set("object_storage_config", storage)
        .set("max_job_rows", 3);
    let lines = mixed(&stream);

    // The org refuses all records of the second sync: it has their keys already.
    job.write(&lines).await.succeeded();
    job.write(&lines).await.succeeded();

    let objects = s3.objects();
    let keys: Vec<&str> = objects.keys().map(String::as_str).collect();
    let directory = "a/b/42/Unter_film/__/contacts";
    let expected = ["42.csv", "42.csv-1", "42.csv-2", "42.csv-3"];
    assert_eq!(keys, expected.map(|name| format!("{directory}/{name}")));
    assert_eq!(rejected::read_all(&objects).len(), 3 + 8);
}

#[tokio::test]
async fn a_load_waits_for_a_store_that_is_away_at_its_start_and_check_does_not() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let job = Job::new(&sim, &[&stream])
        .set("object_storage_config", storage(&s3))
        .set("wait_permille", 10);
    // Of pauses that double up to 20 seconds, these fill more than a minute.
    let away = |times| {
        s3.set_faults(vec![BucketFault {
            name: "away".to_owned(),
            call: None,
            skip: 0,
            times,
            span: None,
            harm: Harm::Error(503, "SlowDown"),
        }]);
    };
    away(Some(12));
    let lines = mixed(&stream);

    let output = job.write(&lines).await.succeeded();
    check_mixed(&output, &rejected::read_all(&s3.objects()), &lines);

    away(None);
    let status = run(&job.check_args()).await;
    let status = &status.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    let asked: u32 = s3.fault_hits().iter().map(|(_, count)| count).sum();
    assert!((2..12).contains(&asked), "{asked}");
}

#[tokio::test]
async fn an_unknown_variable_is_a_config_error() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let mut storage = storage(&s3);
    storage["file_name_format"] = json!("{bogus}");
    let job = Job::new(&sim, &[&contacts()]).set("object_storage_config", storage);

    let status = run(&job.check_args()).await;

    let status = &status.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    assert_eq!(
        status["message"],
        "file_name_format has the unknown variable {bogus}; it may use {date}, {date:yyyy_MM}, \
         {timestamp}, {part_number}, {sync_id}, {format_extension}"
    );
}

#[tokio::test]
async fn s3_is_asked_to_encrypt() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let job = Job::new(&sim, &[&stream])
        .set("object_storage_config", storage(&s3))
        .set("rejected_records_encryption", "SSE-KMS")
        .set(
            "rejected_records_kms_key_id",
            "arn:aws:kms:us-east-1:1:key/k",
        );

    job.write(&mixed(&stream)).await.succeeded();

    let mut encryption = s3.encryption();
    encryption.dedup();
    assert_eq!(encryption, ["aws:kms arn:aws:kms:us-east-1:1:key/k"]);
}

#[tokio::test]
async fn keys_of_the_config_come_before_those_of_the_environment() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let with_keys = Job::new(&sim, &[&contacts()]).set("object_storage_config", storage(&s3));
    let mut storage = storage(&s3);
    storage["access_key_id"] = json!("");
    storage.as_object_mut().unwrap().remove("secret_access_key");
    let without = Job::new(&sim, &[&contacts()]).set("object_storage_config", storage);
    let right = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    let wrong = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", "another"),
    ];
    for (job, environment, status) in [
        (&without, right, "SUCCEEDED"),
        (&without, wrong, "FAILED"),
        (&with_keys, wrong, "SUCCEEDED"),
    ] {
        let output = Running::start_in(&job.check_args(), &environment);
        let output = output.finish().await;
        let shown = &output.of("CONNECTION_STATUS")[0]["connectionStatus"];
        assert_eq!(shown["status"], status, "{shown}");
        output.keeps_secret(&["another", SECRET_KEY]);
    }
}

#[tokio::test]
async fn a_role_is_assumed_with_the_keys_of_the_environment() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let mut storage = storage(&s3);
    storage["role_arn"] = json!("arn:aws:iam::123456789:role/rejected+records");
    for key in ["access_key_id", "secret_access_key"] {
        storage.as_object_mut().unwrap().remove(key);
    }
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage);
    let run = async |args: &[String], sts: &StsServer, lines: Vec<String>| {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "OWNKEY"),
            ("AWS_SECRET_ACCESS_KEY", "own-secret"),
            ("AWS_ENDPOINT_URL_STS", sts.endpoint.as_str()),
            ("AWS_ASSUME_ROLE_EXTERNAL_ID", "workspace-7"),
        ];
        let mut running = Running::start_in(args, &environment);
        running.feed(lines);
        let output = running.finish().await;
        output.keeps_secret(&["own-secret", SECRET_KEY, "session-of-the-role"]);
        output
    };

    let sts = StsServer::start(Some(TimeDelta::hours(1))).await;
    let lines = mixed(&stream);
    let output = run(&job.write_args(), &sts, lines.clone())
        .await
        .succeeded();
    check_mixed(&output, &rejected::read_all(&s3.objects()), &lines);
    let seen = sts.seen();
    assert_eq!(seen.len(), 1, "one session lasts: {seen:?}");
    assert!(seen[0].contains("Credential=OWNKEY/") && seen[0].contains("/us-east-1/sts/aws4"));
    let form = "Action=AssumeRole&Version=2011-06-15\
        &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789%3Arole%2Frejected%2Brecords\
        &RoleSessionName=arrow-salesforce&DurationSeconds=3600&ExternalId=workspace-7";
    assert!(seen[0].ends_with(form), "{}", seen[0]);

    let short = StsServer::start(Some(TimeDelta::minutes(1))).await;
    run(&job.check_args(), &short, Vec::new()).await.succeeded();
    assert!(
        short.seen().len() > 1,
        "a session that ends soon is renewed"
    );

    let refusing = StsServer::start(None).await;
    let output = run(&job.check_args(), &refusing, Vec::new()).await;
    let status = &output.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    insta::assert_snapshot!(status["message"].as_str().unwrap(), @"cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: role_arn arn:aws:iam::123456789:role/rejected+records cannot be assumed (AccessDenied); allow the environment's credentials sts:AssumeRole on the role, let the role's trust policy name them, and set AWS_ASSUME_ROLE_EXTERNAL_ID where it asks for an external id");
}

/// A bucket that is busy for half a minute loses nothing, and stores nothing twice.
#[tokio::test]
async fn a_busy_bucket_is_waited_for() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let job = Job::new(&sim, &[&stream])
        .set("object_storage_config", storage(&s3))
        .set("wait_permille", 20);
    s3.be_busy(3);
    let mut running = job.start_write();
    running.wait_for_log("the org is ready").await;
    assert_eq!(s3.busy(), 0, "the start was patient");
    s3.be_busy(7);
    let lines = mixed(&stream);
    running.feed(lines.clone());
    let output = running.finish().await.succeeded();

    assert_eq!(s3.busy(), 0);
    let objects = s3.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    check_mixed(&output, &rejected::read_all(&objects), &lines);
    let warnings = output.of("LOG").into_iter().filter(|log| {
        let text = log["log"]["message"].as_str().unwrap();
        text.contains("a request to the store failed") && text.contains("SlowDown")
    });
    assert!((1..=3).contains(&warnings.count()), "{output:#?}");
}
