//! The benchmark of contention: children of few and of many parents, in random order, into a
//! simulated org whose jobs fight over locked parents, once for each way to load them.
//!
//! ```sh
//! cargo build --release --workspace --bins
//! cargo run --release --example contention -- target/release/destination-salesforce
//! ```

#[path = "shared/outcome.rs"]
mod outcome;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Parser;
use outcome::Rejected;
use salesforce_sim::{Contention, ContentionCounts, Sim, SimOptions};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Parents that are added to the org at once.
const PARENTS_A_REQUEST: usize = 20_000;

/// Measures what fights over parents cost a load and the org.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The binary that loads.
    program: PathBuf,
    /// Children in all.
    #[arg(long, default_value_t = 200_000)]
    rows: usize,
    /// How many parents they have, alike or by Zipf's law: `20`, `zipf:20000`.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "20,2000,200000,zipf:20000"
    )]
    parents: Vec<Parents>,
    /// Settings of the loader, by name: default, ungrouped, serial, small, small-ungrouped.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "default,ungrouped,serial,small,small-ungrouped"
    )]
    ways: Vec<String>,
    /// Further settings of the loader for all of them, as a JSON object.
    #[arg(long, default_value = "{}")]
    settings: String,
    /// Children name their parent by its Id, not by its external ID.
    #[arg(long)]
    by_id: bool,
    /// Batches that the org runs at once.
    #[arg(long, default_value_t = 10)]
    slots: usize,
    /// Seconds that the org takes for 200 children, in simulated time.
    #[arg(long, default_value_t = 1.5)]
    chunk_seconds: f64,
    /// A trigger runs for children.
    #[arg(long)]
    trigger: bool,
    /// Real milliseconds without a request that acts before the org's clock moves on.
    #[arg(long, default_value_t = 1_000)]
    quiet_ms: u64,
    /// Seed of the order of children, and of the org.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where rejected records and settings are written; emptied first.
    #[arg(long, default_value = "target/contention")]
    folder: PathBuf,
}

/// How many parents there are, and how children are spread over them.
#[derive(Debug, Clone, Copy)]
struct Parents {
    count: usize,
    /// The n-th parent has 1/n as many children as the first; otherwise all have as many.
    zipf: bool,
}

impl FromStr for Parents {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (zipf, count) = match text.strip_prefix("zipf:") {
            Some(count) => (true, count),
            None => (false, text),
        };
        let count = count.parse()?;
        Ok(Self { count, zipf })
    }
}

impl Parents {
    fn name(self) -> String {
        let kind = if self.zipf { " (Zipf)" } else { "" };
        format!("{}{kind}", self.count)
    }

