//! The engine: rows in, jobs out, ends proved.

#[doc(hidden)]
pub mod bench;
mod budget;
mod checkpoint;
mod describe;
mod error;
mod event;
mod feed;
mod intake;
mod keys;
mod loader;
mod memory;
mod org;
mod pipeline;
mod read_at;
mod report;
mod rows;
mod settle;
mod submit;

pub use budget::Reservation;
pub use checkpoint::Counts;
pub use error::LoadError;
pub use event::{Event, Events};
pub use feed::{Feed, FeedBatch, FeedPermit};
pub use loader::{Loaded, Loader, LoaderBuilder, Rejects};
pub use org::Org;
pub use report::{LoadReport, RejectCount};
pub use rows::RowsError;
