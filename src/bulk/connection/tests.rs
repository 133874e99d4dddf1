//! Calls: signed, counted, repeated.

use std::time::Duration;

use crate::bulk::BulkError;
use crate::bulk::testing::*;
use crate::error::ErrorKind;

const SOBJECTS: &str = "GET /services/data/v62.0/sobjects";

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
async fn a_success_that_is_no_answer_is_an_error() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(SOBJECTS, [reply(200, "\n<html>maintenance</html>")]);
    let error = client.sobjects().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(
        error.to_string(),
        "listing the objects: Salesforce is unavailable (HTTP 200: an HTML or XML page); start \
         again later"
    );
    server.on(SOBJECTS, [reply(200, "")]);
    let error = client.sobjects().await.unwrap_err();
    assert!(
        error.to_string().ends_with("cannot be read: it is empty"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_an_end_is_none() {
    let server = Server::start().await;
    let client = server.client().await;
    let endless = " ".repeat(33 << 20);
    server.on(SOBJECTS, [reply(200, endless), reply(200, "{}")]);
    assert_eq!(client.sobjects().await.unwrap(), b"{}");
    assert_eq!(server.seen(SOBJECTS).len(), 2);
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
