//! From the text of a query to its first job.

use super::columns;
use super::jobs::Queries;
use super::options::QueryOptions;
use super::plan::Plan;
use super::soql::Soql;
use super::stream::Query;
use crate::bulk::error::BulkError;

impl Queries {
    /// See [`Client::query`](crate::bulk::Client::query).
    pub(in crate::bulk) async fn query(
        &self,
        text: &str,
        options: &QueryOptions,
    ) -> Result<Query, BulkError> {
        let plan = self.plan(text, options).await?;
        let id = self.create(&plan.text(None), plan.deleted).await?;
        Ok(Query::new(self.clone(), plan, id, options.keep_jobs))
    }

    /// See [`Client::query_again`](crate::bulk::Client::query_again).
    pub(in crate::bulk) async fn query_again(
        &self,
        text: &str,
        options: &QueryOptions,
        job: &str,
    ) -> Result<Query, BulkError> {
        let plan = self.plan(text, options).await?;
        self.read_job(job).await?;
        let job = job.to_owned();
        Ok(Query::new(self.clone(), plan, job, options.keep_jobs))
    }

    async fn plan(&self, text: &str, options: &QueryOptions) -> Result<Plan, BulkError> {
        let soql = Soql::parse(text)?;
        let selected = columns::resolve(&self.connection, &soql, options.types).await?;
        Ok(Plan::new(soql, selected, options))
    }
}
