//! What goes wrong before or around a load: exit codes, and messages that name cause and cure.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::s3::{S3Server, SECRET_KEY};
use testkit::sim::{CLIENT_SECRET, REFRESH_TOKEN, TestSim};

use crate::harness::lines::{Stream, contact, contacts};
use crate::harness::process::{Job, Output, Running, run, storage};

const WRONG_SECRET: &str = "not-the-secret-of-this-app";
const SECRETS: &[&str] = &[CLIENT_SECRET, REFRESH_TOKEN, SECRET_KEY, WRONG_SECRET];

/// Runs `write` over one good record, which must fail with a config error; returns its message.
async fn refused(sim: &TestSim, job: &Job, stream: &Stream) -> String {
    let lines = [
        stream.record(&contact(1)),
        stream.state(1, 1),
        stream.complete(),
    ];
    let output = job.write(&lines).await;
    let message = output.failed("config_error");
    output.keeps_secret(SECRETS);
    assert!(output.states().is_empty());
    assert!(
        sim.jobs().await.is_empty(),
        "found only after a job was made"
    );
    message.replace(sim.url(), "<org>")
}

#[tokio::test]
async fn a_wrong_secret() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).set("client_secret", WRONG_SECRET);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"the login at 127.0.0.1 was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup");
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).set("refresh_token", WRONG_SECRET);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"the login at 127.0.0.1 was refused (invalid_grant: expired access/refresh token); the refresh token is not valid any more: it was revoked, has expired, was replaced by a newer one (where tokens rotate, only the newest is valid, and each connection needs its own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again and set the new refresh_token; check that login_url is the My Domain of this org (a sandbox has one of its own)");
}

#[tokio::test]
async fn a_wrong_bucket() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let mut storage = storage(&s3);
    storage["s3_bucket_name"] = json!("no-such-bucket");
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"cannot write s3://no-such-bucket/rejected_records/1/testing/test/_check_test for rejected records: no such bucket; check s3_bucket_name, or create the bucket");
}

#[tokio::test]
async fn a_wrong_key_of_the_bucket() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let mut storage = storage(&s3);
    storage["secret_access_key"] = json!(WRONG_SECRET);
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: access denied (SignatureDoesNotMatch); check access_key_id and secret_access_key, and that the key may put, get, list and delete objects under this prefix");
}

#[tokio::test]
async fn a_missing_object() {
    let (sim, mut stream) = (TestSim::start().await, contacts());
    stream.object = Some("Contakt".into());
    let job = Job::new(&sim, &[&stream]);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"object Contakt does not exist or the user may not see it; did you mean Contact? Check the API name, or grant the object permission in a profile or permission set of the integration user");
}

#[tokio::test]
async fn an_object_that_takes_no_records() {
    let sim = TestSim::start().await;
    let stream = Stream::new("users", "User", &["LastName"]);
    let job = Job::new(&sim, &[&stream]);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"object User: the user may not insert its records; grant Create on it in a profile or permission set of the integration user");
}

#[tokio::test]
async fn columns_that_are_misspelt_or_read_only() {
    let sim = TestSim::start().await;
    let stream = Stream::new(
        "contacts",
        "Contact",
        &["LastNme", "Emial", "Internal_Code__c", "FirstName"],
    );
    let job = Job::new(&sim, &[&stream]);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"object Contact: column Emial: Contact has no such field; map the column to another, nearest: Email; column Internal_Code__c: the user may not create it; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it; column LastNme: Contact has no such field; map the column to another, nearest: LastName, LastModifiedDate, LastModifiedById");
}

#[tokio::test]
async fn a_setting_out_of_range() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).set("max_job_bytes", 1);
    assert_snapshot!(refused(&sim, &job, &stream).await, @"max_job_bytes is 1; it must be between 10000 and 112500000");
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]);
    let mut args = job.write_args();
    let catalog = args.pop().unwrap();

    std::fs::write(&catalog, "{\"streams\": [").unwrap();
    args.push(catalog);
    let output = run(&args).await;
    output.keeps_secret(SECRETS);
    assert_snapshot!(output.failed("config_error"), @"the catalog cannot be read: streams: EOF while parsing a list at line 1 column 13");

    args.pop();
    args.push("/no/such/catalog.json".into());
    let output = run(&args).await;
    assert_snapshot!(output.failed("config_error"), @"the file of --catalog cannot be read: /no/such/catalog.json: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_sync_mode_that_salesforce_has_no_operation_for() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let mut configured = stream.configured();
    configured["destination_sync_mode"] = json!("overwrite");
    let job = Job::with_catalog(&sim, json!({"streams": [configured]}));
    assert_snapshot!(refused(&sim, &job, &stream).await, @"stream contacts: destination sync mode overwrite is not supported; choose append to insert, append_dedup to upsert, update, or soft_delete");
}

