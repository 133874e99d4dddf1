//! The engine: rows in, jobs out, ends proved.

mod attempt;
mod books;
mod checkpoint;
mod closed;
mod describe;
mod error;
mod event;
mod family;
mod feed;
mod grouping;
mod held;
mod intake;
mod keys;
mod loader;
mod memory;
mod org;
mod past;
mod plan;
mod recoerce;
mod report;
mod report_file;
mod run;
pub mod settle;
mod state;
mod submit;

pub use attempt::Attempt;
pub use checkpoint::Counts;
pub use error::LoadError;
pub use event::{Event, Events};
pub use family::Family;
pub use feed::{Feed, FeedBatch, FeedPermit};
pub use loader::{Loaded, Loader, LoaderBuilder};
pub use org::{Allowance, Allowances, Org, Reservation, RowsError};
pub use past::Recovered;
pub use plan::{Receipts, Rejects};
pub use report::{Contention, LoadReport, RejectCount};
