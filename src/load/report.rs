//! What a load did: the summary at its end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
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
    /// The message of one of them, which may hold values; only with the setting `log_values`.
    pub message: Option<String>,
}

impl fmt::Display for RejectCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.join(", ");
        write!(
            f,
            "{} x {} {} [{fields}]",
            self.count, self.stage, self.code
        )?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// What one load did, reported when all its rows have their end.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// Name of the stream, or of the object where the load has no name.
    pub name: String,
    /// Salesforce object.
    pub object: String,
    /// Rows read; always `accepted + merged + rejected`.
    pub read: u64,
    /// Rows in Salesforce.
    pub accepted: u64,
    /// Rows in Salesforce as part of a later row of the same key.
    pub merged: u64,
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
    /// Nulls and empty texts of an update or upsert that left their field as it was, since
    /// `null_handling` says so. Those of rejected rows are not counted.
    pub nulls_left: u64,
    /// Rows that were not sent, since an earlier attempt has loaded them, or stored them as rejected,
    /// and could not say so. They are accepted or rejected all the same.
    pub came_again: u64,
    /// Receipts that were handed on.
    pub receipts: u64,
    /// Of these, receipts without an Id: the results of their job do not show which record is theirs.
    pub receipts_without_id: u64,
    /// Rows that were refused since their parent was not there, and were sent again after other loads
    /// of the [`Family`](super::Family), or the rest of this one, had come in.
    pub held: u64,
    /// Those of them that are in Salesforce now.
    pub held_accepted: u64,
    /// What it met of locks.
    pub contention: Contention,
}

/// What a load met of locks, and what was done about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contention {
    /// The column whose equal values stand together in a job, if there is one.
    pub grouped_by: Option<String>,
    /// How often a row was refused, or not processed, since a record that it needs was locked: each
    /// attempt of each row counts.
    pub lock_errors: u64,
    /// How often fewer jobs into the object went at once from then on, over all loads into it.
    pub lowered: u64,
    /// The fewest that could be in flight at once.
    pub fewest_jobs: usize,
}

impl fmt::Display for Contention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lock_errors == 0 {
            return Ok(());
        }
        write!(f, "; {} refusals for locks", self.lock_errors)?;
        if self.lowered > 0 {
            let (times, fewest) = (self.lowered, self.fewest_jobs);
            write!(
                f,
                ", so the jobs at once were lowered {times} times, to {fewest} at least"
            )?;
        }
        Ok(())
    }
}

impl LoadReport {
    /// Warns of nulls that changed nothing, which a source may have meant to clear fields.
    pub(crate) fn warn(&self) {
        if self.nulls_left > 0 {
            tracing::warn!(
                stream = %self.name, nulls = self.nulls_left,
                "nulls were not sent, so their fields keep the values that they had; set \
                 null_handling to clear to empty such fields"
            );
        }
    }

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
            "{}: {} records read, {} accepted, {} merged, {} rejected, {} bytes; {} jobs, {} batches, \
             {} API calls ({} polls); {:.1} s, {:.0} records/s{}",
            self.name,
            self.read,
            self.accepted,
            self.merged,
            self.rejected,
            self.bytes,
            self.jobs,
            self.batches,
            self.api_calls,
            self.polls,
            self.elapsed.as_secs_f64(),
            self.rows_per_second(),
            self.contention,
        )?;
        if self.held > 0 {
            let (held, accepted) = (self.held, self.held_accepted);
            write!(
                f,
                "\n  {held} held for their parents, {accepted} of them accepted then"
            )?;
        }
        for reject in &self.rejects {
            write!(f, "\n  {reject}")?;
        }
        Ok(())
    }
}

/// Rejected rows counted by stage, code and fields, each with the message of one of them if asked.
#[derive(Debug, Default)]
pub(crate) struct RejectCounts(HashMap<Cause, (u64, Option<String>)>);

/// Stage, code and fields.
type Cause = (Stage, String, Vec<String>);

impl RejectCounts {
    pub(crate) fn add<'a>(
        &mut self,
        reasons: impl Iterator<Item = &'a Arc<Reason>>,
        keep_message: bool,
    ) {
        // Rows that fail alike share their reason: each is looked at once.
        let mut distinct: HashMap<*const Reason, (&Reason, u64)> = HashMap::new();
        for reason in reasons {
            let (_, count) = distinct.entry(Arc::as_ptr(reason)).or_insert((reason, 0));
            *count += 1;
        }
        for (reason, count) in distinct.into_values() {
            let key = (reason.stage, reason.code.to_string(), reason.fields.clone());
            let (total, message) = self.0.entry(key).or_default();
            *total += count;
            if keep_message && message.is_none() {
                *message = Some(reason.message.clone());
            }
        }
    }

    /// Most frequent first.
    pub(crate) fn ranked(&self) -> Vec<RejectCount> {
        let mut counts: Vec<RejectCount> = self
            .0
            .iter()
            .map(|((stage, code, fields), (count, message))| RejectCount {
                stage: *stage,
                code: code.clone(),
                fields: fields.clone(),
                count: *count,
                message: message.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &'static str, message: &str, fields: &[&str]) -> Arc<Reason> {
        Arc::new(Reason {
            stage: Stage::Salesforce,
            code: code.into(),
            message: message.to_owned(),
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
        })
    }

    fn summary(keep_message: bool) -> String {
        let mut counts = RejectCounts::default();
        let shared = reason("STRING_TOO_LONG", "too long: Ng", &["LastName"]);
        let own = reason("DUPLICATES_DETECTED", "Use Ada", &[]);
        counts.add([&shared, &own, &shared].into_iter(), keep_message);
        counts.add([&shared].into_iter(), keep_message);
        let lines: Vec<_> = counts.ranked().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn values_are_told_only_when_asked_for() {
        insta::assert_snapshot!(summary(false), @r"
        3 x salesforce STRING_TOO_LONG [LastName]
        1 x salesforce DUPLICATES_DETECTED []
        ");
        insta::assert_snapshot!(summary(true), @r"
        3 x salesforce STRING_TOO_LONG [LastName]: too long: Ng
        1 x salesforce DUPLICATES_DETECTED []: Use Ada
        ");
    }
}
