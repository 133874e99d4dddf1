//! The results of a job that is complete: its pages in their order, some of them received ahead.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::jobs::Queries;
use super::pages::{Locator, Page};
use super::part::{Asker, Complete};
use super::plan::Plan;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Patience, Policy};

/// Pages that are received at once, where all of them are known. Each takes up to 4 MiB of memory, and
/// the rest on disk.
const AT_ONCE: usize = 4;

/// Most pages on end without a row.
const EMPTY_PAGES: u32 = 100;

/// Rows of a job, read page by page, and counted.
pub(super) struct Results {
    queries: Queries,
    plan: Arc<Plan>,
    job: Complete,
    /// Where the pages are that nobody asks for yet.
    known: VecDeque<Locator>,
    /// Where all pages are is known. Otherwise each names the next one.
    all_known: bool,
    coming: VecDeque<Coming>,
    page: Option<Page>,
    /// Locators so far.
    seen: Arc<Mutex<HashSet<String>>>,
    /// Digests of the pages so far.
    digests: HashSet<u128>,
    read: u64,
    empty_pages: u32,
}

/// A page that is on its way.
struct Coming {
    locator: Locator,
    page: AbortOnDropHandle<Result<Page, BulkError>>,
}

impl Results {
    /// Opens the results of a job.
    pub(super) fn open(asker: &Asker, job: Complete) -> Self {
        let mut results = Self {
            queries: asker.queries.clone(),
            plan: Arc::clone(&asker.plan),
            job,
            all_known: false,
            known: VecDeque::from([None]),
            coming: VecDeque::new(),
            page: None,
            seen: Arc::default(),
            digests: HashSet::new(),
            read: 0,
            empty_pages: 0,
        };
        results.ask();
        results
    }

    /// Id of the job.
    pub(super) fn id(&self) -> &str {
        &self.job.id
    }

    /// The next rows; none at the end, when as many were read as the job has found.
    pub(super) async fn next_batch(&mut self) -> Result<Option<RecordBatch>, BulkError> {
        loop {
            if let Some(batch) = self
                .page
                .as_mut()
                .and_then(|page| page.next_batch(&self.plan))
            {
                let batch = batch.map_err(|error| error.of_query_results(&self.job.id))?;
                self.read += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
            self.page = self.next_page().await?;
            if self.page.is_none() {
                self.prove().await?;
                return Ok(None);
            }
        }
    }

    /// The next page, of which no other is a copy.
    async fn next_page(&mut self) -> Result<Option<Page>, BulkError> {
        let Some(coming) = self.coming.pop_front() else {
            return Ok(None);
        };
        let locator = coming.locator;
        let mut page = coming.page.await.unwrap_or_else(|error| {
            Err(BulkError::Setup {
                reason: format!("the task that receives a page ended early: {error}"),
            })
        })?;
        // Each record has another Id, so that no two pages are equal.
        let mut patience = Patience::new(Policy::InFlight);
        while self.plan.has_id() && page.records > 0 && self.digests.contains(&page.digest) {
            let action = format!("reading the results of query job {}", self.job.id);
            let error = BulkError::Results {
                action: action.clone(),
                reason: "a page came twice".to_owned(),
            };
            let clock = self.queries.connection.clock();
            let waited = patience.wait(clock, &action, error).await;
            waited.map_err(|error| error.of_query_results(&self.job.id))?;
            page = self.receive(locator.clone()).await?;
        }
        self.digests.insert(page.digest);
        self.empty_pages = match page.records {
            0 => self.empty_pages + 1,
            _ => 0,
        };
        if self.empty_pages > EMPTY_PAGES {
            let error = BulkError::Results {
                action: format!("reading the results of query job {}", self.job.id),
                reason: "its pages have no end".to_owned(),
            };
            return Err(error.of_query_results(&self.job.id));
        }
        if !self.all_known
            && let Some(next) = page.next.take()
        {
            self.go_on(next, locator.is_none()).await;
        }
        self.ask();
        Ok(Some(page))
    }

    /// Notes where the next page is; after the first one, where all others are, if the org says it.
    async fn go_on(&mut self, next: String, is_first: bool) {
        let next = Some(next);
        if is_first && self.plan.page_rows.is_none() {
            let mut listed = self.queries.locators(&self.job.id).await;
            // Whether the list begins with the first page does not matter so.
            let at = listed.iter().position(|locator| *locator == next);
            if let Some(at) = at {
                self.known = listed.split_off(at);
                self.all_known = true;
                return;
            }
        }
        self.seen.lock().extend(next.clone());
        self.known.push_back(next);
    }

    /// Asks for the next pages that are known.
    fn ask(&mut self) {
        while self.coming.len() < AT_ONCE
            && let Some(locator) = self.known.pop_front()
        {
            let page = tokio::spawn(self.receive(locator.clone()));
            self.coming.push_back(Coming {
                locator,
                page: AbortOnDropHandle::new(page),
            });
        }
    }

    /// Receives a page.
    fn receive(
        &self,
        locator: Locator,
    ) -> impl Future<Output = Result<Page, BulkError>> + Send + use<> {
        let (queries, plan) = (self.queries.clone(), Arc::clone(&self.plan));
        let (id, seen, all_known) = (self.job.id.clone(), Arc::clone(&self.seen), self.all_known);
        async move {
            let seen = |next: &str| !all_known && seen.lock().contains(next);
            queries.page(&plan, &id, &locator, seen).await
        }
    }

    /// Proves that all rows were read. The count of a job may lag behind its end.
    async fn prove(&mut self) -> Result<(), BulkError> {
        let action = format!("counting the results of query job {}", self.job.id);
        let mut patience = Patience::new(Policy::Courtesy);
        while let Some(found) = self.job.found.filter(|found| *found != self.read) {
            let error = BulkError::Results {
                action: action.clone(),
                reason: "the job has another count".to_owned(),
            };
            let clock = self.queries.connection.clock();
            if !patience.again(clock, &action, &error).await {
                return Err(BulkError::QueryRows {
                    id: self.job.id.clone(),
                    found,
                    read: self.read,
                });
            }
            let (_, info) = self.queries.read_job(&self.job.id).await?;
            self.job.found = info.number_records_processed;
        }
        Ok(())
    }
}
