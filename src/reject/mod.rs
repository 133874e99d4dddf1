//! Rows that did not make it: kept with their reason, in objects that another sync can read.
//!
//! ```text
//! source rows + reasons ─► record (RecordBatch) ─► envelope (CSV, JSONL) ─► store (object_store)
//!                                                                            ▲ path (templates)
//! ```

mod envelope;
mod error;
mod path;
mod record;
mod store;

pub use envelope::{Envelope, Format};
pub use error::{Cause, RejectError};
pub use path::{DEFAULT_FILE_NAME_FORMAT, DEFAULT_PATH_FORMAT};
pub use record::{
    REJECT_AT, REJECT_CODE, REJECT_FIELDS, REJECT_JOB_ID, REJECT_MESSAGE, REJECT_ORDINAL,
    REJECT_STAGE, RejectedRow, rejected,
};
pub use store::{Place, RejectConfig, RejectStore, RejectStream, S3Place};
