//! Queries (Bulk API 2.0 query jobs): SOQL in, record batches out.
//!
//! `soql` takes a text apart, `columns` names and types what it selects, and `plan` is what follows from
//! both. `jobs` are created, waited for, aborted and deleted; `part` is one of them, up to its end, and
//! `verdict` what is done when it fails; `ranges` are what a query is split by. `pages` are of the results
//! of a job, which `results` reads in their order and counts; `stream` joins the parts.

mod ask;
mod columns;
mod jobs;
mod options;
mod pages;
mod part;
mod plan;
mod progress;
mod ranges;
mod results;
mod soql;
mod stream;
#[cfg(test)]
mod tests;
mod values;
mod verdict;

pub(super) use jobs::Queries;
pub use options::{QueryOptions, Types};
pub use progress::{QueryHandle, QueryProgress};
pub use stream::{Query, RecordStream};
