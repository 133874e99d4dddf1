//! What can go wrong with the referee itself. What a loader does wrong is a result, not an error.

use std::io;
use std::path::{Path, PathBuf};

/// Cause and cure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Input(String),
    #[error("the simulated org does not answer {request}: {source}")]
    Org {
        request: String,
        source: reqwest::Error,
    },
    #[error("the simulated org does not start: {0}")]
    NoOrg(String),
    #[error("the command {program:?} does not start: {source}; is it installed?")]
    Command { program: String, source: io::Error },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Names the file that an error is about.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::File {
            path: path.to_owned(),
            source: source.into(),
        })
    }
}
