//! Files -> tables of DataFusion, read in bounded memory and in the same order each time.
//!
//! `place` is what is typed, `store` and `listing` find the files, `stored` is one of them, `bytes`
//! reads it; `format` says what it is, `csv`, `jsonl`, `ipc` and `parquet` read its records, `table`
//! makes a table of them, and `inputs` is all of it.

mod aws;
mod bytes;
mod concat;
pub(crate) mod csv;
mod environment;
mod error;
mod file;
mod files_store;
mod format;
mod inputs;
mod ipc;
mod jsonl;
mod lines;
mod listing;
mod parquet;
mod place;
mod records;
mod schema;
mod spool;
mod sql;
mod state;
mod store;
mod stored;
mod table;

pub(crate) use environment::Environment;
pub(crate) use error::InputError;
pub(crate) use file::{ByteStream, FileRecords, InputFile};
pub(crate) use format::by_name;
pub(crate) use inputs::Inputs;
pub(crate) use state::FileState;
pub(crate) use store::Remote;

#[cfg(test)]
mod tests;
