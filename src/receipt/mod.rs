//! Receipts: which record each row became, in objects that any reader of Parquet opens.
//!
//! ```text
//! columns of rows + records ─► receipts (RecordBatch) ─► Parquet ─► store ─► storage
//! ```
//!
//! `docs/receipts.md` describes the files.

mod error;
mod file;
mod rows;
mod store;

pub use error::ReceiptError;
pub(crate) use file::{FILE_BYTES, ReceiptFile};
pub(crate) use rows::{Action, Mark, ReceiptColumns, ReceiptRows};
pub use rows::{
    RECEIPT_ACTION, RECEIPT_AT, RECEIPT_ATTEMPT, RECEIPT_ID, RECEIPT_JOB_ID, RECEIPT_MARK,
    RECEIPT_ORDINAL,
};
pub use store::{ReceiptStore, ReceiptStream};
