//! Files -> tables of DataFusion, read in bounded memory and in the same order each time.

pub(crate) mod csv;
mod error;
mod file;

pub(crate) use error::InputError;
pub(crate) use file::{ByteStream, FileRecords, InputFile};
