//! What a load did: the summary at its end.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::coerce::{Reason, Stage};

/// Rows rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectCount {
    /// Where they were rejected.
    pub stage: Stage,
    /// Salesforce's code, or `INVALID_VALUE` and the like for rows never sent.
    pub code: String,
    /// Fields that the reason names.
    pub fields: Vec<String>,
    /// How many rows.
    pub count: u64,
}

/// What one load did, told when all its rows have their end.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Name of the stream, or of the object where the load has no name.
    pub name: String,
    /// Salesforce object.
    pub object: String,
    /// Rows read; always `accepted + rejected`.
    pub read: u64,
    /// Rows in Salesforce.
    pub accepted: u64,
    /// Rows rejected, here or by Salesforce.
    pub rejected: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Jobs that reached their end.
    pub jobs: u64,
    /// Internal batches of those jobs, of which an org has 15,000 a day.
    pub batches: u64,
    /// CSV bytes of those jobs.
    pub uploaded: u64,
    /// API calls made for this load.
    pub api_calls: u64,
    /// How many of them asked for a job's state.
    pub polls: u64,
    /// Bytes of waiting rows that went to disk.
    pub spilled: u64,
    /// From the start of the load to the end of its last row.
    pub elapsed: Duration,
    /// Rejected rows by reason, most frequent first.
    pub rejects: Vec<RejectCount>,
    /// Objects that hold the rejected records.
    pub reject_files: Vec<String>,
}

impl LoadReport {
    /// Rows read in a second of the load.
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rows_per_second(&self) -> f64 {
        self.read as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} records read, {} accepted, {} rejected, {} bytes; {} jobs, {} batches, {} API \
             calls ({} polls); {:.1} s, {:.0} records/s",
            self.name,
            self.read,
            self.accepted,
            self.rejected,
            self.bytes,
            self.jobs,
            self.batches,
            self.api_calls,
            self.polls,
            self.elapsed.as_secs_f64(),
            self.rows_per_second(),
        )?;
        for reject in &self.rejects {
            let fields = reject.fields.join(", ");
            write!(
                f,
                "\n  {} x {} {} [{fields}]",
                reject.count, reject.stage, reject.code
            )?;
        }
        Ok(())
    }
}

/// Rejected rows counted by stage, code and fields.
#[derive(Debug, Default)]
pub(crate) struct RejectCounts(HashMap<(Stage, String, Vec<String>), u64>);

impl RejectCounts {
    pub(crate) fn add(&mut self, reason: &Reason) {
        let key = (reason.stage, reason.code.to_string(), reason.fields.clone());
        *self.0.entry(key).or_default() += 1;
    }

    /// Most frequent first.
    pub(crate) fn ranked(&self) -> Vec<RejectCount> {
        let mut counts: Vec<RejectCount> = self
            .0
            .iter()
            .map(|((stage, code, fields), count)| RejectCount {
                stage: *stage,
                code: code.clone(),
                fields: fields.clone(),
                count: *count,
            })
            .collect();
        counts.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| (&a.code, &a.fields).cmp(&(&b.code, &b.fields)))
        });
        counts
    }
}
