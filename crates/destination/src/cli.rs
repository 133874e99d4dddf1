//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "sim")]
use salesforce_sim::cli::Simulate;

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
    /// Show the ledger by which an append can be repeated, or delete it
    Ledger {
        #[command(subcommand)]
        task: LedgerTask,
    },
    /// Run a simulated Salesforce on this machine, for trials and tests
    #[cfg(feature = "sim")]
    Simulate(Box<Simulate>),
}

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerTask {
    /// List what is entered
    List(Config),
    /// List it with what a new attempt would do about it
    Explain(Config),
    /// Delete it: the next sync sends all of its records
    Forget(Config),
}

impl LedgerTask {
    fn command(self) -> destination_salesforce::Command {
        use destination_salesforce::LedgerTask as Task;
        let (task, Config { config }) = match self {
            Self::List(config) => (Task::List, config),
            Self::Explain(config) => (Task::Explain, config),
            Self::Forget(config) => (Task::Forget, config),
        };
        destination_salesforce::Command::Ledger { task, config }
    }
}

/// The option that most commands share.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What was asked for, by whom it is answered.
#[derive(Debug)]
pub(crate) enum Task {
    Airbyte(destination_salesforce::Command),
    #[cfg(feature = "sim")]
    Simulate(Box<Simulate>),
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
            Command::Ledger { task } => task.command(),
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
    fn the_ledger_has_its_own_words() {
        let command = destination_salesforce::Command::Ledger {
            task: destination_salesforce::LedgerTask::Explain,
            config: "c.json".into(),
        };
        assert_eq!(airbyte("d ledger explain --config c.json"), command);
        assert_eq!(
            parse("d ledger --config c.json").unwrap_err().exit_code(),
            2
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
        let Task::Simulate(options) = parse("d simulate --port 0 --seed 7").unwrap() else {
            panic!("not a simulation");
        };
        let options = salesforce_sim::SimOptions::from(*options);
        assert_eq!((options.listen.port(), options.seed), (0, 7));
        let wrong = parse("d simulate --fail-rate 5").unwrap_err();
        assert_eq!(wrong.exit_code(), 2);
    }
}
