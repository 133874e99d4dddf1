//! The built binary, over pipes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::process::{Ended, Process};
use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY, files, names};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

use super::lines::{Stream, catalog};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_destination-salesforce");

/// A config and a catalog in a directory of their own, which also takes rejected records.
pub(crate) struct Job {
    directory: TempDir,
    config: Value,
    catalog: Value,
}

impl Job {
    /// The load of some streams into an org, rejected records counted only.
    pub(crate) fn new(sim: &TestSim, streams: &[&Stream]) -> Self {
        Self::with_catalog(sim, catalog(streams))
    }

    pub(crate) fn with_catalog(sim: &TestSim, catalog: Value) -> Self {
        let config = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "is_sandbox": false,
            "login_url": sim.url(),
            "object_storage_config": {"storage_type": "None"},
            "wait_permille": 5,
        });
        Self {
            directory: TempDir::new().unwrap(),
            config,
            catalog,
        }
    }

    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// Changes a setting of the config.
    pub(crate) fn change(&mut self, key: &str, value: impl Into<Value>) {
        self.config[key] = value.into();
    }

    /// The config that a CONTROL message asked to keep takes the place of this one.
    pub(crate) fn keep(mut self, config: &Value) -> Self {
        self.config = config.clone();
        self
    }

    pub(crate) fn config(&self) -> &Value {
        &self.config
    }

    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.config.as_object_mut().unwrap().remove(key);
        self
    }

    /// Rejected records go to files below this job's directory.
    pub(crate) fn rejects_to_folder(self) -> Self {
        let url = format!("file://{}", self.reject_folder().display());
        fs::create_dir(self.reject_folder()).unwrap();
        self.set("rejected_records_url", url)
    }

    /// Receipts go to files below this job's directory.
    pub(crate) fn receipts_to_folder(self) -> Self {
        let url = format!("file://{}", self.receipt_folder().display());
        self.set("receipts_url", url)
    }

    pub(crate) fn receipt_folder(&self) -> PathBuf {
        self.directory.path().join("receipts")
    }

    fn reject_folder(&self) -> PathBuf {
        self.directory.path().join("rejected")
    }

    /// Content of all files of the reject folder, in the order of their paths.
    pub(crate) fn reject_files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = files(&self.reject_folder()).into_iter().collect();
        // A killed process leaves what it had not renamed to its final name yet, and the test object
        // of its start.
        files.retain(|(name, _)| !name.contains('#') && !name.ends_with("/_check_test"));
        files
    }

    /// Another catalog takes the place of this one.
    pub(crate) fn set_catalog(&mut self, catalog: Value) {
        self.catalog = catalog;
    }

    /// Names of the objects of the ledger, which is below the reject folder.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let mut names = names(&self.reject_folder().join("_ledger"));
        // A killed process leaves what it had not renamed to its final name yet.
        names.retain(|name| !name.contains('#'));
        names
    }

    /// No ledger can be written.
    pub(crate) fn block_ledger(&self) {
        fs::write(self.reject_folder().join("_ledger"), "").unwrap();
    }

    fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content.to_string()).unwrap();
        path
    }

    /// Arguments of `write`, whose files are written now.
    pub(crate) fn write_args(&self) -> Vec<String> {
        let config = self.file("config.json", &self.config);
        let catalog = self.file("catalog.json", &self.catalog);
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        [
            "write",
            "--config",
            &text(config),
            "--catalog",
            &text(catalog),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Arguments of `check`, whose file is written now.
    pub(crate) fn check_args(&self) -> Vec<String> {
        let config = self.file("config.json", &self.config);
        ["check", "--config", config.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    }

    /// Arguments of `discover`, whose file is written now.
    pub(crate) fn discover_args(&self) -> Vec<String> {
        let mut args = self.check_args();
        args[0] = "discover".to_owned();
        args
    }

    /// Runs `write` over these lines to its end.
    pub(crate) async fn write(&self, lines: &[String]) -> Output {
        let mut running = self.start_write();
        running.feed(lines.to_vec());
        running.finish().await
    }

    pub(crate) fn start_write(&self) -> Running {
        Running::start(&self.write_args())
    }
}

/// Runs the binary to its end without input.
pub(crate) async fn run<A: AsRef<str>>(args: &[A]) -> Output {
    let mut running = Running::start(args);
    running.feed(Vec::new());
    running.finish().await
}

/// What a process has said, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// Lines of stdout, each a JSON object.
    pub(crate) messages: Vec<Value>,
    /// Lines of stdout as they were.
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
    /// None after a signal.
    pub(crate) code: Option<i32>,
}

impl Output {
    /// What a process that has not ended has printed.
    pub(crate) fn printed(lines: Vec<String>) -> Self {
        Self {
            messages: lines.iter().map(|line| message(line)).collect(),
            lines,
            stderr: String::new(),
            code: None,
        }
    }

    /// Messages of a type.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        let messages = self.messages.iter();
        messages.filter(|message| message["type"] == kind).collect()
    }

    /// The `state` of each STATE message.
    pub(crate) fn states(&self) -> Vec<&Value> {
        self.of("STATE")
            .into_iter()
            .map(|message| &message["state"])
            .collect()
    }

    /// `id` of each STATE message.
    pub(crate) fn state_ids(&self) -> Vec<u64> {
        self.states()
            .into_iter()
            .map(|state| state["id"].as_u64().unwrap())
            .collect()
    }

    /// Failure type and message of the only error trace.
    pub(crate) fn error(&self) -> (String, String) {
        let traces = self.of("TRACE");
        let [trace] = traces.as_slice() else {
            panic!("one error trace expected: {self:#?}");
        };
        let trace = &trace["trace"];
        assert_eq!(trace["type"], "ERROR");
        assert!(trace["emitted_at"].is_f64());
        let text = |key: &str| trace["error"][key].as_str().unwrap().to_owned();
        (text("failure_type"), text("message"))
    }

    /// Fails unless the process ended well: exit code 0 and no error trace.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        assert!(self.of("TRACE").is_empty(), "{self:#?}");
        self
    }

    /// Fails unless the process ended with exit code 1 and one error trace of this type, whose
    /// message is given back.
    pub(crate) fn failed(&self, failure_type: &str) -> String {
        assert_eq!(self.code, Some(1), "{self:#?}");
        let (kind, message) = self.error();
        assert_eq!(kind, failure_type, "{message}");
        message
    }

    /// Fails if anything that was printed holds one of the secrets.
    pub(crate) fn keeps_secret(&self, secrets: &[&str]) {
        let printed = self.lines.join("\n") + &self.stderr;
        for secret in secrets {
            assert!(!printed.contains(secret), "a secret was printed: {printed}");
        }
    }
}

