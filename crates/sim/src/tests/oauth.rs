//! Sessions: how they are given, refused and lost.

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use chrono::Utc;
use reqwest::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::{Client, Sim, SimOptions};

#[tokio::test]
async fn sessions_are_given_refused_and_expire() {
    let client = Client::start(SimOptions::default()).await;
    let (status, body) = client.ask_token("sim-client-secret", "other").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body,
        json!({"error": "invalid_grant", "error_description": "expired access/refresh token"})
    );
    assert_eq!(
        client.ask_token("x", "sim-refresh-token").await.1["error"],
        "invalid_client"
    );
    let limits = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(limits.headers()["Sforce-Limit-Info"], "api-usage=1/100000");
    client
        .post("faults", &json!([{"do": {"expire_tokens": {}}}]))
        .await;
    let response = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        body,
        json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    );
    client.sim.shutdown().await;
}

#[tokio::test]
async fn refresh_tokens_can_rotate() {
    let options = SimOptions {
        rotate_refresh_token: true,
        ..SimOptions::default()
    };
    let sim = Sim::start(options).await.unwrap();
    let mut client = Client {
        sim,
        http: reqwest::Client::new(),
        token: String::new(),
    };
    let (_, first) = client
        .ask_token("sim-client-secret", "sim-refresh-token")
        .await;
    let rotated = first["refresh_token"].as_str().unwrap();
    let (status, second) = client.ask_token("sim-client-secret", rotated).await;
    assert_eq!(status, StatusCode::OK);
    client.token = second["access_token"].as_str().unwrap().to_owned();
    assert!(client.get("/limits").await["DailyApiRequests"].is_object());
    let (_, dead) = client.ask_token("sim-client-secret", rotated).await;
    assert_eq!(dead["error"], "invalid_grant");
    assert_eq!(
        client.get("/limits").await[0]["errorCode"],
        "INVALID_SESSION_ID"
    );
    let last = second["refresh_token"].as_str().unwrap();
    assert_eq!(
        client.ask_token("sim-client-secret", last).await.1["error"],
        "invalid_grant"
    );
}

impl Client {
    async fn post_form(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}/services/oauth2/token", self.sim.url());
        let response = self.http.post(url).form(form).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// `error` and `error_description` of the response to an assertion, or nothing.
    async fn assert(&self, claims: &Value) -> Option<(String, String)> {
        let assertion = signed(claims);
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let form = [("grant_type", grant), ("assertion", &assertion)];
        let (_, body) = self.post_form(&form).await;
        if body["access_token"].is_string() {
            assert!(body.get("refresh_token").is_none());
            return None;
        }
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        Some((text("error"), text("error_description")))
    }
}

/// The content of a PEM text.
fn pem(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('-'));
    BASE64_STANDARD.decode(lines.collect::<String>()).unwrap()
}

/// An assertion signed with the test's key.
fn signed(claims: &Value) -> String {
    let key = pem(include_str!("jwt_key.pem"));
    let key = RsaKeyPair::from_pkcs8(&key).unwrap();
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature))
}

