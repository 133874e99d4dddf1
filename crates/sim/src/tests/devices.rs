//! The device flow.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::logins::PERSON;
use super::{Client, SimOptions};

impl Client {
    async fn begin(&self) -> (StatusCode, Value) {
        let form = [
            ("response_type", "device_code"),
            ("client_id", "sim-client-id"),
        ];
        self.token(&form).await
    }

    async fn poll(&self, begun: &Value) -> Value {
        let code = begun["device_code"].as_str().unwrap();
        let form = [
            ("grant_type", "device"),
            ("client_id", "sim-client-id"),
            ("code", code),
        ];
        self.token(&form).await.1
    }

    /// The page after a person typed a code and answered.
    async fn answer(&self, user_code: &Value, decision: &str) -> String {
        let mut form = PERSON.to_vec();
        form[2].1 = decision;
        form.push(("user_code", user_code.as_str().unwrap()));
        let answer = self.submit("/setup/connect", &form).await;
        answer.text().await.unwrap()
    }
}

fn quick() -> SimOptions {
    SimOptions {
        device_interval: Duration::ZERO,
        ..SimOptions::default()
    }
}

#[tokio::test]
async fn a_device_is_let_in_by_a_person_elsewhere() {
    let client = Client::browser(quick()).await;
    let (status, begun) = client.begin().await;
    assert_eq!(status, StatusCode::OK);
    let uri = begun["verification_uri"].as_str().unwrap();
    assert!(uri.ends_with("/setup/connect"), "{uri}");
    assert_eq!(client.poll(&begun).await["error"], "authorization_pending");
    let user_code = begun["user_code"].as_str().unwrap();
    let page = client
        .open("/setup/connect", &[("user_code", user_code)])
        .await;
    assert!(page.text().await.unwrap().contains(user_code));
    let page = client
        .submit("/setup/connect", &[("user_code", user_code)])
        .await;
    assert!(page.text().await.unwrap().contains("id=\"username\""));
    let page = client.answer(&json!("WRONG234"), "Allow").await;
    assert!(page.contains("invalid or has expired"), "{page}");
    let page = client.answer(&begun["user_code"], "").await;
    assert!(page.contains("value=\"Deny\""), "{page}");
    let page = client.answer(&begun["user_code"], "Allow").await;
    assert!(page.contains("You're Connected"), "{page}");
    let tokens = client.poll(&begun).await;
    assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string());
    assert_eq!(client.poll(&begun).await["error"], "invalid_grant");
}

#[tokio::test]
async fn a_device_is_denied_hurried_forgotten_or_blocked() {
    let client = Client::browser(quick()).await;
    let (_, begun) = client.begin().await;
    let page = client.answer(&begun["user_code"], "Deny").await;
    assert!(page.contains("Access Denied"), "{page}");
    assert_eq!(client.poll(&begun).await["error"], "access_denied");
    let (_, begun) = client.begin().await;
    client
        .post(
            "options",
            &json!({"device_interval": {"secs": 60, "nanos": 0}}),
        )
        .await;
    assert_eq!(client.begin().await.1["interval"], 60);
    assert_eq!(client.poll(&begun).await["error"], "authorization_pending");
    assert_eq!(client.poll(&begun).await["error"], "slow_down");
    client
        .post(
            "options",
            &json!({"device_lifetime": {"secs": 0, "nanos": 0}}),
        )
        .await;
    let page = client.answer(&begun["user_code"], "Allow").await;
    assert!(page.contains("invalid or has expired"), "{page}");
    assert_eq!(client.poll(&begun).await["error"], "invalid_grant");
    client.post("options", &json!({"device_flow": false})).await;
    let blocked = json!({"error": "invalid_grant",
        "error_description": "device flow is not enabled for the app"});
    assert_eq!(client.begin().await, (StatusCode::BAD_REQUEST, blocked));
}
