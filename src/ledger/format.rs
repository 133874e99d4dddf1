//! The form of the ledger's objects: a mark, a version, the content, a checksum.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::rows::RowSet;

/// What each object begins with.
const MARK: &[u8; 4] = b"ASFL";

/// The version that is written.
const VERSION: u8 = 2;

const CHECKSUM_BYTES: usize = 8;

/// Why an object of the ledger cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// It does not begin as an object of the ledger.
    #[error("it is no object of a ledger")]
    Foreign,
    /// Another version of this software has written it.
    #[error(
        "it has version {version}, and this software reads version {VERSION}: use the software that wrote it"
    )]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// It is cut off, or was changed.
    #[error("it is damaged: {part}")]
    Damaged {
        /// Where.
        part: &'static str,
    },
}

/// Begins an object.
pub(super) fn begin(capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARK.len() + 1 + capacity + CHECKSUM_BYTES);
    bytes.extend_from_slice(MARK);
    bytes.push(VERSION);
    bytes
}

/// Ends an object.
pub(super) fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The content of an object.
///
/// # Errors
/// [`FormatError`] if it is none, or not as it was written.
pub(super) fn content(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let rest = bytes.strip_prefix(MARK).ok_or(FormatError::Foreign)?;
    let (version, rest) = rest.split_first().ok_or(damaged("its version"))?;
    if *version != VERSION {
        return Err(FormatError::Version { version: *version });
    }
    let (content, checksum) = rest
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(damaged("its checksum"))?;
    let checked = &bytes[..bytes.len() - CHECKSUM_BYTES];
    if xxh3_64(checked) == u64::from_le_bytes(*checksum) {
        Ok(content)
    } else {
        Err(damaged("its checksum"))
    }
}

pub(super) fn damaged(part: &'static str) -> FormatError {
    FormatError::Damaged { part }
}

/// Adds a part that says its length.
pub(super) fn put_part(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

/// Takes a part that says its length.
///
/// # Errors
/// [`FormatError::Damaged`] if it is not there.
pub(super) fn take_part<'a>(
    bytes: &mut &'a [u8],
    what: &'static str,
) -> Result<&'a [u8], FormatError> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(damaged(what))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged(what))?;
    let (part, rest) = rest.split_at_checked(length).ok_or(damaged(what))?;
    *bytes = rest;
    Ok(part)
}

/// Adds a part of JSON.
pub(super) fn put_json(bytes: &mut Vec<u8>, value: &impl Serialize) {
    // Only maps with keys that are no texts cannot be written, and there are none.
    put_part(bytes, &serde_json::to_vec(value).unwrap_or_default());
}

/// Takes a part of JSON.
///
/// # Errors
/// As [`take_part`].
pub(super) fn take_json<T: DeserializeOwned>(
    bytes: &mut &[u8],
    what: &'static str,
) -> Result<T, FormatError> {
    let part = take_part(bytes, what)?;
    serde_json::from_slice(part).map_err(|_| damaged(what))
}

/// An object that holds a set of rows.
pub(super) fn of_rows(rows: &RowSet) -> Vec<u8> {
    let mut bytes = begin(64);
    put_part(&mut bytes, &rows.to_bytes());
    end(bytes)
}

/// The set of rows that an object holds.
///
/// # Errors
/// [`FormatError`] if it holds none.
pub(super) fn to_rows(bytes: &[u8]) -> Result<RowSet, FormatError> {
    let mut rest = content(bytes)?;
    let rows = RowSet::from_bytes(take_part(&mut rest, "its rows")?);
    rows.filter(|_| rest.is_empty()).ok_or(damaged("its rows"))
}
