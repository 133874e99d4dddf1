//! Logins by each OAuth flow, and refresh tokens that rotate.

use std::collections::HashMap;
use std::sync::Arc;

use base64::engine::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, Client, Credentials};
use crate::error::ErrorKind;

const KEY: &str = testkit::JWT_PRIVATE_KEY;
const SOBJECTS: &str = "GET /services/data/v62.0/sobjects";
const USERINFO: &str = "GET /services/oauth2/userinfo";

fn form(seen: &Seen) -> HashMap<String, String> {
    form_urlencoded::parse(&seen.body).into_owned().collect()
}

/// An answer with a new refresh token.
fn rotating(server: &Server, token: &str, refresh_token: &str) -> Reply {
    let url = server.url.as_str().trim_end_matches('/').to_owned();
    reply(
        200,
        serde_json::json!({"access_token": token, "instance_url": url,
            "refresh_token": refresh_token})
        .to_string(),
    )
}

/// A login that keeps the tokens it is notified of, and how many requests there had been then.
async fn listening(server: &Arc<Server>) -> (Result<Client, BulkError>, Arc<Mutex<Vec<String>>>) {
    let notified = Arc::new(Mutex::new(Vec::new()));
    let (kept, seeing) = (Arc::clone(&notified), Arc::clone(server));
    let client = Client::builder(server.credentials())
        .recorded()
        .on_rotated_refresh_token(Arc::new(move |token: &SecretString| {
            let requests = seeing.seen.lock().len();
            let token = token.expose_secret();
            kept.lock().push(format!("{token} after {requests}"));
        }))
        .connect()
        .await;
    (client, notified)
}

fn signed(server: &Server) -> Credentials {
    Credentials::jwt_bearer(server.url.clone(), "3MVG9.id", "u@acme.example", KEY)
}

/// The audiences of the tokens that were shown.
fn audiences(server: &Server) -> Vec<String> {
    let claims = claims(server).into_iter();
    claims
        .map(|claims| claims["aud"].as_str().unwrap().to_owned())
        .collect()
}

/// The claims of the tokens that were shown.
fn claims(server: &Server) -> Vec<serde_json::Value> {
    let claims = |seen: Seen| {
        let assertion = form(&seen).remove("assertion").unwrap();
        let claim = assertion.split('.').nth(1).unwrap();
        let claim = URL_SAFE_NO_PAD.decode(claim).unwrap();
        serde_json::from_slice(&claim).unwrap()
    };
    server.seen(TOKEN).into_iter().map(claims).collect()
}

#[tokio::test]
async fn client_credentials_are_shown_alone() {
    let server = Server::start().await;
    let credentials = Credentials::client_credentials(server.url.clone(), "3MVG9.id", "s&s");
    let client = connect(credentials).await.unwrap();
    assert_eq!(
        server.seen(TOKEN)[0].text(),
        "grant_type=client_credentials&client_id=3MVG9.id&client_secret=s%26s"
    );
    assert!(client.rotated_refresh_token().is_none());
}

#[tokio::test]
async fn a_refresh_token_may_do_without_a_secret() {
    let server = Server::start().await;
    let credentials = Credentials::refresh_token(server.url.clone(), "3MVG9.id", "", "5Aep");
    connect(credentials).await.unwrap();
    assert_eq!(
        server.seen(TOKEN)[0].text(),
        "grant_type=refresh_token&client_id=3MVG9.id&refresh_token=5Aep"
    );
}

#[tokio::test]
async fn a_signed_token_is_shown_alone() {
    let server = Server::start().await;
    connect(signed(&server)).await.unwrap();
    let mut form = form(&server.seen(TOKEN)[0]);
    assert_eq!(form.remove("assertion").unwrap().split('.').count(), 3);
    let rest: Vec<_> = form.into_iter().collect();
    let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
    assert_eq!(rest, [("grant_type".to_owned(), kind)]);
    let own = server.url.as_str().trim_end_matches('/');
    assert_eq!(audiences(&server), [own]);
}

#[tokio::test]
async fn a_ready_access_token_is_used_until_it_expires() {
    let server = Server::start().await;
    let whose = r#"{"user_id":"0055g0000000001AAA","organization_id":"00D5g0000000000EAA"}"#;
    server.on(USERINFO, [reply(200, whose)]);
    server.on(SOBJECTS, [reply(200, "{}"), expired()]);
    let ready = || Credentials::access_token(server.url.clone(), "00D!ready-token");
    let client = connect(ready()).await.unwrap();
    assert_eq!(client.org_id(), "00D5g0000000000EAA");
    assert_eq!(client.user_id().as_deref(), Some("0055g0000000001AAA"));
    client.sobjects().await.unwrap();
    let call = &server.seen(SOBJECTS)[0];
    assert_eq!(call.headers["authorization"], "Bearer 00D!ready-token");
    let error = client.sobjects().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("the access token has expired"), "{text}");
    assert!(server.seen(TOKEN).is_empty(), "there is no login");
    assert!(!format!("{text} {:?}", ready()).contains("ready-token"));
}

