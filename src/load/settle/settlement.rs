//! What the rows of a job's result files say of the rows that were sent.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use super::defect::defect;
use super::ends::{Ends, JobCounts};
use super::groups::{Group, Groups, ResultRow, SentRows};
use crate::coerce::Reason;
use crate::error::{Error, Result};
use crate::rows::{KeyDigest, RowSet};

/// Appended to the reason of a row whose result was found by elimination.
const BY_ELIMINATION: &str = " (matched by elimination)";

/// The rows of a job's result files, reduced to their digests as they are read.
#[derive(Debug)]
pub(super) struct Settlement {
    groups: Groups,
    reasons: Vec<Arc<Reason>>,
    successes_read: bool,
}

impl Settlement {
    /// Begins with no result row.
    pub(super) fn new(context: &TaskContext) -> Self {
        Self {
            groups: Groups::new(context),
            reasons: Vec::new(),
            successes_read: false,
        }
    }

    /// Adds failed rows, by their digests and with one reason each.
    pub(super) fn failed(
        &mut self,
        digests: &[KeyDigest],
        reasons: Vec<Arc<Reason>>,
    ) -> Result<()> {
        if reasons.len() != digests.len() {
            return Err(defect("failed rows and their reasons differ in number"));
        }
        let first = self.reasons.len() as u32;
        self.reasons.extend(reasons);
        self.add(
            digests
                .iter()
                .copied()
                .zip((first..).map(ResultRow::Failed)),
        )
    }

    /// Adds rows that were not processed.
    pub(super) fn unprocessed(&mut self, digests: &[KeyDigest]) -> Result<()> {
        self.add(
            digests
                .iter()
                .map(|digest| (*digest, ResultRow::Unprocessed)),
        )
    }

    /// Says that successful rows are read: from now on, a row found in no file has no known end.
    pub(super) fn expect_successes(&mut self) {
        self.successes_read = true;
    }

    /// Adds rows that were written, each with a digest of its record's Id, or 0.
    pub(super) fn succeeded(&mut self, digests: &[KeyDigest], records: &[u64]) -> Result<()> {
        self.expect_successes();
        let records = records.iter().copied().map(ResultRow::Succeeded);
        self.add(digests.iter().copied().zip(records))
    }

    fn add(&mut self, rows: impl Iterator<Item = (KeyDigest, ResultRow)>) -> Result<()> {
        self.groups.add_results(rows).map_err(from_datafusion)
    }

    /// Joins the result rows to the rows that were sent.
    ///
    /// # Errors
    /// Those of `sent`; a config error if that takes more memory than there is.
    pub(super) fn join(
        mut self,
        sent: impl IntoIterator<Item = Result<SentRows>>,
    ) -> Result<Settled> {
        for rows in sent {
            self.groups.add_sent(&rows?).map_err(from_datafusion)?;
        }
        let without_result = self.groups.take_without_result();
        let mut finding = Finding {
            reasons: self.reasons,
            unmatched: Vec::new(),
            open: None,
            ends: Ends::default(),
        };
        if self.successes_read {
            finding.open = Some(without_result);
        } else {
            finding.ends.accepted = without_result;
        }
        Ok(Settled {
            groups: self.groups,
            finding,
        })
    }
}

/// What the join found.
#[derive(Debug)]
pub(super) struct Settled {
    groups: Groups,
    finding: Finding,
}

/// The ends of rows, as they are found.
#[derive(Debug)]
struct Finding {
    reasons: Vec<Arc<Reason>>,
    /// Results of rows that were not sent.
    unmatched: Vec<ResultRow>,
    /// Rows that no result is left for; `None` if successful rows were not read.
    open: Option<RowSet>,
    ends: Ends,
}

impl Settled {
    /// The end of each row, or `None` if that takes the successful rows, which were not read.
    ///
    /// Once they were, rows still open are taken for the results that match nothing, where these are
    /// as many, all say the same of their row, and the counts of the job then agree; otherwise they
    /// are unknown.
    pub(super) fn ends(self, counts: Option<JobCounts>) -> Option<Ends> {
        let Self {
            mut groups,
            mut finding,
        } = self;
        let mut successes = 0;
        groups.for_each(|group| successes += group.successes() as u64);
        let proved = counts.is_some_and(|counts| counts.accepted == successes);
        let mut known = true;
        groups.for_each(|group| known &= finding.settle(group, proved));
        if !known {
            return None;
        }
        finding.eliminate(counts);
        let mut ends = finding.ends;
        ends.rejected.sort_unstable_by_key(|(row, _)| *row);
        Some(ends)
    }
}

