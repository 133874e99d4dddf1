//! Pages of the results of a query job.

use arrow_csv::reader::Reader;
use reqwest::header::CONTENT_TYPE;

use super::jobs::Queries;
use super::plan::Plan;
use crate::bulk::error::BulkError;
use crate::bulk::file;
use crate::bulk::http::{Call, Policy};
use crate::disk::Spool;

/// A page that was received whole.
pub(super) struct Page {
    /// Its rows, and which of their columns is which of the query's.
    pub(super) rows: Option<(Reader<Spool>, Vec<usize>)>,
    /// The locator of the next page.
    pub(super) next: Option<String>,
}

impl Queries {
    /// Receives a page of the results of a job: the first one without a locator.
    pub(super) async fn page(
        &self,
        plan: &Plan,
        id: &str,
        locator: Option<&str>,
    ) -> Result<Page, BulkError> {
        let action = format!("reading the results of query job {id}");
        let path = ["jobs", "query", id, "results"];
        let most = plan.page_rows.map(|rows| rows.to_string());
        let query: Vec<(&str, &str)> = [("locator", locator), ("maxRecords", most.as_deref())]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let mut call = Call::get(&action, &path, Policy::InFlight);
        call.query = &query;
        let page = self.connection.repeat(&call, || self.receive(plan, &call));
        page.await.map_err(|error| error.of_query_results(id))
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
        if announced.is_some_and(|announced| announced != table.records) {
            let announced = announced.unwrap_or_default();
            let reason = format!("{} rows instead of {announced} came", table.records);
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
        Ok(Page { rows, next })
    }
}
