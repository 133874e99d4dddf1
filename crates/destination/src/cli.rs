//! The command line.

use std::ffi::OsString;
#[cfg(feature = "sim")]
use std::net::Ipv4Addr;
use std::path::PathBuf;
#[cfg(feature = "sim")]
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "sim")]
use salesforce_sim::SimOptions;

/// An Airbyte destination that loads records into Salesforce with Bulk API 2.0.
#[derive(Debug, Parser)]
#[command(
    name = "destination-salesforce",
    version,
    after_help = "spec, check, discover and write may also be given as --spec, --check, \
                  --discover and --write."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Airbyte's option for the state of a source. It means nothing to a destination.
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the settings that a config may hold
    Spec,
    /// Try a config: the org, and the place for rejected records
    Check(Config),
    /// List the objects and operations of the org
    Discover(Config),
    /// Load the Airbyte messages that come on stdin
    Write {
        #[command(flatten)]
        config: Config,
        /// The configured catalog
        #[arg(long, value_name = "FILE")]
        catalog: PathBuf,
    },
    /// Run a simulated Salesforce on this machine, for trials and tests
    #[cfg(feature = "sim")]
    Simulate(Simulate),
}

/// The option that most commands share.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What the simulated Salesforce is like.
#[cfg(feature = "sim")]
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Seed of everything that looks random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Seconds that each job takes
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    job_seconds: Duration,
    /// Seconds that each batch of 10,000 records takes
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    batch_seconds: Duration,
    /// Forget records once counted, for large runs
    #[arg(long)]
    forget: bool,
    /// Share of records that are refused, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    fail_rate: f64,
    /// Generated objects besides those that it always has
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    extra_objects: usize,
}

#[cfg(feature = "sim")]
impl From<Simulate> for SimOptions {
    fn from(options: Simulate) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, options.port).into(),
            seed: options.seed,
            job_time: options.job_seconds,
            batch_time: options.batch_seconds,
            forget: options.forget,
            fail_rate: options.fail_rate,
            extra_objects: options.extra_objects,
            ..Self::default()
        }
    }
}

#[cfg(feature = "sim")]
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(feature = "sim")]
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be between 0 and 1".to_owned())
    }
}

/// What was asked for, by whom it is answered.
#[derive(Debug)]
pub(crate) enum Task {
    Airbyte(destination_salesforce::Command),
    #[cfg(feature = "sim")]
    Simulate(Simulate),
}

impl Cli {
    /// Reads the arguments of this process; on a usage error, or for `--help` and `--version`,
    /// prints what there is to say and exits with clap's code (2 for an error).
    pub(crate) fn read() -> Self {
        Self::parse_from(bare_word_first(std::env::args_os()))
    }

    /// The task of the command.
    pub(crate) fn task(self) -> Task {
        Task::Airbyte(match self.command {
            Command::Spec => destination_salesforce::Command::Spec,
            Command::Check(Config { config }) => destination_salesforce::Command::Check { config },
            Command::Discover(Config { config }) => {
                destination_salesforce::Command::Discover { config }
            }
            Command::Write {
                config: Config { config },
                catalog,
            } => destination_salesforce::Command::Write { config, catalog },
            #[cfg(feature = "sim")]
            Command::Simulate(options) => return Task::Simulate(options),
        })
    }
}

/// Airbyte's images also take a command as an option, anywhere in the line: `--check` is `check`.
fn bare_word_first(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    for command in ["spec", "check", "discover", "write"] {
        let option = format!("--{command}");
        if let Some(at) = args.iter().skip(1).position(|arg| *arg == *option) {
            args.remove(at + 1);
            args.insert(1, command.into());
            break;
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Task, clap::Error> {
        let args = line.split(' ').map(OsString::from);
        Cli::try_parse_from(bare_word_first(args)).map(Cli::task)
    }

    fn airbyte(line: &str) -> destination_salesforce::Command {
        match parse(line).unwrap() {
            Task::Airbyte(command) => command,
            #[cfg(feature = "sim")]
            Task::Simulate(_) => panic!("{line} is a command of Airbyte"),
        }
    }

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_is_a_word_or_an_option() {
        assert_eq!(airbyte("d spec"), destination_salesforce::Command::Spec);
        assert_eq!(airbyte("d --spec"), destination_salesforce::Command::Spec);
        let config = PathBuf::from("c.json");
        let check = destination_salesforce::Command::Check {
            config: config.clone(),
        };
        assert_eq!(airbyte("d check --config c.json"), check);
        assert_eq!(airbyte("d --config c.json --check"), check);
        let write = destination_salesforce::Command::Write {
            config: config.clone(),
            catalog: "k.json".into(),
        };
        assert_eq!(airbyte("d write --config c.json --catalog k.json"), write);
        assert_eq!(
            airbyte("d --write --config c.json --catalog k.json --state s.json"),
            write
        );
        assert_eq!(
            airbyte("d --discover --config c.json"),
            destination_salesforce::Command::Discover { config }
        );
    }

    #[test]
    fn usage_errors_end_with_code_2() {
        for line in [
            "d",
            "d --spec --check",
            "d spec check",
            "d check",
            "d write --config c.json",
            "d unknown",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(
            parse("d --version").unwrap_err().kind(),
            ErrorKind::DisplayVersion
        );
    }

    #[cfg(feature = "sim")]
    #[test]
    fn a_simulation_has_its_options() {
        let line = "d simulate --port 0 --seed 7 --job-seconds 1.5 --forget --fail-rate 0.05 \
                    --extra-objects 1200";
        let Task::Simulate(options) = parse(line).unwrap() else {
            panic!("not a simulation");
        };
        let options = SimOptions::from(options);
        assert_eq!((options.listen.port(), options.seed), (0, 7));
        assert_eq!(options.job_time, Duration::from_millis(1500));
        assert_eq!((options.forget, options.extra_objects), (true, 1200));
        for line in ["d simulate --job-seconds -1", "d simulate --fail-rate 5"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
