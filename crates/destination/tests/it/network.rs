//! Networks as companies have them: a forward proxy, a private certificate authority.

use std::time::Duration;

use salesforce_sim::SimOptions;
use serde_json::json;
use testkit::forward::ForwardProxy;
use testkit::rejected;
use testkit::s3::{S3Server, SECRET_KEY};
use testkit::sim::{CLIENT_SECRET, TestSim};
use testkit::sts::StsServer;
use testkit::tls::{AUTHORITY, TlsFront};

use crate::harness::lines::{Stream, contact, contacts};
use crate::harness::process::{Job, Output, Running, storage};
use crate::storage::mixed;

const ORG: &str = "acme.my.salesforce.com";
const BUCKETS: &str = "s3.test.example";
const STS: &str = "sts.test.example";

/// An org, a bucket and a role behind TLS, in a network whose only way out is a proxy.
struct Network {
    sim: TestSim,
    s3: S3Server,
    sts: StsServer,
    proxy: ForwardProxy,
    fronts: [TlsFront; 3],
    stream: Stream,
}

impl Network {
    async fn start() -> Self {
        let options = SimOptions {
            instance_url: Some(format!("https://{ORG}")),
            ..TestSim::options(Duration::ZERO)
        };
        let sim = TestSim::with_options(options).await;
        let s3 = S3Server::start().await;
        let sts = StsServer::start(Some(chrono::TimeDelta::hours(1))).await;
        let proxy = ForwardProxy::start().await;
        let fronts = [
            TlsFront::start(sim.url()).await,
            TlsFront::start(s3.endpoint()).await,
            TlsFront::start(&sts.endpoint).await,
        ];
        for (host, front) in [ORG, BUCKETS, STS].iter().zip(&fronts) {
            proxy.route(&format!("{host}:443"), front.address());
        }
        Self {
            sim,
            s3,
            sts,
            proxy,
            fronts,
            stream: contacts(),
        }
    }

    /// A load into the org, whose rejected records go to the bucket.
    fn job(&self) -> Job {
        let mut storage = storage(&self.s3);
        storage["s3_endpoint"] = json!(format!("https://{BUCKETS}"));
        Job::new(&self.sim, &[&self.stream])
            .set("login_url", format!("https://{ORG}"))
            .set("object_storage_config", storage)
            .set("patience_seconds", 1)
            .set("wait_permille", 1)
    }

    fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// Hosts that the proxy was asked for, each once.
    fn asked(&self) -> Vec<String> {
        let mut seen = self.proxy.seen();
        seen.sort();
        seen.dedup();
        seen
    }
}

/// Variables that trust the authority, beside others.
fn trusting<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![("SSL_CERT_FILE", AUTHORITY)];
    variables.extend(others);
    variables
}

async fn run(args: &[String], lines: Vec<String>, environment: &[(&str, &str)]) -> Output {
    let mut running = Running::start_in(args, environment);
    running.feed(lines);
    running.finish().await
}

/// Why a check failed.
async fn refusal(job: &Job, environment: &[(&str, &str)]) -> String {
    let output = run(&job.check_args(), Vec::new(), environment).await;
    let status = &output.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED", "{output:#?}");
    status["message"].as_str().unwrap().to_owned()
}

async fn accepted(job: &Job, environment: &[(&str, &str)]) {
    let output = run(&job.check_args(), Vec::new(), environment).await;
    let status = &output.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "SUCCEEDED", "{output:#?}");
}

#[tokio::test]
async fn salesforce_s3_and_sts_are_reached_through_a_proxy() {
    let network = Network::start().await;
    let sts = format!("https://{STS}");
    let proxy = network.proxy_url();
    let environment = trusting(&[
        ("HTTPS_PROXY", &proxy),
        ("AWS_ACCESS_KEY_ID", "OWNKEY"),
        ("AWS_SECRET_ACCESS_KEY", "own-secret"),
        ("AWS_ENDPOINT_URL_STS", &sts),
    ]);
    let mut job = network.job();
    let mut config = job.config()["object_storage_config"].clone();
    config["role_arn"] = json!("arn:aws:iam::123456789:role/rejected");
    for key in ["access_key_id", "secret_access_key"] {
        config.as_object_mut().unwrap().remove(key);
    }
    job = job.set("object_storage_config", config);
    let lines = mixed(&network.stream);
    let output = run(&job.write_args(), lines, &environment).await;
    let output = output.succeeded();
    assert_eq!(output.state_ids(), [1]);
    assert_eq!(network.sim.rows("Contact").await.len(), 5);
    assert_eq!(rejected::read_all(&network.s3.objects()).len(), 3);
    assert_eq!(network.sts.seen().len(), 1);
    let all = [ORG, BUCKETS, STS].map(|host| format!("{host}:443"));
    assert_eq!(network.asked(), all);
}

