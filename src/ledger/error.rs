//! What can go wrong with the ledger, and what to do.

use chrono::{DateTime, Utc};

use super::entry::{EntryHead, LIFE_OF_RESULTS};
use super::format::FormatError;
use crate::error::{Error, ErrorKind};
use crate::storage::StorageError;

/// A ledger that cannot be written or read, or that another attempt holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store refused or could not be reached.
    #[error("the ledger: {0}")]
    Storage(#[from] StorageError),
    /// An object of the ledger cannot be read.
    #[error(
        "the ledger's object {object} cannot be read: {source}. Rows that it names may be in \
         Salesforce; check them, and then set ledger: forget"
    )]
    Unreadable {
        /// The object.
        object: String,
        /// Why not.
        source: FormatError,
    },
    /// An object that only this attempt makes is there with another content.
    #[error(
        "{object} of the ledger is there already, with another content; nothing was overwritten, try \
         again"
    )]
    Taken {
        /// The object.
        object: String,
    },
    /// Another attempt loads the same.
    #[error(
        "another attempt of this sync is at work ({attempt}): two at once would insert rows twice. \
         Wait for its end, or stop it"
    )]
    Busy {
        /// The other attempt.
        attempt: String,
    },
    /// Another attempt has taken this load over.
    #[error(
        "a later attempt of this sync has taken over, since this one showed no sign of life for a \
         minute; it sends what this one has not"
    )]
    Lost,
    /// An earlier attempt has written rows in another way, so that they cannot be compared.
    #[error(
        "{load}: an earlier attempt that ended early has sent {columns} in another way, and rows \
         of its job {job} may be in Salesforce: going on would insert them twice. Set the \
         mapping and the settings of values back to what they were, or set ledger: forget to \
         send all again. If that was another connection with a stream of this name, give each of \
         them a ledger_id"
    )]
    Columns {
        /// The load.
        load: String,
        /// The columns that differ.
        columns: String,
        /// Id of a job of that attempt.
        job: String,
    },
    /// Salesforce says nothing of a job of an earlier attempt any more.
    #[error(
        "{load}: Salesforce has no results of job {job} of an earlier attempt any more, which it \
         keeps for 7 days, so it is not known which of {rows} rows were inserted. Compare the \
         org with the source, and then set ledger: forget to send all again"
    )]
    Gone {
        /// The load.
        load: String,
        /// Id of the job.
        job: String,
        /// Rows that no state covers.
        rows: u64,
    },
    /// The results of a job of an earlier attempt do not say which rows it wrote.
    #[error(
        "{load}: the results of job {job} of an earlier attempt do not say what became of {rows} \
         rows, so they may or may not be in Salesforce. Compare the org with the source for this \
         job, and then set ledger: forget to send all again"
    )]
    Unclear {
        /// The load.
        load: String,
        /// Id of the job.
        job: String,
        /// Rows whose end cannot be known.
        rows: u64,
    },
    /// The results of a job of an earlier attempt lack columns.
    #[error(
        "{load}: the results of job {job} of an earlier attempt have no column {columns}, so it is not \
         known which of {rows} rows are in Salesforce. Let the user of the connection read these fields; \
         or compare the org with the source for this job, and then set ledger: forget to send all again"
    )]
    Lacking {
        /// The load.
        load: String,
        /// Id of the job.
        job: String,
        /// Rows of the job.
        rows: u64,
        /// The columns.
        columns: String,
    },
    /// Records of earlier attempts are not in the org any more.
    #[error(
        "of {sampled} records of {object} that an earlier attempt inserted, {gone} are not in \
         the org any more. If they were deleted to start over, set ledger: forget to send all \
         again; if the others are to stay and not to be sent again, set ledger: trust"
    )]
    CleanedUp {
        /// The object.
        object: String,
        /// Records that are gone.
        gone: usize,
        /// Records that were looked for.
        sampled: usize,
    },
    /// A temporary file cannot be written or read.
    #[error(
        "rows of an earlier attempt do not fit in memory, and cannot be kept in a temporary file: \
         {0}; give the directory of TMPDIR more space, or raise memory_limit_bytes"
    )]
    Disk(std::io::Error),
}

impl LedgerError {
    pub(crate) fn columns(head: &EntryHead, columns: &[&str]) -> Self {
        Self::Columns {
            load: head.load.to_string(),
            columns: columns.join(", "),
            job: head.job.clone(),
        }
    }

    pub(crate) fn gone(head: &EntryHead, rows: u64) -> Self {
        Self::Gone {
            load: head.load.to_string(),
            job: head.job.clone(),
            rows,
        }
    }

    pub(crate) fn unclear(head: &EntryHead, rows: u64) -> Self {
        Self::Unclear {
            load: head.load.to_string(),
            job: head.job.clone(),
            rows,
        }
    }

    pub(crate) fn lacking(head: &EntryHead, rows: u64, columns: &[String]) -> Self {
        Self::Lacking {
            load: head.load.to_string(),
            job: head.job.clone(),
            rows,
            columns: columns.join(", "),
        }
    }

    /// Whether Salesforce no longer keeps the results of an entry's job.
    pub(crate) fn is_old(head: &EntryHead, now: DateTime<Utc>) -> bool {
        now - head.written > LIFE_OF_RESULTS
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Unreadable { .. }
            | Self::Columns { .. }
            | Self::Gone { .. }
            | Self::Unclear { .. }
            | Self::Lacking { .. }
            | Self::CleanedUp { .. } => ErrorKind::Config,
            Self::Taken { .. } | Self::Busy { .. } | Self::Lost | Self::Disk(_) => {
                ErrorKind::Transient
            }
        }
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Config => Error::config(text),
            ErrorKind::Transient => Error::transient(text),
            ErrorKind::System => Error::system(text),
        }
        .with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::ledger::identity::LoadIdentity;

    #[test]
    fn results_are_there_for_seven_days() {
        let written = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let head = EntryHead {
            load: LoadIdentity::new("00D1", "Contact", "people", "a"),
            attempt: "a1".to_owned(),
            job: "7505g00000000AAA".to_owned(),
            written,
            columns: Vec::new(),
        };
        let week = written + TimeDelta::days(7);
        assert!(!LedgerError::is_old(&head, week));
        assert!(LedgerError::is_old(&head, week + TimeDelta::seconds(1)));
        let error = LedgerError::gone(&head, 3);
        assert_eq!(error.kind(), ErrorKind::Config);
        insta::assert_snapshot!(error, @"people into Contact: Salesforce has no results of job 7505g00000000AAA of an earlier attempt any more, which it keeps for 7 days, so it is not known which of 3 rows were inserted. Compare the org with the source, and then set ledger: forget to send all again");
    }
}
