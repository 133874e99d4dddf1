//! The whole thing in a minute, with no account anywhere: a simulated Salesforce, the real
//! `write` as a process of its own, 120,000 generated records of which some are bad, and at the end
//! the proof that every record is accounted for.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/records.rs"]
mod records;
#[path = "shared/run.rs"]
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use comfy_table::{CellAlignment, Table, presets};
use destination_salesforce::Command;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use outcome::Rejected;
use records::{Fate, Shape, Stream};
use run::Run;
use salesforce_sim::{Sim, SimOptions};
use serde_json::json;

/// Where everything is put.
const FOLDER: &str = "target/quickstart";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let code = match env::args().nth(1).as_deref() {
        // What the demo starts as its loader: the binary's `write`, and nothing else.
        Some("write") => runtime.block_on(destination_salesforce::run(write_command()?)),
        _ => runtime.block_on(demo())?,
    };
    runtime.shutdown_background();
    Ok(code)
}

fn write_command() -> Result<Command> {
    let option = |name: &str| -> Result<PathBuf> {
        let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
        Ok(arguments
            .next()
            .ok_or_else(|| format!("{name} is missing"))?
            .into())
    };
    Ok(Command::Write {
        config: option("--config")?,
        catalog: option("--catalog")?,
    })
}

async fn demo() -> Result<ExitCode> {
    let folder = env::current_dir()?.join(FOLDER);
    let rejects = folder.join("rejected");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&rejects)?;

    let org = Sim::start(SimOptions::default()).await?;
    let url = org.url();
    let streams = [
        stream(Shape::Contacts, 100_000),
        stream(Shape::Accounts, 20_000),
    ];
    let expected = records::expected(&streams);
    let sent: u64 = expected.values().sum();
    let bad = sent - expected[&Fate::Accepted];
    println!("A simulated Salesforce listens at {url}.");
    println!(
        "{} contacts and {} accounts go through `write` in jobs of 10,000; {} of them are bad.",
        HumanCount(streams[0].rows),
        HumanCount(streams[1].rows),
        HumanCount(bad),
    );

    let config = records::config(
        &url,
        &json!({
            "rejected_records_url": format!("file://{}", rejects.display()),
            "max_job_rows": 10_000,
        }),
    );
    let program = env::current_exe()?;
    let bar = progress_bar(sent)?;
    let working = folder.clone();
    let run = tokio::task::spawn_blocking(move || {
        run::write(&program, &working, &streams, &config, &bar)
    })
    .await??;
    show_run(&run, sent);

    let rejected = Rejected::read(&rejects)?;
    show_rejected(&rejected);
    let held = show_org(&url).await?;

    let accounted = held + rejected.records();
    println!();
    if run.success && accounted == sent && rejected.records() == bad {
        println!(
            "Every record is accounted for: {} sent = {} in the org + {} in the files.",
            HumanCount(sent),
            HumanCount(held),
            HumanCount(rejected.records()),
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "NOT every record is accounted for: {sent} sent ({bad} bad), {held} in the org, {} in the files.",
        rejected.records(),
    );
    Ok(ExitCode::FAILURE)
}

fn stream(shape: Shape, rows: u64) -> Stream {
    Stream {
        invalid: 0.01,
        refused: 0.02,
        garbled: 0.000_2,
        states_every: rows / 10,
        ..Stream::new(shape, rows)
    }
}

/// Hidden where the output is no terminal.
fn progress_bar(records: u64) -> Result<ProgressBar> {
    let style = "{bar:40} {human_pos} of {human_len} records sent, states back: {msg}, {elapsed}";
    Ok(ProgressBar::new(records).with_style(ProgressStyle::with_template(style)?))
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn show_run(run: &Run, sent: u64) {
    if let Some(error) = &run.printed.error {
        println!("\nThe load failed: {error}");
    }
    let seconds = run.elapsed.as_secs_f64();
    println!(
        "\nDone in {seconds:.1} s: {} records/s, {} read.",
        HumanCount((sent as f64 / seconds) as u64),
        HumanBytes(run.bytes),
    );
    if let (Some(cpu), Some(memory)) = (run.cpu, run.peak_memory) {
        println!(
            "The loader took {:.1} s of processor time and {} of memory at most.",
            cpu.as_secs_f64(),
            HumanBytes(memory),
        );
    }
    if cfg!(debug_assertions) {
        println!(
            "It is built without optimization: with --release it takes about a tenth of that."
        );
    }
    println!("\nStates that came back, each only when all records before it had their end:");
    let mut table = table(&["stream", "states", "first", "last", "accepted", "rejected"]);
    for (name, states) in &run.printed.streams {
        table.add_row([
            name.clone(),
            states.printed.to_string(),
            states.first.clone(),
            states.last.clone(),
            HumanCount(states.total_accepted).to_string(),
            HumanCount(states.total_rejected).to_string(),
        ]);
    }
    align_right(&mut table, &[1, 4, 5]);
    println!("{table}");
}

fn show_rejected(rejected: &Rejected) {
    println!("\nRejected records, counted in their files in {FOLDER}:");
    let mut table = table(&["stream", "stage", "code", "fields", "records"]);
    for (reason, count) in &rejected.reasons {
        table.add_row([
            &reason.stream,
            &reason.stage,
            &reason.code,
            &reason.fields,
            &HumanCount(*count).to_string(),
        ]);
    }
    align_right(&mut table, &[4]);
    println!("{table}");
    let here = env::current_dir().unwrap_or_default();
    println!(
        "
{} files, among them",
        rejected.files.len()
    );
    for (path, records) in rejected.files.iter().take(2) {
        let path = path.strip_prefix(&here).unwrap_or(path);
        println!("  {} with {records} records", path.display());
    }
    if let Some(sample) = &rejected.sample {
        println!("The first of them: {sample}");
    }
}

/// Returns how many different records the org holds.
async fn show_org(url: &str) -> Result<u64> {
    println!("\nWhat the org holds, asked over HTTP:");
    let mut held = 0;
    let mut table = table(&["object", "records", "distinct", "duplicates"]);
    for object in ["Contact", "Account"] {
        let counts = outcome::ask(url, &format!("/sim/objects/{object}")).await?;
        let count = |name: &str| HumanCount(counts[name].as_u64().unwrap_or_default()).to_string();
        table.add_row([
            object.to_owned(),
            count("count"),
            count("distinct"),
            count("duplicates"),
        ]);
        held += counts["distinct"].as_u64().unwrap_or_default();
    }
    align_right(&mut table, &[1, 2, 3]);
    println!("{table}");
    let state = outcome::ask(url, "/sim/state").await?;
    println!(
        "It saw {} jobs, at most {} in flight at once, in {} API calls.",
        state["jobs"].as_array().map_or(0, Vec::len),
        state["max_in_flight"],
        state["api_calls"],
    );
    Ok(held)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_header(header);
    table
}

fn align_right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
