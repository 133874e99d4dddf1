//! What becomes of the rows of one job: sets that together are the rows that were sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::Attempt;
use crate::coerce::Reason;
use crate::error::Result;
use crate::load::settle::{Ends, Refusal, RetryCause, defect};
use crate::object::Operation;
use crate::rows::RowSet;

/// What becomes of the rows of one job; each is in one of these.
#[derive(Debug, Default)]
pub(super) struct RowOutcomes {
    /// In Salesforce.
    pub(super) accepted: RowSet,
    /// Refused for good, ascending.
    pub(super) rejected: Vec<(u64, Arc<Reason>)>,
    /// Not in Salesforce, and to be sent once more.
    pub(super) retry: BTreeMap<RetryCause, RowSet>,
    /// In Salesforce or not: nobody can say.
    pub(super) unknown: RowSet,
    /// Then: columns that were sent and of which results have no value.
    pub(super) lacking: Vec<String>,
}

impl RowOutcomes {
    /// Sorts the ends of rows. After the last attempt, rows that were refused are rejected whatever
    /// the reason; after a retry for a limit, those that met one again.
    pub(super) fn of(ends: Ends, operation: &Operation, attempt: Attempt) -> Self {
        let mut outcomes = Self {
            accepted: ends.accepted,
            unknown: ends.unknown,
            lacking: ends.lacking,
            ..Self::default()
        };
        // In place: of a job, a million rows may have been refused.
        outcomes.rejected = ends.rejected;
        outcomes.rejected.retain(|(row, reason)| {
            match Refusal::of(reason, operation, attempt.may_be_done) {
                Refusal::Fulfilled => {
                    outcomes.accepted.insert(*row);
                    false
                }
                Refusal::Retryable(cause) if attempt.allows(cause) => {
                    outcomes.retry.entry(cause).or_default().insert(*row);
                    false
                }
                Refusal::Lasting | Refusal::Retryable(_) => true,
            }
        });
        if !ends.unprocessed.is_empty() {
            let unprocessed = outcomes.retry.entry(RetryCause::Unprocessed).or_default();
            unprocessed.insert_all(&ends.unprocessed);
        }
        outcomes
    }

    /// Fails unless each row that was sent has one outcome, and no other row has any.
    ///
    /// # Errors
    /// A system error, only by a defect of this crate.
    pub(super) fn check(&self, sent: &RowSet) -> Result<()> {
        let mut all: RowSet = self.rejected.iter().map(|(row, _)| *row).collect();
        let mut outcomes = self.rejected.len() as u64;
        for rows in [&self.accepted, &self.unknown]
            .into_iter()
            .chain(self.retry.values())
        {
            outcomes += rows.len();
            all.insert_all(rows);
        }
        if outcomes == sent.len() && all == *sent {
            return Ok(());
        }
        Err(defect(&format!(
            "{} rows were sent and have {outcomes} outcomes",
            sent.len()
        )))
    }

    /// Rows that Salesforce did not get to.
    pub(super) fn unprocessed(&self) -> u64 {
        let rows = self.retry.get(&RetryCause::Unprocessed);
        rows.map_or(0, RowSet::len)
    }

    /// Rows that were refused for a reason that a retry may cure.
    pub(super) fn retryable(&self) -> u64 {
        let all: u64 = self.retry.values().map(RowSet::len).sum();
        all - self.unprocessed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coerce::Stage;

    fn reason(code: &'static str) -> Arc<Reason> {
        Arc::new(Reason {
            stage: Stage::Salesforce,
            code: code.into(),
            message: String::new(),
            fields: Vec::new(),
        })
    }

    fn ends() -> Ends {
        Ends {
            accepted: RowSet::from(0..5),
            rejected: vec![
                (5, reason("STRING_TOO_LONG")),
                (6, reason("UNABLE_TO_LOCK_ROW")),
                (7, reason("LIMIT_EXCEEDED")),
                (8, reason("ENTITY_IS_DELETED")),
            ],
            unprocessed: RowSet::from(9..12),
            unknown: RowSet::from(12..13),
            lacking: Vec::new(),
        }
    }

    #[test]
    fn a_refusal_is_final_retryable_or_what_was_wanted() {
        let outcomes = RowOutcomes::of(ends(), &Operation::Delete, Attempt::first(2));
        assert_eq!(outcomes.accepted, RowSet::from_iter([0..5, 8..9]));
        assert_eq!(outcomes.rejected, [(5, reason("STRING_TOO_LONG"))]);
        let retry: Vec<_> = outcomes.retry.clone().into_iter().collect();
        assert_eq!(
            retry,
            [
                (RetryCause::Busy, RowSet::from(6..7)),
                (RetryCause::Limit, RowSet::from(7..8)),
                (RetryCause::Unprocessed, RowSet::from(9..12)),
            ]
        );
        assert_eq!((outcomes.unprocessed(), outcomes.retryable()), (3, 2));
        outcomes.check(&RowSet::from(0..13)).unwrap();
    }

    #[test]
    fn after_the_last_attempt_what_was_refused_is_rejected() {
        let outcomes = RowOutcomes::of(ends(), &Operation::Insert, Attempt::first(1));
        let rejected: Vec<u64> = outcomes.rejected.iter().map(|(row, _)| *row).collect();
        assert_eq!(rejected, [5, 6, 7, 8]);
        assert_eq!((outcomes.unprocessed(), outcomes.retryable()), (3, 0));
        outcomes.check(&RowSet::from(0..13)).unwrap();
    }

    #[test]
    fn a_row_without_an_outcome_or_with_two_is_a_defect() {
        let outcomes = RowOutcomes::of(ends(), &Operation::Insert, Attempt::first(1));
        for sent in [0..12, 0..14, 1..14] {
            let error = outcomes.check(&RowSet::from(sent)).unwrap_err();
            assert!(error.to_string().contains("it is a defect"), "{error}");
        }
        let twice = RowOutcomes {
            unknown: RowSet::from(4..5),
            accepted: RowSet::from(0..5),
            ..RowOutcomes::default()
        };
        twice.check(&RowSet::from(0..5)).unwrap_err();
        twice.check(&RowSet::from(0..6)).unwrap_err();
    }
}
