//! What users of this module hold: a login to one org, and all that can be done with it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::auth::{Credentials, Keepers, TokenKeeper};
use super::connection::Connection;
use super::error::BulkError;
use super::http::Clock;
use super::ingest::{Ingest, JobState, JobTarget, RunningJob, StagedJob, Submitted};
use super::org::{self, Described, KeyedBy, KeyedRecord, Limits, Organization, Rows, User};
use super::query::{Queries, Query, QueryOptions};
use super::usage::Usage;
use crate::chunk::Chunk;
use crate::options::Waits;

/// A login to one org. Clones share its session and its counters.
///
/// Every method can fail as any call to Salesforce can: [`BulkError::Login`] and
/// [`BulkError::Session`] if the login is not valid any more; [`BulkError::Network`],
/// [`BulkError::Unavailable`], [`BulkError::Throttled`] and [`BulkError::Moved`] when the patience of
/// the call runs out; [`BulkError::DailyLimit`], [`BulkError::Refused`] and [`BulkError::Answer`].
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    ingest: Ingest,
    queries: Queries,
}

/// Settings of a login that is to be made.
pub struct ClientBuilder {
    credentials: Credentials,
    keepers: Keepers,
    waits: Waits,
    unattended: bool,
    /// Pauses are noted, not spent.
    #[cfg(test)]
    recorded: bool,
}

