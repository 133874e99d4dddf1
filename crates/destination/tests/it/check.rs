//! `check`: what it says of each thing that can be wrong, and what it lets pass.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::s3::S3Server;
use testkit::sim::{CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::process::{Job, Output, run, storage};

/// Runs `check` and gives back its answer.
async fn checked(job: &Job) -> (Value, Output) {
    let output = run(&job.check_args()).await;
    assert_eq!(output.code, Some(0), "{output:#?}");
    assert!(output.of("TRACE").is_empty(), "{output:#?}");
    output.keeps_secret(&[CLIENT_SECRET, REFRESH_TOKEN, "!AQ."]);
    let [answer] = output.of("CONNECTION_STATUS")[..] else {
        panic!("one answer expected: {output:#?}");
    };
    (answer["connectionStatus"].clone(), output)
}

/// Runs `check`, which fails, and gives back why.
async fn message(job: &Job) -> String {
    let (answer, output) = checked(job).await;
    assert_eq!(answer["status"], "FAILED", "{output:#?}");
    answer["message"].as_str().unwrap().to_owned()
}

/// What `check` says if a call is answered with this error.
async fn answered(path: &str, action: Value) -> String {
    let sim = TestSim::start().await;
    sim.fault(&json!({"path": path, "times": 0, "do": action}))
        .await;
    message(&Job::new(&sim, &[])).await
}

async fn login_refused(error: &str, description: &str) -> String {
    let action = json!({"oauth_error": {"error": error, "description": description}});
    answered("*/oauth2/token", action).await
}

async fn api_refused(status: u16, code: &str, message: &str) -> String {
    let action = json!({"api_error": {"status": status, "code": code, "message": message}});
    answered("*/sobjects", action).await
}

#[tokio::test]
async fn wrong_credentials() {
    let sim = TestSim::start().await;
    let with = |key: &str| Job::new(&sim, &[]).set(key, "something-wrong");
    let texts = [
        message(&with("client_id")).await,
        message(&with("client_secret")).await,
        message(&with("refresh_token")).await,
    ];
    assert_snapshot!(texts.join("\n"), @"
    the login at 127.0.0.1 was refused (invalid_client_id: client identifier invalid); client_id is not the consumer key of an app of this org: copy it again from the app's page in Setup; check that login_url is the My Domain of this org (a sandbox has one of its own)
    the login at 127.0.0.1 was refused (invalid_client: invalid client credentials); client_secret is not the consumer secret of the app: copy it again from the app's page in Setup
    the login at 127.0.0.1 was refused (invalid_grant: expired access/refresh token); the refresh token is not valid any more: it was revoked, has expired, was replaced by a newer one (where tokens rotate, only the newest is valid, and each connection needs its own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again and set the new refresh_token; check that login_url is the My Domain of this org (a sandbox has one of its own)
    ");
}

#[tokio::test]
async fn apps_and_users_that_are_not_approved() {
    let texts = [
        login_refused(
            "invalid_app_access",
            "user is not admin approved to access this app",
        )
        .await,
        login_refused("invalid_grant", "user hasn't approved this consumer").await,
        login_refused("invalid_grant", "inactive user").await,
        login_refused("invalid_grant", "ip restricted").await,
        api_refused(
            400,
            "CLIENT_NOT_ACCESSIBLE_FOR_USER",
            "client not accessible",
        )
        .await,
    ];
    assert_snapshot!(texts.join("\n"), @"
    the login at 127.0.0.1 was refused (invalid_app_access: user is not admin approved to access this app); the user may not use this app: in Setup, give the user's profile or a permission set access to it, or let it pre-authorize users
    the login at 127.0.0.1 was refused (invalid_grant: user hasn't approved this consumer); the user has not approved the app: authorize it, or let it pre-authorize users
    the login at 127.0.0.1 was refused (invalid_grant: inactive user); the user is inactive: activate it in Setup > Users
    the login at 127.0.0.1 was refused (invalid_grant: ip restricted); logins from this address are not allowed: add it to the app's or the profile's IP ranges, or relax them
    listing the objects: Salesforce refused it (HTTP 400 CLIENT_NOT_ACCESSIBLE_FOR_USER: client not accessible); the app is not approved for the user: in Setup, give the user's profile or a permission set access to it
    ");
}

#[tokio::test]
async fn an_org_without_the_api() {
    let disabled = "API is not enabled for this Organization or Partner";
    let texts = [
        api_refused(403, "API_DISABLED_FOR_ORG", disabled).await,
        api_refused(403, "API_CURRENTLY_DISABLED", "API is currently disabled").await,
        api_refused(
            403,
            "FUNCTIONALITY_NOT_ENABLED",
            "not enabled for this edition",
        )
        .await,
        api_refused(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        )
        .await,
    ];
    assert_snapshot!(texts.join("\n"), @"
    listing the objects: Salesforce refused it (HTTP 403 API_DISABLED_FOR_ORG: API is not enabled for this Organization or Partner); the API is switched off for the user or the whole org: give the integration user the permission API Enabled, or ask Salesforce to enable the API of the org
    listing the objects: Salesforce refused it (HTTP 403 API_CURRENTLY_DISABLED: API is currently disabled); the API is switched off for the user or the whole org: give the integration user the permission API Enabled, or ask Salesforce to enable the API of the org
    listing the objects: Salesforce refused it (HTTP 403 FUNCTIONALITY_NOT_ENABLED: not enabled for this edition); the edition of the org does not include it: the API is part of the Enterprise, Unlimited, Performance and Developer Editions, others can buy it from Salesforce
    listing the objects: the org's API requests of 24 hours (DailyApiRequests) are used up (TotalRequests Limit exceeded.); each is free again a day after it was used: start again later, wait for that by a longer limit_wait_seconds, or ask Salesforce for more
    ");
}

#[tokio::test]
async fn a_user_who_may_write_nothing() {
    let sim = TestSim::start().await;
    sim.set(&json!({"writable_objects": []})).await;
    assert_snapshot!(message(&Job::new(&sim, &[])).await, @"the user can log in, but may write none of the 11 objects that it sees: give it a permission set with Create, Edit or Delete on the objects to load, and a licence that allows them");
    sim.set(&json!({"writable_objects": ["Contact"]})).await;
    assert_eq!(
        checked(&Job::new(&sim, &[])).await.0,
        json!({"status": "SUCCEEDED"})
    );
}

#[tokio::test]
async fn the_sandbox_switch() {
    let sim = TestSim::start().await;
    let job = || Job::new(&sim, &[]);
    let production = message(&job().set("is_sandbox", true)).await;
    sim.set(&json!({"sandbox": true})).await;
    let sandbox = message(&job()).await;
    assert_snapshot!([production, sandbox].join("\n"), @"
    is_sandbox is on, but the org at 127.0.0.1 says that it is no sandbox: switch is_sandbox off (other orgs log in at login.salesforce.com), or give the credentials of the sandbox
    is_sandbox is off, but the org at 127.0.0.1 says that it is a sandbox: switch is_sandbox on (sandboxes log in at test.salesforce.com), or give the credentials of the production org
    ");

    let succeeded = json!({"status": "SUCCEEDED"});
    assert_eq!(checked(&job().set("is_sandbox", true)).await.0, succeeded);
    assert_eq!(checked(&job().unset("is_sandbox")).await.0, succeeded);
    let refusal = json!({"api_error": {"code": "INVALID_TYPE", "message": "not supported"}});
    sim.fault(&json!({"path": "*/query*", "times": 0, "do": refusal}))
        .await;
    assert_eq!(checked(&job()).await.0, succeeded, "nobody knows");
}

#[tokio::test]
async fn allowances_that_run_out() {
    let left = |requests: i64, batches: i64| {
        json!({"DailyApiRequests": {"Max": 15_000, "Remaining": requests},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": batches}})
        .to_string()
    };
    let body = |text: String| json!({"status": {"code": 200, "body": text}});
    let texts = [
        answered("*/limits", body(left(0, 15_000))).await,
        answered("*/limits", body(left(15_000, 0))).await,
    ];
    assert_snapshot!(texts.join("\n"), @"
    none of the 15000 API requests that the org has for 24 hours is left: try again later, find out in Setup what uses them up, or ask Salesforce for more
    none of the 15000 Bulk API batches that the org has for 24 hours is left: try again later, find out in Setup what uses them up, or ask Salesforce for more
    ");

    let refusal = json!({"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS"}});
    for (action, warning) in [
        (
            body(left(1_499, 15_000)),
            "only 1499 of the 15000 API requests",
        ),
        (
            body(left(15_000, 20)),
            "only 20 of the 15000 Bulk API batches",
        ),
        (refusal, "the limits of the org are not known"),
    ] {
        let sim = TestSim::start().await;
        sim.fault(&json!({"path": "*/limits", "do": action})).await;
        let (answer, output) = checked(&Job::new(&sim, &[])).await;
        assert_eq!(answer["status"], "SUCCEEDED", "{output:#?}");
        let logs = output.of("LOG");
        let warned = logs.iter().any(|log| {
            let text = log["log"]["message"].as_str().unwrap();
            log["log"]["level"] == "WARN" && text.contains(warning)
        });
        assert!(warned, "{logs:#?}");
    }
}

/// A bucket that refuses every request with this error.
async fn bucket_refusing(status: u16, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
            let answer = format!("{head}connection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    endpoint
}

#[tokio::test]
async fn buckets() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let with = |key: &str, value: &str| {
        let mut storage = storage(&s3);
        storage[key] = json!(value);
        Job::new(&sim, &[]).set("object_storage_config", storage)
    };
    let region = bucket_refusing(400, "AuthorizationHeaderMalformed").await;
    let denied = bucket_refusing(403, "AccessDenied").await;
    let texts = [
        message(&with("s3_bucket_name", "no-such-bucket")).await,
        message(&with("secret_access_key", "something-wrong")).await,
        message(&with("s3_endpoint", &denied)).await,
        message(&with("s3_endpoint", &region)).await,
    ];
    assert_snapshot!(texts.join("\n"), @"
    cannot write s3://no-such-bucket/rejected_records/1/testing/test/_check_test for rejected records: no such bucket; check s3_bucket_name, or create the bucket
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: access denied (SignatureDoesNotMatch); check access_key_id and secret_access_key, and that the key may put, get, list and delete objects under this prefix
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: access denied (AccessDenied); check access_key_id and secret_access_key, and that the key may put, get, list and delete objects under this prefix
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: the bucket is in another region; set s3_bucket_region to the bucket's own
    ");
    let works = Job::new(&sim, &[]).set("object_storage_config", storage(&s3));
    assert_eq!(checked(&works).await.0, json!({"status": "SUCCEEDED"}));
}

#[tokio::test]
async fn a_check_costs_three_calls() {
    let sim = TestSim::start().await;
    checked(&Job::new(&sim, &[])).await;
    assert_eq!(sim.state().await["api_calls"], 3);
}
