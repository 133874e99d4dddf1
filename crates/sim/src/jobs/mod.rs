//! Ingest jobs: the calls on them, the processing of their rows, and their result files.

mod calls;
pub(crate) mod job;
mod log;
mod process;
mod read;
mod records;
mod request;
mod results;
mod rows;
mod store;

pub(crate) use self::calls::{Filter, Upload};
pub(crate) use self::job::Settings;
pub(crate) use self::records::{Refusal, Saved};
pub(crate) use self::request::Request;
pub(crate) use self::store::Jobs;
