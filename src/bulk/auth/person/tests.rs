use secrecy::ExposeSecret as _;
use url::Url;

use super::*;
use crate::bulk::testing::*;
use crate::bulk::{BulkError, Flow};
use crate::error::ErrorKind;

const REVOKE: &str = "POST /services/oauth2/revoke";
const CALLBACK: &str = "http://localhost:1717/OauthRedirect";

fn app(server: &Server) -> App {
    App {
        login_url: server.url.clone(),
        client_id: "3MVG9.id".to_owned(),
        client_secret: None,
        instance_hosts: Vec::new(),
    }
}

fn login(server: &Server) -> CodeLogin {
    CodeLogin::new(app(server), Url::parse(CALLBACK).unwrap()).unwrap()
}

fn query(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(known, _)| known == name);
    found.map(|pair| pair.1.into_owned()).unwrap_or_default()
}

/// Where the browser is sent after this answer to a login.
fn sent_to(login: &CodeLogin, answer: &str) -> Url {
    let state = query(&login.address(), "state");
    Url::parse(&format!("{CALLBACK}?{answer}&state={state}")).unwrap()
}

fn grant(server: &Server) -> Reply {
    let url = server.url.as_str();
    reply(
        200,
        format!(
            r#"{{"access_token":"00D!first","refresh_token":"5Aep.first","instance_url":"{url}",
                "id":"{url}id/00D5g0000000001EAA/{USER}"}}"#
        ),
    )
}