impl Client {
    /// Logs in.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(credentials: Credentials) -> Result<Self, BulkError> {
        Self::builder(credentials).connect().await
    }

    /// A login with settings of its own.
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder {
            credentials,
            keepers: Keepers::default(),
            waits: Waits::default(),
            unattended: false,
            #[cfg(test)]
            recorded: false,
        }
    }

    /// The same login with counters of its own: what it uses is counted here and by the login.
    #[must_use]
    pub fn scoped(&self) -> Self {
        self.scoped_until(CancellationToken::new())
    }

    /// As [`Client::scoped`], for a load that is stopped by `stop`: from then on no job is created
    /// or filled ([`BulkError::Stopped`]), and calls about jobs that are there go on.
    pub(crate) fn scoped_until(&self, stop: CancellationToken) -> Self {
        let connection = self.connection.scoped(stop);
        Self {
            ingest: self.ingest.over(&connection),
            queries: self.queries.over(&connection),
            connection,
        }
    }

    /// What this client has used so far.
    pub fn usage(&self) -> Usage {
        self.connection.usage()
    }

    /// The newest refresh token, if a login has returned another than it was given. See
    /// [`ClientBuilder::on_rotated_refresh_token`].
    pub fn rotated_refresh_token(&self) -> Option<SecretString> {
        self.connection.rotated_refresh_token()
    }

    /// The list of objects that the user sees, as Salesforce's JSON.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn sobjects(&self) -> Result<Vec<u8>, BulkError> {
        org::sobjects(&self.connection).await
    }

    /// The describe of an object, as Salesforce's JSON.
    ///
    /// # Errors
    /// [`BulkError::ObjectNotFound`] where the user sees no such object; any of a call's.
    pub async fn describe(&self, object: &str) -> Result<Vec<u8>, BulkError> {
        org::describe(&self.connection, object).await
    }

    /// Describes up to [`COMPOSITE_REQUESTS`](super::COMPOSITE_REQUESTS) objects in one call, and
    /// returns them in their order; those that fail for a retryable reason are asked for again.
    /// Where the org knows no composite requests, each takes a call of its own.
    ///
    /// # Errors
    /// Any of a call's. What is wrong with one object is in its [`Described`].
    pub async fn describe_many(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
        org::describe_many(&self.connection, objects).await
    }

    /// What is left of the org's allowances.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn limits(&self) -> Result<Limits, BulkError> {
        org::limits(&self.connection).await
    }

    /// What the org says of itself. Where the user may not read that, what its host name says.
    ///
    /// # Errors
    /// Any of a call's, except [`BulkError::Refused`].
    pub async fn organization(&self) -> Result<Organization, BulkError> {
        org::organization(&self.connection).await
    }

    /// Who is logged in, as far as the session may be asked.
    ///
    /// # Errors
    /// Any of a call's, except [`BulkError::Refused`].
    pub async fn user(&self) -> Result<User, BulkError> {
        org::user(&self.connection).await
    }

    /// The records whose key is one of `keys`, in no order: none, one or several of each. Keys are
    /// compared as Salesforce does, often without regard to case. It takes a call for about 6,000
    /// bytes of keys, and is as patient as a call of a job in flight.
    ///
    /// What is found was there when Salesforce looked. What is not found may be there all the same:
    /// the user may not see it, or it is still to be committed.
    ///
    /// # Errors
    /// [`BulkError::NoApiName`] if the object or the field is none; [`BulkError::Refused`] if the
    /// user may not read the field, or it cannot be filtered by; any of a call's.
    pub async fn records_by_key(
        &self,
        by: KeyedBy<'_>,
        keys: &[String],
    ) -> Result<Vec<KeyedRecord>, BulkError> {
        org::records_by_key(&self.connection, by, keys).await
    }

    /// The values of `columns` (fields, or those of parents such as `Account.Name`) of the records whose
    /// key is one of `keys`: a row for each record, in no order, of texts as JSON has them. Otherwise as
    /// [`Client::records_by_key`].
    ///
    /// # Errors
    /// As [`Client::records_by_key`].
    pub async fn values_by_key(
        &self,
        by: KeyedBy<'_>,
        keys: &[String],
        columns: &[String],
    ) -> Result<Vec<Vec<Option<String>>>, BulkError> {
        org::values_by_key(&self.connection, by, keys, columns).await
    }

    /// The keys of all records that have one, in no order, a key for each record. It takes a call for
    /// 2,000 records.
    ///
    /// # Errors
    /// As [`Client::records_by_key`].
    pub async fn all_keys(&self, by: KeyedBy<'_>) -> Result<Vec<String>, BulkError> {
        org::all_keys(&self.connection, by).await
    }

    /// Those of these records that are there: some of their Ids, as Salesforce writes them (18
    /// characters). A call takes about 200 Ids. What is not found may be there all the same: the user
    /// may not see it.
    ///
    /// # Errors
    /// [`BulkError::NoApiName`] if the object is none; [`BulkError::Refused`] if it cannot be queried;
    /// any of a call's.
    pub async fn records_by_id(
        &self,
        object: &str,
        ids: &[String],
    ) -> Result<Vec<String>, BulkError> {
        org::records_by_id(&self.connection, object, ids).await
    }

    /// How many records of an object the user sees, in one call.
    ///
    /// # Errors
    /// [`BulkError::NoApiName`] if the object is none; [`BulkError::Refused`] if it cannot be queried, or
    /// has more records than Salesforce counts in time; any of a call's.
    pub async fn record_count(&self, object: &str) -> Result<u64, BulkError> {
        org::record_count(&self.connection, object).await
    }

    /// Asks a query by a query job, of any number of rows: reads the describes that it needs, and creates
    /// the job. `FIELDS(ALL)` and the like stand for the fields of the object that a job can answer.
    ///
    /// # Errors
    /// [`BulkError::Soql`] if the text is no query; [`BulkError::NotForBulk`] if no job can answer it;
    /// [`BulkError::ObjectNotFound`]; [`BulkError::Refused`] with Salesforce's words if it refuses the
    /// query; any of a call's.
    pub async fn query(&self, soql: &str, options: QueryOptions) -> Result<Query, BulkError> {
        self.queries.query(soql, &options).await
    }

    /// Reads the rows of jobs that [`Client::query`] has made for the same query, once more and in the same
    /// order, but for the first `skip`. Salesforce keeps results for 7 days.
    ///
    /// # Errors
    /// As [`Client::query`]; [`BulkError::QueryGone`] if a job is gone.
    pub async fn query_again(
        &self,
        soql: &str,
        options: QueryOptions,
        jobs: &[String],
        skip: u64,
    ) -> Result<Query, BulkError> {
        self.queries.query_again(soql, &options, jobs, skip).await
    }

    /// Aborts a query job that may still run, and deletes it with its results: for one that was kept.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn delete_query(&self, job: &str) -> Result<(), BulkError> {
        self.queries.abort_and_delete(job).await
    }

    /// The time by Salesforce's clock, some second behind at most; by this machine's as long as no
    /// response has shown it.
    pub fn server_time(&self) -> DateTime<Utc> {
        self.connection.server_time()
    }

    /// What the REST API answers a query with, from all its pages: for queries that bulk jobs do not run,
    /// such as those that count or group. All rows are in memory.
    ///
    /// # Errors
    /// [`BulkError::Refused`] with Salesforce's words if the query is wrong; any of a call's.
    pub async fn rows(&self, soql: &str) -> Result<Rows, BulkError> {
        org::rows(&self.connection, soql).await
    }

    /// Id of the org, if the login said it; else the host of its API.
    pub fn org_id(&self) -> String {
        let connection = &self.connection;
        connection
            .org_id()
            .unwrap_or_else(|| connection.instance_host())
    }

    /// Id of the user who is logged in, if the login said it.
    pub fn user_id(&self) -> Option<String> {
        self.connection.user_id()
    }

    /// Creates a job and uploads the chunk into it, without closing it.
    ///
    /// What passes is waited for as long as [`Waits::patience`]. A job takes one upload: if it is not known
    /// whether one arrived, the job is aborted and another one created. On failure none stays open,
    /// unless the abort failed as well or the answer to the creation was lost:
    /// [`Client::abort_open_jobs`] finds such jobs.
    ///
    /// # Errors
    /// Any of a call's; [`BulkError::Serialize`] if the chunk cannot be written as CSV.
    pub async fn stage(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
    ) -> Result<StagedJob, BulkError> {
        self.ingest.stage(target, chunk, &|_| {}).await
    }

    /// As [`Client::stage`], and says the id of each job that it creates, before its upload: of some,
    /// the last is the one that is staged.
    ///
    /// # Errors
    /// As [`Client::stage`].
    pub async fn stage_noting(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
        created: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<StagedJob, BulkError> {
        self.ingest.stage(target, chunk, created).await
    }

    /// Creates a job, uploads the chunk and closes the job by one call.
    ///
    /// For chunks that [`JobTarget::fits_one_call`] allows. Errors after which no job can have been
    /// made are waited out as long as [`Waits::patience`].
    ///
    /// # Errors
    /// [`BulkError::NotSmall`] for other chunks; [`BulkError::Serialize`] if the chunk cannot be
    /// written as CSV; any of a call's. After an error no job was made: where one may have been,
    /// [`Submitted::Unanswered`] is returned.
    pub async fn submit_small(
        &self,
        target: &JobTarget,
        chunk: &Arc<Chunk>,
    ) -> Result<Submitted, BulkError> {
        self.ingest.submit_small(target, chunk).await
    }

    /// A job from its id alone, to wait for its end.
    ///
    /// # Errors
    /// [`BulkError::WrongState`] if the job was never closed, [`BulkError::JobGone`] if there is
    /// none; any of a call's.
    pub async fn job(&self, id: &str) -> Result<RunningJob, BulkError> {
        self.ingest.job(id).await
    }

    /// The state of a job, from its id alone.
    ///
    /// # Errors
    /// [`BulkError::JobGone`] if there is none; any of a call's.
    pub async fn job_state(&self, id: &str) -> Result<JobState, BulkError> {
        self.ingest.job_state(id).await
    }

    /// Aborts a job from its id alone. One that is closed meanwhile may have been processed in part;
    /// one that is not there, or was aborted before, is no error.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn abort(&self, id: &str) -> Result<(), BulkError> {
        self.ingest.abort(id).await
    }

    /// Aborts the jobs of this client that were neither closed nor aborted, as far as that works:
    /// for a process that ends. Where the answer to a creation was lost, the list of jobs is read,
    /// and open jobs are aborted that this user has created since, for the same object and operation,
    /// unless there are more of them than answers were lost.
    pub async fn abort_open_jobs(&self) {
        self.ingest.abort_open_jobs().await;
        self.queries.abort_open_jobs().await;
    }

    /// Waits until no login is on its way. A process that ends in the middle of one may lose the
    /// refresh token that the login returns, in place of one that is dead by then.
    pub async fn login_at_rest(&self) {
        self.connection.login_at_rest().await;
    }

    /// The ids of the jobs that were created and neither closed nor aborted.
    #[cfg(test)]
    pub(super) fn open_jobs(&self) -> Vec<String> {
        self.ingest.open_jobs()
    }

    /// Where pauses are spent.
    #[cfg(test)]
    pub(super) fn clock(&self) -> &Clock {
        self.connection.clock()
    }
}

