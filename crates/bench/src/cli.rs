//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum as _};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::input::Form;
use crate::loaders;
use crate::org::{self, PROFILES};
use crate::workload::Workload;

/// Seconds that a loader has, unless `--timeout` says otherwise.
pub(crate) const TIMEOUT: &str = "900";

/// The referee of loaders into Salesforce: runs any of them against a simulated org, and judges what
/// it lost and what it cost
#[derive(Debug, Parser)]
#[command(name = "salesforce-bench", version, about, long_about = None)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a loader, and judges it
    Run(Box<Run>),
    /// Draws one page of results
    Report {
        /// Files of results, and folders that hold some
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// The page
        #[arg(long, value_name = "FILE", default_value = "report.html")]
        out: PathBuf,
        /// A page of Markdown whose tables are made anew, between its marks of results
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
    /// Lists workloads, profiles and loaders
    List,
    /// Serves an org for `run`, until stdin is closed
    #[command(hide = true)]
    Org,
}

/// Which loader is given what to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// What is loaded, and what goes wrong; several with commas between, all by default
    #[arg(long, value_enum, value_delimiter = ',', hide_possible_values = true)]
    pub(crate) workload: Vec<Workload>,
    /// Records: 5000, 300k, 0.3m; several are a series, as with the next three
    #[arg(long, value_parser = scale, value_delimiter = ',', default_value = "10k")]
    pub(crate) scale: Vec<u64>,
    /// Streams of Airbyte's messages, in place of the workload's own number
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) streams: Vec<u64>,
    /// Columns, the key among them; for the workload `wide`
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(2..=302))]
    pub(crate) columns: Vec<u64>,
    /// Share of bad records, 0 to 1, in place of the workload's own
    #[arg(long, value_name = "SHARE", value_delimiter = ',', value_parser = share)]
    pub(crate) bad: Vec<f64>,
    /// Runs of each loader, in turn; the result has the median of each figure
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) repeat: u32,
    /// What the org is like: a name that `list` shows, or the file of a profile
    #[arg(long, default_value = "null")]
    pub(crate) profile: String,
    /// Seed of the records and of the org
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Loaders that `list` shows, with commas between, in place of a command
    #[arg(long, value_delimiter = ',', conflicts_with = "command")]
    pub(crate) loader: Vec<String>,
    /// The program of a loader that is not installed; that of its name beside this one by default
    #[arg(long, requires = "loader")]
    pub(crate) program: Option<PathBuf>,
    /// Settings that are added to Airbyte's config, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = settings)]
    pub(crate) config: Option<Map<String, Value>>,
    /// What the loader is called in results; its own name or that of its program by default
    #[arg(long, value_parser = name)]
    pub(crate) name: Option<String>,
    /// Forms of the input that the command needs; all by default
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "loader")]
    pub(crate) input: Vec<Form>,
    /// What the command reads on stdin; nothing by default
    #[arg(long, value_enum, conflicts_with = "loader")]
    pub(crate) stdin: Option<Form>,
    /// Seconds after which it is ended
    #[arg(long, value_name = "SECONDS", default_value = TIMEOUT, value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Where input and results go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// Where loaders are installed
    #[arg(long, value_name = "DIR", default_value = "target/bench-loaders")]
    pub(crate) cache: PathBuf,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "loader")]
    pub(crate) command: Vec<OsString>,
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a count"
)]
fn scale(text: &str) -> std::result::Result<u64, String> {
    let lower = text.to_lowercase();
    let (number, unit) = match (lower.strip_suffix('k'), lower.strip_suffix('m')) {
        (Some(number), _) => (number, 1e3),
        (_, Some(number)) => (number, 1e6),
        _ => (lower.as_str(), 1.0),
    };
    let records = number.parse::<f64>().map(|number| number * unit);
    match records {
        Ok(records) if (1.0..=1e9).contains(&records.round()) => Ok(records.round() as u64),
        _ => Err("must be a count from 1 to 1000m".to_owned()),
    }
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be between 0 and 1".to_owned())
    }
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A name is a part of a folder's.
fn name(text: &str) -> std::result::Result<String, String> {
    let plain = |letter: char| letter.is_alphanumeric() || " .-_+@".contains(letter);
    if text.chars().any(char::is_alphanumeric) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("must be of letters, digits, blanks and .-_+@".to_owned())
    }
}

fn settings(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Prints what `run` can be given.
pub(crate) fn list() -> Result<ExitCode> {
    println!("workloads");
    for workload in Workload::value_variants() {
        println!("  {:<14} {}", workload.name(), workload.about());
    }
    println!("\nprofiles");
    for name in PROFILES {
        let about = org::profile(name)?.about;
        let first = about.split(['.', ':']).next().unwrap_or_default();
        println!("  {name:<14} {first}");
    }
    println!("\nloaders");
    for loader in loaders::known()? {
        let version = loader.version.unwrap_or_default();
        let name = format!("{} {version}", loader.name);
        println!(
            "  {name:<30} {} ({}, {})",
            loader.about, loader.licence, loader.home
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_are_no_paths() {
        assert_eq!(name("my loader 1.2"), Ok("my loader 1.2".to_owned()));
        for wrong in ["", "..", "a/b", "../../evil"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scales_are_read() {
        assert_eq!(scale("5000"), Ok(5_000));
        assert_eq!(scale("0.3m"), Ok(300_000));
        assert_eq!(scale("30M"), Ok(30_000_000));
        for wrong in ["0", "-1", "x", "1e12", "NaN"] {
            assert!(scale(wrong).is_err(), "{wrong}");
        }
    }
}
