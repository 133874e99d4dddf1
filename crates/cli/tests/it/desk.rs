//! A folder with files, an org, and the commands that are typed between them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use testkit::tls::SIGNER_OF_NOTHING;

use super::harness::{Ended, Shell};

/// A folder, and the org that commands in it are logged in to.
pub(crate) struct Desk {
    pub(crate) org: TestSim,
    shell: Shell,
}

impl Desk {
    /// An empty folder, and an org that works as fast as it can.
    pub(crate) async fn new() -> Self {
        Self::of(TestSim::start().await)
    }

    /// An empty folder, and this org.
    pub(crate) fn of(org: TestSim) -> Self {
        let config = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "is_sandbox": true,
            "login_url": org.url(),
            "wait_permille": 5,
        });
        let shell = Shell::without_org();
        let config = shell.file("org.json", config.to_string());
        let runs = shell.path().join("runs");
        let shell = shell
            .with("ARROW_SALESFORCE_CONFIG", config.to_str().unwrap())
            .with("ARROW_SALESFORCE_RUNS", runs.to_str().unwrap())
            // To read the system's certificates takes a debug build longer than a small load.
            .with("SSL_CERT_FILE", SIGNER_OF_NOTHING);
        Self { org, shell }
    }

    /// A variable that commands find in their environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.shell = self.shell.with(name, value);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.shell.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.shell.file(name, content);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Types a command whose words blanks separate.
    pub(crate) async fn run(&self, words: &str) -> Ended {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.shell.run(&words).await
    }

    pub(crate) async fn run_args(&self, args: &[&str]) -> Ended {
        self.shell.run(args).await
    }

    /// Types a command and kills it after so long, unless it ends before.
    pub(crate) async fn kill_after(&self, words: &str, time: Duration) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut child = self.shell.start(&words);
        if tokio::time::timeout(time, child.wait()).await.is_err() {
            child.kill().await.unwrap();
        }
    }

    /// The same with something on stdin.
    pub(crate) async fn feed(&self, args: &[&str], stdin: &[u8]) -> Ended {
        self.shell.run_with(args, stdin).await
    }

    /// Types lines into a shell, which ends at the first that fails.
    pub(crate) async fn type_lines(&self, lines: &str) -> Ended {
        self.shell.run_program("sh", &["-e", "-c", lines]).await
    }

    /// Starts a command.
    pub(crate) fn start(&self, args: &[&str]) -> tokio::process::Child {
        self.shell.start(args)
    }

    /// Runs another program.
    pub(crate) async fn run_program(&self, program: &str, args: &[&str]) -> Ended {
        self.shell.run_program(program, args).await
    }

    /// Some fields of all records of an object, sorted.
    pub(crate) async fn rows(&self, object: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows = self.org.rows(object).await;
        let rows = rows.iter();
        let mut rows: Vec<Vec<String>> = rows
            .map(|row| fields.iter().map(|field| text(&row[*field])).collect())
            .collect();
        rows.sort();
        rows
    }

    /// The id of the run that began last.
    pub(crate) fn last_run(&self) -> String {
        let runs = std::fs::read_dir(self.path("runs/index")).unwrap();
        let names = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
        names.max().unwrap()
    }
}
