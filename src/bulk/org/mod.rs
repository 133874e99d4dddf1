//! What the org says of itself: its kind, its allowances, its objects, and records found by a key.

mod describes;
mod limits;
mod organization;
mod query;
mod rows;
#[cfg(test)]
mod tests;
mod user;

pub use describes::{COMPOSITE_REQUESTS, Described};
pub(super) use describes::{describe, describe_many, sobjects};
pub(super) use limits::limits;
pub use limits::{Limit, Limits};
pub use organization::Organization;
pub(super) use organization::organization;
pub use query::{KeyedBy, KeyedRecord};
pub(super) use query::{all_keys, record_count, records_by_id, records_by_key, values_by_key};
pub(super) use rows::rows;
pub use rows::{Row, Rows};
pub use user::User;
pub(super) use user::user;