impl Finding {
    /// Gives the rows of a group their ends; false if that takes the successful rows. `proved` says
    /// that these are as many as the job counted.
    fn settle(&mut self, group: &Group<'_>, proved: bool) -> bool {
        let Group {
            sent,
            results,
            differs,
        } = *group;
        let alike = group.is_alike();
        let Some(open) = &mut self.open else {
            // Failed and unprocessed rows came back; all others were accepted.
            let known =
                results.len() <= sent.len() && (!differs || (alike && results.len() == sent.len()));
            if known {
                let (with_result, accepted) = sent.split_at(results.len());
                self.pair(with_result, results, differs);
                self.ends.accepted.extend(accepted.iter().copied());
            }
            return known;
        };
        if sent.is_empty() {
            self.unmatched.extend(results);
        } else if alike && results.len() >= sent.len() {
            // Results beyond the rows are repeated.
            self.pair(sent, results, differs);
        } else if differs {
            self.ends.unknown.extend(sent.iter().copied());
        } else if results.len() <= sent.len() {
            open.extend(sent[results.len()..].iter().copied());
            self.pair(sent, results, false);
        } else {
            self.settle_surplus(group, proved);
        }
        true
    }

    /// Identical rows of which the results name more ends than there are rows.
    fn settle_surplus(&mut self, group: &Group<'_>, proved: bool) {
        let Group { sent, results, .. } = *group;
        let failures: Vec<ResultRow> = results
            .iter()
            .copied()
            .filter(|result| !result.is_success())
            .collect();
        let others = Group {
            results: &failures,
            ..*group
        };
        match sent.len().checked_sub(group.successes()) {
            Some(refused) if proved && (refused == 0 || others.is_alike()) => {
                let (refused, accepted) = sent.split_at(refused);
                self.pair(refused, &failures, false);
                self.ends.accepted.extend(accepted.iter().copied());
            }
            _ => self.ends.unknown.extend(sent.iter().copied()),
        }
    }

    /// Ends rows as the results say, in their order. The reasons of rows that differ may be each
    /// other's.
    fn pair(&mut self, sent: &[u64], results: &[ResultRow], differs: bool) {
        let swapped = differs && self.has_reasons(results);
        let remark = if swapped { BY_ELIMINATION } else { "" };
        for (ordinal, result) in sent.iter().zip(results) {
            self.end(*ordinal, *result, remark);
        }
    }

    /// Whether the results give more than one reason.
    fn has_reasons(&self, results: &[ResultRow]) -> bool {
        let mut reasons = results.iter().filter_map(|result| match result {
            ResultRow::Failed(reason) => self.reasons.get(*reason as usize),
            _ => None,
        });
        let first = reasons.next();
        reasons.any(|reason| Some(reason) != first)
    }

    fn end(&mut self, ordinal: u64, result: ResultRow, remark: &str) {
        match result {
            ResultRow::Failed(reason) => {
                if let Some(reason) = self.reasons.get(reason as usize) {
                    let mut reason = Arc::clone(reason);
                    if !remark.is_empty() {
                        Arc::make_mut(&mut reason).message.push_str(remark);
                    }
                    self.ends.rejected.push((ordinal, reason));
                }
            }
            ResultRow::Unprocessed => self.ends.unprocessed.insert(ordinal),
            ResultRow::Succeeded(_) => self.ends.accepted.insert(ordinal),
        }
    }

    /// Pairs rows that no result is left for with results that match nothing. Where other rows are
    /// unknown, the counts of the job prove nothing: some of what they count may be of those.
    fn eliminate(&mut self, counts: Option<JobCounts>) {
        let open = self.open.take().unwrap_or_default();
        let unmatched = std::mem::take(&mut self.unmatched);
        if let Some(first) = unmatched.first()
            && self.ends.unknown.is_empty()
            && unmatched.len() as u64 == open.len()
            && unmatched.iter().all(|result| result.is_like(*first))
            && counts == Some(self.counts_with(open.len(), *first))
        {
            for (ordinal, result) in open.iter().zip(unmatched) {
                self.end(ordinal, result, BY_ELIMINATION);
            }
        } else {
            self.ends.unknown.insert_all(&open);
        }
    }

    /// The counts of the job if `open` of its rows ended in this way.
    fn counts_with(&self, open: u64, result: ResultRow) -> JobCounts {
        let (accepted, failed) = match result {
            ResultRow::Failed(_) => (0, open),
            ResultRow::Unprocessed => (0, 0),
            ResultRow::Succeeded(_) => (open, 0),
        };
        JobCounts {
            accepted: self.ends.accepted.len() + accepted,
            failed: self.ends.rejected.len() as u64 + failed,
        }
    }
}

/// The join keeps within its memory.
fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::ResourcesExhausted(reason) => Error::config(format!(
            "matching a job's results to its rows needs more memory ({reason}); raise \
             memory_limit_bytes or lower max_job_bytes"
        )),
        error => defect(&error.to_string()),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