    /// The parent of each child, in random order.
    fn of_children(self, rows: usize, seed: u64) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut parents: Vec<usize> = if self.zipf {
            let total: f64 = (1..=self.count).map(share).sum();
            let mut sum = 0.0;
            let sums = (1..=self.count).map(|rank| {
                sum += share(rank) / total;
                sum
            });
            let sums: Vec<f64> = sums.collect();
            let draw = |_| sums.partition_point(|sum| *sum < random.f64());
            (0..rows)
                .map(draw)
                .map(|parent| parent.min(self.count - 1))
                .collect()
        } else {
            (0..rows).map(|row| row % self.count).collect()
        };
        random.shuffle(&mut parents);
        parents
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of children")]
fn share(rank: usize) -> f64 {
    1.0 / rank as f64
}

/// The settings of a way to load.
fn settings_of(way: &str) -> Result<Value> {
    Ok(match way {
        "default" => json!({}),
        "ungrouped" => json!({"group_by": "none"}),
        "serial" => json!({"concurrency": "serial"}),
        "small" => json!({"max_job_rows": 10_000, "max_jobs_in_flight": 4}),
        "small-ungrouped" => {
            json!({"max_job_rows": 10_000, "max_jobs_in_flight": 4, "group_by": "none"})
        }
        _ => return Err(format!("{way} is not one of the ways to load").into()),
    })
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    println!("{MARKDOWN_HEADER}");
    let mut good = true;
    for parents in &options.parents {
        for way in &options.ways {
            let measured = measure(&options, *parents, way).await?;
            println!("{}", measured.markdown(*parents, way));
            for problem in measured.problems(options.rows) {
                eprintln!("WRONG: {} parents, {way}: {problem}", parents.name());
                good = false;
            }
        }
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(options: &Options, parents: Parents, way: &str) -> Result<Measured> {
    let folder = &options.folder;
    // The ledger stands beside the rejected records.
    let rejects = folder.join("store/rejected");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(&rejects)?;
    let sim = Sim::start(org(options)).await?;
    add_parents(&sim, parents.count).await?;
    let ids = if options.by_id {
        ids_of_parents(&sim).await?
    } else {
        Vec::new()
    };
    let mut config = json!({
        "client_id": "sim-client-id",
        "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token",
        "is_sandbox": false,
        "auth_type": "Client",
        "login_url": sim.url(),
        "rejected_records_url": format!("file://{}", fs::canonicalize(&rejects)?.display()),
        // Pauses between tries are real time, which the org does not see.
        "wait_permille": 20,
    });
    let more: Map<String, Value> = serde_json::from_str(&options.settings)?;
    let way = settings_of(way)?;
    for (name, value) in way.as_object().into_iter().flatten().chain(&more) {
        config[name] = value.clone();
    }
    fs::write(folder.join("config.json"), config.to_string())?;
    let lookup = if options.by_id {
        "AccountId"
    } else {
        "Account.Ext_Id__c"
    };
    fs::write(folder.join("catalog.json"), catalog(lookup).to_string())?;

    let children = parents.of_children(options.rows, options.seed);
    let started = Instant::now();
    let said = {
        let (program, folder) = (options.program.clone(), folder.clone());
        let name = move |parent: usize| ids.get(parent).cloned().unwrap_or(format!("P{parent}"));
        let load = move || write(&program, &folder, lookup, &children, name);
        tokio::task::spawn_blocking(load).await??
    };
    let elapsed = started.elapsed();
    let state = outcome::ask(&sim.url(), "/sim/state").await?;
    let object = outcome::ask(&sim.url(), "/sim/objects/Contact").await?;
    Ok(Measured {
        said,
        elapsed,
        contention: sim.contention(),
        jobs: state["jobs"].as_array().map_or(0, Vec::len),
        batches: state["batches"].clone(),
        calls: state["api_calls"].clone(),
        held: object["count"].as_u64().unwrap_or_default(),
        rejected: Rejected::read(&rejects)?.records(),
    })
}

fn org(options: &Options) -> SimOptions {
    let triggers = options.trigger.then(|| "Contact".to_owned());
    SimOptions {
        seed: options.seed,
        refuse_duplicates: false,
        max_api_calls: 10_000_000,
        max_batches: 1_000_000,
        contention: Some(Contention {
            slots: options.slots,
            chunk_time: Duration::ZERO,
            row_time: Duration::from_secs_f64(options.chunk_seconds / 200.0),
            triggers: triggers.into_iter().collect(),
            quiet: Duration::from_millis(options.quiet_ms),
            ..Contention::default()
        }),
        ..SimOptions::default()
    }
}

async fn add_parents(sim: &Sim, count: usize) -> Result<()> {
    let url = format!("{}/sim/objects/Account/rows", sim.url());
    let client = reqwest::Client::new();
    for first in (0..count).step_by(PARENTS_A_REQUEST) {
        let parents = first..count.min(first + PARENTS_A_REQUEST);
        let rows = parents.map(|parent| format!("Parent {parent},P{parent}\n"));
        let csv = format!("Name,Ext_Id__c\n{}", rows.collect::<String>());
        let added = client.post(&url).body(csv).send().await?;
        added.error_for_status()?;
    }
    Ok(())
}

async fn ids_of_parents(sim: &Sim) -> Result<Vec<String>> {
    let url = format!("{}/sim/objects/Account/column/Id", sim.url());
    let lines = reqwest::Client::new().get(url).send().await?.text().await?;
    let ids = lines.lines().map(serde_json::from_str);
    Ok(ids.collect::<std::result::Result<_, _>>()?)
}

fn catalog(lookup: &str) -> Value {
    let properties: Map<String, Value> = ["Ext_Id__c", "LastName", lookup]
        .map(|name| (name.to_owned(), json!({"type": ["null", "string"]})))
        .into_iter()
        .collect();
    json!({"streams": [{
        "stream": {
            "name": "children",
            "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": "incremental",
        "destination_sync_mode": "append",
        "destination_object_name": "Contact",
        "generation_id": 1,
        "minimum_generation_id": 0,
        "sync_id": 1,
    }]})
}

/// Loads the children. Returns what the loader said if it failed.
fn write(
    program: &Path,
    folder: &Path,
    lookup: &str,
    children: &[usize],
    name: impl Fn(usize) -> String,
) -> Result<Option<String>> {
    let mut loader = Command::new(program)
        .arg("write")
        .arg("--config")
        .arg(folder.join("config.json"))
        .arg("--catalog")
        .arg(folder.join("catalog.json"))
        .stdin(Stdio::piped())
        .stdout(fs::File::create(folder.join("stdout"))?)
        .stderr(fs::File::create(folder.join("stderr"))?)
        .spawn()?;
    let stdin = loader.stdin.take().ok_or("stdin is not piped")?;
    // A loader that has ended early says why on stdout.
    let _ = feed(BufWriter::new(stdin), lookup, children, name);
    if loader.wait()?.success() {
        return Ok(None);
    }
    let said = fs::read_to_string(folder.join("stdout"))?;
    Ok(Some(said.lines().last().unwrap_or("nothing").to_owned()))
}

fn feed(
    mut stdin: impl Write,
    lookup: &str,
    children: &[usize],
    name: impl Fn(usize) -> String,
) -> std::io::Result<()> {
    let status = |status: &str| {
        json!({"type": "TRACE", "trace": {
            "type": "STREAM_STATUS", "emitted_at": 1.0,
            "stream_status": {"stream_descriptor": {"name": "children"}, "status": status},
        }})
    };
    writeln!(stdin, "{}", status("STARTED"))?;
    for (row, parent) in children.iter().enumerate() {
        let parent = name(*parent);
        writeln!(
            stdin,
            r#"{{"type":"RECORD","record":{{"stream":"children","emitted_at":1,"data":{{"Ext_Id__c":"C{row}","LastName":"Child {row}","{lookup}":"{parent}"}}}}}}"#
        )?;
    }
    let state = json!({"type": "STATE", "state": {
        "type": "STREAM",
        "stream": {"stream_descriptor": {"name": "children"}, "stream_state": {"cursor": 1}},
        "sourceStats": {"recordCount": children.len()}, "id": 1,
    }});
    writeln!(stdin, "{state}")?;
    writeln!(stdin, "{}", status("COMPLETE"))?;
    stdin.flush()
}

struct Measured {
    /// What the loader said if it failed.
    said: Option<String>,
    elapsed: Duration,
    contention: ContentionCounts,
    jobs: usize,
    batches: Value,
    calls: Value,
    held: u64,
    rejected: u64,
}

const MARKDOWN_HEADER: &str = "\
| parents | settings | rejects | lock errors | simulated s | slot s | chunks that waited | batches put back | jobs failed | jobs | batches | calls | real s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

impl Measured {
    fn markdown(&self, parents: Parents, way: &str) -> String {
        let counts = &self.contention;
        format!(
            "| {} | {way} | {} | {} | {:.0} | {:.0} | {} | {} | {} | {} | {} | {} | {:.0} |",
            parents.name(),
            self.rejected,
            counts.lock_failures,
            counts.seconds,
            counts.slot_seconds,
            counts.lock_waits,
            counts.put_back,
            counts.failed_jobs,
            self.jobs,
            self.batches,
            self.calls,
            self.elapsed.as_secs_f64(),
        )
    }

    fn problems(&self, rows: usize) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(said) = &self.said {
            problems.push(format!("the loader failed: {said}"));
        }
        let known = self.held + self.rejected;
        if known != rows as u64 {
            problems.push(format!(
                "{known} children in the org and in files, not {rows}"
            ));
        }
        problems
    }
}