impl From<Ended> for Output {
    fn from(ended: Ended) -> Self {
        if let Some(mut copy) = lines_copy() {
            for line in &ended.lines {
                writeln!(copy, "{line}").unwrap();
            }
        }
        Self {
            messages: ended.lines.iter().map(|line| message(line)).collect(),
            lines: ended.lines,
            stderr: ended.stderr,
            code: ended.code,
        }
    }
}

/// A process of the binary that has not ended yet.
pub(crate) struct Running(Process);

impl Running {
    pub(crate) fn start<A: AsRef<str>>(args: &[A]) -> Self {
        Self::start_logging(args, "INFO")
    }

    /// Starts the binary with everything logged from a level on.
    pub(crate) fn start_logging<A: AsRef<str>>(args: &[A], level: &str) -> Self {
        Self::start_in(args, &[("LOG_LEVEL", level)])
    }

    /// Starts the binary with these variables in its environment.
    pub(crate) fn start_in<A: AsRef<str>>(args: &[A], environment: &[(&str, &str)]) -> Self {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        Self(Process::start(BINARY, &args, environment))
    }

    /// Writes some lines and leaves stdin open.
    pub(crate) async fn send(&mut self, lines: &[String]) {
        self.0.send(lines).await;
    }

    /// Writes all lines in the background, then closes stdin.
    pub(crate) fn feed(&mut self, lines: Vec<String>) {
        self.0.feed(lines);
    }

    /// Writes a text in the background, then closes stdin.
    pub(crate) fn feed_text(&mut self, text: String) {
        self.0.feed_text(text);
    }

    /// Reads stdout, or leaves what is printed in the pipe.
    pub(crate) fn read_output(&self, read: bool) {
        self.0.read_output(read);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Lines of stdout so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines()
    }

    /// Sends a signal, such as `KILL`.
    pub(crate) async fn signal(&self, name: &str) {
        self.0.signal(name).await;
    }

    /// How many STATE messages were printed so far.
    pub(crate) fn states(&self) -> usize {
        self.0.count(r#"{"type":"STATE""#)
    }

    /// Waits until this many STATE messages are printed.
    pub(crate) async fn wait_for_states(&mut self, least: usize) {
        let what = format!("{least} states");
        self.0
            .wait_until(&what, |lines| states(lines) >= least)
            .await;
    }

    /// Waits until a line of the log holds this text.
    pub(crate) async fn wait_for_log(&mut self, text: &str) {
        self.0
            .wait_until(text, |lines| lines.iter().any(|line| line.contains(text)))
            .await;
    }

    /// Asks the process to end, as a platform does.
    pub(crate) async fn terminate(&self) {
        self.0.terminate().await;
    }

    /// `kill -9`, then what was printed before.
    pub(crate) async fn kill(self) -> Output {
        self.0.kill().await.into()
    }

    /// Waits for the end of a process that may be stopped within a line. Returns whether it was, and
    /// what was printed before.
    pub(crate) async fn finish_within_a_line(self) -> (Output, bool) {
        let mut ended = self.0.finish().await;
        let last = ended.lines.last();
        let cut = last.is_some_and(|line| serde_json::from_str::<Value>(line).is_err());
        if cut {
            ended.lines.pop();
        }
        (ended.into(), cut)
    }

    /// Waits for the end.
    pub(crate) async fn finish(self) -> Output {
        self.0.finish().await.into()
    }
}

/// How many of the lines are STATE messages.
fn states(lines: &[String]) -> usize {
    let messages = lines.iter().map(|line| message(line));
    messages
        .filter(|message| message["type"] == "STATE")
        .count()
}

/// `object_storage_config` for [`BUCKET`], in the shape of the connector's docs page.
pub(crate) fn storage(s3: &S3Server) -> Value {
    json!({
        "storage_type": "S3",
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "s3_bucket_name": BUCKET,
        "s3_bucket_region": "us-east-1",
        "s3_endpoint": s3.endpoint(),
        "bucket_path": "rejected_records/",
    })
}

/// Where a process' stdout is copied to for `tests/clients/parse_lines.py`: a file of its own in the
/// directory that `AIRBYTE_LINES_DIR` names.
pub(crate) fn lines_copy() -> Option<File> {
    let directory = std::env::var_os("AIRBYTE_LINES_DIR")?;
    let file = tempfile::Builder::new()
        .prefix("stdout-")
        .suffix(".jsonl")
        .tempfile_in(directory)
        .unwrap();
    Some(file.keep().unwrap().0)
}

fn message(line: &str) -> Value {
    let Ok(message) = serde_json::from_str(line) else {
        panic!("not an Airbyte message on stdout: {line}");
    };
    message
}
