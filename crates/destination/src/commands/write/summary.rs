//! What the log says of a sync: its progress, the end of each stream, the end of all.

use std::time::Duration;

use serde_json::json;

use crate::protocol::StreamDescriptor;
use arrow_salesforce::load::{Allowance, LoadReport, Org};

/// A sync so far, over all streams.
pub(super) struct Totals<'a> {
    pub(super) org: &'a Org,
    /// Streams of the catalog.
    pub(super) streams: usize,
    /// Records read.
    pub(super) records: u64,
    /// Bytes of their messages.
    pub(super) bytes: u64,
    /// Records in Salesforce that a printed state or an ended stream covers.
    pub(super) accepted: u64,
    /// Records rejected, as far as those cover.
    pub(super) rejected: u64,
    pub(super) elapsed: Duration,
}

/// A line while records come. How long what is left of the org's daily limits lasts at the rate of
/// this sync is said where that is less than a day.
pub(super) fn progress(totals: &Totals<'_>) {
    let (jobs, batches) = totals.org.ended_jobs();
    let limits = totals.org.allowances();
    tracing::info!(
        records = totals.records,
        bytes = totals.bytes,
        accepted = totals.accepted,
        rejected = totals.rejected,
        jobs,
        batches,
        batches_left = left(limits.batches),
        batches_last = lasts(limits.batches),
        api_calls = totals.org.client().usage().api_calls,
        api_calls_left = left(limits.api_requests),
        api_calls_last = lasts(limits.api_requests),
        held_bytes = totals.org.reserved_bytes(),
        "records read, and what states that were printed cover"
    );
}

/// The end of the sync, good or bad, as one line for programs.
pub(super) fn sync(totals: &Totals<'_>) {
    let (jobs, batches) = totals.org.ended_jobs();
    let usage = totals.org.client().usage();
    let limits = totals.org.allowances();
    let line = json!({
        "event": "sync_report",
        "streams": totals.streams,
        "read": totals.records,
        "bytes": totals.bytes,
        "accepted": totals.accepted,
        "rejected": totals.rejected,
        "jobs": jobs,
        "batches": batches,
        "batches_left": left(limits.batches),
        "api_calls": usage.api_calls,
        "api_calls_left": left(limits.api_requests),
        "polls": usage.polls,
        "uploaded": usage.uploaded_bytes,
        "spilled": totals.org.spilled_bytes(),
        "seconds": totals.elapsed.as_secs_f64(),
    });
    tracing::info!("{line}");
}

fn left(allowance: Option<Allowance>) -> Option<u64> {
    allowance.map(|allowance| allowance.left)
}

fn lasts(allowance: Option<Allowance>) -> Option<String> {
    let minutes = allowance?.lasts?.as_secs() / 60;
    Some(format!("{} h {} min", minutes / 60, minutes % 60))
}

/// The end of a stream, for people and as one line for programs.
pub(super) fn load(stream: &StreamDescriptor, report: &LoadReport) {
    tracing::info!("{report}");
    let rejects: Vec<_> = report
        .rejects
        .iter()
        .map(|reject| {
            json!({
                "stage": reject.stage.to_string(),
                "code": reject.code,
                "fields": reject.fields,
                "count": reject.count,
                "message": reject.message,
            })
        })
        .collect();
    let line = json!({
        "event": "load_report",
        "stream": stream,
        "object": report.object,
        "read": report.read,
        "accepted": report.accepted,
        "merged": report.merged,
        "rejected": report.rejected,
        "came_again": report.came_again,
        "bytes": report.bytes,
        "jobs": report.jobs,
        "batches": report.batches,
        "api_calls": report.api_calls,
        "polls": report.polls,
        "uploaded": report.uploaded,
        "spilled": report.spilled,
        "held": report.held,
        "held_accepted": report.held_accepted,
        "seconds": report.elapsed.as_secs_f64(),
        "records_per_second": report.rows_per_second(),
        "receipts": report.receipts,
        "rejects": rejects,
        "grouped_by": report.contention.grouped_by,
        "lock_errors": report.contention.lock_errors,
        "jobs_at_once_lowered": report.contention.lowered,
        "fewest_jobs_at_once": report.contention.fewest_jobs,
    });
    tracing::info!("{line}");
}