impl ClientBuilder {
    /// Calls `notify` with each refresh token that a login returns in place of the one it was given,
    /// which is dead from then on: whoever keeps the configuration must replace it. The new session
    /// is used after `notify` has returned, and `notify` is never called twice at the same time.
    #[must_use]
    pub fn on_rotated_refresh_token(
        mut self,
        notify: Arc<dyn Fn(&SecretString) + Send + Sync>,
    ) -> Self {
        self.keepers.on_rotated = Some(notify);
        self
    }

    /// Logs in by the refresh token that `keeper` keeps for several processes, in place of the one of
    /// the credentials.
    #[must_use]
    pub fn shared_refresh_token(mut self, keeper: Arc<dyn TokenKeeper>) -> Self {
        self.keepers.shared = Some(keeper);
        self
    }

    /// Sets how long is waited for what passes by itself.
    #[must_use]
    pub fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// Nobody waits for the start: the login, describes and limits are as patient as jobs are
    /// ([`Waits::patience`]), where otherwise they are given up after half a minute.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.unattended = true;
        self
    }

    /// Notes pauses and spends none.
    #[cfg(test)]
    pub(super) fn recorded(mut self) -> Self {
        self.recorded = true;
        self
    }

    #[cfg(test)]
    fn clock(&self) -> Clock {
        if self.recorded {
            Clock::recorded(self.waits)
        } else {
            Clock::new(self.waits)
        }
    }

    #[cfg(not(test))]
    fn clock(&self) -> Clock {
        Clock::new(self.waits)
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`], [`BulkError::PrivateKey`], [`BulkError::Login`] and
    /// [`BulkError::LoginRedirect`] and [`BulkError::Instance`] are the configuration's;
    /// [`BulkError::Network`] and [`BulkError::Unavailable`] after half a minute, or where nobody
    /// waits after [`Waits::patience`].
    pub async fn connect(self) -> Result<Client, BulkError> {
        let clock = self.clock().unattended(self.unattended);
        let connection = Connection::open(self.credentials, self.keepers, clock).await?;
        Ok(Client {
            ingest: Ingest::new(&connection),
            queries: Queries::new(&connection),
            connection,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
