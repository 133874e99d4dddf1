//! Pages of the results of a query job.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow_csv::reader::Reader;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use url::form_urlencoded;

use super::jobs::Queries;
use super::plan::Plan;
use crate::bulk::error::BulkError;
use crate::bulk::file;
use crate::bulk::http::{Call, Policy};
use crate::disk::Spool;

/// A page that was received whole.
pub(super) struct Page {
    /// Its rows, and which of their columns is which of the query's.
    rows: Option<(Reader<Spool>, Vec<usize>)>,
    pub(super) records: u64,
    /// A digest of its text.
    pub(super) digest: u128,
    /// The locator of the next page.
    pub(super) next: Option<String>,
}

/// The answer to a request for the addresses of pages.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addresses {
    result_pages: Vec<Address>,
    #[serde(alias = "nextRecordUrl")]
    next_records_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    result_url: String,
}

/// Where a page is found: none for the first one.
pub(super) type Locator = Option<String>;

impl Page {
    /// The next rows.
    pub(super) fn next_batch(&mut self, plan: &Plan) -> Option<Result<RecordBatch, BulkError>> {
        let (rows, order) = self.rows.as_mut()?;
        let texts = rows.next()?;
        let texts = texts.map_err(|error| BulkError::Results {
            action: "reading the results of a query".to_owned(),
            reason: error.to_string(),
        });
        Some(texts.and_then(|texts| plan.batch(&texts, order)))
    }
}

impl Queries {
    /// Receives a page of the results of a job. A next page that is among those `seen` is none.
    pub(super) async fn page(
        &self,
        plan: &Plan,
        id: &str,
        locator: &Locator,
        seen: impl Fn(&str) -> bool,
    ) -> Result<Page, BulkError> {
        let action = format!("reading the results of query job {id}");
        let path = ["jobs", "query", id, "results"];
        let most = plan.page_rows.map(|rows| rows.to_string());
        let query: Vec<(&str, &str)> = [
            ("locator", locator.as_deref()),
            ("maxRecords", most.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        let mut call = Call::get(&action, &path, Policy::InFlight);
        call.query = &query;
        let once = || async {
            let page = self.receive(plan, &call).await?;
            match &page.next {
                Some(next) if seen(next) => Err(BulkError::Results {
                    action: action.clone(),
                    reason: "its pages go in a circle".to_owned(),
                }),
                _ => Ok(page),
            }
        };
        let page = self.connection.repeat(&call, once).await;
        page.map_err(|error| error.of_query_results(id))
    }

    /// Receives a page once. What is no page of such results is an error that is asked for again.
    async fn receive(&self, plan: &Plan, call: &Call<'_>) -> Result<Page, BulkError> {
        let none = |reason: String| BulkError::Results {
            action: call.action.to_owned(),
            reason,
        };
        let mut answer = self.connection.send(call).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let next =
            header("Sforce-Locator").filter(|locator| !locator.is_empty() && locator != "null");
        let announced: Option<u64> =
            header("Sforce-NumberOfRecords").and_then(|count| count.parse().ok());
        let kind = header(CONTENT_TYPE.as_str()).unwrap_or_default();
        if answer.status().as_u16() == 204 {
            return Err(none("the job has none yet".to_owned()));
        }
        let table = file::receive(call.action, self.connection.clock(), &mut answer).await?;
        if let Some(announced) = announced.filter(|announced| *announced != table.records) {
            let reason = format!("{} rows came instead of {announced}", table.records);
            return Err(none(reason));
        }
        let rows = match table.rows {
            Some(rows) => {
                let order = plan.order(&rows.schema());
                let order = order.ok_or_else(|| none("it has another header".to_owned()))?;
                Some((rows, order))
            }
            None if kind.contains("html") || kind.contains("xml") || kind.contains("json") => {
                return Err(none(format!("it is empty, and {kind}")));
            }
            None => None,
        };
        Ok(Page {
            rows,
            records: table.records,
            digest: table.digest,
            next,
        })
    }

    /// Where the pages of the results of a job are, as far as the org says it.
    pub(super) async fn locators(&self, id: &str) -> VecDeque<Locator> {
        if self.no_page_lists.load(Ordering::Relaxed) {
            return VecDeque::new();
        }
        match self.all_locators(id).await {
            Ok(locators) => locators,
            // Whatever it is: one page after the other is always possible.
            Err(error) => {
                tracing::debug!(job_id = id, %error, "pages are read one after the other");
                let is_unknown = matches!(error, BulkError::Refused { .. });
                self.no_page_lists.fetch_or(is_unknown, Ordering::Relaxed);
                VecDeque::new()
            }
        }
    }

    async fn all_locators(&self, id: &str) -> Result<VecDeque<Locator>, BulkError> {
        let action = format!("listing the pages of query job {id}");
        let path = ["jobs", "query", id, "resultPages"];
        let mut locators = VecDeque::new();
        let mut seen = HashSet::new();
        let mut next: Locator = None;
        loop {
            let query: Vec<(&str, &str)> = next
                .as_deref()
                .map(|locator| ("locator", locator))
                .into_iter()
                .collect();
            let mut call = Call::get(&action, &path, Policy::Start);
            call.query = &query;
            let addresses: Addresses = self.connection.read_json(&call).await?;
            for page in &addresses.result_pages {
                let locator = locator(&page.result_url);
                if !seen.insert(locator.clone()) {
                    return Err(BulkError::Answer {
                        action,
                        reason: "it names a page twice".to_owned(),
                    });
                }
                locators.push_back(locator);
            }
            next = addresses.next_records_url.as_deref().and_then(locator);
            // A list without pages has no end.
            if next.is_none() || addresses.result_pages.is_empty() {
                return Ok(locators);
            }
        }
    }
}

/// The locator in the address of a page.
fn locator(address: &str) -> Locator {
    let (_, query) = address.split_once('?')?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, locator) = parameters.find(|(name, _)| name == "locator")?;
    Some(locator.into_owned())
}
