//! The list of jobs that Salesforce keeps.

use std::collections::HashSet;

use serde::Deserialize;
use url::form_urlencoded;

use super::Ingest;
use super::info::JobInfo;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy};

/// Up to 1,000 jobs, in no order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    records: Vec<JobInfo>,
    next_records_url: Option<String>,
}

impl Ingest {
    /// The ingest jobs of the last days that `keep` picks, of all users.
    pub(super) async fn list(
        &self,
        policy: Policy,
        keep: impl Fn(&JobInfo) -> bool,
    ) -> Result<Vec<JobInfo>, BulkError> {
        let mut query = vec![("jobType".to_owned(), "V2Ingest".to_owned())];
        let mut jobs = Vec::new();
        let mut seen = HashSet::new();
        loop {
            if !seen.insert(query.clone()) {
                return Err(BulkError::Answer {
                    action: "listing jobs".to_owned(),
                    reason: "its pages go in a circle".to_owned(),
                });
            }
            let page = self.page(policy, &query).await?;
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

    async fn page(&self, policy: Policy, query: &[(String, String)]) -> Result<Page, BulkError> {
        let query: Vec<(&str, &str)> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut call = Call::get("listing jobs", &["jobs", "ingest"], policy);
        call.query = &query;
        self.connection.read_json(&call).await
    }
}
