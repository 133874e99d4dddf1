//! What is refused before, or in place of, a handler.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions};

#[tokio::test]
async fn every_refusal_is_a_list_of_errors() {
    let client = Client::start(SimOptions::default()).await;
    let long = "x".repeat(9_000);
    for (method, path, header, expected) in [
        (Method::POST, "/query", "", (405, "METHOD_NOT_ALLOWED")),
        (
            Method::PUT,
            "/jobs/query/1",
            "",
            (405, "METHOD_NOT_ALLOWED"),
        ),
        (
            Method::GET,
            "/query?q=SELECT Id FROM Contact&columns=maybe",
            "",
            (400, "INVALID_QUERY_PARAMETER"),
        ),
        (
            Method::GET,
            "/jobs/query/1/results?maxRecords=abc",
            "",
            (400, "INVALID_QUERY_PARAMETER"),
        ),
        (
            Method::GET,
            &format!("/query?q={long}{long}"),
            "",
            (414, "URI_TOO_LONG"),
        ),
        (
            Method::GET,
            &format!("/query?q={long}"),
            &long,
            (431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        ),
    ] {
        let call = client.call(method, path).header("x-more", header);
        let response = call.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        let code = body[0]["errorCode"].as_str().unwrap_or_default();
        assert_eq!((status, code), expected, "{path:.40} {body}");
    }
}

#[tokio::test]
async fn with_a_key_the_inspection_is_closed_to_others() {
    let client = Client::start(SimOptions {
        inspection_key: Some("secret".to_owned()),
        ..SimOptions::default()
    })
    .await;
    let url = format!("{}/sim/faults", client.sim.url());
    let ask = async |key: Option<&str>| {
        let mut request = client.http.delete(&url);
        if let Some(key) = key {
            request = request.header("Sim-Key", key);
        }
        request.send().await.unwrap().status()
    };
    assert_eq!(ask(None).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(Some("secrets")).await, StatusCode::NOT_FOUND);
    assert!(ask(Some("secret")).await.is_success());
    // It cannot be taken away.
    let change = client
        .http
        .post(format!("{}/sim/options", client.sim.url()));
    let change = change.header("Sim-Key", "secret");
    let change = change.json(&json!({"inspection_key": null}));
    assert!(change.send().await.unwrap().status().is_success());
    assert_eq!(ask(None).await, StatusCode::NOT_FOUND);
}
