//! Salesforce over HTTP: the only module that knows reqwest.
//!
//! A [`Client`] holds one login. A chunk goes through a chain of types that makes wrong orders
//! impossible: [`Client::stage`] creates a job and uploads into it ([`StagedJob`]: nothing is
//! processed yet, it can be aborted and redone), [`StagedJob::close`] is the point of no return
//! ([`RunningJob`]), [`RunningJob::finished`] waits ([`EndedJob`]), and the result files of the
//! ended job are streams of record batches. A small chunk of a keyed operation takes all steps up to
//! the running job in one call ([`Client::submit_small`]).
//!
//! No row is submitted twice: a request whose repetition could do so (the close of a job) is never
//! repeated blindly; the job is read instead, and its state decides.

mod api;
mod auth;
mod body;
mod call;
mod client;
mod credentials;
mod describes;
mod error;
mod host;
mod info;
mod job;
mod jwt;
mod limits;
mod list;
mod organization;
mod pace;
mod refusal;
mod results;
mod retry;
mod small;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{Client, ClientBuilder, Usage};
pub use credentials::{Credentials, Flow};
pub use describes::{COMPOSITE_REQUESTS, Described};
pub use error::BulkError;
pub use info::{JobState, JobTarget};
pub use job::{EndedJob, RunningJob, StagedJob};
pub use limits::{ApiUsage, Limit, Limits};
pub use organization::Organization;
pub use refusal::LoginRefused;
pub use results::ResultStream;
pub use small::MULTIPART_CHARS;

/// Version of Salesforce's REST and Bulk API, as every call names it.
pub const API_VERSION: &str = "v62.0";
