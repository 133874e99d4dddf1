//! The books of a load: rows read, rows ended, checkpoints that are due.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bulk::Usage;
use crate::coerce::Reason;
use crate::error::Result;

use super::LoadError;
use super::checkpoint::{Checkpoints, Counts, Due, End, Totals};
use super::feed::Checkpoint;
use super::held::Held;
use super::org::{Lowered, RowStore};
use super::plan::Plan;
use super::report::{Contention, LoadReport, RejectCounts};

/// Rows that have their end before their rejected share is judged.
const ROWS_FOR_SHARE: u64 = 100;

/// Reasons that the error names when too many rows were rejected.
const TOP_REASONS: usize = 3;

/// Where each row is entered when it is read and crossed out when it ends.
#[derive(Debug)]
pub(super) struct Books {
    rows: Arc<RowStore>,
    checkpoints: Mutex<Checkpoints>,
    tally: Mutex<Tally>,
    /// A checkpoint may be due, or none will be any more.
    changed: Notify,
    started: Instant,
}

/// What a report counts while the load runs.
#[derive(Debug, Default)]
struct Tally {
    jobs: u64,
    batches: u64,
    uploaded: u64,
    rejects: RejectCounts,
    reject_files: Vec<String>,
    nulls_left: u64,
    came_again: u64,
    receipts: u64,
    without_id: u64,
    lock_errors: u64,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            rows: Arc::default(),
            checkpoints: Mutex::new(Checkpoints::new()),
            tally: Mutex::default(),
            changed: Notify::new(),
            started: Instant::now(),
        }
    }

    /// The rows that have no end yet.
    pub(super) fn rows(&self) -> &Arc<RowStore> {
        &self.rows
    }

    /// Enters `rows` rows, received as `bytes`, with the checkpoints among them; returns the ordinal
    /// of the first.
    pub(super) fn read(&self, rows: usize, bytes: u64, within: &[Checkpoint]) -> u64 {
        let mut checkpoints = self.checkpoints.lock();
        let first = checkpoints.next_ordinal();
        let (mut counted, mut counted_bytes) = (0, 0);
        for checkpoint in within {
            let (rows, bytes) = (checkpoint.row - counted, checkpoint.bytes - counted_bytes);
            checkpoints.read(rows as u64, bytes);
            checkpoints.mark(checkpoint.id);
            (counted, counted_bytes) = (checkpoint.row, checkpoint.bytes);
        }
        checkpoints.read((rows - counted) as u64, bytes - counted_bytes);
        drop(checkpoints);
        self.changed.notify_one();
        first
    }

    /// Ordinal that the next row gets.
    pub(super) fn next_ordinal(&self) -> u64 {
        self.checkpoints.lock().next_ordinal()
    }

    /// The rows of these ranges have their end; those rejected are stored.
    pub(super) fn end(&self, ranges: impl IntoIterator<Item = Range<u64>>, end: End) {
        for range in ranges {
            self.checkpoints.lock().end(range.clone(), end);
            self.rows.end(range);
        }
        self.changed.notify_one();
    }

    /// Rows that are in Salesforce.
    pub(super) fn accepted(&self) -> u64 {
        self.checkpoints.lock().totals().accepted
    }

    /// Whether rows have no end yet.
    pub(super) fn is_open(&self) -> bool {
        let totals = self.checkpoints.lock().totals();
        totals.read > totals.ended()
    }

    /// The next checkpoint, once it is due; none once the books are closed. For one to ask at a
    /// time.
    pub(super) async fn next_due(&self) -> Option<Due> {
        loop {
            {
                let mut checkpoints = self.checkpoints.lock();
                if let Some(due) = checkpoints.pop_due() {
                    return Some(due);
                }
                if checkpoints.is_closed() {
                    return None;
                }
            }
            // A change since then left a permit, so that this returns at once.
            self.changed.notified().await;
        }
    }

    /// No row ends any more.
    pub(super) fn close(&self) {
        self.checkpoints.lock().close();
        self.changed.notify_one();
    }

    /// A job reached its end.
    pub(super) fn job_ended(&self, batches: u64, bytes: u64) {
        let mut tally = self.tally.lock();
        tally.jobs += 1;
        tally.batches += batches;
        tally.uploaded += bytes;
    }

    /// Nulls of rows that are sent leave what a record has.
    pub(super) fn nulls_left(&self, nulls: u64) {
        self.tally.lock().nulls_left += nulls;
    }

    /// Rows were refused for locks.
    pub(super) fn lock_errors(&self, rows: u64) {
        self.tally.lock().lock_errors += rows;
    }

    /// Rows came again that an older attempt has loaded.
    pub(super) fn came_again(&self, rows: u64) {
        self.tally.lock().came_again += rows;
    }

    /// Receipts of rows were made, some without an Id.
    pub(super) fn receipts(&self, rows: u64, without_id: u64) {
        let mut tally = self.tally.lock();
        tally.receipts += rows;
        tally.without_id += without_id;
    }

    /// Rows up to the last checkpoint that was due.
    pub(super) fn acknowledged(&self) -> Counts {
        self.checkpoints.lock().acknowledged()
    }

    /// Counts rejected rows by their reasons.
    pub(super) fn rejected<'a>(
        &self,
        reasons: impl Iterator<Item = &'a Arc<Reason>>,
        keep_message: bool,
    ) {
        self.tally.lock().rejects.add(reasons, keep_message);
    }

    /// Rejected records were written to the object `path`.
    pub(super) fn stored(&self, path: String) {
        self.tally.lock().reject_files.push(path);
    }

    /// How long the load has run.
    pub(super) fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Fails once more rows were rejected than `max_rejected_percent` allows.
    pub(super) fn check_rejected(&self, percent: Option<u8>) -> Result<()> {
        let Some(percent) = percent else {
            return Ok(());
        };
        let totals = self.checkpoints.lock().totals();
        let (rejected, ended) = (totals.rejected, totals.ended());
        if ended < ROWS_FOR_SHARE || rejected * 100 <= u64::from(percent) * ended {
            return Ok(());
        }
        let ranked = self.tally.lock().rejects.ranked();
        let reasons: Vec<String> = ranked
            .iter()
            .take(TOP_REASONS)
            .map(ToString::to_string)
            .collect();
        Err(LoadError::TooManyRejected {
            rejected,
            ended,
            percent,
            reasons: reasons.join("; "),
        }
        .into())
    }

    /// The report, once each row has its end.
    pub(super) fn report(
        &self,
        plan: &Plan,
        usage: Usage,
        held: Option<&Held>,
        jobs: Lowered,
    ) -> Result<LoadReport> {
        let report = self.so_far(plan, usage, held, jobs);
        let LoadReport {
            read,
            accepted,
            merged,
            rejected,
            ..
        } = report;
        if read != accepted + merged + rejected {
            return Err(LoadError::Accounting {
                read,
                accepted,
                merged,
                rejected,
            }
            .into());
        }
        Ok(report)
    }

    /// What a report would say now.
    pub(super) fn so_far(
        &self,
        plan: &Plan,
        usage: Usage,
        held: Option<&Held>,
        jobs: Lowered,
    ) -> LoadReport {
        let Totals {
            read,
            bytes,
            accepted,
            merged,
            rejected,
        } = self.checkpoints.lock().totals();
        let (held, held_accepted) = held.map(Held::counts).unwrap_or_default();
        let tally = self.tally.lock();
        LoadReport {
            name: plan.name.clone(),
            object: plan.target.object.clone(),
            read,
            accepted,
            merged,
            rejected,
            bytes,
            jobs: tally.jobs,
            batches: tally.batches,
            uploaded: tally.uploaded,
            api_calls: usage.api_calls,
            polls: usage.polls,
            spilled: self.rows.spilled(),
            elapsed: self.elapsed(),
            rejects: tally.rejects.ranked(),
            nulls_left: tally.nulls_left,
            came_again: tally.came_again,
            receipts: tally.receipts,
            receipts_without_id: tally.without_id,
            contention: Contention {
                grouped_by: plan.grouped_by(),
                lock_errors: tally.lock_errors,
                lowered: jobs.times,
                fewest_jobs: jobs.lowest,
            },
            held,
            held_accepted,
            reject_files: tally.reject_files.clone(),
        }
    }
}
