//! The report of a load beside its receipts: how it ended, in numbers, and with which settings.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::error::Error;
use crate::object::Operation;
use crate::receipt::ReceiptError;

use super::plan::Receipts;
use super::report::LoadReport;
use super::state::Load;

/// How long the report of a load that failed is tried to be stored: its error waits for that.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The same after a stop, when little is left of the grace.
const AFTER_STOP: Duration = Duration::from_secs(1);

/// Stores the report of a load that ended, with the error if it failed, where its receipts are stored.
/// That it cannot be stored is a warning: the receipts are there.
pub(super) async fn store(load: &Load, report: &LoadReport, error: Option<&Error>) {
    let to = load.plan.receipts.as_ref().map(|receipts| &receipts.to);
    let Some(Receipts::Store { store, stream }) = to else {
        return;
    };
    let mut text = json(load, report, error, Utc::now());
    text["run"] = json!(stream.run);
    text["attempt"] = json!(stream.attempt);
    let storing = store.write_report(stream, Bytes::from(format!("{text:#}\n")));
    let stored = match error {
        None => storing.await.map_err(Some),
        Some(_) => {
            let stopped = load.org.stopping().is_cancelled();
            let most = if stopped { AFTER_STOP } else { AFTER_FAILURE };
            let stored = timeout(most, storing).await;
            stored.map_or(Err(None), |stored| stored.map_err(Some))
        }
    };
    if let Err(error) = stored {
        let error = error.as_ref().map(ReceiptError::to_string);
        tracing::warn!(
            stream = %load.plan.name, error = error.as_deref().unwrap_or("there was no time"),
            "the report of the load could not be stored beside its receipts"
        );
    }
}

fn json(load: &Load, report: &LoadReport, error: Option<&Error>, now: DateTime<Utc>) -> Value {
    let took = TimeDelta::from_std(report.elapsed).unwrap_or_default();
    let acknowledged = load.books.acknowledged();
    let operation = &load.plan.target.operation;
    let rejects: Vec<Value> = report
        .rejects
        .iter()
        .map(|reject| {
            json!({
                "stage": reject.stage.as_str(),
                "code": reject.code,
                "fields": reject.fields,
                "count": reject.count,
            })
        })
        .collect();
    json!({
        "version": 1,
        "stream": report.name,
        "object": report.object,
        "operation": operation.as_str(),
        "external_id": match operation {
            Operation::Upsert { external_id } => Some(external_id),
            _ => None,
        },
        "ended": match error {
            None => "complete",
            Some(error) if error.is_stopped() => "stopped",
            Some(_) => "failed",
        },
        "error": error.map(|error| json!({
            "kind": format!("{:?}", error.kind()).to_lowercase(),
            "message": error.to_string(),
        })),
        "started_at": text_of(now - took),
        "ended_at": text_of(now),
        "seconds": report.elapsed.as_secs_f64(),
        "read": report.read,
        "accepted": report.accepted,
        "merged": report.merged,
        "rejected": report.rejected,
        "without_end": report.read - report.accepted - report.merged - report.rejected,
        "came_again": report.came_again,
        "held": report.held,
        "held_accepted": report.held_accepted,
        "grouped_by": report.contention.grouped_by,
        "lock_errors": report.contention.lock_errors,
        "jobs_at_once_lowered": report.contention.lowered,
        "fewest_jobs_at_once": report.contention.fewest_jobs,
        "acknowledged": acknowledged.total_accepted + acknowledged.total_rejected,
        "receipts": report.receipts,
        "receipts_without_id": report.receipts_without_id,
        "bytes": report.bytes,
        "jobs": report.jobs,
        "batches": report.batches,
        "uploaded": report.uploaded,
        "api_calls": report.api_calls,
        "polls": report.polls,
        "spilled": report.spilled,
        "nulls_left": report.nulls_left,
        "rejects": rejects,
        "reject_files": report.reject_files,
        "settings": settings(load),
    })
}

fn text_of(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The options of the load and of the process. None of them is a secret.
fn settings(load: &Load) -> Value {
    let plan = &load.plan;
    let all = [
        serde_json::to_value(load.org.options()),
        serde_json::to_value(&plan.options),
        serde_json::to_value(plan.values),
    ];
    let mut settings = Map::new();
    for options in all.into_iter().flatten() {
        if let Value::Object(options) = options {
            settings.extend(options);
        }
    }
    settings.remove("wait_permille");
    settings.into()
}
