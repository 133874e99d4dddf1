//! Logins by a person at a browser, and what becomes of them.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use testkit::sim::{CLIENT_ID, SimOptions, TestSim};
use testkit::tls::SIGNER_OF_NOTHING;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin};

use super::harness::{Ended, Shell, ended};

/// An org, and a person without a login.
pub(crate) struct Newcomer {
    pub(crate) org: TestSim,
    pub(crate) shell: Shell,
}

/// A login that waits for the person.
struct Waiting {
    child: Child,
    stdin: ChildStdin,
    stderr: BufReader<ChildStderr>,
    said: String,
    /// What the person is to open.
    address: String,
}

impl Newcomer {
    pub(crate) async fn new() -> Self {
        Self::at(TestSim::options(Duration::ZERO)).await
    }

    async fn at(options: SimOptions) -> Self {
        let org = TestSim::with_options(options).await;
        let shell = Shell::without_org().with("SSL_CERT_FILE", SIGNER_OF_NOTHING);
        Self { org, shell }
    }

    /// Begins a login with these words, at any free port.
    async fn begin(&self, words: &str) -> Waiting {
        let url = self.org.url();
        let line = format!("login --client-id {CLIENT_ID} --url {url} {words}");
        let words: Vec<&str> = line.split_whitespace().collect();
        Waiting::of(self.shell.start_open(&words)).await
    }

    /// Logs in under a name.
    pub(crate) async fn log_in(&self, name: &str) -> Ended {
        let words = format!("--as {name} --no-browser --port 0");
        let waiting = self.begin(&words).await;
        let sent = self.org.person(&waiting.address, "Allow").await;
        self.org.page(&sent).await;
        waiting.end().await.with_code(0)
    }

    pub(crate) async fn run(&self, words: &str) -> Ended {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.shell.run(&words).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.shell.path().join(".config/arrow-salesforce/orgs.json")
    }

    /// The file of orgs.
    fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    /// Without what differs from run to run.
    fn masked(&self, text: &str) -> String {
        let (_, port) = self.org.url().rsplit_once(':').unwrap();
        text.replace(port, "PORT")
            .replace(self.shell.path().to_str().unwrap(), "FOLDER")
    }
}

impl Waiting {
    async fn of(mut child: Child) -> Self {
        let stdin = child.stdin.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            let read = stderr.read_line(&mut said).await.unwrap();
            assert!(read > 0, "{said}");
            if let Some(address) = said[before..].strip_prefix("  http") {
                break format!("http{}", address.trim());
            }
        };
        Self {
            child,
            stdin,
            stderr,
            said,
            address,
        }
    }

    async fn end(mut self) -> Ended {
        drop(self.stdin);
        let reading = async {
            let mut rest = String::new();
            self.stderr.read_to_string(&mut rest).await.unwrap();
            rest
        };
        let (mut end, rest) = tokio::join!(ended(self.child), reading);
        end.stderr = self.said + &rest;
        end
    }
}

/// The line of an error.
fn error(ended: &Ended) -> &str {
    let mut lines = ended.stderr.lines();
    lines.find(|line| line.starts_with("error: ")).unwrap()
}

