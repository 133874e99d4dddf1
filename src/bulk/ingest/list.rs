//! The list of jobs that Salesforce keeps.

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
        keep: impl Fn(&JobInfo) -> bool,
    ) -> Result<Vec<JobInfo>, BulkError> {
        let mut query = vec![("jobType".to_owned(), "V2Ingest".to_owned())];
        let mut jobs = Vec::new();
        loop {
            let page = self.page(&query).await?;
            jobs.extend(page.records.into_iter().filter(&keep));
            let Some((_, next)) = page
                .next_records_url
                .as_deref()
                .and_then(|url| url.split_once('?'))
            else {
                return Ok(jobs);
            };
            let next: Vec<_> = form_urlencoded::parse(next.as_bytes())
                .into_owned()
                .collect();
            if next == query {
                return Err(BulkError::Answer {
                    action: "listing jobs".to_owned(),
                    reason: "its next page is the same page".to_owned(),
                });
            }
            query = next;
        }
    }

    async fn page(&self, query: &[(String, String)]) -> Result<Page, BulkError> {
        let query: Vec<(&str, &str)> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut call = Call::get("listing jobs", &["jobs", "ingest"], Policy::JOB);
        call.query = &query;
        self.connection.read_json(&call).await
    }
}