#[tokio::test]
async fn an_assertion_is_verified() {
    let public_key = include_str!("jwt_key.pub.pem").to_owned();
    let client = Client::start(SimOptions {
        jwt_public_key: Some(public_key),
        ..SimOptions::default()
    })
    .await;
    let exp = Utc::now().timestamp() + 120;
    let good = json!({"iss": "sim-client-id", "sub": "loader@sim.example",
        "aud": "https://login.salesforce.com", "exp": exp});
    assert_eq!(client.assert(&good).await, None);
    for (key, value, error, description) in [
        (
            "iss",
            json!("x"),
            "invalid_client_id",
            "client identifier invalid",
        ),
        (
            "sub",
            json!("x"),
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
        ("aud", json!("x"), "invalid_grant", "audience is invalid"),
        (
            "exp",
            json!(exp - 300),
            "invalid_grant",
            "assertion is expired, or lives too long",
        ),
        (
            "exp",
            json!(exp + 600),
            "invalid_grant",
            "assertion is expired, or lives too long",
        ),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        let refused = client.assert(&bad).await.unwrap();
        assert_eq!(refused, (error.to_owned(), description.to_owned()));
    }
    for (key, value) in [("aud", client.sim.url()), ("exp", exp.to_string())] {
        let mut other = good.clone();
        other[key] = json!(value);
        assert_eq!(client.assert(&other).await, None, "{key}");
    }
    client
        .post("options", &json!({"jwt_public_key": null}))
        .await;
    let refused = client.assert(&good).await.unwrap();
    assert_eq!(refused.1, "invalid assertion");
}

#[tokio::test]
async fn the_client_may_come_in_a_header() {
    let client = Client::start(SimOptions::default()).await;
    let url = format!("{}/services/oauth2/token", client.sim.url());
    for (secret, error) in [
        ("sim-client-secret", Value::Null),
        ("x", json!("invalid_client")),
    ] {
        let ask = client.http.post(&url);
        let ask = ask.basic_auth("sim-client-id", Some(secret));
        let ask = ask.form(&[("grant_type", "client_credentials")]);
        let body: Value = ask.send().await.unwrap().json().await.unwrap();
        assert_eq!(body["error"], error);
        assert_eq!(body["access_token"].is_string(), error.is_null());
        if let Some(identity) = body["id"].as_str() {
            let get = client
                .http
                .get(identity)
                .bearer_auth(body["access_token"].as_str().unwrap())
                .send();
            let user: Value = get.await.unwrap().json().await.unwrap();
            assert_eq!(user["username"], "loader@sim.example");
        }
    }
}

#[tokio::test]
async fn one_refresh_at_a_time() {
    let client = Client::start(SimOptions::default()).await;
    let slow = json!({"token_time": {"secs": 0, "nanos": 300_000_000}});
    client.post("options", &slow).await;
    let ask = || client.ask_token("sim-client-secret", "sim-refresh-token");
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask().await
    };
    let (first, second) = futures::join!(ask(), second);
    assert_eq!(first.0, StatusCode::OK);
    assert_eq!(
        second.1,
        json!({"error": "invalid_grant",
            "error_description": "token request is already being processed"})
    );
    assert_eq!(ask().await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_error_of_the_token_endpoint_can_be_had() {
    let client = Client::start(SimOptions::default()).await;
    for (error, description) in [
        ("invalid_grant", "no client credentials user enabled"),
        (
            "invalid_app_access",
            "user is not admin approved to access this app",
        ),
        ("inactive_org", ""),
    ] {
        let fault = json!([{"do": {"oauth_error": {"error": error, "description": description}}}]);
        client.post("faults", &fault).await;
        // It waits for a request of a token.
        assert!(client.get("/limits").await["DailyApiRequests"].is_object());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "sim-client-id"),
            ("client_secret", "sim-client-secret"),
        ];
        let (status, body) = client.post_form(&form).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(
            body,
            json!({"error": error, "error_description": description})
        );
        assert_eq!(client.post_form(&form).await.0, StatusCode::OK);
    }
    client
        .post("options", &json!({"refresh_token": "another"}))
        .await;
    let stale = client
        .ask_token("sim-client-secret", "sim-refresh-token")
        .await;
    assert_eq!(stale.1["error_description"], "expired access/refresh token");
    let fresh = client.ask_token("sim-client-secret", "another").await;
    assert_eq!(fresh.0, StatusCode::OK);
}

#[tokio::test]
async fn an_org_on_all_addresses_has_the_name_that_it_is_found_by() {
    let options = SimOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let url = client.sim.url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let named = url.replace("127.0.0.1", "localhost");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "sim-client-id"),
        ("client_secret", "sim-client-secret"),
    ];
    for url in [url, named] {
        let request = client.http.post(format!("{url}/services/oauth2/token"));
        let answer = request.form(&form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["instance_url"], url);
        assert!(answer["id"].as_str().unwrap().starts_with(&url), "{answer}");
    }
}
