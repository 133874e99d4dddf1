//! What must not happen while results are joined back.

use crate::error::Error;

/// The error of a defect of this crate.
pub(crate) fn defect(reason: &str) -> Error {
    Error::system(format!(
        "the results of a job could not be matched to its rows: {reason}; report it, it is a defect"
    ))
}
