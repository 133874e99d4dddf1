//! A job is proved, not believed: what its counts and its result files say of its rows.

/// How a job ended, without the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobEnd {
    pub(crate) state: EndState,
    /// Rows processed, failed ones included, if the job says.
    pub(crate) processed: Option<u64>,
    /// Rows that failed, if the job says.
    pub(crate) failed: Option<u64>,
}

/// A terminal state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndState {
    Complete,
    Failed,
    Aborted,
}

/// What is to be read of a job that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Nothing: its counts prove that every row was written.
    Nothing,
    /// The failed rows: every row was processed, and as many failed.
    Failed(u64),
    /// All result files.
    All,
}

/// One reading of the counts and of all result files of a job, in numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) end: JobEnd,
    pub(crate) failed: u64,
    pub(crate) unprocessed: u64,
    pub(crate) succeeded: u64,
    /// Rows that were sent and whose end the files do not show.
    pub(crate) unknown: u64,
}

/// What follows from a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Each row has the end that the files show.
    Files,
    /// Counts and files may still change: they are to be read again.
    ReadAgain,
}

impl JobEnd {
    /// What is to be read of a job of `sent` rows. Of counts, those of a job that completed are
    /// believed, where they name each row; those of other jobs may lag behind.
    pub(crate) fn needs(self, sent: u64) -> Needed {
        match (self.state, self.processed, self.failed) {
            (EndState::Complete, Some(processed), Some(0)) if processed == sent => Needed::Nothing,
            (EndState::Complete, Some(processed), Some(failed)) if processed == sent => {
                Needed::Failed(failed)
            }
            _ => Needed::All,
        }
    }

    /// Whether the job counts no row.
    pub(crate) fn counts_nothing(self) -> bool {
        self.processed.unwrap_or(0) == 0 && self.failed.unwrap_or(0) == 0
    }
}

impl Reading {
    /// What follows from this reading, after the one `before`.
    ///
    /// An end that a file shows is final, as is the job. That a row was not processed is not: counts
    /// and files lag behind, and batches of a job that was given up may be in flight. So two readings
    /// must agree before rows are sent again, and the counts with the files.
    pub(crate) fn belief(&self, before: Option<&Self>) -> Belief {
        let is_final = self.unprocessed == 0;
        if self.unknown == 0 && (is_final || (before == Some(self) && self.counts_agree())) {
            Belief::Files
        } else {
            Belief::ReadAgain
        }
    }

    /// Whether the counts of the job, as far as it gives any, are those of the files.
    fn counts_agree(&self) -> bool {
        let processed = self.failed + self.succeeded;
        self.end.processed.is_none_or(|count| count == processed)
            && self.end.failed.is_none_or(|count| count == self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EndState::{Aborted, Complete, Failed};

    fn end(state: EndState, processed: Option<u64>, failed: Option<u64>) -> JobEnd {
        JobEnd {
            state,
            processed,
            failed,
        }
    }

    #[test]
    fn counts_prove_a_job_or_do_not() {
        for (state, processed, failed, expected) in [
            (Complete, Some(10), Some(0), Needed::Nothing),
            (Complete, Some(10), Some(3), Needed::Failed(3)),
            // The state alone proves nothing, and neither do counts of a job that was given up.
            (Failed, Some(10), Some(0), Needed::All),
            (Aborted, Some(10), Some(0), Needed::All),
            (Complete, Some(9), Some(0), Needed::All),
            (Complete, Some(11), Some(0), Needed::All),
            (Complete, None, Some(0), Needed::All),
            (Complete, Some(10), None, Needed::All),
            (Complete, Some(0), Some(0), Needed::All),
            (Failed, None, None, Needed::All),
            (Aborted, Some(0), Some(0), Needed::All),
            (Failed, Some(0), Some(0), Needed::All),
        ] {
            let needs = end(state, processed, failed).needs(10);
            assert_eq!(needs, expected, "{state:?} {processed:?} {failed:?}");
        }
    }

    fn reading(end: JobEnd, files: [u64; 3], unknown: u64) -> Reading {
        let [failed, unprocessed, succeeded] = files;
        Reading {
            end,
            failed,
            unprocessed,
            succeeded,
            unknown,
        }
    }

    #[test]
    fn rows_are_sent_again_only_after_two_readings_that_agree() {
        let counted = end(Failed, Some(6), Some(2));
        let settled = reading(counted, [2, 4, 4], 0);
        assert_eq!(settled.belief(None), Belief::ReadAgain);
        assert_eq!(settled.belief(Some(&settled)), Belief::Files);
        let other = reading(counted, [2, 8, 0], 0);
        assert_eq!(settled.belief(Some(&other)), Belief::ReadAgain);
        // All files show as much as the counts that lag do not.
        let lagging = reading(end(Aborted, Some(0), Some(0)), [2, 4, 4], 0);
        assert_eq!(lagging.belief(Some(&lagging)), Belief::ReadAgain);
        let uncounted = reading(end(Aborted, None, None), [2, 4, 4], 0);
        assert_eq!(uncounted.belief(Some(&uncounted)), Belief::Files);
    }

    #[test]
    fn ends_that_files_show_are_final_whatever_is_counted() {
        for counted in [(Some(0), Some(0)), (Some(9), Some(3)), (None, None)] {
            let (processed, failed) = counted;
            let shown = reading(end(Complete, processed, failed), [2, 0, 8], 0);
            assert_eq!(shown.belief(None), Belief::Files, "{counted:?}");
            let lacking = reading(end(Complete, processed, failed), [2, 0, 7], 1);
            assert_eq!(lacking.belief(Some(&lacking)), Belief::ReadAgain);
        }
    }
}
