//! What the log says of a sync: its progress, the end of each stream, the end of all.

use std::time::Duration;

use serde_json::json;

use crate::protocol::StreamDescriptor;
use arrow_salesforce::load::{LoadReport, Org};

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

/// A line while records come.
pub(super) fn progress(totals: &Totals<'_>) {
    let (jobs, batches) = totals.org.ended_jobs();
    tracing::info!(
        records = totals.records,
        bytes = totals.bytes,
        accepted = totals.accepted,
        rejected = totals.rejected,
        jobs,
        batches,
        api_calls = totals.org.client().usage().api_calls,
        held_bytes = totals.org.reserved_bytes(),
        "records read, and what states that were printed cover"
    );
}

/// The end of the sync, good or bad, as one line for programs.
pub(super) fn sync(totals: &Totals<'_>) {
    let (jobs, batches) = totals.org.ended_jobs();
    let usage = totals.org.client().usage();
    let line = json!({
        "event": "sync_report",
        "streams": totals.streams,
        "read": totals.records,
        "bytes": totals.bytes,
        "accepted": totals.accepted,
        "rejected": totals.rejected,
        "jobs": jobs,
        "batches": batches,
        "api_calls": usage.api_calls,
        "polls": usage.polls,
        "uploaded": usage.uploaded_bytes,
        "spilled": totals.org.spilled_bytes(),
        "seconds": totals.elapsed.as_secs_f64(),
    });
    tracing::info!("{line}");
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
        "bytes": report.bytes,
        "jobs": report.jobs,
        "batches": report.batches,
        "api_calls": report.api_calls,
        "polls": report.polls,
        "uploaded": report.uploaded,
        "spilled": report.spilled,
        "seconds": report.elapsed.as_secs_f64(),
        "records_per_second": report.rows_per_second(),
        "rejects": rejects,
    });
    tracing::info!("{line}");
}
