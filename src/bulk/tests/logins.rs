//! Logins: the grant, renewal, rotation, refusals.

use futures::future::join_all;

use super::*;
use crate::bulk::LoginRefused;
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
async fn calls_are_signed_and_counted() {
    let server = Server::start().await;
    let answer = with_header(
        200,
        "Sforce-Limit-Info",
        "api-usage=18/5000",
        r#"{"sobjects":[]}"#,
    );
    server.on(SOBJECTS, [answer]);
    let client = server.client().await;
    assert_eq!(client.sobjects().await.unwrap(), br#"{"sobjects":[]}"#);
    let call = &server.seen(SOBJECTS)[0];
    assert_eq!(call.headers["authorization"], "Bearer T1");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        call.headers["sforce-call-options"],
        format!("client=arrow-salesforce/{version}")
    );
    let usage = client.usage();
    assert_eq!((usage.api_calls, usage.refreshes), (1, 0));
    let org = usage.org.unwrap();
    assert_eq!((org.used, org.allowed), (18, 5000));
}

#[tokio::test]
async fn one_login_for_all_who_find_the_session_expired() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(SOBJECTS, [reply(200, "{}")]);
    *server.dead.lock().unwrap() = "Bearer T1".to_owned();
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
    let replies = [
        reply(400, busy),
        reply(503, "<html>"),
        Reply::Lost,
        server.token("T9"),
    ];
    server.on(TOKEN, replies);
    let client = server.client().await;
    assert_eq!(server.seen(TOKEN).len(), 4);
    assert_eq!(pauses(&client).len(), 3);
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

    let error = refused(reply(302, "")).await;
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
async fn reads_are_repeated_and_retry_after_honoured() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(
        SOBJECTS,
        [
            with_header(503, "Retry-After", "17", "<html>maintenance</html>"),
            Reply::Lost,
            Reply::Cut("{".to_owned()),
            api_error(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests Limit exceeded.",
            ),
            reply(200, "<html>maintenance</html>"),
            reply(200, "{}"),
        ],
    );
    assert_eq!(client.sobjects().await.unwrap(), b"{}");
    let pauses = pauses(&client);
    assert_eq!(pauses.len(), 5);
    assert_eq!(pauses[0], Duration::from_secs(17));
}

#[tokio::test]
async fn a_success_that_is_no_answer_is_told_apart() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(SOBJECTS, [reply(200, "\n<html>maintenance</html>")]);
    let error = client.sobjects().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(
        error.to_string(),
        "listing the objects: Salesforce is unavailable (HTTP 200: an HTML or XML page); this \
         passes, start again later"
    );
    server.on(SOBJECTS, [reply(200, "")]);
    let error = client.sobjects().await.unwrap_err();
    assert!(
        error.to_string().ends_with("cannot be read: it is empty"),
        "{error}"
    );
}

#[tokio::test]
async fn the_daily_limit_ends_at_once() {
    let server = Server::start().await;
    let client = server.client().await;
    let used_up = api_error(
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "TotalRequests Limit exceeded.",
    );
    server.on(SOBJECTS, [used_up]);
    let error = client.sobjects().await.unwrap_err();
    assert!(matches!(error, BulkError::DailyLimit { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(server.seen(SOBJECTS).len(), 1);
}

#[tokio::test]
async fn an_unknown_object_is_a_config_error() {
    let server = Server::start().await;
    let client = server.client().await;
    let route = "GET /services/data/v62.0/sobjects/Kon%2Ftakt/describe";
    server.on(
        route,
        [api_error(
            404,
            "NOT_FOUND",
            "The requested resource does not exist",
        )],
    );
    let error = client.describe("Kon/takt").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "object Kon/takt does not exist or the user may not see it; check the API name, or grant \
         the object permission in a profile or permission set of the integration user"
    );
    assert_eq!(error.kind(), ErrorKind::Config);
    server.on(route, [reply(200, r#"{"name":"X"}"#)]);
    assert_eq!(
        client.describe("Kon/takt").await.unwrap(),
        br#"{"name":"X"}"#
    );
}

fn composite(parts: &[(usize, u16, &str)]) -> Reply {
    let parts: Vec<String> = parts
        .iter()
        .map(|(index, status, body)| {
            format!(
                r#"{{"body":{body},"httpHeaders":{{}},"httpStatusCode":{status},
                "referenceId":"describe{index}"}}"#
            )
        })
        .collect();
    reply(
        200,
        format!(r#"{{"compositeResponse":[{}]}}"#, parts.join(",")),
    )
}

#[tokio::test]
async fn a_describe_that_failed_among_others_is_asked_for_once_more() {
    let server = Server::start().await;
    let client = server.client().await;
    let route = "POST /services/data/v62.0/composite";
    let down = r#"[{"errorCode":"SERVER_UNAVAILABLE","message":"down"}]"#;
    let hidden = r#"[{"errorCode":"NOT_FOUND","message":"no"}]"#;
    server.on(
        route,
        [
            composite(&[
                (2, 503, down),
                (1, 404, hidden),
                (0, 200, r#"{"name":"A"}"#),
            ]),
            composite(&[(0, 200, r#"{"name":"C"}"#)]),
        ],
    );
    let names = ["A", "B", "C"].map(str::to_owned);
    let described = client.describe_many(&names).await.unwrap();
    let [a, b, c] = &described[..] else {
        panic!("{described:?}")
    };
    assert_eq!(a.describe.as_ref().unwrap().get(), r#"{"name":"A"}"#);
    let error = b.describe.as_ref().unwrap_err();
    assert!(matches!(error, BulkError::ObjectNotFound { object } if object == "B"));
    assert_eq!(c.describe.as_ref().unwrap().get(), r#"{"name":"C"}"#);
    let seen = server.seen(route);
    assert_eq!(seen.len(), 2);
    assert!(seen[1].text().contains("/C/") && !seen[1].text().contains("/A/"));
    assert_eq!(pauses(&client).len(), 1);
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
