//! What became of the rows of a job.

use std::sync::Arc;

use crate::coerce::Reason;
use crate::rows::RowSet;

/// What became of the rows of a job; each is in one of these.
#[derive(Debug, Default, PartialEq)]
pub struct Ends {
    /// In Salesforce.
    pub accepted: RowSet,
    /// Refused, with the reason of each; ascending.
    pub rejected: Vec<(u64, Arc<Reason>)>,
    /// Salesforce did not get to them.
    pub unprocessed: RowSet,
    /// Found in no result file, or not distinguishable from others.
    pub unknown: RowSet,
    /// Where some are unknown: columns that were sent and of which results have no value.
    pub lacking: Vec<String>,
}

/// How many rows a job says that it wrote and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts {
    /// Rows written.
    pub accepted: u64,
    /// Rows refused.
    pub failed: u64,
}
