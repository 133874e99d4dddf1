//! What is not there yet; it goes as the parts come.
#![allow(dead_code, missing_docs, unreachable_pub)]
use crate::cli::OutputArgs;
use crate::run::*;
use arrow_salesforce::load::RejectCount;
use std::time::Duration;
pub(crate) struct Progress {
    pub read: u64,
    pub accepted: u64,
    pub rejected: u64,
    pub jobs_in_flight: usize,
    pub jobs_ended: u64,
}
pub(crate) struct Outcome {
    pub run: String,
    pub state: RunState,
    pub counts: RunCounts,
    pub elapsed: Duration,
    pub reasons: Vec<RejectCount>,
    pub rejects: Option<String>,
    pub receipts: Option<String>,
    pub next: Vec<String>,
    pub error: Option<String>,
}
pub(crate) struct Watch;
impl Watch {
    pub(crate) fn new(_: &OutputArgs) -> Self {
        Self
    }
    pub(crate) fn say(&self, s: &str) {
        eprintln!("{s}")
    }
    pub(crate) fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    pub(crate) fn progress(&self, _: &Progress) {}
    pub(crate) fn end(&self, o: &Outcome) {
        eprintln!("{} {:?} {:?} {:?}", o.run, o.state, o.counts, o.error)
    }
}
