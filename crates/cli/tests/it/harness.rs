//! A person at a terminal: a folder, an org, and the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder in which commands are typed, and whose home it is.
#[derive(Debug)]
pub(crate) struct Shell {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ended {
    /// -1 if it was killed.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shell {
    /// A folder with a config for the org, which commands find by themselves.
    pub(crate) fn of(sim: &TestSim) -> Self {
        let config = json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN,
            "login_url": sim.url(),
        });
        let shell = Self::without_org();
        let config = shell.file("config.json", config.to_string());
        shell.with("ARROW_SALESFORCE_CONFIG", config.to_str().unwrap())
    }

    /// A folder, and no org.
    pub(crate) fn without_org() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            environment: Vec::new(),
        }
    }

    /// Sets a variable of the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_arrow-salesforce"), arguments)
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", std::env::temp_dir())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts a command whose stdin is empty.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut child = self.start_open(arguments);
        drop(child.stdin.take());
        child
    }

    /// Starts a command that waits for its stdin.
    pub(crate) fn start_open(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Types a command and waits for its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, b"").await
    }

    /// Runs another program, which finds the binary by its name.
    pub(crate) async fn run_program(&self, program: &str, arguments: &[&str]) -> Ended {
        let mut command = self.program(program, arguments);
        let folder = Path::new(env!("CARGO_BIN_EXE_arrow-salesforce")).parent();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", folder.unwrap().display()));
        ended(command.stdin(Stdio::null()).spawn().unwrap()).await
    }

    /// The same with something on stdin.
    pub(crate) async fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ended {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        let writing = tokio::spawn(async move {
            // A command that reads nothing closes it.
            let _ = input.write_all(&stdin).await;
        });
        let ended = ended(child).await;
        writing.await.unwrap();
        ended
    }

    /// The records of runs, oldest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let runs = self.path().join(".local/share/arrow-salesforce/runs");
        let Ok(index) = fs::read_dir(runs.join("index")) else {
            return Vec::new();
        };
        let mut ids: Vec<_> = index.map(|entry| entry.unwrap().file_name()).collect();
        ids.sort();
        let record = |id| fs::read(runs.join(id).join("run.json")).unwrap();
        ids.into_iter()
            .map(|id| serde_json::from_slice(&record(id)).unwrap())
            .collect()
    }
}

/// Waits for the end of a command.
pub(crate) async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("the command ends").unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}
