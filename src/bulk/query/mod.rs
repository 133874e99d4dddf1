//! Queries (Bulk API 2.0 query jobs): SOQL in, record batches out.
//!
//! `soql` takes a text apart, `columns` names and types what it selects, and `plan` is what follows from
//! both. `jobs` are created, waited for, aborted and deleted; `pages` are of their results; `stream`
//! gives the rows and proves that none is missing.

mod ask;
mod columns;
mod jobs;
mod options;
mod pages;
mod plan;
mod progress;
mod soql;
mod stream;
mod values;

pub(super) use jobs::Queries;
pub use options::{QueryOptions, Types};
pub use progress::{QueryHandle, QueryProgress};
pub use stream::{Query, RecordStream};
