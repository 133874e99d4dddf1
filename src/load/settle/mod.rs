//! The join back: which rows of an ended job were accepted, which were not, and why.
//!
//! Result files hold no row numbers, stand in any order and do not echo every value as it was
//! sent. Rows are therefore told apart by a digest ([`Identity`]): of their key, where they have one,
//! or of the canonical form of their cells in the columns that came back. Rows of one digest are a
//! group: what the results say of it is true of its rows one to one, if they are as many and alike.
//! Where they are not, it is proved by the successful rows and by the counts of the job, or it is not
//! known.

mod groups;
mod identity;
mod reason;
mod retryable;
mod verdict;

pub(crate) use identity::{Identity, row_digests};
pub(crate) use reason::Reasons;
pub(crate) use retryable::Again;
pub(crate) use verdict::{EndState, Found, JobEnd, Verdict, verdict};

use std::sync::Arc;

use arrow::array::UInt64Array;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use crate::coerce::Reason;
use crate::error::{Error, Result};
use crate::rows::KeyDigest;
use groups::{Group, Groups, Outcome};

/// Appended to the reason of a row whose result was found by elimination.
const BY_ELIMINATION: &str = " (matched by elimination)";

/// Rows that were sent, in their order: an ordinal and a digest each.
#[derive(Debug)]
pub(crate) struct SentRows {
    pub(crate) ordinals: UInt64Array,
    pub(crate) digests: Vec<KeyDigest>,
    /// Digests of all their cells, where the others are of some.
    pub(crate) wholes: Option<Vec<KeyDigest>>,
}

/// The rows of a job's result files, reduced to their digests as they are read.
#[derive(Debug)]
pub(crate) struct Settlement {
    groups: Groups,
    reasons: Vec<Arc<Reason>>,
    successes_read: bool,
}

impl Settlement {
    /// Begins with no result row.
    pub(crate) fn new(context: &TaskContext) -> Self {
        Self {
            groups: Groups::new(context),
            reasons: Vec::new(),
            successes_read: false,
        }
    }

    /// Adds failed rows, by their digests and with one reason each.
    pub(crate) fn failed(
        &mut self,
        digests: &[KeyDigest],
        reasons: Vec<Arc<Reason>>,
    ) -> Result<()> {
        if reasons.len() != digests.len() {
            return Err(defect("failed rows and their reasons differ in number"));
        }
        let first = self.reasons.len() as u32;
        self.reasons.extend(reasons);
        self.tell(digests.iter().copied().zip((first..).map(Outcome::Failed)))
    }

    /// Adds rows that were not processed.
    pub(crate) fn unprocessed(&mut self, digests: &[KeyDigest]) -> Result<()> {
        self.tell(digests.iter().map(|digest| (*digest, Outcome::Unprocessed)))
    }

    /// Says that successful rows are read: from now on, a row found in no file has no known end.
    pub(crate) fn expect_successes(&mut self) {
        self.successes_read = true;
    }

    /// Adds rows that were written, each with a digest of its record's Id, or 0.
    pub(crate) fn succeeded(&mut self, digests: &[KeyDigest], records: &[u64]) -> Result<()> {
        self.expect_successes();
        let records = records.iter().copied().map(Outcome::Succeeded);
        self.tell(digests.iter().copied().zip(records))
    }

    fn tell(&mut self, rows: impl Iterator<Item = (KeyDigest, Outcome)>) -> Result<()> {
        self.groups.tell(rows).map_err(from_datafusion)
    }

    /// Joins the result rows to the rows that were sent.
    ///
    /// # Errors
    /// What `sent` answers; a config error if that takes more memory than there is.
    pub(crate) fn join(
        mut self,
        sent: impl IntoIterator<Item = Result<SentRows>>,
    ) -> Result<Settled> {
        for rows in sent {
            let sent = self.groups.send(&rows?, self.successes_read);
            sent.map_err(from_datafusion)?;
        }
        let finding = Finding {
            open: self.successes_read.then(|| self.groups.take_open()),
            reasons: self.reasons,
            unmatched: Vec::new(),
            ends: Ends::default(),
        };
        Ok(Settled {
            groups: self.groups,
            finding,
        })
    }
}

/// What the join found.
#[derive(Debug)]
pub(crate) struct Settled {
    groups: Groups,
    finding: Finding,
}

/// The ends of rows, as they are found.
#[derive(Debug)]
struct Finding {
    reasons: Vec<Arc<Reason>>,
    /// Results of rows that were not sent.
    unmatched: Vec<Outcome>,
    /// Rows that no result is left for; `None` if successful rows were not read.
    open: Option<Vec<u64>>,
    ends: Ends,
}

/// The ends of a job's rows, in ascending order. Rows that are in none of them were accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) rejected: Vec<(u64, Arc<Reason>)>,
    /// Not processed: these go into a new job.
    pub(crate) unprocessed: Vec<u64>,
    /// Found in no result file, or not to be told apart from others.
    pub(crate) indeterminate: Vec<u64>,
}

/// How many rows a job says that it wrote and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) failed: u64,
}

