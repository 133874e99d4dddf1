//! Logins of each kind, and refresh tokens that rotate.

use serde_json::{Value, json};
use testkit::sim::{CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use testkit::{JWT_PRIVATE_KEY, JWT_PUBLIC_KEY, KEY};

use crate::harness::lines::{contact, contacts};
use crate::harness::process::{Job, Output, run};

/// The configs that the CONTROL messages ask to keep, in their order.
fn kept(output: &Output) -> Vec<Value> {
    let control = |message: &&Value| {
        let control = &message["control"];
        assert_eq!(control["type"], "CONNECTOR_CONFIG");
        assert!(control["emitted_at"].is_f64());
        control["connectorConfig"]["config"].clone()
    };
    output.of("CONTROL").iter().map(control).collect()
}

/// The only config to keep, which differs from that of the job by its refresh token.
fn only_kept(job: &Job, output: &Output) -> Value {
    let [config] = &kept(output)[..] else {
        panic!("one CONTROL message expected: {output:#?}");
    };
    assert_ne!(config["refresh_token"], job.config()["refresh_token"]);
    let mut same = config.clone();
    same["refresh_token"] = job.config()["refresh_token"].clone();
    assert_eq!(&same, job.config());
    config.clone()
}

#[tokio::test]
async fn each_command_starts_with_the_token_that_the_last_one_emitted() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"rotate_refresh_token": true})).await;
    let job = Job::new(&sim, &[&stream]).set("a_key_of_tomorrow", json!({"x": 1}));
    let output = run(&job.check_args()).await.succeeded();
    let first = only_kept(&job, &output);
    let position = |kind| {
        output
            .messages
            .iter()
            .position(|message| message["type"] == kind)
    };
    assert!(position("CONTROL") < position("CONNECTION_STATUS"));
    assert_eq!(
        output.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"],
        "SUCCEEDED"
    );

    let job = job.keep(&first);
    let output = run(&job.discover_args()).await.succeeded();
    let second = only_kept(&job, &output);

    // Jobs of a second each, two at once, and sessions of 0.3 seconds: many sessions in one write.
    const STATES: usize = 6;
    const RECORDS: usize = 100;
    let lifetime = json!({"secs": 0, "nanos": 300_000_000});
    let job_time = json!({"secs": 1, "nanos": 0});
    sim.set(&json!({"token_lifetime": lifetime, "job_time": job_time}))
        .await;
    let job = job
        .keep(&second)
        .set("max_job_rows", RECORDS)
        .set("max_jobs_in_flight", 2);
    let mut lines = Vec::new();
    for id in 0..STATES {
        lines.extend((0..RECORDS).map(|n| stream.record(&contact(id * RECORDS + n))));
        lines.push(stream.state(id as u64, RECORDS));
    }
    lines.push(stream.complete());
    let logins = sim.logins().await;
    let output = job.write(&lines).await.succeeded();
    let configs = kept(&output);
    let logins = sim.logins().await - logins;
    assert!(logins >= 6, "{logins} sessions in three seconds of jobs");
    assert_eq!(configs.len() as u64, logins, "each new token is emitted");
    assert!(output.state_ids().into_iter().eq(0..STATES as u64));
    let mut loaded = sim.column("Contact", KEY).await;
    loaded.sort_unstable();
    loaded.dedup();
    assert_eq!(loaded.len(), STATES * RECORDS);
    assert_eq!(sim.rows("Contact").await.len(), STATES * RECORDS);

    // The platform starts once more with the config from before the last rotation.
    sim.set(&json!({"token_lifetime": null})).await;
    let stale = job.keep(&configs[configs.len() - 2]);
    let requests = sim.token_requests().await;
    let output = stale.write(&[stream.complete()]).await;
    let message = output.failed("config_error");
    assert!(message.contains("replaced by a newer one"), "{message}");
    assert!(kept(&output).is_empty());
    assert_eq!(sim.token_requests().await - requests, 1);
}

#[tokio::test]
async fn a_stale_config_is_shown_once() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"rotate_refresh_token": true})).await;
    let job = Job::new(&sim, &[&stream]);
    run(&job.check_args()).await.succeeded();

    let requests = sim.token_requests().await;
    let output = job.write(&[stream.complete()]).await;
    insta::assert_snapshot!(output.failed("config_error"), @"the login at 127.0.0.1 was refused (invalid_grant: expired access/refresh token); the refresh token is not valid any more: it was revoked, has expired, was replaced by a newer one (where tokens rotate, only the newest is valid, and each connection needs its own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again and set the new refresh_token; check that login_url is the My Domain of this org (a sandbox has one of its own)");
    output.keeps_secret(&[CLIENT_SECRET, REFRESH_TOKEN]);
    assert!(kept(&output).is_empty());
    assert_eq!(sim.token_requests().await - requests, 1);
}

#[tokio::test]
async fn a_login_of_another_process_is_waited_for() {
    let sim = TestSim::start().await;
    let busy = json!({"error": "invalid_grant",
        "description": "token request is already being processed"});
    sim.fault(&json!({"path": "*/oauth2/token", "times": 2, "do": {"oauth_error": busy}}))
        .await;
    let output = run(&Job::new(&sim, &[]).check_args()).await.succeeded();
    assert_eq!(
        output.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"],
        "SUCCEEDED"
    );
}

#[tokio::test]
async fn logins_without_a_refresh_token() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"jwt_public_key": JWT_PUBLIC_KEY, "rotate_refresh_token": true}))
        .await;
    let app = Job::new(&sim, &[&stream])
        .set("auth_type", "ClientCredentials")
        .unset("refresh_token");
    let signed = Job::new(&sim, &[&stream])
        .set("auth_type", "JWT")
        .set("username", "loader@sim.example")
        .set("private_key", JWT_PRIVATE_KEY)
        .unset("client_secret")
        .unset("refresh_token");
    for (number, job) in [app, signed].into_iter().enumerate() {
        let lines = [stream.record(&contact(number)), stream.complete()];
        let output = job.write(&lines).await.succeeded();
        assert!(output.of("CONTROL").is_empty());
        output.keeps_secret(&[CLIENT_SECRET, JWT_PRIVATE_KEY.lines().nth(1).unwrap()]);
        assert_eq!(sim.rows("Contact").await.len(), number + 1);
    }
}

#[tokio::test]
async fn a_user_without_approval_cannot_be_signed_for() {
    let sim = TestSim::start().await;
    sim.set(&json!({"jwt_public_key": JWT_PUBLIC_KEY})).await;
    let job = Job::new(&sim, &[])
        .set("auth_type", "JWT")
        .set("username", "nobody@sim.example")
        .set("private_key", JWT_PRIVATE_KEY);
    let output = run(&job.check_args()).await.succeeded();
    let message = &output.of("CONNECTION_STATUS")[0]["connectionStatus"]["message"];
    insta::assert_snapshot!(message.as_str().unwrap(), @"the login at 127.0.0.1 was refused (invalid_grant: user hasn't approved this consumer); the user has not approved the app: authorize it, or let it pre-authorize users");
}