#[tokio::test]
async fn an_empty_stdin() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let output = Job::new(&sim, &[&stream]).write(&[]).await;
    assert_snapshot!(output.failed("transient_error"), @"the input ended without a COMPLETE or INCOMPLETE status of: contacts. Records that came were loaded; the source may have stopped early, so the sync has to be repeated");
    output.keeps_secret(SECRETS);
}

#[tokio::test]
async fn nothing_secret_is_logged_at_any_level() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let expire = json!({"path": "*/jobs/ingest/*", "skip": 1, "do": {"expire_tokens": {}}});
    let lose = json!({"method": "PATCH", "do": {"lose": {}}});
    sim.fault(&expire).await;
    sim.fault(&lose).await;
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", storage(&s3));
    let record = |key: &str, email: &str, name: &str| {
        stream.record(&json!({"Ext_Id__c": key, "Email": email, "LastName": name}))
    };
    let lines = [
        record("good-value", "good@value.example", "Goodvalue"),
        record("refused-value", "refused, value", "Refusedvalue"),
        record("local-value", "l@value.example", "#N/A"),
        stream.record_text(r#"{"LastName":"brokenvalue \ud800"}"#),
        format!(
            "{}{}",
            stream.record(&json!({"LastName": "Tornvalue"})),
            "}"
        ),
        "garbagevalue".to_owned(),
        stream.complete(),
    ];
    let mut running = Running::start_logging(&job.write_args(), "TRACE");
    running.feed(lines.to_vec());

    let output = running.finish().await.succeeded();

    output.keeps_secret(SECRETS);
    // "!AQ." is in each access token.
    output.keeps_secret(&["!AQ.", "value"]);
    assert!(!output.of("LOG").is_empty());
}

/// `connectionStatus` of a `check` that prints nothing else but logs, and ends in exit code 0.
fn status(output: &Output) -> &Value {
    assert_eq!(output.code, Some(0), "{output:#?}");
    output.keeps_secret(SECRETS);
    let statuses = output.of("CONNECTION_STATUS");
    assert_eq!(statuses.len(), 1, "{output:#?}");
    &statuses[0]["connectionStatus"]
}

#[tokio::test]
async fn check_of_a_config_that_works() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let job = Job::new(&sim, &[]).set("object_storage_config", storage(&s3));

    let output = run(&job.check_args()).await.succeeded();

    assert_eq!(status(&output), &json!({"status": "SUCCEEDED"}));
    assert!(
        s3.objects().is_empty(),
        "the object of the check is left behind"
    );
    let flags = [&["--check".to_owned()], &job.check_args()[1..]].concat();
    assert_eq!(status(&run(&flags).await), &json!({"status": "SUCCEEDED"}));
}

#[tokio::test]
async fn check_of_a_wrong_secret() {
    let sim = TestSim::start().await;
    let job = Job::new(&sim, &[]).set("client_secret", WRONG_SECRET);
    let output = run(&job.check_args()).await;
    assert_eq!(status(&output)["status"], "FAILED");
    assert_snapshot!(status(&output)["message"].as_str().unwrap(), @"the login at 127.0.0.1 was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup");
}

#[tokio::test]
async fn check_of_a_wrong_bucket() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let mut storage = storage(&s3);
    storage["s3_bucket_name"] = json!("no-such-bucket");
    let job = Job::new(&sim, &[]).set("object_storage_config", storage);
    let output = run(&job.check_args()).await;
    assert_eq!(status(&output)["status"], "FAILED");
    assert_snapshot!(status(&output)["message"].as_str().unwrap(), @"cannot write s3://no-such-bucket/rejected_records/1/testing/test/_check_test for rejected records: no such bucket; check s3_bucket_name, or create the bucket");
}

#[tokio::test]
async fn spec_prints_one_spec() {
    let output = run(&["spec"]).await.succeeded();
    let specs = output.of("SPEC");
    assert_eq!(specs.len(), 1);
    let spec = &specs[0]["spec"];
    assert_eq!(
        spec["connectionSpecification"]["required"],
        json!([
            "client_id",
            "client_secret",
            "refresh_token",
            "is_sandbox",
            "auth_type"
        ])
    );
    assert_eq!(spec["supported_destination_sync_modes"], json!(["append"]));
    let first = output
        .messages
        .iter()
        .position(|message| message["type"] == "SPEC");
    assert!(first.unwrap() < 10, "the platform looks at ten lines");
    let flag = run(&["--spec"]).await.succeeded();
    assert_eq!(&flag.of("SPEC")[0]["spec"], spec);
}

#[tokio::test]
async fn usage_errors_end_with_code_2() {
    for args in [
        &[][..],
        &["unknown"],
        &["check"],
        &["write", "--config", "c.json"],
    ] {
        let output = run(args).await;
        assert_eq!(output.code, Some(2), "{args:?}: {output:#?}");
        assert!(output.messages.is_empty());
        assert!(!output.stderr.is_empty());
    }
}