#[tokio::test]
async fn hosts_of_no_proxy_are_reached_directly() {
    let network = Network::start().await;
    let port = network.fronts[1].address().port();
    let mut storage = storage(&network.s3);
    storage["s3_endpoint"] = json!(format!("https://127.0.0.1:{port}"));
    let job = network.job().set("object_storage_config", storage);
    let proxy = network.proxy_url();
    // Both run on this machine, so the proxy can reach it.
    let all = trusting(&[("ALL_PROXY", &proxy)]);
    accepted(&job, &all).await;
    let asked = network.asked();
    assert_eq!(
        asked,
        [format!("127.0.0.1:{port}"), format!("{ORG}:443")],
        "{asked:?}"
    );
    let excluded = format!("example.com, 127.0.0.0/8:1 127.0.0.1:{port}");
    let wrong = trusting(&[("ALL_PROXY", &proxy), ("NO_PROXY", &excluded)]);
    assert!(
        refusal(&job, &wrong)
            .await
            .contains("NO_PROXY has the entry")
    );
    let excluded = excluded.replace("127.0.0.0/8:1", "10.0.0.0/8");
    let some = trusting(&[("ALL_PROXY", &proxy), ("NO_PROXY", &excluded)]);
    accepted(&job, &some).await;
    assert_eq!(network.asked(), [format!("{ORG}:443")]);
    // Another machine's proxy would find itself there.
    let elsewhere = trusting(&[
        ("HTTP_PROXY", "http://proxy.test.example:3128"),
        ("HTTPS_PROXY", &proxy),
    ]);
    let plain = Job::new(&network.sim, &[&network.stream]).set("login_url", network.sim.url());
    network.sim.set(&json!({"instance_url": null})).await;
    accepted(&plain, &elsewhere).await;
    assert!(network.asked().is_empty());
}

#[tokio::test]
async fn what_is_reached_over_http_has_its_own_proxy() {
    let network = Network::start().await;
    network.sim.set(&json!({"instance_url": null})).await;
    let storage = storage(&network.s3);
    let job = Job::new(&network.sim, &[&network.stream]).set("object_storage_config", storage);
    let proxy = network.proxy_url();
    accepted(&job, &[("http_proxy", &proxy)]).await;
    let asked = network.asked();
    let to = |url: &str| asked.iter().any(|asked| asked.starts_with(url));
    assert!(
        to(network.sim.url()) && to(network.s3.endpoint()),
        "{asked:?}"
    );
    network.proxy.require("Basic bWU6aHVudGVyMg==");
    let refused = refusal(&job, &[("http_proxy", &proxy)]).await;
    let address = network.proxy.address().to_string();
    insta::assert_snapshot!(refused.replace(&address, "PROXY"), @"logging in: the proxy PROXY (http_proxy) asks for a user name and a password (HTTP 407); put them into http_proxy as http://user:password@host:port");
}

