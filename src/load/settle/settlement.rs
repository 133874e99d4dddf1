//! What the rows of a job's result files say of the rows that were sent.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::defect::defect;
use super::ends::{Ends, JobCounts};
use super::groups::{Group, Groups, ResultRow, SentRows};
use super::parts::Parts;
use super::record_log::{RecordLog, RowRecord};
use crate::coerce::Reason;
use crate::disk::Disk;
use crate::error::Result;
use crate::load::memory::reason_bytes;
use crate::rows::{KeyDigest, RowSet};

/// Appended to the reason of a row whose result was found by elimination.
const BY_ELIMINATION: &str = " (matched by elimination)";

/// The rows of a job's result files, reduced to their digests as they are read.
///
/// They are joined at once while the memory pool has room, and else in parts.
#[derive(Debug)]
pub(super) struct Settlement {
    pool: Arc<dyn MemoryPool>,
    disk: Disk,
    rows: Rows,
    reasons: Vec<Arc<Reason>>,
    reasons_memory: MemoryReservation,
    successes_read: bool,
}

#[derive(Debug)]
enum Rows {
    AtOnce(Groups),
    InParts(Parts),
}

fn consumer(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
    MemoryConsumer::new("settle").register(pool)
}

impl Settlement {
    /// Begins with no result row.
    pub(super) fn new(context: &TaskContext) -> Self {
        let pool = Arc::clone(context.memory_pool());
        Self {
            rows: Rows::AtOnce(Groups::new(consumer(&pool))),
            reasons_memory: consumer(&pool),
            pool,
            disk: Disk::shared(),
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
        let mut bytes = 0;
        let numbers: Vec<u32> = reasons
            .into_iter()
            .map(|reason| {
                let last = self.reasons.last();
                if last.is_none_or(|last| !Arc::ptr_eq(last, &reason)) {
                    bytes += size_of::<Arc<Reason>>();
                    // Others have a reason that is shared.
                    if Arc::strong_count(&reason) == 1 {
                        bytes += reason_bytes(&reason);
                    }
                    self.reasons.push(reason);
                }
                self.reasons.len() as u32 - 1
            })
            .collect();
        self.reasons_memory.grow(bytes);
        let results = numbers.into_iter().map(ResultRow::Failed);
        self.add(digests.iter().copied().zip(results));
        Ok(())
    }

    /// Adds rows that were not processed.
    pub(super) fn unprocessed(&mut self, digests: &[KeyDigest]) {
        self.add(
            digests
                .iter()
                .map(|digest| (*digest, ResultRow::Unprocessed)),
        );
    }

    /// Says that successful rows are read: from now on, a row found in no file has no known end.
    pub(super) fn expect_successes(&mut self) {
        self.successes_read = true;
    }

    /// An empty reservation of the same memory.
    pub(super) fn memory(&self) -> MemoryReservation {
        consumer(&self.pool)
    }

    /// Adds rows that were written, each with the number of its record's Id, or 0.
    pub(super) fn succeeded(&mut self, digests: &[KeyDigest], records: &[u64]) {
        self.expect_successes();
        let records = records.iter().copied().map(ResultRow::Succeeded);
        self.add(digests.iter().copied().zip(records));
    }

    fn add(&mut self, rows: impl Iterator<Item = (KeyDigest, ResultRow)>) {
        match &mut self.rows {
            Rows::AtOnce(groups) => {
                groups.add_results(rows);
                self.divide_unless_fit();
            }
            Rows::InParts(parts) => parts.add_results(rows),
        }
    }

    /// Goes over to parts if there is no room for all at once.
    fn divide_unless_fit(&mut self) {
        let Rows::AtOnce(groups) = &mut self.rows else {
            return;
        };
        if groups.fit() {
            return;
        }
        let without_result = groups.take_without_result();
        let empty = Groups::new(consumer(&self.pool));
        let (results, sent) = std::mem::replace(groups, empty).into_rows();
        let mut parts = Parts::new(&self.disk, consumer(&self.pool), without_result);
        parts.add_results(results);
        parts.add_rows(sent);
        self.rows = Rows::InParts(parts);
    }

    /// Joins the result rows to the rows that were sent.
    ///
    /// # Errors
    /// Those of `sent`.
    pub(super) fn join(
        mut self,
        sent: impl IntoIterator<Item = Result<SentRows>>,
    ) -> Result<Settled> {
        for rows in sent {
            let rows = rows?;
            match &mut self.rows {
                Rows::AtOnce(groups) => {
                    groups.add_sent(&rows);
                    self.divide_unless_fit();
                }
                Rows::InParts(parts) => parts.add_sent(&rows),
            }
        }
        Ok(Settled {
            rows: self.rows,
            pool: self.pool,
            finding: Finding {
                reasons: self.reasons,
                unmatched: Vec::new(),
                open: self.successes_read.then(RowSet::new),
                ends: Ends::default(),
            },
            _reasons_memory: self.reasons_memory,
        })
    }
}

/// What the join found.
#[derive(Debug)]
pub(super) struct Settled {
    rows: Rows,
    pool: Arc<dyn MemoryPool>,
    finding: Finding,
    _reasons_memory: MemoryReservation,
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
    /// Adds rows that were sent and that no result has.
    pub(super) fn add_without_result(&mut self, rows: &RowSet) {
        match &mut self.rows {
            Rows::AtOnce(groups) => groups.add_without_result(rows),
            Rows::InParts(parts) => parts.add_without_result(rows),
        }
    }

