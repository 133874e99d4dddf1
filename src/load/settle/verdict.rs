//! A job is proved, not believed: what its counts and its result files say of its rows.

use crate::error::Error;

/// How a job ended, without the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobEnd<'a> {
    pub(crate) state: EndState,
    /// Rows processed, failed ones included, if the job tells.
    pub(crate) processed: Option<u64>,
    /// Rows that failed, if the job tells.
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

/// What is to be done with an ended job.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Every row was written. No result file is read.
    AllAccepted,
    /// Failed and unprocessed rows are to be read.
    ReadResults,
    /// The files agree with the counts: their rows are joined back, all others were accepted.
    Settle,
    /// The files do not agree with the counts: successful rows are to be read too.
    ReadSuccesses,
    /// Nothing was processed, for a reason that may pass: all rows go again.
    SendAgain,
    /// The job was refused as a whole, nothing was written.
    Refused(Error),
}

/// Proves what became of `sent` rows; `found` is `None` before the result files are read.
pub(crate) fn verdict(end: JobEnd<'_>, sent: u64, found: Option<Found>) -> Verdict {
    let counts = (end.processed, end.failed);
    match (end.state, found) {
        (EndState::Complete, _) if counts == (Some(sent), Some(0)) => Verdict::AllAccepted,
        (EndState::Failed, _) if counts == (Some(0), Some(0)) => refused(end.message),
        (EndState::Aborted, _) if counts == (Some(0), Some(0)) => Verdict::SendAgain,
        (_, None) => Verdict::ReadResults,
        (_, Some(found)) => {
            let read = end.processed.and_then(|n| n.checked_add(found.unprocessed));
            if end.failed == Some(found.failed) && read == Some(sent) {
                Verdict::Settle
            } else {
                Verdict::ReadSuccesses
            }
        }
    }
}

/// A job that failed before its first row.
fn refused(message: Option<&str>) -> Verdict {
    const PASSING: [&str; 6] = [
        "ExceededQuota",
        "TooManyLockFailure",
        "Too many lock failure",
        "Timeout",
        "InternalServerError",
        "Unknown",
    ];
    let message = message.unwrap_or("Salesforce gave no reason").trim();
    if PASSING.iter().any(|text| message.starts_with(text)) {
        return Verdict::SendAgain;
    }
    Verdict::Refused(Error::config(format!(
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

    fn found(failed: u64, unprocessed: u64) -> Option<Found> {
        Some(Found {
            failed,
            unprocessed,
        })
    }

    fn name(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::AllAccepted => "all accepted",
            Verdict::ReadResults => "read results",
            Verdict::Settle => "settle",
            Verdict::ReadSuccesses => "read successes",
            Verdict::SendAgain => "send again",
            Verdict::Refused(_) => "refused",
        }
    }

    #[test]
    fn every_branch() {
        use EndState::{Aborted, Complete, Failed};
        for (state, processed, failed, files, expected) in [
            (Complete, Some(10), Some(0), None, "all accepted"),
            // The state alone proves nothing.
            (Failed, Some(10), Some(0), None, "read results"),
            (Aborted, Some(10), Some(0), None, "read results"),
            (Complete, Some(9), Some(0), None, "read results"),
            (Complete, Some(11), Some(0), None, "read results"),
            (Complete, Some(10), Some(1), None, "read results"),
            (Complete, None, Some(0), None, "read results"),
            (Complete, Some(10), None, None, "read results"),
            (Complete, Some(0), Some(0), None, "read results"),
            (Failed, None, None, None, "read results"),
            (Aborted, Some(0), Some(0), None, "send again"),
            (Failed, Some(0), Some(0), None, "refused"),
            // The files agree with the counts.
            (Complete, Some(10), Some(3), found(3, 0), "settle"),
            (Failed, Some(6), Some(3), found(3, 4), "settle"),
            (Aborted, Some(0), Some(0), found(0, 10), "send again"),
            (Complete, Some(0), Some(0), found(0, 10), "settle"),
            // They do not, or there is no count to agree with.
            (Complete, Some(10), Some(3), found(2, 0), "read successes"),
            (Complete, Some(10), Some(3), found(4, 0), "read successes"),
            (Failed, Some(6), Some(3), found(3, 3), "read successes"),
            (Failed, Some(6), Some(3), found(3, 5), "read successes"),
            (Failed, None, Some(3), found(3, 4), "read successes"),
            (Failed, Some(6), None, found(3, 4), "read successes"),
            (
                Failed,
                Some(u64::MAX),
                Some(3),
                found(3, 4),
                "read successes",
            ),
        ] {
            let verdict = verdict(end(state, processed, failed), 10, files);
            let case = format!("{state:?} {processed:?} {failed:?} {files:?}");
            assert_eq!(name(&verdict), expected, "{case}");
        }
    }

    #[test]
    fn a_job_refused_as_a_whole_passes_or_does_not() {
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
                "send again",
            ),
            (Some("TooManyLockFailure : Too many"), "send again"),
            (
                Some("Too many lock failure 200 Trying again later"),
                "send again",
            ),
            (Some("Timeout : batch"), "send again"),
            (Some("InternalServerError : 500"), "send again"),
            (Some("Unknown : ?"), "send again"),
        ] {
            let mut job = end(EndState::Failed, Some(0), Some(0));
            job.message = message;
            let verdict = verdict(job, 10, None);
            assert_eq!(name(&verdict), expected, "{message:?}");
            if let Verdict::Refused(error) = verdict {
                assert_eq!(error.kind(), ErrorKind::Config);
                assert!(error.to_string().contains(message.unwrap_or("no reason")));
            }
        }
    }
}
