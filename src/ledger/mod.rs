//! The ledger: which rows the jobs of an attempt were given, kept where a later attempt finds it, so
//! that an append that ended early and is repeated inserts no row twice.
//!
//! ```text
//! <root>/owners/<load>/<number>                  which attempt a load belongs to: the last one
//! <root>/attempts/<attempt>                      the sign of life of an attempt
//! <root>/entries/<load>/<attempt>.<job>.entry    the rows of a job, written before the job is closed
//! <root>/entries/<load>/<attempt>.<job>.rejected those of them that are stored as rejected
//! <root>/cursors/<attempt>                       how far its states were printed
//! ```
//!
//! An entry says what a job was given, never what became of it: that is asked of Salesforce when a
//! later attempt needs it. A job without an entry was never closed, so it holds nothing. The cursor is
//! written before the states it covers are printed: what it covers is not sent again by the source.

mod attempt;
mod consumed;
mod cursor;
mod entry;
mod error;
mod expected;
mod forget;
mod format;
mod handle;
mod identity;
mod leftover;
mod listing;
mod owner;
mod place;
mod sweep;
#[cfg(test)]
mod testing;
mod unused;

pub use attempt::{Covered, Ledger};
pub(crate) use entry::{Entry, SentColumn};
pub use error::LedgerError;
pub use forget::Forgotten;
pub use format::FormatError;
pub use handle::LoadLedger;
pub(crate) use handle::{OlderCursors, Taken};
pub use identity::LoadIdentity;
pub(crate) use leftover::{LeftEnd, LeftoversBuilder, Origin};
pub use listing::{Listed, Listing};
pub(crate) use place::EntryName;
pub use unused::UnusedEntries;
