//! A job is proved, not believed: what its counts and its result files say of its rows.

use crate::error::Error;

/// How a job ended, without the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobEnd<'a> {
    pub(crate) state: EndState,
    /// Rows processed, failed ones included, if the job says.
    pub(crate) processed: Option<u64>,
    /// Rows that failed, if the job says.
    pub(crate) failed: Option<u64>,
    /// Why the job as a whole failed.
    pub(crate) message: Option<&'a str>,
}

/// A terminal state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndState {
    Complete,
    Failed,
    Aborted,
}

/// Rows that the result files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) failed: u64,
    pub(crate) unprocessed: u64,
}

/// What the counts of a job prove, before its result files are read.
#[derive(Debug)]
pub(crate) enum Proof {
    /// Every row was written.
    AllAccepted,
    /// Nothing was processed, for a reason that a retry may cure.
    NothingProcessed,
    /// The job was refused as a whole, nothing was written.
    Refused(Error),
    /// Nothing: failed and unprocessed rows are to be read.
    None,
}

/// Whether the files of failed and unprocessed rows agree with the counts of their job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// All rows that these files do not hold were accepted.
    Full,
    /// Successful rows are to be read too.
    None,
}

/// What the counts of a job alone prove of the `sent` rows.
pub(crate) fn proof(end: JobEnd<'_>, sent: u64) -> Proof {
    let counts = (end.processed, end.failed);
    match end.state {
        EndState::Complete if counts == (Some(sent), Some(0)) => Proof::AllAccepted,
        EndState::Failed if counts == (Some(0), Some(0)) => refused(end.message),
        EndState::Aborted if counts == (Some(0), Some(0)) => Proof::NothingProcessed,
        _ => Proof::None,
    }
}

/// Whether what was `found` in the files and the counts of the job close to the `sent` rows.
pub(crate) fn agreement(end: JobEnd<'_>, sent: u64, found: Found) -> Agreement {
    let read = end.processed.and_then(|n| n.checked_add(found.unprocessed));
    if end.failed == Some(found.failed) && read == Some(sent) {
        Agreement::Full
    } else {
        Agreement::None
    }
}

/// A job that failed before its first row.
fn refused(message: Option<&str>) -> Proof {
    const RETRYABLE: [&str; 6] = [
        "ExceededQuota",
        "TooManyLockFailure",
        "Too many lock failure",
        "Timeout",
        "InternalServerError",
        "Unknown",
    ];
    let message = message.unwrap_or("Salesforce gave no reason").trim();
    if RETRYABLE.iter().any(|text| message.starts_with(text)) {
        return Proof::NothingProcessed;
    }
    Proof::Refused(Error::config(format!(
        "Salesforce refused the job as a whole and wrote nothing: {message}; correct the columns \
         of the stream, or the integration user's access to these fields"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn end(state: EndState, processed: Option<u64>, failed: Option<u64>) -> JobEnd<'static> {
        JobEnd {
            state,
            processed,
            failed,
            message: None,
        }
    }

    fn name(proof: &Proof) -> &'static str {
        match proof {
            Proof::AllAccepted => "all accepted",
            Proof::NothingProcessed => "nothing processed",
            Proof::Refused(_) => "refused",
            Proof::None => "none",
        }
    }

    #[test]
    fn counts_prove_a_job_or_do_not() {
        use EndState::{Aborted, Complete, Failed};
        for (state, processed, failed, expected) in [
            (Complete, Some(10), Some(0), "all accepted"),
            // The state alone proves nothing.
            (Failed, Some(10), Some(0), "none"),
            (Aborted, Some(10), Some(0), "none"),
            (Complete, Some(9), Some(0), "none"),
            (Complete, Some(11), Some(0), "none"),
            (Complete, Some(10), Some(1), "none"),
            (Complete, None, Some(0), "none"),
            (Complete, Some(10), None, "none"),
            (Complete, Some(0), Some(0), "none"),
            (Failed, None, None, "none"),
            (Aborted, Some(0), Some(0), "nothing processed"),
            (Failed, Some(0), Some(0), "refused"),
        ] {
            let proof = proof(end(state, processed, failed), 10);
            let case = format!("{state:?} {processed:?} {failed:?}");
            assert_eq!(name(&proof), expected, "{case}");
        }
    }

    #[test]
    fn files_agree_with_the_counts_or_do_not() {
        use EndState::{Complete, Failed};
        for (state, processed, failed, files, expected) in [
            (Complete, Some(10), Some(3), (3, 0), Agreement::Full),
            (Failed, Some(6), Some(3), (3, 4), Agreement::Full),
            (Complete, Some(0), Some(0), (0, 10), Agreement::Full),
            (Complete, Some(10), Some(3), (2, 0), Agreement::None),
            (Complete, Some(10), Some(3), (4, 0), Agreement::None),
            (Failed, Some(6), Some(3), (3, 3), Agreement::None),
            (Failed, Some(6), Some(3), (3, 5), Agreement::None),
            // There is no count to agree with.
            (Failed, None, Some(3), (3, 4), Agreement::None),
            (Failed, Some(6), None, (3, 4), Agreement::None),
            (Failed, Some(u64::MAX), Some(3), (3, 4), Agreement::None),
        ] {
            let (failed_rows, unprocessed) = files;
            let found = Found {
                failed: failed_rows,
                unprocessed,
            };
            let agreement = agreement(end(state, processed, failed), 10, found);
            assert_eq!(agreement, expected, "{processed:?} {failed:?} {files:?}");
        }
    }

    #[test]
    fn a_job_refused_as_a_whole_is_retryable_or_not() {
        for (message, expected) in [
            (
                Some("InvalidBatch : Field name not found : Nope__c"),
                "refused",
            ),
            (
                Some("ClientInputError : LineEnding is invalid on user data"),
                "refused",
            ),
            (None, "refused"),
            (
                Some("ExceededQuota : ApiBatchItems Limit exceeded"),
                "nothing processed",
            ),
            (Some("TooManyLockFailure : Too many"), "nothing processed"),
            (
                Some("Too many lock failure 200 Trying again later"),
                "nothing processed",
            ),
            (Some("Timeout : batch"), "nothing processed"),
            (Some("InternalServerError : 500"), "nothing processed"),
            (Some("Unknown : ?"), "nothing processed"),
        ] {
            let mut job = end(EndState::Failed, Some(0), Some(0));
            job.message = message;
            let proof = proof(job, 10);
            assert_eq!(name(&proof), expected, "{message:?}");
            if let Proof::Refused(error) = proof {
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.to_string().contains(message.unwrap_or("no reason")));
            }
        }
    }
}
