//! Rows that did not make it: kept with their reason, in objects that another sync can read.
//!
//! ```text
//! source rows + reasons ─► record (RecordBatch) ─► envelope (CSV, JSONL) ─► store (object_store)
//!                                       ▲                                   │ ▲ path (templates)
//!                                       └────────────── read ◄──────────────┘
//! ```
//!
//! `docs/rejected-records.md` describes the files.

mod body;
mod columns;
mod envelope;
mod error;
mod format;
mod path;
mod read;
mod record;
mod store;
mod value;
mod wire;

pub use envelope::{Envelope, SCHEMA_VERSION};
pub use error::RejectError;
pub use format::{Compression, FileFormat, Flattening, Format};
pub use path::{DEFAULT_FILE_NAME_FORMAT, DEFAULT_PATH_FORMAT, RejectStream};
pub use read::{RejectedReader, read_rejected};
pub use record::{
    REJECT_AT, REJECT_CODE, REJECT_FIELDS, REJECT_JOB_ID, REJECT_MESSAGE, REJECT_ORDINAL,
    REJECT_STAGE, RejectedRow, rejected,
};
pub use store::{RejectConfig, RejectStore};
