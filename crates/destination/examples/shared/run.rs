//! One run of `write` as Airbyte starts it: a process of its own with records on its stdin and
//! messages on its stdout, watched from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::Value;

use super::records::{self, Messages, Stream};

/// Pause between two looks at the memory of the loader.
const LOOK: Duration = Duration::from_millis(20);

/// Clock ticks a second in `/proc/<pid>/stat`, the same on every Linux.
const TICKS: u64 = 100;

/// What a run printed, took and used.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) printed: Printed,
    /// It ended with exit code 0.
    pub(crate) success: bool,
    pub(crate) elapsed: Duration,
    /// Processor time of the loader; known on Linux only.
    pub(crate) cpu: Option<Duration>,
    /// Most bytes of memory that the loader had resident; known on Linux only.
    pub(crate) peak_memory: Option<u64>,
    /// Bytes on its stdin.
    pub(crate) bytes: u64,
}

/// Runs `<program> write` over the records of `streams`. Its config and catalog are written into
/// `folder`; `bar` moves with the records sent.
pub(crate) fn write(
    program: &Path,
    folder: &Path,
    streams: &[Stream],
    config: &Value,
    bar: &ProgressBar,
) -> io::Result<Run> {
    let (config_path, catalog_path) = (folder.join("config.json"), folder.join("catalog.json"));
    fs::write(&config_path, config.to_string())?;
    fs::write(&catalog_path, records::catalog(streams).to_string())?;
    let started = Instant::now();
    let mut loader = Command::new(program)
        .arg("write")
        .arg("--config")
        .arg(&config_path)
        .arg("--catalog")
        .arg(&catalog_path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdin = loader
        .stdin
        .take()
        .ok_or_else(|| io::Error::other("stdin is not piped"))?;
    let stdout = loader
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("stdout is not piped"))?;

    let messages = Messages::new(streams.to_vec());
    let feeder = thread::spawn({
        let bar = bar.clone();
        move || feed(messages, stdin, &bar)
    });
    let (ended, end) = channel();
    let pid = loader.id();
    let watcher = thread::spawn(move || watch_memory(pid, &end));

    let mut printed = Printed::default();
    bar.set_message("0");
    for line in BufReader::new(stdout).lines() {
        printed.message(&line?);
        bar.set_message(printed.states().to_string());
    }
    let cpu = processor_time(&loader);
    let success = loader.wait()?.success();
    let elapsed = started.elapsed();
    bar.finish_and_clear();
    drop(ended);
    let peak_memory = watcher.join().unwrap_or_default();
    let bytes = feeder
        .join()
        .map_err(|_| io::Error::other("the feeding thread panicked"))??;
    Ok(Run {
        printed,
        success,
        elapsed,
        cpu,
        peak_memory,
        bytes,
    })
}

/// Writes all messages to the loader; returns how many bytes it took.
fn feed(mut messages: Messages, mut stdin: ChildStdin, bar: &ProgressBar) -> io::Result<u64> {
    let (mut bytes, mut lines) = (0, 0);
    let records = bar.length().unwrap_or(u64::MAX);
    loop {
        let block = messages.fill_buf()?;
        if block.is_empty() {
            return Ok(bytes);
        }
        match stdin.write_all(block) {
            Ok(()) => {}
            // The loader has ended early; it said why on stdout.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(bytes),
            Err(error) => return Err(error),
        }
        let length = block.len();
        // A few of the lines are states.
        lines += block.iter().filter(|&&byte| byte == b'\n').count() as u64;
        bytes += length as u64;
        messages.consume(length);
        bar.set_position(lines.min(records));
    }
}

fn watch_memory(pid: u32, end: &Receiver<()>) -> Option<u64> {
    let mut peak = None;
    loop {
        let seen = fs::read_to_string(format!("/proc/{pid}/status"))
            .ok()
            .and_then(|status| kibibytes(&status, "VmHWM:"));
        peak = peak.max(seen);
        if end.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            return peak.map(|kibibytes| kibibytes << 10);
        }
    }
}

fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processor time of a process that has ended, but is not yet waited for. Waits until it has.
fn processor_time(process: &Child) -> Option<Duration> {
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).ok()?;
        // The second field is a name in brackets, which may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        if fields.first() != Some(&"Z") {
            thread::yield_now();
            continue;
        }
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        return Some(Duration::from_millis(
            (ticks(11)? + ticks(12)?) * 1000 / TICKS,
        ));
    }
}

/// What a loader printed, as far as states and its end go.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// By stream.
    pub(crate) streams: BTreeMap<String, States>,
    /// The message of a TRACE error.
    pub(crate) error: Option<String>,
    /// The report of each load, as it was logged.
    pub(crate) reports: Vec<Value>,
}

/// The states of one stream, summed up.
#[derive(Debug, Default)]
pub(crate) struct States {
    pub(crate) printed: u64,
    /// The first state's blob, and the last one's.
    pub(crate) first: String,
    pub(crate) last: String,
    /// Records that the source counted.
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Running totals in the last state.
    pub(crate) total_accepted: u64,
    pub(crate) total_rejected: u64,
}

impl Printed {
    /// How many states there are.
    pub(crate) fn states(&self) -> u64 {
        self.streams.values().map(|states| states.printed).sum()
    }

    fn message(&mut self, line: &str) {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match message["type"].as_str() {
            Some("STATE") => self.state(&message["state"]),
            Some("TRACE") => {
                let error = text(&message["trace"]["error"]["message"]);
                self.error = self.error.take().or(error);
            }
            Some("LOG") => {
                let logged = message["log"]["message"].as_str().unwrap_or_default();
                let report: Value = serde_json::from_str(logged).unwrap_or_default();
                if report["event"] == "load_report" {
                    self.reports.push(report);
                }
            }
            _ => {}
        }
    }

    fn state(&mut self, state: &Value) {
        let name = state["stream"]["stream_descriptor"]["name"]
            .as_str()
            .unwrap_or_default();
        let states = self.streams.entry(name.to_owned()).or_default();
        let blob = state["stream"]["stream_state"].to_string();
        if states.printed == 0 {
            states.first.clone_from(&blob);
        }
        states.last = blob;
        states.printed += 1;
        states.sent += whole(&state["sourceStats"]["recordCount"]);
        states.accepted += whole(&state["destinationStats"]["recordCount"]);
        states.rejected += whole(&state["destinationStats"]["rejectedRecordCount"]);
        states.total_accepted = whole(&state["committedRecordsCount"]);
        states.total_rejected = whole(&state["rejectedRecordsCount"]);
    }
}

/// A count that the protocol may write with a decimal point.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and far below 2^53"
)]
fn whole(count: &Value) -> u64 {
    count.as_f64().unwrap_or_default() as u64
}
