//! The benchmark of high-volume activation: generated contact records through a pipe into the
//! built binary, against the simulator in a separate process, with every count checked at the end.
//!
//! ```sh
//! cargo build --profile dist
//! cargo run --release --example activation -- target/dist/destination-salesforce --rows 10000000
//! ```

#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/records.rs"]
mod records;
#[path = "shared/run.rs"]
mod run;

use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use outcome::Rejected;
use records::{Fate, Shape, Stream};
use run::Run;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures `write` over generated records and checks what became of each.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The binary that loads.
    program: PathBuf,
    /// The binary that simulates the org; the same by default.
    #[arg(long)]
    simulator: Option<PathBuf>,
    /// What the records look like: contacts, accounts, narrow, wide.
    #[arg(long, default_value = "contacts")]
    stream: Shape,
    /// Records in all.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Seed of the records and of the simulator.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of records with a value that cannot be written.
    #[arg(long, default_value_t = 0.01)]
    bad: f64,
    /// Share of records that the org refuses.
    #[arg(long, default_value_t = 0.03)]
    refused: f64,
    /// Share of further records that the simulator refuses at random.
    #[arg(long, default_value_t = 0.0)]
    fail_rate: f64,
    /// Records between two states.
    #[arg(long, default_value_t = 100_000)]
    states_every: u64,
    /// Seconds that the simulator takes for a job.
    #[arg(long, default_value_t = 3.0)]
    job_seconds: f64,
    /// Bound of the loader's memory in bytes; its own default if absent.
    #[arg(long)]
    memory_limit_bytes: Option<u64>,
    /// Bound of a job in bytes; the loader's default if absent.
    #[arg(long)]
    max_job_bytes: Option<u64>,
    /// Where rejected records and settings are written; emptied first.
    #[arg(long, default_value = "target/activation")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let rejects = options.folder.join("rejected");
    if options.folder.exists() {
        fs::remove_dir_all(&options.folder)?;
    }
    fs::create_dir_all(&rejects)?;

    let mut org = Org::start(&options)?;
    let measured = measure(options, &org.url, &rejects).await;
    org.process.kill()?;
    org.process.wait()?;
    let measured = measured?;

    println!("{MARKDOWN_HEADER}\n{}\n", measured.markdown());
    println!("{:#}", measured.json());
    let wrong = measured.wrong();
    for check in &wrong {
        eprintln!("WRONG: {check}");
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The simulator in its own process.
struct Org {
    process: Child,
    url: String,
    /// Open as long as the simulator may print.
    _stdout: BufReader<ChildStdout>,
}

impl Org {
    fn start(options: &Options) -> Result<Self> {
        let mut process = Command::new(options.simulator.as_ref().unwrap_or(&options.program))
            .args(["simulate", "--port", "0", "--forget"])
            .args(["--seed", &options.seed.to_string()])
            .args(["--job-seconds", &options.job_seconds.to_string()])
            .args(["--fail-rate", &options.fail_rate.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the simulator has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let url = words.find(|word| word.starts_with("http://"));
        let url = url.ok_or_else(|| format!("the simulator printed no address, but {line:?}"))?;
        let url = url.trim_end_matches(['.', '/']).to_owned();
        Ok(Self {
            process,
            url,
            _stdout: stdout,
        })
    }
}

async fn measure(options: Options, url: &str, rejects: &Path) -> Result<Measured> {
    let stream = Stream {
        seed: options.seed,
        invalid: options.bad,
        refused: options.refused,
        states_every: options.states_every,
        ..Stream::new(options.stream, options.rows)
    };
    let rejects_url = format!("file://{}", fs::canonicalize(rejects)?.display());
    let mut settings = json!({"rejected_records_url": rejects_url});
    if let Some(bytes) = options.memory_limit_bytes {
        settings["memory_limit_bytes"] = bytes.into();
    }
    if let Some(bytes) = options.max_job_bytes {
        settings["max_job_bytes"] = bytes.into();
    }
    let config = records::config(url, &settings);
    let run = {
        let (stream, options) = (stream.clone(), options.clone());
        let bar = progress_bar(options.rows)?;
        let work = move || run::write(&options.program, &options.folder, &[stream], &config, &bar);
        tokio::task::spawn_blocking(work).await??
    };
    let state = outcome::ask(url, "/sim/state").await?;
    let object = outcome::ask(url, &format!("/sim/objects/{}", options.stream.object())).await?;
    let rejected = Rejected::read(rejects)?;
    let expected = records::expected(&[stream]);
    let accepted = expected.get(&Fate::Accepted).copied().unwrap_or_default();
    Ok(Measured {
        options,
        run,
        state,
        object,
        rejected,
        accepted,
    })
}

fn progress_bar(records: u64) -> Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {human_pos} of {human_len}, states back: {msg}, {elapsed}, {per_sec}";
    Ok(ProgressBar::new(records).with_style(ProgressStyle::with_template(style)?))
}

struct Measured {
    options: Options,
    run: Run,
    /// The simulator's responses.
    state: Value,
    object: Value,
    rejected: Rejected,
    /// Records that must be in the org if the simulator refused none at random.
    accepted: u64,
}

const MARKDOWN_HEADER: &str = "\
| records | memory limit | seconds | records/s | CPU s per million | peak MiB | MiB to disk | jobs in flight | in org | in files | states |
|---|---|---|---|---|---|---|---|---|---|---|";

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
impl Measured {
    fn held(&self) -> u64 {
        self.object["count"].as_u64().unwrap_or_default()
    }

    /// Bytes that went to disk, if the loader says.
    fn spilled(&self) -> Option<u64> {
        self.run
            .printed
            .reports
            .iter()
            .map(|report| report["spilled"].as_u64())
            .sum()
    }

    fn records_per_second(&self) -> f64 {
        self.options.rows as f64 / self.run.elapsed.as_secs_f64()
    }

    fn cpu_per_million(&self) -> Option<f64> {
        let cpu = self.run.cpu?.as_secs_f64();
        Some(cpu * 1e6 / self.options.rows as f64)
    }

    /// Every count that is not what it has to be.
    fn wrong(&self) -> Vec<String> {
        let rows = self.options.rows;
        let rejected = self.rejected.records();
        let states = self.run.printed.streams.values();
        let sum = |count: fn(&run::States) -> u64| states.clone().map(count).sum::<u64>();
        let mut checks = vec![
            ("exit code 0", u64::from(self.run.success), 1),
            (
                "in the org and in reject files",
                self.held() + rejected,
                rows,
            ),
            (
                "states printed",
                self.run.printed.states(),
                rows.div_ceil(self.options.states_every),
            ),
            (
                "records that the states cover",
                sum(|states| states.sent),
                rows,
            ),
            (
                "accepted in the states",
                sum(|states| states.accepted),
                self.held(),
            ),
            (
                "rejected in the states",
                sum(|states| states.rejected),
                rejected,
            ),
            (
                "running total accepted",
                sum(|states| states.total_accepted),
                self.held(),
            ),
            (
                "running total rejected",
                sum(|states| states.total_rejected),
                rejected,
            ),
        ];
        if self.options.fail_rate == 0.0 {
            checks.push(("good records in the org", self.held(), self.accepted));
        }
        let mut wrong: Vec<String> = checks
            .into_iter()
            .filter(|(_, found, due)| found != due)
            .map(|(what, found, due)| format!("{what}: {found}, not {due}"))
            .collect();
        wrong.extend(
            self.run
                .printed
                .error
                .iter()
                .map(|error| format!("write said: {error}")),
        );
        wrong
    }

    fn markdown(&self) -> String {
        let limit = self.options.memory_limit_bytes;
        let peak = self.run.peak_memory.unwrap_or_default();
        format!(
            "| {} | {} | {:.1} | {:.0} | {:.2} | {} | {} | {} | {} | {} | {} |",
            self.options.rows,
            limit.map_or("default".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
            self.run.elapsed.as_secs_f64(),
            self.records_per_second(),
            self.cpu_per_million().unwrap_or_default(),
            peak >> 20,
            self.spilled()
                .map_or("unknown".to_owned(), |bytes| (bytes >> 20).to_string()),
            self.state["max_in_flight"],
            self.held(),
            self.rejected.records(),
            self.run.printed.states(),
        )
    }

    fn json(&self) -> Value {
        json!({
            "records": self.options.rows,
            "bytes": self.run.bytes,
            "memory_limit_bytes": self.options.memory_limit_bytes,
            "job_seconds": self.options.job_seconds,
            "seconds": self.run.elapsed.as_secs_f64(),
            "records_per_second": self.records_per_second(),
            "cpu_seconds": self.run.cpu.map(|cpu| cpu.as_secs_f64()),
            "cpu_seconds_per_million": self.cpu_per_million(),
            "peak_memory_bytes": self.run.peak_memory,
            "spilled_bytes": self.spilled(),
            "in_org": self.held(),
            "in_reject_files": self.rejected.records(),
            "reject_files": self.rejected.files.len(),
            "states": self.run.printed.states(),
            "reports": self.run.printed.reports,
            "wrong": self.wrong(),
            "jobs": self.state["jobs"].as_array().map_or(0, Vec::len),
            "max_jobs_in_flight": self.state["max_in_flight"],
            "api_calls": self.state["api_calls"],
            "batches": self.state["batches"],
            "object": self.object,
        })
    }
}