#[tokio::test]
async fn a_proxy_may_ask_for_a_password() {
    let network = Network::start().await;
    network.proxy.require("Basic bWU6aHVudGVyMiE=");
    let job = network.job();
    let address = network.proxy.address();
    let with = format!("http://me:hunter2%21@{address}");
    let output = run(
        &job.write_args(),
        mixed(&network.stream),
        &trusting(&[("HTTPS_PROXY", &with)]),
    )
    .await
    .succeeded();
    output.keeps_secret(&["hunter2", CLIENT_SECRET, SECRET_KEY]);
    let mut texts = Vec::new();
    for wrong in ["", "me:hunter3@"] {
        let proxy = format!("http://{wrong}{address}");
        let text = refusal(&job, &trusting(&[("HTTPS_PROXY", &proxy)])).await;
        assert!(!text.contains("hunter3"), "{text}");
        texts.push(text.replace(&address.to_string(), "PROXY"));
    }
    insta::assert_snapshot!(texts.join("\n"), @"
    logging in: the proxy PROXY (HTTPS_PROXY) asks for a user name and a password (HTTP 407); put them into HTTPS_PROXY as http://user:password@host:port
    logging in: the proxy PROXY (HTTPS_PROXY) asks for a user name and a password (HTTP 407); correct those in HTTPS_PROXY
    ");
}

#[tokio::test]
async fn a_proxy_may_be_reached_over_tls() {
    let network = Network::start().await;
    let front = TlsFront::start(&network.proxy_url()).await;
    let proxy = format!("https://localhost:{}", front.address().port());
    let environment = [("HTTPS_PROXY", proxy.as_str())];
    let output = run(
        &network.job().write_args(),
        mixed(&network.stream),
        &trusting(&environment),
    )
    .await;
    assert_eq!(output.succeeded().state_ids(), [1]);
    assert_eq!(
        network.asked(),
        [format!("{ORG}:443"), format!("{BUCKETS}:443")]
    );
    let untrusted = refusal(&network.job(), &environment).await;
    assert!(
        untrusted.contains("the certificate of the proxy"),
        "{untrusted}"
    );
    assert!(untrusted.contains("SSL_CERT_FILE"), "{untrusted}");
}

#[tokio::test]
async fn errors_name_the_proxy_that_is_in_the_way() {
    let network = Network::start().await;
    let job = network.job();
    let proxy = network.proxy_url();
    let environment = trusting(&[("HTTPS_PROXY", &proxy)]);
    let address = network.proxy.address().to_string();
    let mut texts = Vec::new();
    for status in [403, 502] {
        network.proxy.refuse(Some(status));
        texts.push(refusal(&job, &environment).await);
    }
    // The org is reached directly, the bucket through the proxy.
    network.proxy.refuse(None);
    network.sim.set(&json!({"instance_url": null})).await;
    let bucket_alone = network.job().set("login_url", network.sim.url());
    network.proxy.refuse(Some(403));
    texts.push(refusal(&bucket_alone, &environment).await);
    network.proxy.refuse(None);
    network.proxy.require("nothing");
    texts.push(refusal(&bucket_alone, &environment).await);
    let nobody = [("HTTPS_PROXY", "http://127.0.0.1:1")];
    texts.push(refusal(&job, &nobody).await);
    texts.push(refusal(&bucket_alone, &nobody).await);
    insta::assert_snapshot!(texts.join("\n").replace(&address, "PROXY"), @"
    logging in: no answer from acme.my.salesforce.com: the proxy PROXY (HTTPS_PROXY) did not connect to acme.my.salesforce.com; allow the host there, or list it in NO_PROXY; check the network, the proxy variables and Salesforce's status, then start again
    logging in: no answer from acme.my.salesforce.com: the proxy PROXY (HTTPS_PROXY) did not connect to acme.my.salesforce.com; allow the host there, or list it in NO_PROXY; check the network, the proxy variables and Salesforce's status, then start again
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: not reachable (the proxy PROXY (HTTPS_PROXY) did not connect to s3.test.example; allow the host there, or list it in NO_PROXY); check s3_endpoint, s3_bucket_region and the network
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: the proxy PROXY (HTTPS_PROXY) asks for a user name and a password (HTTP 407); put them into HTTPS_PROXY as http://user:password@host:port
    logging in: no answer from acme.my.salesforce.com: the proxy 127.0.0.1:1 (HTTPS_PROXY) cannot be reached: Connection refused (os error 111); check the network, the proxy variables and Salesforce's status, then start again
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: not reachable (the proxy 127.0.0.1:1 (HTTPS_PROXY) cannot be reached: Connection refused (os error 111)); check s3_endpoint, s3_bucket_region and the network
    ");
}

#[tokio::test]
async fn a_proxy_that_refuses_for_a_while_is_waited_for() {
    let network = Network::start().await;
    network.proxy.refuse(Some(503));
    let proxy = network.proxy_url();
    let environment = trusting(&[("HTTPS_PROXY", &proxy)]);
    let job = network
        .job()
        .set("patience_seconds", 600)
        .set("wait_permille", 10);
    let mut running = Running::start_in(&job.write_args(), &environment);
    running.feed(mixed(&network.stream));
    while network.proxy.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    network.proxy.refuse(None);
    running.finish().await.succeeded();
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_names_the_way_to_trust_it() {
    let network = Network::start().await;
    let proxy = network.proxy_url();
    let job = network.job();
    let untrusting = [("HTTPS_PROXY", proxy.as_str())];
    let org = refusal(&job, &untrusting).await;
    network.sim.set(&json!({"instance_url": null})).await;
    let bucket_alone = network.job().set("login_url", network.sim.url());
    let bucket = refusal(&bucket_alone, &untrusting).await;
    // A host that the certificate is not for.
    let front = network.fronts[0].address();
    network.proxy.route("test.salesforce.com:443", front);
    let other = network
        .job()
        .set("login_url", "https://test.salesforce.com");
    let name = refusal(&other, &trusting(&untrusting)).await;
    insta::assert_snapshot!([org, bucket, name].join("\n"), @r#"
    logging in: the certificate of acme.my.salesforce.com is not trusted (UnknownIssuer); if a private authority signed it, name the file of the authority's certificate, in PEM form, by SSL_CERT_FILE (only what it holds is trusted then)
    cannot write s3://rejected-records/rejected_records/1/testing/test/_check_test for rejected records: the certificate of s3.test.example is not trusted (UnknownIssuer); if a private authority signed it, name the file of the authority's certificate, in PEM form, by SSL_CERT_FILE (only what it holds is trusted then)
    logging in: the certificate of test.salesforce.com is not trusted (certificate not valid for name "test.salesforce.com"; certificate is only valid for DnsName("*.my.salesforce.com"), DnsName("login.salesforce.com"), DnsName("*.test.example"), DnsName("*.s3.test.example"), DnsName("localhost") or IpAddress(127.0.0.1)); check the clock of this machine, what answers in place of the host, and SSL_CERT_FILE
    "#);
}

#[tokio::test]
async fn certificates_and_proxies_that_are_none_are_config_errors() {
    let network = Network::start().await;
    let job = network.job();
    for (variable, value) in [
        ("SSL_CERT_FILE", "/no/such.pem"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080"),
        ("ALL_PROXY", "http://proxy.test.example:port"),
        ("NO_PROXY", "10.0.0.0/99"),
    ] {
        let lines = vec![network.stream.complete()];
        let output = run(&job.write_args(), lines, &[(variable, value)]).await;
        let message = output.failed("config_error");
        assert!(message.starts_with(variable), "{message}");
    }
}

#[tokio::test]
async fn a_token_goes_to_allowed_hosts_only() {
    let network = Network::start().await;
    let proxy = network.proxy_url();
    let environment = trusting(&[("HTTPS_PROXY", &proxy)]);
    let front = network.fronts[0].address();
    network.proxy.route("api.test.example:8443", front);
    let gateway = json!({"instance_url": "https://api.test.example:8443"});
    network.sim.set(&gateway).await;
    let refused = refusal(&network.job(), &environment).await;
    insta::assert_snapshot!(refused, @"the login answered the instance api.test.example, which is not one of Salesforce's hosts over https (it names a port); check login_url, or allow a host of your own by instance_hosts");
    assert_eq!(network.asked(), [format!("{ORG}:443")]);
    for allowed in [
        json!(["other.example", "test.example"]),
        json!("api.test.example,x.example"),
    ] {
        let job = network.job().set("instance_hosts", allowed);
        accepted(&job, &environment).await;
    }
    // A gateway may be logged in at.
    let job = network
        .job()
        .set("instance_hosts", "test.example")
        .set("login_url", "https://api.test.example:8443");
    let lines = vec![
        network.stream.record(&contact(1)),
        network.stream.complete(),
    ];
    run(&job.write_args(), lines, &environment)
        .await
        .succeeded();
    assert_eq!(network.sim.rows("Contact").await.len(), 1);
    let no_host = network
        .job()
        .set("instance_hosts", json!(["https://api.test.example"]));
    let refused = refusal(&no_host, &environment).await;
    insta::assert_snapshot!(refused, @r#"instance_hosts has "https://api.test.example", which is no name of a host; give names such as api.example.com, without https:// and port"#);
}
