//! Logins of persons: the authorization code flow, approvals, and how they end.

use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{Client, Sim, SimOptions};

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://localhost:1717/OauthRedirect";

/// The request of an app.
pub(super) const REQUEST: [(&str, &str); 6] = [
    ("response_type", "code"),
    ("client_id", "sim-client-id"),
    ("redirect_uri", CALLBACK),
    ("state", "s&1"),
    ("code_challenge", CHALLENGE),
    ("code_challenge_method", "S256"),
];
/// A person who lets it in.
pub(super) const PERSON: [(&str, &str); 3] = [
    ("username", "loader@sim.example"),
    ("password", "sim-password"),
    ("decision", "Allow"),
];
/// The exchange of its code.
const EXCHANGE: [(&str, &str); 4] = [
    ("grant_type", "authorization_code"),
    ("client_id", "sim-client-id"),
    ("redirect_uri", CALLBACK),
    ("code_verifier", VERIFIER),
];

/// Fields with others in place of those of the same name.
fn with<'a>(
    fields: &[(&'a str, &'a str)],
    others: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    let kept = fields.iter().filter(|(name, _)| !is_other(name));
    kept.chain(others).copied().collect()
}

impl Client {
    /// A client that follows no redirect and has no session.
    pub(super) async fn browser(options: SimOptions) -> Client {
        let http = reqwest::Client::builder().redirect(Policy::none());
        Client {
            sim: Sim::start(options).await.unwrap(),
            http: http.build().unwrap(),
            token: String::new(),
        }
    }

    pub(super) async fn open(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let url = format!("{}{path}", self.sim.url());
        self.http.get(url).query(fields).send().await.unwrap()
    }

    pub(super) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let url = format!("{}{path}", self.sim.url());
        self.http.post(url).form(fields).send().await.unwrap()
    }

    async fn authorize(&self, fields: &[(&str, &str)]) -> Response {
        self.submit("/services/oauth2/authorize", fields).await
    }

    pub(super) async fn token(&self, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.submit("/services/oauth2/token", fields).await;
        (answer.status(), answer.json().await.unwrap())
    }

    /// What the browser is sent back to the app with.
    async fn sent_back(&self, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        sent_back(&self.authorize(fields).await)
    }

    async fn code(&self, request: &[(&str, &str)]) -> String {
        let answer = self.sent_back(&with(request, &PERSON)).await;
        assert_eq!(answer[0].0, "code", "{answer:?}");
        answer[0].1.clone()
    }

    /// The tokens of a further login.
    async fn log_in_as_person(&self) -> Value {
        let code = self.code(&REQUEST).await;
        let (status, body) = self.token(&with(&EXCHANGE, &[("code", &code)])).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    async fn refresh_as_public(&self, token: &Value) -> Value {
        let token = token.as_str().unwrap();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "sim-client-id"),
            ("refresh_token", token),
        ];
        self.token(&form).await.1
    }

    /// Whether a session is valid.
    async fn is_valid(&self, body: &Value) -> bool {
        let url = format!("{}/services/oauth2/userinfo", self.sim.url());
        let get = self.http.get(url);
        let get = get.bearer_auth(body["access_token"].as_str().unwrap());
        get.send().await.unwrap().status() == StatusCode::OK
    }
}

fn location(answer: &Response) -> Url {
    assert_eq!(answer.status(), StatusCode::FOUND);
    let location = answer.headers()["location"].to_str().unwrap();
    answer.url().join(location).unwrap()
}

fn sent_back(answer: &Response) -> Vec<(String, String)> {
    let location = location(answer);
    assert!(location.as_str().starts_with(CALLBACK), "{location}");
    location.query_pairs().into_owned().collect()
}

