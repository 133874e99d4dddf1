//! Errors of the command line, and the codes it exits with.

use std::process::ExitCode;

use arrow_salesforce::{Error, ErrorKind};

use crate::export::ExportError;
use crate::input::InputError;
use crate::mapping::MappingError;
use crate::orgs::OrgError;
use crate::parquet_file::WriteError;
use crate::readings::ReadingError;
use crate::records::sent::ReceiptsError;
use crate::run::RunError;
use crate::sql::SqlError;

/// All records were accepted.
pub(crate) const ACCEPTED: u8 = 0;
/// The command failed.
pub(crate) const FAILED: u8 = 1;
/// The command must be typed in another way.
pub(crate) const USAGE: u8 = 2;
/// Some records were rejected.
pub(crate) const SOME_REJECTED: u8 = 3;
/// The load stopped, since more records were rejected than it allows.
pub(crate) const TOO_MANY_REJECTED: u8 = 4;

/// Why a command ended without doing what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// What was typed, or described in a file, cannot be done.
    #[error("{0}")]
    Usage(String),
    /// An answer was asked for, and it was no.
    #[error("{0}")]
    Declined(String),
    /// What was asked for failed.
    #[error("{0}")]
    Failed(String),
    /// The inputs cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The query cannot be run.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The orgs that are logged in to.
    #[error(transparent)]
    Org(#[from] OrgError),
    /// Columns and fields do not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Values can be read in several ways.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// What is kept of a run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Records cannot go where they should.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// What a run has sent cannot be known.
    #[error(transparent)]
    Receipts(#[from] ReceiptsError),
    /// A file of a run cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// What commands return.
pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// Something that was typed, and what to type.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Something that failed: the cause and the cure.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The code to exit with.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Mapping(_) | Self::Reading(ReadingError::Unsettled(_)) => USAGE,
            Self::Input(
                InputError::Usage(_) | InputError::Missing { .. } | InputError::Content { .. },
            )
            | Self::Sql(SqlError::Plan { .. } | SqlError::Named) => USAGE,
            Self::Export(ExportError::Usage(_)) => USAGE,
            Self::Run(
                RunError::NoRun { .. } | RunError::Several { .. } | RunError::Place { .. },
            ) => USAGE,
            Self::Org(OrgError::NoOrg { .. }) => USAGE,
            Self::Engine(error) if error.kind() == ErrorKind::Config => USAGE,
            _ => FAILED,
        }
    }

    /// The same for the end of the process.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit())
    }
}
