//! Salesforce over HTTP: the only module that uses reqwest.
//!
//! A [`Client`] holds one login. A chunk goes through a chain of types that makes wrong orders
//! impossible: [`Client::stage`] creates a job and uploads into it ([`StagedJob`]: nothing is
//! processed yet, it can be aborted and redone), [`StagedJob::close`] is the point of no return
//! ([`RunningJob`]), [`RunningJob::finished`] waits ([`EndedJob`]), and the result files of the
//! ended job are streams of record batches. A small chunk of a keyed operation takes all steps up to
//! the running job in one call ([`Client::submit_small`]).
//!
//! No row is submitted twice. A request whose repetition could do so is never repeated blindly: after
//! a close, the job is read and its state decides; after a call that creates a job with its rows,
//! each job that may be the one comes to its end first ([`Unanswered`]).
//!
//! What passes is waited for. Patience is counted in time ([`Waits`](crate::options::Waits)), apart
//! for each kind of error, and only Salesforce's own lasting words end it early. When it runs out on
//! a closed job, the error names the job and says that it goes on.
//!
//! The folders, each of which knows only those before it:
//!
//! * `http`: one request path: a call, its body, where it may go, what its answer means, when it is
//!   repeated.
//! * `auth`: credentials become a session.
//! * `connection`: calls signed with that session, and counted.
//! * `org`: what the org says of itself and of its objects. `ingest`: jobs that load. `query`: jobs
//!   that read.
//! * `client`: all of it for those who use this module.

mod auth;
mod client;
mod connection;
mod error;
mod file;
mod http;
mod ingest;
mod org;
mod query;
#[cfg(test)]
pub(crate) mod testing;
mod usage;

pub use auth::{App, CodeLogin, Credentials, DeviceLogin, Flow, Granted, HeldToken, TokenKeeper};
pub use client::{Client, ClientBuilder};
pub use error::{BulkError, LoginRefused};
pub use http::API_VERSION;
#[doc(hidden)]
pub use ingest::result_rows;
pub use ingest::{
    Candidate, EndedJob, JobState, JobTarget, MULTIPART_CHARS, NotMade, ResultStream, RunningJob,
    Search, StagedJob, Submitted, Unanswered,
};
pub use org::{
    COMPOSITE_REQUESTS, Described, KeyedBy, KeyedRecord, Limit, Limits, Organization, Row, Rows,
    User,
};
pub use query::{Query, QueryHandle, QueryOptions, QueryProgress, RecordStream, Types};
pub use usage::{ApiUsage, Usage};
