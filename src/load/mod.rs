//! The engine: rows in, jobs out, ends proved.

#[doc(hidden)]
pub mod bench;
mod budget;
mod checkpoint;
mod describe;
mod error;
mod intake;
mod keys;
mod loader;
mod memory;
mod org;
mod pipeline;
mod report;
mod rows;
mod settle;
mod submit;

pub use budget::Grant;
pub use checkpoint::Counts;
pub use error::LoadError;
pub use loader::Mark;
pub use loader::{Event, Events, Feed, Loader, LoaderBuilder, Rejects};
pub use org::Org;
pub use report::{LoadReport, RejectCount};
pub use rows::RowsError;
