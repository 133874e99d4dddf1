//! The built binary, over pipes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::lines::{Stream, catalog};
use super::s3;
use super::sim::TestSim;

/// Longest wait for anything. It ends a test that would hang; none passes by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) const CLIENT_ID: &str = "3MVG9.consumer+key";
pub(crate) const CLIENT_SECRET: &str = "consumer-secret&with=signs+";
pub(crate) const REFRESH_TOKEN: &str = "5Aep861refresh!token&more";

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

    fn reject_folder(&self) -> PathBuf {
        self.directory.path().join("rejected")
    }

    /// Content of all files of the reject folder, in the order of their paths.
    pub(crate) fn reject_files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> =
            s3::files(&self.reject_folder()).into_iter().collect();
        // A killed process leaves what it had not renamed to its final name yet.
        files.retain(|(name, _)| !name.contains('#'));
        files
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

/// A process that has not ended yet.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    feeding: Option<JoinHandle<()>>,
    printed: Arc<Mutex<Vec<String>>>,
    /// How many lines were printed; closed when stdout is.
    count: watch::Receiver<usize>,
    stderr: JoinHandle<String>,
}

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
        let mut child = spawn(args, environment);
        let printed = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = Arc::clone(&printed);
        let mut copy = lines_copy();
        tokio::spawn(async move {
            while let Some(line) = stdout.next_line().await.unwrap() {
                if let Some(copy) = &mut copy {
                    writeln!(copy, "{line}").unwrap();
                }
                lines.lock().unwrap().push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        });
        Self {
            stdin: child.stdin.take(),
            child,
            feeding: None,
            printed,
            count,
            stderr,
        }
    }

    /// Writes some lines and leaves stdin open.
    pub(crate) async fn send(&mut self, lines: &[String]) {
        let text: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect();
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Writes all lines in the background, then closes stdin.
    pub(crate) fn feed(&mut self, lines: Vec<String>) {
        let mut stdin = self.stdin.take().unwrap();
        self.feeding = Some(tokio::spawn(async move {
            for lines in lines.chunks(1000) {
                let text: String = lines
                    .iter()
                    .flat_map(|line| [line.as_str(), "\n"])
                    .collect();
                // A process that ends early closes its end of the pipe.
                if stdin.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        }));
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Messages so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let printed = self.printed.lock().unwrap();
        printed.iter().map(|line| message(line)).collect()
    }

    /// How many STATE messages were printed so far.
    pub(crate) fn states(&self) -> usize {
        let messages = self.messages();
        messages
            .iter()
            .filter(|message| message["type"] == "STATE")
            .count()
    }

    /// Waits until this many STATE messages are printed.
    pub(crate) async fn wait_for_states(&mut self, least: usize) {
        self.wait_until(&format!("{least} states"), |messages| {
            messages
                .iter()
                .filter(|message| message["type"] == "STATE")
                .count()
                >= least
        })
        .await;
    }

    /// Waits until the messages so far hold what is asked for.
    pub(crate) async fn wait_until(&mut self, what: &str, holds: impl Fn(&[Value]) -> bool) {
        let waiting = async {
            loop {
                self.count.mark_unchanged();
                if holds(&self.messages()) {
                    return;
                }
                if self.count.changed().await.is_err() {
                    let messages = self.messages();
                    assert!(holds(&messages), "ended without {what}: {messages:#?}");
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(
            waited.is_ok(),
            "waited in vain for {what}: {:#?}",
            self.messages()
        );
    }

    /// Asks the process to end, as a platform does.
    pub(crate) async fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("sh")
            .args(["-c", r#"kill -TERM "$0""#, &pid])
            .status();
        assert!(kill.await.unwrap().success());
    }

    /// `kill -9`, then what was printed before.
    pub(crate) async fn kill(mut self) -> Output {
        self.child.kill().await.unwrap();
        self.finish().await
    }

    /// Waits for the end.
    pub(crate) async fn finish(mut self) -> Output {
        self.close_stdin();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("the process does not end: {:#?}", self.messages());
        };
        while self.count.changed().await.is_ok() {}
        if let Some(feeding) = self.feeding.take() {
            feeding.await.unwrap();
        }
        let lines = self.printed.lock().unwrap().clone();
        Output {
            messages: lines.iter().map(|line| message(line)).collect(),
            lines,
            stderr: self.stderr.await.unwrap(),
            code: status.unwrap().code(),
        }
    }
}

/// The binary with these variables in its environment, over pipes.
pub(crate) fn spawn<A: AsRef<str>>(args: &[A], environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_destination-salesforce"))
        .args(args.iter().map(AsRef::as_ref))
        .current_dir(Path::new("/"))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
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
