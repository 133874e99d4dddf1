//! From the text of a query to its first job.

use std::collections::VecDeque;
use std::sync::Arc;

use super::columns;
use super::jobs::Queries;
use super::options::QueryOptions;
use super::part::{Asker, Part};
use super::plan::Plan;
use super::progress::Watched;
use super::ranges::IdRange;
use super::soql::Soql;
use super::stream::{Query, Reading};
use crate::bulk::error::BulkError;

/// Most ranges that a query may be split by from the start.
const MOST_RANGES: u32 = 1_000;

impl Queries {
    /// See [`Client::query`](crate::bulk::Client::query).
    pub(in crate::bulk) async fn query(
        &self,
        text: &str,
        options: &QueryOptions,
    ) -> Result<Query, BulkError> {
        let asker = self.asker(text, options).await?;
        let ranges = match options.split {
            Some(parts) if asker.plan.can_be_split() => {
                asker.ranges(parts.clamp(1, MOST_RANGES)).await?
            }
            _ => vec![IdRange::default()],
        };
        let parts = ranges.into_iter().map(|range| asker.part(range, 1));
        let mut waiting: VecDeque<Part> = parts.collect();
        let mut made = Vec::new();
        // What is wrong with the query shows here.
        if let Some(first) = waiting.pop_front() {
            made.push((first, asker.create(first).await?));
        }
        let reading = Reading {
            keep_jobs: options.keep_jobs,
            again: false,
            skip: 0,
        };
        Ok(Query::new(asker, made, waiting, reading))
    }

    /// See [`Client::query_again`](crate::bulk::Client::query_again).
    pub(in crate::bulk) async fn query_again(
        &self,
        text: &str,
        options: &QueryOptions,
        jobs: &[String],
        skip: u64,
    ) -> Result<Query, BulkError> {
        let asker = self.asker(text, options).await?;
        let mut made = Vec::with_capacity(jobs.len());
        for id in jobs {
            let (state, _) = self.read_job(id).await?;
            let part = asker.part(IdRange::default(), 0);
            asker.watched.made(part.number, id);
            let mut job = self.job(id.clone(), options.keep_jobs);
            if state.is_terminal() {
                job.has_ended();
            }
            made.push((part, job));
        }
        let reading = Reading {
            keep_jobs: options.keep_jobs,
            again: true,
            skip,
        };
        Ok(Query::new(asker, made, VecDeque::new(), reading))
    }

    async fn asker(&self, text: &str, options: &QueryOptions) -> Result<Asker, BulkError> {
        let soql = Soql::parse(text)?;
        let selected = columns::resolve(&self.connection, &soql, options.types).await?;
        Ok(Asker {
            queries: self.clone(),
            plan: Arc::new(Plan::new(soql, selected, options)),
            watched: Arc::new(Watched::default()),
        })
    }
}