impl Settled {
    /// The end of each row, or `None` if that takes the successful rows, which were not read.
    ///
    /// Once they were, rows still open are taken for the results that match nothing, where these are
    /// as many, all say the same of their row, and the counts of the job then agree; otherwise they
    /// are indeterminate.
    pub(crate) fn ends(self, counts: Option<Counts>) -> Option<Ends> {
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
        finding.eliminate(groups.rows(), counts);
        let mut ends = finding.ends;
        ends.rejected.sort_unstable_by_key(|(row, _)| *row);
        ends.unprocessed.sort_unstable();
        ends.indeterminate.sort_unstable();
        Some(ends)
    }
}

impl Finding {
    /// Gives the rows of a group their ends; false if that takes the successful rows. `proved` says
    /// that these are as many as the job counted.
    fn settle(&mut self, group: &Group<'_>, proved: bool) -> bool {
        let Group {
            sent,
            told,
            differs,
        } = *group;
        let alike = group.is_alike();
        let Some(open) = &mut self.open else {
            // Failed and unprocessed rows are told; all others were accepted.
            let known =
                told.len() <= sent.len() && (!differs || (alike && told.len() == sent.len()));
            if known {
                self.pair(sent, told, differs);
            }
            return known;
        };
        if sent.is_empty() {
            self.unmatched.extend(told);
        } else if alike && told.len() >= sent.len() {
            // Results beyond the rows are repeated.
            self.pair(sent, told, differs);
        } else if differs {
            self.ends.indeterminate.extend(sent);
        } else if told.len() <= sent.len() {
            open.extend(&sent[told.len()..]);
            self.pair(sent, told, false);
        } else {
            self.settle_surplus(group, proved);
        }
        true
    }

    /// Identical rows of which the results tell more ends than there are rows.
    fn settle_surplus(&mut self, group: &Group<'_>, proved: bool) {
        let Group { sent, told, .. } = *group;
        let failures: Vec<Outcome> = told
            .iter()
            .copied()
            .filter(|told| !told.is_success())
            .collect();
        let others = Group {
            told: &failures,
            ..*group
        };
        match sent.len().checked_sub(group.successes()) {
            Some(refused) if proved && (refused == 0 || others.is_alike()) => {
                self.pair(&sent[..refused], &failures, false);
            }
            _ => self.ends.indeterminate.extend(sent),
        }
    }

    /// Ends rows as the results tell, in their order. The reasons of rows that differ may be each
    /// other's.
    fn pair(&mut self, sent: &[u64], told: &[Outcome], differs: bool) {
        let swapped = differs && self.has_reasons(told);
        for (ordinal, outcome) in sent.iter().zip(told) {
            self.end(
                *ordinal,
                *outcome,
                if swapped { BY_ELIMINATION } else { "" },
            );
        }
    }

    /// Whether the results give more than one reason.
    fn has_reasons(&self, told: &[Outcome]) -> bool {
        let mut reasons = told.iter().filter_map(|told| match told {
            Outcome::Failed(reason) => self.reasons.get(*reason as usize),
            _ => None,
        });
        let first = reasons.next();
        reasons.any(|reason| Some(reason) != first)
    }

    fn end(&mut self, ordinal: u64, outcome: Outcome, remark: &str) {
        match outcome {
            Outcome::Failed(reason) => {
                if let Some(reason) = self.reasons.get(reason as usize) {
                    let mut reason = Arc::clone(reason);
                    if !remark.is_empty() {
                        Arc::make_mut(&mut reason).message.push_str(remark);
                    }
                    self.ends.rejected.push((ordinal, reason));
                }
            }
            Outcome::Unprocessed => self.ends.unprocessed.push(ordinal),
            Outcome::Succeeded(_) => {}
        }
    }

    /// Pairs rows that no result is left for with results that match nothing.
    fn eliminate(&mut self, rows: u64, counts: Option<Counts>) {
        let open = self.open.take().unwrap_or_default();
        let unmatched = std::mem::take(&mut self.unmatched);
        if let Some(first) = unmatched.first()
            && unmatched.len() == open.len()
            && unmatched.iter().all(|told| told.is_like(*first))
            && counts == Some(self.counts_with(rows, open.len(), *first))
        {
            for (ordinal, outcome) in open.into_iter().zip(unmatched) {
                self.end(ordinal, outcome, BY_ELIMINATION);
            }
        } else {
            self.ends.indeterminate.extend(open);
        }
    }

    /// The counts of the job if `open` of its rows ended in this way.
    fn counts_with(&self, rows: u64, open: usize, outcome: Outcome) -> Counts {
        let Ends {
            rejected,
            unprocessed,
            indeterminate,
        } = &self.ends;
        let others = rejected.len() + unprocessed.len() + indeterminate.len() + open;
        let (accepted, failed) = match outcome {
            Outcome::Failed(_) => (0, open),
            Outcome::Unprocessed => (0, 0),
            Outcome::Succeeded(_) => (open, 0),
        };
        Counts {
            accepted: rows.saturating_sub(others as u64) + accepted as u64,
            failed: (rejected.len() + failed) as u64,
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

fn defect(reason: &str) -> Error {
    Error::system(format!(
        "the results of a job could not be matched to its rows: {reason}; report it, it is a defect"
    ))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