fn refusal(error: &str, words: &str) -> Reply {
    reply(
        400,
        format!(r#"{{"error":"{error}","error_description":"{words}"}}"#),
    )
}

#[tokio::test]
async fn the_address_asks_for_a_code_with_proof() {
    let server = Server::start().await;
    let (login, other) = (login(&server), self::login(&server));
    let address = login.address();
    assert_eq!(address.path(), "/services/oauth2/authorize");
    let state = query(&address, "state");
    let challenge = query(&address, "code_challenge");
    let shown = address.query().unwrap();
    let shown = shown.replace(&state, "STATE").replace(&challenge, "PROOF");
    insta::assert_snapshot!(shown, @"response_type=code&client_id=3MVG9.id&redirect_uri=http%3A%2F%2Flocalhost%3A1717%2FOauthRedirect&scope=api+refresh_token&state=STATE&code_challenge=PROOF&code_challenge_method=S256&prompt=login");
    assert_eq!((state.len(), challenge.len()), (43, 43));
    assert_ne!(state, query(&other.address(), "state"));
    assert!(!format!("{login:?}").contains(login.shown_verifier()));
}

#[tokio::test]
async fn a_code_becomes_a_login() {
    let server = Server::start().await;
    server.on(TOKEN, [reply(503, "<html>"), grant(&server)]);
    let login = login(&server);
    let granted = login
        .redeem(&sent_to(&login, "code=aPrx%3D%3D"))
        .await
        .unwrap();
    assert_eq!(granted.org_id(), Some("00D5g0000000001EAA"));
    assert_eq!(granted.user_id(), Some(USER));
    let Flow::RefreshToken {
        refresh_token,
        client_secret,
    } = granted.credentials().flow
    else {
        panic!("another flow");
    };
    assert_eq!(refresh_token.expose_secret(), "5Aep.first");
    assert_eq!(client_secret.expose_secret(), "");
    assert!(!format!("{granted:?}").contains("first"), "{granted:?}");
    let sent = server.seen(TOKEN).pop().unwrap();
    let sent = sent.text().replace(login.shown_verifier(), "VERIFIER");
    insta::assert_snapshot!(sent, @"client_id=3MVG9.id&grant_type=authorization_code&code=aPrx%3D%3D&redirect_uri=http%3A%2F%2Flocalhost%3A1717%2FOauthRedirect&code_verifier=VERIFIER");
}

#[tokio::test]
async fn answers_that_are_none() {
    let server = Server::start().await;
    let login = login(&server);
    let foreign = Url::parse(&format!("{CALLBACK}?code=a&state=b")).unwrap();
    let mut texts = String::new();
    for answer in [
        foreign,
        sent_to(&login, "x=y"),
        sent_to(
            &login,
            "error=access_denied&error_description=end-user+denied+authorization",
        ),
        sent_to(
            &login,
            "error=OAUTH_APPROVAL_ERROR_GENERIC&error_description=An+unexpected+error",
        ),
        sent_to(
            &login,
            "error=invalid_scope&error_description=the+requested+scope+is+not+allowed",
        ),
    ] {
        let error = login.redeem(&answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        texts += &format!("{error}\n");
    }
    assert!(server.seen(TOKEN).is_empty(), "no code was sent");
    insta::assert_snapshot!(texts, @"
    nobody is logged in: it answers another login (its state differs); log in again, and use the page that this login opened
    nobody is logged in: it has no code; log in again, and use the page that this login opened
    the login at 127.0.0.1 was refused (access_denied: end-user denied authorization); the person at the browser did not allow it, or is not allowed to use the app: log in again and press Allow, or let an admin give access to the app
    the login at 127.0.0.1 was refused (OAUTH_APPROVAL_ERROR_GENERIC: An unexpected error); the org does not know the app: install it there (Setup: Connected Apps OAuth Usage), or give the user the permission Approve Uninstalled Connected Apps
    the login at 127.0.0.1 was refused (invalid_scope: the requested scope is not allowed); the app must allow the scopes api and refresh_token (offline_access): add them on its page in Setup
    ");
}

#[tokio::test]
async fn codes_that_are_refused() {
    let server = Server::start().await;
    let mut texts = String::new();
    for (error, words) in [
        ("invalid_grant", "expired authorization code"),
        ("invalid_grant", "invalid code verifier"),
        ("invalid_client", "invalid client credentials"),
        ("invalid_client_id", "client identifier invalid"),
        (
            "redirect_uri_mismatch",
            "redirect_uri must match configuration",
        ),
        (
            "invalid_app_access",
            "user is not admin approved to access this app",
        ),
    ] {
        server.on(TOKEN, [refusal(error, words)]);
        let login = login(&server);
        let error = login.redeem(&sent_to(&login, "code=a")).await.unwrap_err();
        texts += &format!("{error}\n");
    }
    let no_token = reply(
        200,
        format!(r#"{{"access_token":"x","instance_url":"{}"}}"#, server.url),
    );
    server.on(TOKEN, [no_token]);
    let login = login(&server);
    let error = login.redeem(&sent_to(&login, "code=a")).await.unwrap_err();
    texts += &format!("{error}\n");
    insta::assert_snapshot!(texts, @"
    the login at 127.0.0.1 was refused (invalid_grant: expired authorization code); the code is not valid any more: it lives for a few minutes, and once. Log in again
    the login at 127.0.0.1 was refused (invalid_grant: invalid code verifier); what stands between here and Salesforce has changed the login: log in again, and past it
    the login at 127.0.0.1 was refused (invalid_client: invalid client credentials); the app asks for its consumer secret, or it is another one: give that of the app's page, or let the app do without (its page in Setup: Require Secret for Web Server Flow, and for Refresh Token Flow)
    the login at 127.0.0.1 was refused (invalid_client_id: client identifier invalid); the client ID is not the consumer key of an app that 127.0.0.1 knows: copy it again from the app's page in Setup; check that this is the My Domain of the org (a sandbox has one of its own)
    the login at 127.0.0.1 was refused (redirect_uri_mismatch: redirect_uri must match configuration); the callback is none of the app's: add it to the callback URLs of the app, letter for letter, or log in with one of those
    the login at 127.0.0.1 was refused (invalid_app_access: user is not admin approved to access this app); the user may not use this app: in Setup, give the user's profile or a permission set access to it
    the login at 127.0.0.1 was refused (invalid_scope: the answer has no refresh token); the app must allow the scopes api and refresh_token (offline_access): add them on its page in Setup
    ");
}

fn begun(uri: &str) -> Reply {
    reply(
        200,
        format!(
            r#"{{"device_code":"D1","user_code":"AB12CD34","verification_uri":"{uri}","interval":0}}"#
        ),
    )
}

#[tokio::test]
async fn a_code_is_typed_on_another_device() {
    let server = Server::start().await;
    let answers = [
        begun("https://acme.my.salesforce.com/setup/connect"),
        refusal("authorization_pending", "User has not yet approved"),
        reply(503, "<html>"),
        refusal("authorization_pending", "User has not yet approved"),
        grant(&server),
    ];
    server.on(TOKEN, answers);
    let login = DeviceLogin::begin(app(&server)).await.unwrap();
    assert_eq!(login.user_code(), "AB12CD34");
    assert_eq!(login.address().path(), "/setup/connect");
    let granted = login.granted().await.unwrap();
    assert_eq!(granted.refresh_token().expose_secret(), "5Aep.first");
    let sent = server.seen(TOKEN);
    insta::assert_snapshot!(sent[0].text(), @"client_id=3MVG9.id&response_type=device_code&scope=api+refresh_token");
    insta::assert_snapshot!(sent[4].text(), @"client_id=3MVG9.id&grant_type=device&code=D1");
}

#[tokio::test]
async fn devices_that_are_refused() {
    let server = Server::start().await;
    let mut texts = String::new();
    for (error, words) in [
        ("invalid_request", "device flow is blocked"),
        ("invalid_grant", "device flow is not enabled for the app"),
        (
            "unsupported_response_type",
            "response type must be code or token",
        ),
        ("invalid_client_id", "client identifier invalid"),
    ] {
        server.on(TOKEN, [refusal(error, words)]);
        let error = DeviceLogin::begin(app(&server)).await.unwrap_err();
        texts += &format!("{error}\n");
    }
    for (error, words) in [
        ("access_denied", "end-user denied authorization"),
        ("invalid_grant", "expired device code"),
    ] {
        server.on(
            TOKEN,
            [
                begun("https://acme.my.salesforce.com/setup/connect"),
                refusal(error, words),
            ],
        );
        let login = DeviceLogin::begin(app(&server)).await.unwrap();
        let error = login.granted().await.unwrap_err();
        texts += &format!("{error}\n");
    }
    insta::assert_snapshot!(texts, @"
    the login at 127.0.0.1 was refused (invalid_request: device flow is blocked); this org or app allows no login by a code on another device, as Salesforce wants it of new orgs: log in at a browser
    the login at 127.0.0.1 was refused (invalid_grant: device flow is not enabled for the app); this org or app allows no login by a code on another device, as Salesforce wants it of new orgs: log in at a browser
    the login at 127.0.0.1 was refused (unsupported_response_type: response type must be code or token); this org or app allows no login by a code on another device, as Salesforce wants it of new orgs: log in at a browser
    the login at 127.0.0.1 was refused (invalid_client_id: client identifier invalid); the client ID is not the consumer key of an app that 127.0.0.1 knows: copy it again from the app's page in Setup; check that this is the My Domain of the org (a sandbox has one of its own)
    the login at 127.0.0.1 was refused (access_denied: end-user denied authorization); the person at the browser did not allow it, or is not allowed to use the app: log in again and press Allow, or let an admin give access to the app
    the login at 127.0.0.1 was refused (invalid_grant: expired device code); the code is not valid any more: start again, and type it within ten minutes
    ");
}

#[tokio::test]
async fn a_token_is_ended() {
    let server = Server::start().await;
    let app = app(&server);
    let token = "5Aep&first".into();
    server.on(REVOKE, [reply(200, "")]);
    assert!(app.revoke(&token).await.unwrap());
    assert_eq!(server.seen(REVOKE)[0].text(), "token=5Aep%26first");
    server.on(
        REVOKE,
        [refusal(
            "unsupported_token_type",
            "this token type is not supported",
        )],
    );
    assert!(!app.revoke(&token).await.unwrap());
    let form = "error=unsupported_token_type&error_description=this+token+type+is+not+supported";
    server.on(REVOKE, [reply(400, form)]);
    assert!(!app.revoke(&token).await.unwrap());
    server.on(REVOKE, [refusal("rate_limit_exceeded", "x")]);
    let error = app.revoke(&token).await.unwrap_err();
    assert!(matches!(error, BulkError::Login(_)), "{error}");
}
