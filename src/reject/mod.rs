//! Rows that did not make it: kept with their reason, in objects that another load can read.
//!
//! ```text
//! source rows + reasons ─► record (RecordBatch) ─► format (CSV, JSONL) ─► store ─► storage
//!                                       ▲                                   │ ▲ path (templates)
//!                                       └────────────── read ◄──────────────┘
//! ```
//!
//! `docs/rejected-records.md` describes the files.

mod body;
mod error;
mod format;
mod path;
mod read;
mod record;
mod store;

pub use error::RejectError;
pub use format::{Compression, RejectFormat, airbyte};
pub use path::{DEFAULT_FILE_NAME_FORMAT, RejectStream};
pub use read::{RejectedReader, read_rejected};
pub use record::{
    REJECT_AT, REJECT_CODE, REJECT_FIELDS, REJECT_JOB_ID, REJECT_MESSAGE, REJECT_ORDINAL,
    REJECT_STAGE, RejectedRow, rejected,
};
pub use store::{RejectConfig, RejectStore};