#[tokio::test]
async fn a_person_logs_in_works_and_logs_out() {
    let newcomer = Newcomer::new().await;
    let said = newcomer.log_in("uat").await.stdout;
    insta::assert_snapshot!(said, @"loader@sim.example is logged in to 127.0.0.1; uat is the default org: commands that name none use it");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(newcomer.file()).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
    newcomer.shell.file("people.csv", "LastName\nLovelace\n");
    for load in [
        "load people.csv --object Contact --org uat",
        "load people.csv --object Contact",
    ] {
        newcomer.run(load).await.with_code(0);
    }
    assert_eq!(newcomer.org.rows("Contact").await.len(), 2);
    let listed = newcomer.run("orgs --json").await.with_code(0).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["name"], "uat");
    assert_eq!(listed["default"], true);
    assert_eq!(listed["username"], "loader@sim.example");
    let kept = newcomer.kept();
    let token = kept["orgs"]["uat"]["refresh_token"].as_str().unwrap();
    assert!(!listed.to_string().contains(token));
    newcomer.log_in("second").await;
    let unknown = newcomer.run("orgs default third").await.with_code(2);
    insta::assert_snapshot!(error(&unknown), @r#"error: there is no org "third"; those that are logged in to are second, uat; `arrow-salesforce login` adds one"#);
    newcomer.run("orgs default second").await.with_code(0);
    assert_eq!(newcomer.kept()["default"], "second");
    let out = newcomer.run("logout second").await.with_code(0).stdout;
    insta::assert_snapshot!(out, @"second is logged out");
    newcomer.run("logout --all").await.with_code(0);
    assert_eq!(newcomer.kept()["orgs"], serde_json::json!({}));
    let gone = newcomer.run("limits --org uat").await.with_code(2);
    insta::assert_snapshot!(error(&gone), @r#"error: there is no org "uat"; log in by `arrow-salesforce login`"#);
    newcomer.run("limits").await.with_code(2);
}

#[tokio::test]
async fn the_address_is_copied_by_hand_from_a_browser_elsewhere() {
    let newcomer = Newcomer::new().await;
    let mut waiting = newcomer.begin("--no-browser --port 0").await;
    let sent = newcomer.org.person(&waiting.address, "Allow").await;
    let lines = format!("what?\n{sent}\n");
    waiting.stdin.write_all(lines.as_bytes()).await.unwrap();
    let ended = waiting.end().await.with_code(0);
    assert!(ended.stderr.contains("this is not it"), "{}", ended.stderr);
    assert!(newcomer.kept()["orgs"]["loader@sim.example"].is_object());
    newcomer.run("limits").await.with_code(0);
}

#[tokio::test]
async fn the_browser_that_the_environment_names_is_opened() {
    let newcomer = Newcomer::new().await;
    let browser = newcomer.shell.file(
        "browser",
        "#!/bin/sh\necho \"$1\" > opened.new; mv opened.new opened\n",
    );
    let shell = newcomer.shell.path().join("opened");
    let mut permissions = std::fs::metadata(&browser).unwrap().permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&browser, permissions).unwrap();
    let newcomer = Newcomer {
        shell: newcomer.shell.with("BROWSER", browser.to_str().unwrap()),
        org: newcomer.org,
    };
    let waiting = newcomer.begin("--port 0").await;
    let opened = loop {
        if let Ok(opened) = std::fs::read_to_string(&shell) {
            break opened;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(opened.trim(), waiting.address);
    let sent = newcomer.org.person(&opened, "Allow").await;
    newcomer.org.page(sent.trim()).await;
    waiting.end().await.with_code(0);
}

#[tokio::test]
async fn tokens_that_rotate_are_lost_by_nobody() {
    let newcomer = Newcomer::at(SimOptions {
        rotate_refresh_token: true,
        ..TestSim::options(Duration::ZERO)
    })
    .await;
    newcomer.log_in("uat").await;
    let first = newcomer.kept()["orgs"]["uat"]["refresh_token"].clone();
    for _ in 0..3 {
        let all = join_all((0..4).map(|_| newcomer.run("limits --org uat"))).await;
        for ended in all {
            ended.with_code(0);
        }
    }
    let last = newcomer.kept()["orgs"]["uat"]["refresh_token"].clone();
    assert_ne!(first, last);
    // To show an old one ends the newest too.
    newcomer.run("limits --org uat").await.with_code(0);
}

#[tokio::test]
async fn an_end_that_is_asked_for_loses_no_token() {
    let newcomer = Newcomer::at(SimOptions {
        rotate_refresh_token: true,
        ..TestSim::options(Duration::ZERO)
    })
    .await;
    newcomer.log_in("uat").await;
    for moment in 0..20 {
        let child = newcomer.shell.start(&["limits", "--org", "uat"]);
        let id = child.id().unwrap().to_string();
        tokio::time::sleep(Duration::from_millis(20 + 6 * moment)).await;
        // It may have ended.
        newcomer.shell.run_program("kill", &["-TERM", &id]).await;
        ended(child).await;
    }
    newcomer.run("limits --org uat").await.with_code(0);
}

#[tokio::test]
async fn a_revoked_token_says_how_to_log_in_again() {
    let newcomer = Newcomer::new().await;
    newcomer.log_in("uat").await;
    let kept = newcomer.kept();
    let token = kept["orgs"]["uat"]["refresh_token"].as_str().unwrap();
    newcomer.org.revoke(token).await;
    let ended = newcomer.run("limits --org uat").await.with_code(2);
    insta::assert_snapshot!(error(&ended), @"error: the login at 127.0.0.1 was refused (invalid_grant: expired access/refresh token); the login of the org uat is not valid any more: it was revoked, was not used for too long, or was pushed out by later logins (Salesforce keeps five of a user and an app). Log in again: arrow-salesforce login --as uat");
    // As it says: the app and the address are known.
    let again = ["login", "--as", "uat", "--no-browser", "--port", "0"];
    let waiting = Waiting::of(newcomer.shell.start_open(&again)).await;
    let sent = newcomer.org.person(&waiting.address, "Allow").await;
    newcomer.org.page(&sent).await;
    waiting.end().await.with_code(0);
    newcomer.run("limits --org uat").await.with_code(0);
    let kept = newcomer.kept();
    let token = kept["orgs"]["uat"]["refresh_token"].as_str().unwrap();
    newcomer.org.revoke(token).await;
    let out = newcomer.run("logout uat").await.with_code(0).stdout;
    insta::assert_snapshot!(out, @"uat is logged out; Salesforce had ended its login before");
}

#[tokio::test]
async fn logins_that_fail() {
    let newcomer = Newcomer::new().await;
    let mut said = String::new();
    let mut note = |ended: Ended| {
        said += &format!("{}\n-> {}\n", newcomer.masked(error(&ended)), ended.code);
    };
    let waiting = newcomer.begin("--no-browser --port 0").await;
    let sent = newcomer.org.person(&waiting.address, "Deny").await;
    let page = newcomer.org.page(&sent).await;
    assert!(page.contains("Nobody is logged in"), "{page}");
    note(waiting.end().await);

    let waiting = newcomer.begin("--no-browser --port 0").await;
    let sent = newcomer.org.person(&waiting.address, "Allow").await;
    let (callback, _) = sent.split_once('?').unwrap();
    let elsewhere = format!("{callback}/favicon.ico?code=x");
    let page = newcomer.org.page(&elsewhere).await;
    assert!(page.contains("Not here"), "{page}");
    newcomer
        .org
        .page(&format!("{callback}?code=x&state=y"))
        .await;
    note(waiting.end().await);

    let waiting = newcomer.begin("--no-browser --port 0 --timeout 1").await;
    let port = waiting.address.split("localhost%3A").nth(1).unwrap();
    let port = port.split('%').next().unwrap().to_owned();
    let ended = waiting.end().await;
    note(Ended {
        stderr: ended.stderr.replace(&port, "PORT"),
        ..ended
    });

    let waiting = newcomer.begin("--no-browser --port 0").await;
    let port = waiting.address.split("localhost%3A").nth(1).unwrap();
    let port = port.split('%').next().unwrap().to_owned();
    let url = newcomer.org.url();
    let login = format!("login --client-id x --url {url}");
    let words = format!("{login} --no-browser --port {port}");
    let ended = newcomer.run(&words).await;
    note(Ended {
        stderr: ended.stderr.replace(&port, "PORT"),
        ..ended
    });
    drop(waiting);
    for words in [
        "login",
        "login --client-id x --url http://example.com",
        "login --client-id x --callback https://localhost:1717/x",
        &format!("{login} --as"),
        "logout",
        "logout uat",
    ] {
        note(newcomer.run(words).await);
    }
    insta::assert_snapshot!(said, @r#"
    error: the login at 127.0.0.1 was refused (access_denied: end-user denied authorization); the person at the browser did not allow it, or is not allowed to use the app: log in again and press Allow, or let an admin give access to the app
    -> 2
    error: nobody is logged in: it answers another login (its state differs); log in again, and use the page that this login opened
    -> 2
    error: nobody logged in within 1 s. If the browser showed an error: redirect_uri_mismatch means that http://localhost:PORT/OauthRedirect is none of the app's callbacks (add it, or give --callback); invalid_client_id, that --client-id is another app's or the org is a sandbox (--sandbox) or has a login page of its own (--url); OAUTH_APPROVAL_ERROR_GENERIC or OAUTH_EC_APP_NOT_FOUND, that the app is not installed in the org
    -> 1
    error: port PORT of this machine is taken, perhaps by another login that waits: end that, or give --port with that of another callback of the app
    -> 2
    error: nothing says which app to log in by: give --client-id, the consumer key of an app of the org (docs/login.md says how to make one)
    -> 2
    error: login_url http://example.com/: it is not https; give https://login.salesforce.com, https://test.salesforce.com for a sandbox, or the org's My Domain (https://<name>.my.salesforce.com); a host of your own is allowed by instance_hosts (--url or --sandbox gives another)
    -> 2
    error: --callback https://localhost:1717/x: it must begin with http://, since this machine has no certificate
    -> 2
    error: a value is required for '--as <NAME>' but none was supplied
    -> 2
    error: the following required arguments were not provided:
    -> 2
    error: there is no org "uat"; log in by `arrow-salesforce login`
    -> 2
    "#);
    assert!(!newcomer.file().exists());
}

#[tokio::test]
async fn a_device_is_let_in_where_the_org_allows_it() {
    let quick = || SimOptions {
        device_interval: Duration::ZERO,
        ..TestSim::options(Duration::ZERO)
    };
    let newcomer = Newcomer::at(quick()).await;
    let waiting = newcomer.begin("--as tv --device").await;
    let code = waiting.said.split("type the code ").nth(1).unwrap();
    let code = code.split(':').next().unwrap();
    let page = format!("{}?user_code={code}", waiting.address);
    let page = newcomer.org.person(&page, "Allow").await;
    assert!(page.contains("Connected"), "{page}");
    waiting.end().await.with_code(0);
    newcomer.run("limits --org tv").await.with_code(0);

    let newcomer = Newcomer::at(SimOptions {
        device_flow: false,
        ..quick()
    })
    .await;
    let url = newcomer.org.url();
    let words = format!("login --client-id {CLIENT_ID} --url {url} --device");
    let blocked = newcomer.run(&words).await.with_code(2);
    insta::assert_snapshot!(error(&blocked), @"error: the login at 127.0.0.1 was refused (invalid_grant: device flow is not enabled for the app); this org or app allows no login by a code on another device, as Salesforce wants it of new orgs: log in at a browser (that is, without --device)");
}

#[tokio::test]
async fn an_org_that_cannot_be_asked_is_forgotten_by_force() {
    let newcomer = Newcomer::new().await;
    newcomer.log_in("uat").await;
    newcomer
        .org
        .fault(&serde_json::json!({"times": 9,
            "calls": ["revoke"], "do": {"status": {"code": 400, "body": "{\"error\":\"rate_limit_exceeded\"}"}}
        }))
        .await;
    let kept = newcomer.run("logout uat").await.with_code(1);
    insta::assert_snapshot!(error(&kept), @"error: uat: the login at 127.0.0.1 was refused (rate_limit_exceeded: ); too many logins at once: start again later. The login is kept; --force forgets it here, and it stays valid until an admin ends it in Setup > Connected Apps OAuth Usage");
    let out = newcomer.run("logout uat --force").await.with_code(0).stdout;
    insta::assert_snapshot!(out, @"uat is forgotten here; Salesforce did not end its login (the login at 127.0.0.1 was refused (rate_limit_exceeded: ); too many logins at once: start again later)");
}

#[tokio::test]
async fn the_examples_of_the_page_work() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/login.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("\n```").unwrap().0);
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() > 4, "{lines:?}");
    let newcomer = Newcomer::new().await;
    newcomer.shell.file("contacts.csv", "LastName\nLovelace\n");
    let url = format!("--url {}", newcomer.org.url());
    for line in lines {
        let words = line.strip_prefix("arrow-salesforce ").unwrap();
        let words = words.replace("--sandbox", &url);
        if !words.starts_with("login ") {
            newcomer.run(&words).await.with_code(0);
            continue;
        }
        let words = format!("{words} --no-browser --port 0");
        let words: Vec<&str> = words.split_whitespace().collect();
        let waiting = Waiting::of(newcomer.shell.start_open(&words)).await;
        let sent = newcomer.org.person(&waiting.address, "Allow").await;
        newcomer.org.page(&sent).await;
        waiting.end().await.with_code(0);
    }
}
