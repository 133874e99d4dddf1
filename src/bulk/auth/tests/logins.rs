//! Logins: the grant, renewal, refusals.

use futures::future::join_all;
use tokio::net::TcpListener;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, Client, LoginRefused};
use crate::error::ErrorKind;

const SOBJECTS: &str = "GET /services/data/v62.0/sobjects";

async fn refused(error: Reply) -> BulkError {
    let server = Server::start().await;
    server.on(TOKEN, [error]);
    connect(server.credentials()).await.unwrap_err()
}

#[tokio::test]
async fn the_grant_is_a_form_with_encoded_values() {
    let server = Server::start().await;
    server.client().await;
    let login = &server.seen(TOKEN)[0];
    assert_eq!(
        login.text(),
        "grant_type=refresh_token&client_id=3MVG9.id&client_secret=sec%26ret%3D1\
         &refresh_token=5Aep861%2B%2Fx%3D%3D"
    );
    assert_eq!(
        login.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
}

#[tokio::test]
async fn one_login_for_all_who_find_the_session_expired() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(SOBJECTS, [reply(200, "{}")]);
    *server.dead.lock() = "Bearer T1".to_owned();
    let calls = join_all((0..8).map(|_| client.sobjects())).await;
    assert!(calls.into_iter().all(|call| call.is_ok()));
    assert_eq!(
        server.seen(TOKEN).len(),
        2,
        "the first login and one renewal"
    );
    assert_eq!(client.usage().refreshes, 1);
    let last = server.seen(SOBJECTS).pop().unwrap();
    assert_eq!(last.headers["authorization"], "Bearer T2");
}

#[tokio::test]
async fn an_html_401_renews_too_and_a_lasting_one_ends() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(
        SOBJECTS,
        [reply(401, "<html>expired</html>"), reply(200, "{}")],
    );
    client.sobjects().await.unwrap();
    server.on(SOBJECTS, [expired()]);
    let error = client.sobjects().await.unwrap_err();
    assert!(matches!(error, BulkError::Session { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        server.seen(TOKEN).len() <= 5,
        "{}",
        server.seen(TOKEN).len()
    );
}

#[tokio::test]
async fn a_refused_renewal_is_not_tried_again() {
    let server = Server::start().await;
    let client = server.client().await;
    let dead = r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#;
    server.on(TOKEN, [reply(400, dead)]);
    server.on(SOBJECTS, [expired()]);
    let calls = join_all((0..4).map(|_| client.sobjects())).await;
    for call in calls {
        let error = call.unwrap_err();
        assert!(matches!(error, BulkError::Login(_)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    client.sobjects().await.unwrap_err();
    assert_eq!(server.seen(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_login_under_way_elsewhere_is_waited_for() {
    let server = Server::start().await;
    let busy = r#"{"error":"invalid_grant",
        "error_description":"token request is already being processed"}"#;
    let expired = r#"{"error":"invalid_grant",
        "error_description":"expired authorization code"}"#;
    let replies = [
        reply(400, busy),
        reply(400, expired),
        reply(503, "<html>"),
        Reply::Lost,
        server.token("T9"),
    ];
    server.on(TOKEN, replies);
    let client = server.client().await;
    assert_eq!(server.seen(TOKEN).len(), 5);
    assert_eq!(pauses(&client).len(), 4);
}

#[tokio::test]
async fn kinds_of_refusals() {
    let secret = r#"{"error":"invalid_client","error_description":"bad sec&ret=1 5Aep861+/x=="}"#;
    let error = refused(reply(401, secret)).await;
    let BulkError::Login(LoginRefused {
        description, kind, ..
    }) = &error
    else {
        panic!("{error}");
    };
    assert_eq!(description, "bad *** ***");
    assert_eq!(*kind, ErrorKind::Config);

    let error = refused(reply(404, "<html>")).await;
    assert!(matches!(error, BulkError::LoginUrl { .. }), "{error}");
    for passing in ["<html>", r#"{"error":"new_error"}"#] {
        let error = refused(reply(500, passing)).await;
        assert!(matches!(error, BulkError::Unavailable { .. }), "{error}");
    }
    let error = refused(reply(200, "{}")).await;
    assert!(matches!(error, BulkError::Answer { .. }), "{error}");
    let elsewhere = r#"{"access_token":"T1","instance_url":"https://evil.example"}"#;
    let error = refused(reply(200, elsewhere)).await;
    assert!(matches!(error, BulkError::Instance { .. }), "{error}");
}

#[tokio::test]
async fn a_login_that_redirects_names_where_to() {
    let to = "https://acme.my.salesforce.com/login?token=secret";
    let error = refused(with_header(302, "Location", to, "")).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    let (url, rest) = text.split_once(" redirects").unwrap();
    assert!(url.starts_with("login_url http://127.0.0.1:"), "{url}");
    insta::assert_snapshot!(rest, @" to https://acme.my.salesforce.com; set login_url to where the org is now, over https (its My Domain: https://<name>.my.salesforce.com)");
    let server = Server::start().await;
    server.on(TOKEN, [reply(302, ""), server.token("T1")]);
    server.client().await;
}

#[tokio::test]
async fn a_start_is_given_up_soon_unless_nobody_waits_for_it() {
    let outage = || vec![reply(503, "<html>"); 12];
    let server = Server::start().await;
    server.on(TOKEN, outage());
    let error = connect(server.credentials()).await.unwrap_err();
    assert!(matches!(error, BulkError::Unavailable { .. }), "{error}");
    assert_eq!(server.seen(TOKEN).len(), 6);

    let server = Server::start().await;
    server.on(TOKEN, outage().into_iter().chain([server.token("T1")]));
    let client = Client::builder(server.credentials())
        .recorded()
        .unattended();
    let client = client.connect().await.unwrap();
    let pages = vec![reply(403, "<html>"); 12];
    server.on(SOBJECTS, pages.into_iter().chain([reply(200, "{}")]));
    client.sobjects().await.unwrap();
    let limits = "GET /services/data/v62.0/limits";
    server.on(limits, [reply(404, "<html>")]);
    client.limits().await.unwrap_err();
    assert_eq!(server.seen(limits).len(), 1, "they are not needed");
}

#[tokio::test]
async fn no_secret_in_debug() {
    let server = Server::start().await;
    let client = server.client().await;
    let credentials = server.credentials();
    let shown = format!("{client:?} {credentials:?}");
    for secret in ["sec&ret", "5Aep861", "Bearer", "T1"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn tokens_are_blotted_out_of_errors() {
    let server = Server::start().await;
    server.on(TOKEN, [server.token("00D!AQtoken")]);
    let client = server.client().await;
    let echo = api_error(400, "API_ERROR", "bad 00D!AQtoken and 5Aep861+/x==");
    server.on(SOBJECTS, [echo]);
    let error = client.sobjects().await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("bad *** and ***"), "{shown}");
    assert!(!shown.contains("AQtoken"), "{shown}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = Server::start().await;
    let mut credentials = server.credentials();
    credentials.login_url.set_port(Some(port)).unwrap();
    let error = connect(credentials).await.unwrap_err();
    assert!(
        matches!(&error, BulkError::Network { unsent: true, .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Transient);
}
