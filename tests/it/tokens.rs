//! Logins of each kind, and refresh tokens that rotate.

use serde_json::{Value, json};

use crate::harness::lines::{contact, contacts};
use crate::harness::process::{CLIENT_SECRET, Job, Output, REFRESH_TOKEN, run};
use crate::harness::sim::TestSim;

const PRIVATE_KEY: &str = include_str!("../../src/sim/tests/jwt_key.pem");
const PUBLIC_KEY: &str = include_str!("../../src/sim/tests/jwt_key.pub.pem");

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
async fn each_command_starts_with_the_token_that_the_last_one_told() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"rotate_refresh_token": true})).await;
    let job = Job::new(&sim, &[&stream]).set("a_key_of_tomorrow", json!({"x": 1}));
    let output = run(&job.check_args()).await.succeeded();
    let first = only_kept(&job, &output);
    let place = |kind| {
        output
            .messages
            .iter()
            .position(|message| message["type"] == kind)
    };
    assert!(place("CONTROL") < place("CONNECTION_STATUS"));
    assert_eq!(
        output.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"],
        "SUCCEEDED"
    );

    let job = job.keep(&first);
    let output = run(&job.discover_args()).await.succeeded();
    let second = only_kept(&job, &output);

    let lifetime = json!({"secs": 0, "nanos": 300_000_000});
    let job_time = json!({"secs": 2, "nanos": 0});
    sim.set(&json!({"token_lifetime": lifetime, "job_time": job_time}))
        .await;
    let job = job.keep(&second);
    let lines = [stream.record(&contact(1)), stream.complete()];
    let output = job.write(&lines).await.succeeded();
    let configs = kept(&output);
    assert!(
        configs.len() > 1,
        "a session is shorter than the job: {output:#?}"
    );
    assert_eq!(sim.rows("Contact").await.len(), 1);

    sim.set(&json!({"token_lifetime": null})).await;
    let newest = job.keep(configs.last().unwrap());
    run(&newest.check_args()).await.succeeded();
}

#[tokio::test]
async fn a_stale_config_is_shown_once() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"rotate_refresh_token": true})).await;
    let job = Job::new(&sim, &[&stream]);
    run(&job.check_args()).await.succeeded();

    let output = job.write(&[stream.complete()]).await;
    insta::assert_snapshot!(output.failed("config_error"), @"the login at 127.0.0.1 was refused (invalid_grant: expired access/refresh token); the refresh token does not count: it was revoked, has expired, was replaced by a newer one (where tokens rotate only the last one counts, and each connection needs its own), or was pushed out by a later approval (Salesforce keeps five per user and app); authorize again and set the new refresh_token; check that login_url is the My Domain of this org (a sandbox has one of its own)");
    output.keeps_secret(&[CLIENT_SECRET, REFRESH_TOKEN]);
    assert!(kept(&output).is_empty());
    assert!(
        !output.lines.iter().any(|line| line.contains("repeating")),
        "{output:#?}"
    );
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
    sim.set(&json!({"jwt_public_key": PUBLIC_KEY, "rotate_refresh_token": true}))
        .await;
    let app = Job::new(&sim, &[&stream])
        .set("auth_type", "ClientCredentials")
        .unset("refresh_token");
    let signed = Job::new(&sim, &[&stream])
        .set("auth_type", "JWT")
        .set("username", "loader@sim.example")
        .set("private_key", PRIVATE_KEY)
        .unset("client_secret")
        .unset("refresh_token");
    for (number, job) in [app, signed].into_iter().enumerate() {
        let lines = [stream.record(&contact(number)), stream.complete()];
        let output = job.write(&lines).await.succeeded();
        assert!(output.of("CONTROL").is_empty());
        output.keeps_secret(&[CLIENT_SECRET, PRIVATE_KEY.lines().nth(1).unwrap()]);
        assert_eq!(sim.rows("Contact").await.len(), number + 1);
    }
}

#[tokio::test]
async fn a_user_without_approval_cannot_be_signed_for() {
    let sim = TestSim::start().await;
    sim.set(&json!({"jwt_public_key": PUBLIC_KEY})).await;
    let job = Job::new(&sim, &[])
        .set("auth_type", "JWT")
        .set("username", "nobody@sim.example")
        .set("private_key", PRIVATE_KEY);
    let output = run(&job.check_args()).await.succeeded();
    let message = &output.of("CONNECTION_STATUS")[0]["connectionStatus"]["message"];
    insta::assert_snapshot!(message.as_str().unwrap(), @"the login at 127.0.0.1 was refused (invalid_grant: user hasn't approved this consumer); the user has not approved the app: authorize it, or let it pre-authorize users");
}