    /// The end of each row, or `None` if that takes the successful rows, which were not read.
    ///
    /// Once they were, rows still open are taken for the results that match nothing, where these are
    /// as many, all say the same of their row, and the counts of the job then agree; otherwise they
    /// are unknown.
    ///
    /// # Errors
    /// A transient error if rows cannot be read back from a temporary file.
    pub(super) fn ends(mut self, counts: Option<JobCounts>) -> Result<Option<Ends>> {
        let mut finding = self.finding;
        let mut proved = false;
        if let Some(counts) = counts.filter(|_| finding.open.is_some()) {
            let mut successes = 0;
            self.rows.for_each_part(&self.pool, |groups| {
                groups.for_each(|group| successes += group.successes() as u64);
                true
            })?;
            proved = counts.accepted == successes;
        }
        let known = self.rows.for_each_part(&self.pool, |groups| {
            finding.without_result(&groups.take_without_result());
            let mut known = true;
            groups.for_each(|group| known &= finding.settle(group, proved));
            known
        })?;
        if !known {
            return Ok(None);
        }
        finding.eliminate(counts);
        let mut ends = finding.ends;
        ends.rejected.sort_unstable_by_key(|(row, _)| *row);
        Ok(Some(ends))
    }

    /// Which record each row that was sent became. Of the results, the successes alone are there, and
    /// of the rows those that were written: equal rows have an Id each, rows that differ in what did
    /// not come back have none.
    ///
    /// # Errors
    /// As [`Settled::ends`].
    pub(super) fn records(mut self, sent: &RowSet) -> Result<RecordLog> {
        let mut records = RecordLog::new(sent, &Disk::shared(), &self.pool);
        self.rows.for_each_part(&self.pool, |groups| {
            groups.for_each(|group| {
                let (sent, results) = (group.sent, group.results);
                if group.differs || results.len() > sent.len() {
                    for row in sent {
                        records.push(*row, RowRecord::Indistinct);
                    }
                } else {
                    for (row, result) in sent.iter().zip(results) {
                        records.push(*row, result.record());
                    }
                }
            });
            true
        })?;
        Ok(records)
    }
}

impl Rows {
    /// Shows the groups of each part, as long as `show` wants more; false if it does not.
    fn for_each_part(
        &mut self,
        pool: &Arc<dyn MemoryPool>,
        mut show: impl FnMut(&mut Groups) -> bool,
    ) -> Result<bool> {
        match self {
            Self::AtOnce(groups) => Ok(show(groups)),
            Self::InParts(parts) => {
                for part in 0..parts.len() {
                    let mut groups = parts.groups(part, consumer(pool))?;
                    if !show(&mut groups) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

impl Finding {
    /// These rows are in no file that was read.
    fn without_result(&mut self, rows: &RowSet) {
        let open = self.open.as_mut();
        open.unwrap_or(&mut self.ends.accepted).insert_all(rows);
    }

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

#[cfg(test)]
mod properties;
#[cfg(test)]
mod records;
#[cfg(test)]
mod tests;
