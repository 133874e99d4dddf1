//! The list of jobs that Salesforce keeps.

use std::collections::HashSet;

use serde::Deserialize;
use url::form_urlencoded;

use super::info::JobInfo;
use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy};

const ACTION: &str = "listing jobs";

/// Up to 1,000 jobs, in no order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    records: Vec<JobInfo>,
    next_records_url: Option<String>,
}

/// Which jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bulk) enum JobType {
    Ingest,
    Query,
}

impl JobType {
    /// The segment of its address, and its name as a filter.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Ingest => ["ingest", "V2Ingest"],
            Self::Query => ["query", "V2Query"],
        }
    }
}

/// The jobs of the last days that `keep` picks, of all users.
pub(in crate::bulk) async fn list(
    connection: &Connection,
    jobs: JobType,
    policy: Policy,
    keep: impl Fn(&JobInfo) -> bool,
) -> Result<Vec<JobInfo>, BulkError> {
    let [segment, filter] = jobs.names();
    let mut query = vec![("jobType".to_owned(), filter.to_owned())];
    let mut jobs = Vec::new();
    let mut seen = HashSet::new();
    loop {
        if !seen.insert(query.clone()) {
            return Err(BulkError::Answer {
                action: ACTION.to_owned(),
                reason: "its pages go in a circle".to_owned(),
            });
        }
        let page = page(connection, segment, policy, &query).await?;
        jobs.extend(page.records.into_iter().filter(&keep));
        let Some((_, next)) = page
            .next_records_url
            .as_deref()
            .and_then(|url| url.split_once('?'))
        else {
            return Ok(jobs);
        };
        query = form_urlencoded::parse(next.as_bytes())
            .into_owned()
            .collect();
    }
}

async fn page(
    connection: &Connection,
    segment: &str,
    policy: Policy,
    query: &[(String, String)],
) -> Result<Page, BulkError> {
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let path = ["jobs", segment];
    let mut call = Call::get(ACTION, &path, policy);
    call.query = &query;
    connection.read_json(&call).await
}
