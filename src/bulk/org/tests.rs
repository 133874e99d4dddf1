use crate::bulk::BulkError;
use crate::bulk::testing::*;
use crate::error::ErrorKind;

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
    server.on(route, [reply(200, r#"{"name":"X","fields":[]}"#)]);
    assert_eq!(
        client.describe("Kon/takt").await.unwrap(),
        br#"{"name":"X","fields":[]}"#
    );
}

#[tokio::test]
async fn what_is_no_describe_is_asked_for_again() {
    let server = Server::start().await;
    let client = server.client().await;
    let route = "GET /services/data/v62.0/sobjects/X/describe";
    let describe = r#"{"name":"X","fields":[]}"#;
    for odd in [
        reply(200, "{}"),
        reply(200, "[]"),
        reply(200, "null"),
        api_error(200, "SERVER_UNAVAILABLE", "?"),
        api_error(400, "QUERY_TIMEOUT", "?"),
        reply(501, "<html>"),
    ] {
        server.on(route, [odd.clone(), odd, reply(200, describe)]);
        assert_eq!(client.describe("X").await.unwrap(), describe.as_bytes());
    }
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
async fn a_describe_that_failed_among_others_is_asked_for_again() {
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
                (0, 200, r#"{"name":"A","fields":[]}"#),
            ]),
            reply(503, ""),
            composite(&[(0, 503, down)]),
            composite(&[(0, 200, r#"{"name":"C","fields":[]}"#)]),
        ],
    );
    let names = ["A", "B", "C"].map(str::to_owned);
    let described = client.describe_many(&names).await.unwrap();
    let [a, b, c] = &described[..] else {
        panic!("{described:?}")
    };
    assert_eq!(
        a.describe.as_ref().unwrap().get(),
        r#"{"name":"A","fields":[]}"#
    );
    let error = b.describe.as_ref().unwrap_err();
    assert!(matches!(error, BulkError::ObjectNotFound { object } if object == "B"));
    assert_eq!(
        c.describe.as_ref().unwrap().get(),
        r#"{"name":"C","fields":[]}"#
    );
    let seen = server.seen(route);
    assert_eq!(seen.len(), 4);
    assert!(seen[1].text().contains("/C/") && !seen[1].text().contains("/A/"));
    assert_eq!(pauses(&client).len(), 3);
}

#[tokio::test]
async fn what_the_org_says_of_itself() {
    const QUERY: &str = "GET /services/data/v62.0/query\
        ?q=SELECT+IsSandbox%2C+OrganizationType+FROM+Organization";
    let server = Server::start().await;
    let client = server.client().await;
    let said = r#"{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Organization"},
        "IsSandbox":true,"OrganizationType":"Developer Edition"}]}"#;
    server.on(QUERY, [reply(200, said)]);
    let org = client.organization().await.unwrap();
    assert_eq!(
        (org.host.as_str(), org.is_sandbox),
        ("127.0.0.1", Some(true))
    );
    assert_eq!(org.edition.as_deref(), Some("Developer Edition"));
    for silent in [
        api_error(
            400,
            "INVALID_TYPE",
            "sObject type 'Organization' is not supported.",
        ),
        reply(200, r#"{"totalSize":0,"done":true,"records":[]}"#),
    ] {
        server.on(QUERY, [silent]);
        assert_eq!(client.organization().await.unwrap().is_sandbox, None);
    }
}
