//! A program over pipes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;
use crate::tls::SIGNER_OF_NOTHING;

/// Starts a program in the root directory, with these variables in its environment and all of its
/// standard streams as pipes. It is killed when it is dropped.
///
/// Unless a variable says otherwise, it trusts no certificate of the system: to read them all takes
/// a debug build longer than the rest of a small load.
pub fn spawn<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: &[A],
    environment: &[(&str, &str)],
) -> Child {
    Command::new(program)
        .args(args)
        .current_dir(Path::new("/"))
        .env("SSL_CERT_FILE", SIGNER_OF_NOTHING)
        .env_remove("SSL_CERT_DIR")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What a process has printed, and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Lines of stdout.
    pub lines: Vec<String>,
    /// All of stderr.
    pub stderr: String,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
}

/// A process that has not ended yet.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    feeding: Option<JoinHandle<()>>,
    printed: Arc<Mutex<Vec<String>>>,
    /// How many lines were printed; closed when stdout is.
    count: watch::Receiver<usize>,
    /// Whether stdout is read.
    reading: watch::Sender<bool>,
    stderr: JoinHandle<String>,
}

impl Process {
    /// Starts a program as [`spawn`] does, and reads what it prints.
    pub fn start<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        args: &[A],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = spawn(program, args, environment);
        let printed = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let lines = Arc::clone(&printed);
        let (reading, mut may_read) = watch::channel(true);
        tokio::spawn(async move {
            // Without the process nobody is left who could hold it up.
            while may_read.wait_for(|read| *read).await.is_ok() {
                let Some(line) = stdout.next_segment().await.unwrap() else {
                    return;
                };
                // A process that is killed may end within a letter.
                let line = String::from_utf8_lossy(&line).into_owned();
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
            reading,
            stderr,
        }
    }

    /// Writes some lines and leaves stdin open.
    pub async fn send(&mut self, lines: &[String]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text(lines).as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Writes all lines in the background, then closes stdin.
    pub fn feed(&mut self, lines: Vec<String>) {
        let mut stdin = self.stdin.take().unwrap();
        self.feeding = Some(tokio::spawn(async move {
            for lines in lines.chunks(1000) {
                // A process that ends early closes its end of the pipe.
                if stdin.write_all(text(lines).as_bytes()).await.is_err() {
                    return;
                }
            }
        }));
    }

    /// Writes a text in the background, then closes stdin.
    pub fn feed_text(&mut self, text: String) {
        let mut stdin = self.stdin.take().unwrap();
        self.feeding = Some(tokio::spawn(async move {
            // A process that ends early closes its end of the pipe.
            let _ = stdin.write_all(text.as_bytes()).await;
        }));
    }

    /// Reads stdout, or leaves what is printed in the pipe, until it is full and the process waits.
    pub fn read_output(&self, read: bool) {
        self.reading.send_replace(read);
    }

    /// Whether stdout was closed, as it is when the process ends.
    pub fn has_ended(&self) -> bool {
        self.count.has_changed().is_err()
    }

    /// How many lines of stdout so far begin with a text.
    pub fn count(&self, begin: &str) -> usize {
        let lines = self.printed.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(begin)).count()
    }

    /// Lines of stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// Waits until the lines so far hold what is asked for, at most [`PATIENCE`].
    pub async fn wait_until(&mut self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let waiting = async {
            loop {
                self.count.mark_unchanged();
                if holds(&self.lines()) {
                    return;
                }
                if self.count.changed().await.is_err() {
                    let lines = self.lines();
                    assert!(holds(&lines), "ended without {what}: {lines:#?}");
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(
            waited.is_ok(),
            "waited in vain for {what}: {:#?}",
            self.lines()
        );
    }

    /// Asks the process to end, as a platform does.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends a signal, such as `KILL`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("sh")
            .args(["-c", r#"kill -"$0" "$1""#, name, &pid])
            .status();
        assert!(kill.await.unwrap().success());
    }

    /// `kill -9`, then what was printed before.
    pub async fn kill(mut self) -> Ended {
        self.child.kill().await.unwrap();
        self.finish().await
    }

    /// Closes stdin and waits for the end, at most [`PATIENCE`].
    pub async fn finish(mut self) -> Ended {
        self.stdin = None;
        self.read_output(true);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("the process does not end: {:#?}", self.lines());
        };
        while self.count.changed().await.is_ok() {}
        if let Some(feeding) = self.feeding.take() {
            feeding.await.unwrap();
        }
        Ended {
            lines: self.lines(),
            stderr: self.stderr.await.unwrap(),
            code: status.unwrap().code(),
        }
    }
}

fn text(lines: &[String]) -> String {
    let lines = lines.iter();
    lines.flat_map(|line| [line.as_str(), "\n"]).collect()
}
