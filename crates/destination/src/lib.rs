//! The Airbyte destination: `spec`, `check`, `discover` and `write`, spoken in Airbyte messages on stdout.
//!
//! This is a face of the engine: it reads settings and records, feeds the engine, and prints the
//! states that have become durable.

mod catalog;
mod check;
mod config;
mod discover;
mod input;
mod log;
mod message;
mod pending;
pub mod protocol;
mod rotation;
mod spec;
mod state;
mod status;
mod summary;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use arrow_salesforce::error::{Error, Result};
use message::{Message, Output, StreamDescriptor};

/// What the platform asks of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Prints the settings that a config may hold.
    Spec,
    /// Tries a config: the org, and the place for rejected records.
    Check {
        /// Path of the config file.
        config: PathBuf,
    },
    /// Lists the objects of the org, and what can be done to them.
    Discover {
        /// Path of the config file.
        config: PathBuf,
    },
    /// Loads the records that come on stdin.
    Write {
        /// Path of the config file.
        config: PathBuf,
        /// Path of the configured catalog.
        catalog: PathBuf,
    },
}

/// Does what `command` says, with every message and log line on stdout.
///
/// The exit code is 0 on success, and where `check` answered that the config does not work; 1 after
/// a failure, which one error trace on stdout explains.
pub async fn run(command: Command) -> ExitCode {
    let output = Arc::new(Output::stdout());
    log::install(Arc::clone(&output));
    match execute(command, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.log();
            let Failure { error, stream } = failure;
            // If stdout is closed, the exit code is all that is left to say it with.
            let _ = output.print(&Message::error(&error, stream));
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command, output: &Arc<Output>) -> Result<(), Failure> {
    match command {
        Command::Spec => Ok(spec::run(output)?),
        Command::Check { config } => Ok(check::run(&config, output).await?),
        Command::Discover { config } => Ok(discover::run(&config, output).await?),
        Command::Write { config, catalog } => write::run(&config, &catalog, output).await,
    }
}

/// An error, and the stream that failed where one did.
#[derive(Debug)]
struct Failure {
    error: Error,
    stream: Option<StreamDescriptor>,
}

impl Failure {
    /// An error of `stream`.
    fn of(error: Error, stream: &StreamDescriptor) -> Self {
        Self {
            error,
            stream: Some(stream.clone()),
        }
    }

    fn log(&self) {
        let error = &self.error;
        match &self.stream {
            Some(stream) => tracing::error!(%stream, "{error}"),
            None => tracing::error!("{error}"),
        }
    }
}

/// What is wrong with several streams: the first failure ends the command, others are logged.
#[derive(Debug, Default)]
struct Failures {
    first: Option<Failure>,
}

impl Failures {
    fn add(&mut self, failure: Failure) {
        match &self.first {
            None => self.first = Some(failure),
            // A login that is refused fails all streams alike.
            Some(first) if first.error.to_string() == failure.error.to_string() => {}
            Some(_) => failure.log(),
        }
    }

    /// `fine`, if nothing failed.
    fn or<T>(self, fine: T) -> Result<T, Failure> {
        self.first.map_or(Ok(fine), Err)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            stream: None,
        }
    }
}

/// A null of the platform's is as if its key were missing.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the file that an option of the command line names, without the mark that some editors put
/// before UTF-8.
fn read_file(option: &str, path: &Path) -> Result<Vec<u8>> {
    let mut content = std::fs::read(path).map_err(|error| {
        Error::config(format!(
            "the file of --{option} cannot be read: {}: {error}",
            path.display()
        ))
    })?;
    if content.starts_with("\u{feff}".as_bytes()) {
        content.drain(.."\u{feff}".len());
    }
    Ok(content)
}