/// The value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let (_, value) = page.split_once(&field).unwrap();
    value.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_logs_in_by_the_pages_and_lets_the_app_in() {
    let client = Client::browser(SimOptions::default()).await;
    let first = client.open("/services/oauth2/authorize", &REQUEST).await;
    assert_eq!(first.status(), StatusCode::OK);
    let first = first.text().await.unwrap();
    assert!(
        first.contains("id=\"username\"") && first.contains("value=\"s&amp;1\""),
        "{first}"
    );
    let wrong = with(&REQUEST, &[("username", "loader@sim.example"), ("pw", "x")]);
    let wrong = client.authorize(&wrong).await.text().await.unwrap();
    assert!(
        wrong.contains("check your username and password"),
        "{wrong}"
    );
    let right = with(
        &REQUEST,
        &[("username", "loader@sim.example"), ("pw", "sim-password")],
    );
    let page = client.authorize(&right).await.text().await.unwrap();
    assert!(
        page.contains("value=\"Allow\"") && page.contains("value=\"Deny\""),
        "{page}"
    );
    assert!(!page.contains("sim-password"), "{page}");
    let ticket = hidden(&page, "ticket");
    let denied = with(&REQUEST, &[("ticket", &ticket), ("decision", "Deny")]);
    let denied = client.sent_back(&denied).await;
    assert_eq!(
        denied,
        [
            ("error", "access_denied"),
            ("error_description", "end-user denied authorization"),
            ("state", "s&1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let allowed = with(&REQUEST, &[("ticket", &ticket), ("decision", "Allow")]);
    let answer = client.sent_back(&allowed).await;
    assert_eq!(answer[1], ("state".to_owned(), "s&1".to_owned()));
    let code = &answer[0].1;
    assert!(code.ends_with("=="), "{code}");
    let (_, body) = client.token(&with(&EXCHANGE, &[("code", code)])).await;
    assert_eq!(body["scope"], "refresh_token api id");
    assert!(body["refresh_token"].is_string() && body.get("expires_in").is_none());
    assert!(client.is_valid(&body).await);
}

#[tokio::test]
async fn a_code_is_good_once_for_who_asked_for_it() {
    let client = Client::browser(SimOptions::default()).await;
    let code = client.code(&REQUEST).await;
    let exchange = with(&EXCHANGE, &[("code", &code)]);
    assert_eq!(client.token(&exchange).await.0, StatusCode::OK);
    let expired =
        json!({"error": "invalid_grant", "error_description": "expired authorization code"});
    assert_eq!(
        client.token(&exchange).await,
        (StatusCode::BAD_REQUEST, expired.clone())
    );
    for (name, value, error, description) in [
        ("code", "x", "invalid_grant", "invalid authorization code"),
        (
            "code_verifier",
            "x",
            "invalid_grant",
            "invalid code verifier",
        ),
        (
            "code_verifier",
            "",
            "invalid_grant",
            "invalid code verifier",
        ),
        (
            "redirect_uri",
            "http://localhost:1717/",
            "redirect_uri_mismatch",
            "redirect_uri must match configuration",
        ),
        (
            "client_id",
            "x",
            "invalid_client_id",
            "client identifier invalid",
        ),
        (
            "client_secret",
            "x",
            "invalid_client",
            "invalid client credentials",
        ),
    ] {
        let code = client.code(&REQUEST).await;
        let exchange = with(&EXCHANGE, &[("code", &code)]);
        let (_, body) = client.token(&with(&exchange, &[(name, value)])).await;
        assert_eq!(
            body,
            json!({"error": error, "error_description": description}),
            "{name}"
        );
    }
    // Without a proof the secret is needed.
    let bare = with(&REQUEST, &[("code_challenge", "")]);
    for (secret, error) in [
        ("", json!("invalid_client")),
        ("sim-client-secret", Value::Null),
    ] {
        let code = client.code(&bare).await;
        let exchange = with(&EXCHANGE, &[("code", &code), ("client_secret", secret)]);
        assert_eq!(client.token(&exchange).await.1["error"], error);
    }
    let code = client.code(&REQUEST).await;
    client
        .post(
            "options",
            &json!({"code_lifetime": {"secs": 0, "nanos": 0}}),
        )
        .await;
    let (_, body) = client.token(&with(&EXCHANGE, &[("code", &code)])).await;
    assert_eq!(body, expired);
    client
        .post(
            "options",
            &json!({"code_lifetime": {"secs": 60, "nanos": 0}, "require_secret": true}),
        )
        .await;
    let code = client.code(&REQUEST).await;
    let (_, body) = client.token(&with(&EXCHANGE, &[("code", &code)])).await;
    assert_eq!(body["error"], "invalid_client");
}

#[tokio::test]
async fn a_wrong_request_is_refused_to_the_app_or_to_the_person() {
    let options = SimOptions {
        require_pkce: true,
        ..SimOptions::default()
    };
    let client = Client::browser(options).await;
    for (name, value, error) in [
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "api everything", "invalid_scope"),
        ("response_type", "token", "unsupported_response_type"),
    ] {
        let answer = client.sent_back(&with(&REQUEST, &[(name, value)])).await;
        assert_eq!(answer[0], ("error".to_owned(), error.to_owned()), "{name}");
        assert_eq!(answer[2].1, "s&1");
    }
    for (name, value, error) in [
        ("client_id", "x", "invalid_client_id"),
        ("redirect_uri", "", "redirect_uri_missing"),
        (
            "redirect_uri",
            "https://example.com/",
            "redirect_uri_mismatch",
        ),
        ("redirect_uri", "nowhere", "redirect_uri_mismatch"),
    ] {
        let answer = client.authorize(&with(&REQUEST, &[(name, value)])).await;
        let page = client.http.get(location(&answer)).send().await.unwrap();
        let page = page.text().await.unwrap();
        assert!(
            page.contains("We can't authorize you") && page.contains(error),
            "{page}"
        );
    }
    let registered = json!({"redirect_uris": [CALLBACK]});
    client.post("options", &registered).await;
    let other = with(
        &REQUEST,
        &[("redirect_uri", "http://localhost:1718/OauthRedirect")],
    );
    let shown = location(&client.authorize(&other).await);
    assert!(
        shown.as_str().contains("error=redirect_uri_mismatch"),
        "{shown}"
    );
    client.code(&REQUEST).await;
    for (policy, error) in [
        ("not_installed", "OAUTH_APPROVAL_ERROR_GENERIC"),
        ("not_found", "OAUTH_EC_APP_NOT_FOUND"),
    ] {
        client.post("options", &json!({"app": policy})).await;
        let answer = client.authorize(&with(&REQUEST, &PERSON)).await;
        let page = client.http.get(location(&answer)).send().await.unwrap();
        let page = page.text().await.unwrap();
        assert!(page.contains(error), "{page}");
    }
}

#[tokio::test]
async fn who_is_logged_in_already_is_not_asked() {
    let options = SimOptions {
        signed_in: Some("loader@sim.example".to_owned()),
        ..SimOptions::default()
    };
    let client = Client::browser(options).await;
    let answer = client.open("/services/oauth2/authorize", &REQUEST).await;
    assert_eq!(sent_back(&answer)[0].0, "code");
    let asked = with(&REQUEST, &[("prompt", "login")]);
    let page = client.open("/services/oauth2/authorize", &asked).await;
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_is_of_its_approval_alone() {
    let options = SimOptions {
        rotate_refresh_token: true,
        ..SimOptions::default()
    };
    let client = Client::browser(options).await;
    let (one, other) = (
        client.log_in_as_person().await,
        client.log_in_as_person().await,
    );
    let refreshed = client.refresh_as_public(&one["refresh_token"]).await;
    assert_ne!(refreshed["refresh_token"], one["refresh_token"]);
    // The dead token ends its approval with all sessions, and no other.
    let dead = client.refresh_as_public(&one["refresh_token"]).await;
    assert_eq!(dead["error_description"], "expired access/refresh token");
    let next = client.refresh_as_public(&refreshed["refresh_token"]).await;
    assert_eq!(next["error"], "invalid_grant");
    assert!(!client.is_valid(&one).await && !client.is_valid(&refreshed).await);
    assert!(client.is_valid(&other).await);
    let other = client.refresh_as_public(&other["refresh_token"]).await;
    assert!(client.is_valid(&other).await);
    let fixed = client.refresh_as_public(&json!("sim-refresh-token")).await;
    assert!(client.is_valid(&fixed).await);
}

#[tokio::test]
async fn the_sixth_approval_revokes_the_first() {
    let client = Client::browser(SimOptions::default()).await;
    let mut logins = Vec::new();
    for _ in 0..6 {
        logins.push(client.log_in_as_person().await);
    }
    assert!(!client.is_valid(&logins[0]).await);
    let refreshed = client.refresh_as_public(&logins[0]["refresh_token"]).await;
    assert_eq!(refreshed["error"], "invalid_grant");
    for login in &logins[1..] {
        assert!(client.is_valid(login).await);
    }
    // A session alone is no approval.
    let brief = with(&REQUEST, &[("scope", "api")]);
    let code = client.code(&brief).await;
    let (_, body) = client.token(&with(&EXCHANGE, &[("code", &code)])).await;
    assert_eq!(
        (body.get("refresh_token"), &body["scope"]),
        (None, &json!("api"))
    );
    assert!(client.is_valid(&logins[1]).await);
}

#[tokio::test]
async fn a_token_can_be_revoked() {
    let client = Client::browser(SimOptions::default()).await;
    let login = client.log_in_as_person().await;
    let second = client.refresh_as_public(&login["refresh_token"]).await;
    let path = "/services/oauth2/revoke";
    let access = second["access_token"].as_str().unwrap();
    let answer = client.open(path, &[("token", access)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!client.is_valid(&second).await && client.is_valid(&login).await);
    let token = [("token", login["refresh_token"].as_str().unwrap())];
    assert_eq!(client.submit(path, &token).await.status(), StatusCode::OK);
    assert!(!client.is_valid(&login).await);
    let refreshed = client.refresh_as_public(&login["refresh_token"]).await;
    assert_eq!(
        refreshed["error_description"],
        "expired access/refresh token"
    );
    let again = client.submit(path, &token).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let text = again.text().await.unwrap();
    assert!(text.starts_with("error=unsupported_token_type&"), "{text}");
}

#[tokio::test]
async fn only_a_session_shows_who_it_is() {
    let client = Client::browser(SimOptions::default()).await;
    let login = client.log_in_as_person().await;
    let token = login["access_token"].as_str().unwrap();
    let info = format!("{}/services/oauth2/userinfo", client.sim.url());
    for url in [info.as_str(), login["id"].as_str().unwrap()] {
        let get = || client.http.get(url);
        for (answer, text) in [
            (get().send().await.unwrap(), "Missing_OAuth_Token"),
            (
                get().bearer_auth("x").send().await.unwrap(),
                "Bad_OAuth_Token",
            ),
        ] {
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert_eq!(answer.text().await.unwrap(), text);
        }
        let shown = get().bearer_auth(token).send().await.unwrap();
        let shown: Value = shown.json().await.unwrap();
        assert_eq!(shown["email"], "loader@sim.example");
    }
}
