//! What is not there yet; it goes as the parts come.
#![allow(dead_code, missing_docs, unreachable_pub)]
use crate::cli::OutputArgs;
use crate::input::InputError;
use crate::run::*;
use crate::spec::ReadSpec;
use arrow_salesforce::load::RejectCount;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) name: String,
}
impl FileState {
    pub(crate) fn changes(_: &[Self], _: &[Self]) -> Vec<String> {
        Vec::new()
    }
}
#[derive(Debug)]
pub(crate) struct Inputs(Vec<String>);
impl Inputs {
    pub(crate) async fn open(s: &[String], _: &ReadSpec, _: &Path) -> Result<Self, InputError> {
        Ok(Self(s.to_vec()))
    }
    pub(crate) fn register(
        &self,
        c: &datafusion::prelude::SessionContext,
    ) -> Result<(), InputError> {
        futures::executor::block_on(c.register_parquet("input", &self.0[0], Default::default()))
            .unwrap();
        Ok(())
    }
    pub(crate) fn states(&self) -> Vec<FileState> {
        Vec::new()
    }
    pub(crate) fn rows(&self) -> Option<u64> {
        None
    }
    pub(crate) fn found(&self) -> Vec<String> {
        Vec::new()
    }
}

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