#[tokio::test]
async fn a_ready_access_token_of_no_session_is_refused_at_once() {
    let server = Server::start().await;
    let ready = || Credentials::access_token(server.url.clone(), "00D!ready-token");
    for answer in [reply(401, ""), reply(403, "Bad_OAuth_Token")] {
        server.on(USERINFO, [answer]);
        let error = connect(ready()).await.unwrap_err();
        assert!(matches!(error, BulkError::Login(_)), "{error}");
    }
    server.on(USERINFO, [reply(403, "Missing_OAuth_Token")]);
    let client = connect(ready()).await.unwrap();
    assert_eq!(client.org_id(), "127.0.0.1");
    server.on(USERINFO, [reply(503, "<html>"), reply(200, "{}")]);
    connect(ready()).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_once() {
    let server = Server::start().await;
    let hours = |count| chrono::Utc::now() + chrono::TimeDelta::hours(count);
    let refused = |time: chrono::DateTime<chrono::Utc>| {
        let expired = r#"{"error":"invalid_grant","error_description":"invalid assertion"}"#;
        let date = time.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        with_header(400, "Date", &date, expired)
    };
    server.on(TOKEN, [refused(hours(-2)), server.token("T1")]);
    connect(signed(&server)).await.unwrap();
    let expiries = |server: &Server| -> Vec<i64> {
        let claims = claims(server).into_iter();
        claims
            .map(|claims| claims["exp"].as_i64().unwrap())
            .collect()
    };
    let shown = expiries(&server);
    assert_eq!(shown.len(), 2);
    assert!((7_100..7_300).contains(&(shown[0] - shown[1])), "{shown:?}");

    server.seen.lock().clear();
    server.on(TOKEN, [refused(hours(3)), refused(hours(6))]);
    connect(signed(&server)).await.unwrap_err();
    let shown = expiries(&server);
    assert!(
        (10_700..10_900).contains(&(shown[1] - shown[0])),
        "{shown:?}"
    );
    assert!(shown.len() <= 3, "{shown:?}");

    server.seen.lock().clear();
    server.on(TOKEN, [refused(hours(0))]);
    connect(signed(&server)).await.unwrap_err();
    assert_eq!(expiries(&server).len(), 1);
}

#[tokio::test]
async fn other_audiences_are_tried_only_if_one_is_refused() {
    let server = Server::start().await;
    let audience = r#"{"error":"invalid_grant","error_description":"audience is invalid"}"#;
    let refused = reply(400, audience);
    server.on(
        TOKEN,
        [
            refused.clone(),
            refused.clone(),
            server.token("T1"),
            server.token("T2"),
        ],
    );
    let client = connect(signed(&server)).await.unwrap();
    server.on(SOBJECTS, [expired(), reply(200, "{}")]);
    client.sobjects().await.unwrap();
    let own = server.url.as_str().trim_end_matches('/').to_owned();
    let (login, test) = (
        "https://login.salesforce.com",
        "https://test.salesforce.com",
    );
    assert_eq!(
        audiences(&server),
        [&own, login, test, test],
        "what worked is kept"
    );
    assert!(pauses(&client).is_empty());

    server.seen.lock().clear();
    server.on(TOKEN, [refused]);
    let error = connect(signed(&server)).await.unwrap_err();
    assert!(matches!(error, BulkError::Login(_)), "{error}");
    assert_eq!(audiences(&server), [&own, login, test]);

    server.seen.lock().clear();
    let other =
        r#"{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}"#;
    server.on(TOKEN, [reply(400, other)]);
    connect(signed(&server)).await.unwrap_err();
    assert_eq!(audiences(&server), [own]);
}

#[tokio::test]
async fn a_broken_key_asks_nobody() {
    let server = Server::start().await;
    let credentials = Credentials::jwt_bearer(server.url.clone(), "id", "u", "no key");
    let error = connect(credentials).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(server.seen(TOKEN).is_empty());
}

#[tokio::test]
async fn no_private_key_in_debug() {
    let server = Server::start().await;
    let shown = format!("{:?}", signed(&server));
    assert!(!shown.contains("MII"), "{shown}");
}

#[tokio::test]
async fn a_rotated_token_is_notified_before_its_session_is_used() {
    let server = Server::start().await;
    let logins = [rotating(&server, "T1", "R2"), rotating(&server, "T2", "R3")];
    server.on(TOKEN, logins);
    server.on(SOBJECTS, [expired(), reply(200, "{}")]);
    let (client, notified) = listening(&server).await;
    let client = client.unwrap();
    client.sobjects().await.unwrap();
    let notified = notified.lock();
    assert_eq!(*notified, ["R2 after 1", "R3 after 3"]);
    assert_eq!(form(&server.seen(TOKEN)[1])["refresh_token"], "R2");
    assert_eq!(
        client.rotated_refresh_token().unwrap().expose_secret(),
        "R3"
    );
}

#[tokio::test]
async fn a_token_that_stays_is_not_notified() {
    let server = Server::start().await;
    server.on(TOKEN, [rotating(&server, "T1", "5Aep861+/x==")]);
    let (client, notified) = listening(&server).await;
    client.unwrap();
    assert!(notified.lock().is_empty());
}

#[tokio::test]
async fn a_rotated_token_is_notified_even_if_the_rest_of_the_answer_is_unusable() {
    let elsewhere = r#"{"access_token":"T","instance_url":"https://evil.example",
        "refresh_token":"R2"}"#;
    for answer in [elsewhere, r#"{"refresh_token":"R2"}"#] {
        let server = Server::start().await;
        server.on(
            TOKEN,
            [
                reply(200, answer),
                reply(400, r#"{"error":"invalid_grant"}"#),
            ],
        );
        let (client, notified) = listening(&server).await;
        client.unwrap_err();
        assert_eq!(*notified.lock(), ["R2 after 1"]);
        let shown = |seen: Seen| form(&seen)["refresh_token"].clone();
        let shown: Vec<_> = server.seen(TOKEN).into_iter().map(shown).collect();
        assert!(shown[1..].iter().all(|shown| shown == "R2"), "{shown:?}");
    }
}
