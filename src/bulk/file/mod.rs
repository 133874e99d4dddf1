//! Files of CSV that Salesforce sends become record batches.
//!
//! A file is first received whole, in memory up to a few megabytes and in a temporary file beyond
//! (or compressed, where there is no disk): a broken connection then costs a retry, and no row is read
//! twice.

mod shape;

use std::io::{Read, Seek};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow_csv::reader::{Format, Reader, ReaderBuilder};
use reqwest::Response;

use super::error::BulkError;
use super::http::{self, Clock};
use crate::disk::{Disk, Spool};
use shape::Shape;

/// Rows of a batch at most.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Bytes of a batch, as far as its rows are as long as the others.
const BATCH_BYTES: u64 = 4 << 20;

/// A file that was received whole.
pub(super) struct Table {
    /// Its rows: text columns named as in its header, empty cells null. None without a header.
    pub(super) rows: Option<Reader<Spool>>,
    /// How many there are.
    pub(super) records: u64,
    /// A digest of its text.
    pub(super) digest: u128,
}

/// Receives the body of an answer.
///
/// # Errors
/// [`BulkError::Network`]; [`BulkError::Spool`]; [`BulkError::Results`] if it is no whole file.
pub(super) async fn receive(
    action: &str,
    clock: &Clock,
    answer: &mut Response,
) -> Result<Table, BulkError> {
    let none = |reason: String| BulkError::Results {
        action: action.to_owned(),
        reason,
    };
    let mut shape = Shape::of(Spool::new(Disk::shared()));
    http::receive(action, clock, answer, &mut shape).await?;
    let whole = shape.end().map_err(none)?;
    let (mut spool, bytes, records) = (whole.written, whole.bytes, whole.records);
    spool.rewind().map_err(|source| BulkError::Spool {
        action: action.to_owned(),
        source: Arc::new(source),
    })?;
    let rows = rows(spool, batch_rows(bytes, records)).map_err(|error| none(error.to_string()))?;
    Ok(Table {
        rows,
        records: records.saturating_sub(1),
        digest: whole.digest,
    })
}

/// A reader of the rows of a file, so many a batch; none without a header line.
pub(super) fn rows<R: Read + Seek>(
    mut file: R,
    batch: usize,
) -> Result<Option<Reader<R>>, ArrowError> {
    let format = Format::default().with_header(true);
    let (header, _) = format.infer_schema(&mut file, Some(0))?;
    if header.fields().is_empty() {
        return Ok(None);
    }
    file.rewind()?;
    let columns: Vec<Field> = header
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true))
        .collect();
    let reader = ReaderBuilder::new(Arc::new(Schema::new(columns)))
        .with_format(format)
        .with_batch_size(batch)
        .build(file)?;
    Ok(Some(reader))
}

/// Rows of a batch of a file: fewer where they are long.
fn batch_rows(bytes: u64, records: u64) -> usize {
    let length = (bytes / records.max(1)).max(1);
    usize::try_from(BATCH_BYTES / length).map_or(BATCH_ROWS, |rows| rows.clamp(1, BATCH_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_long_rows_have_fewer() {
        for (bytes, records, expected) in [
            (1_000, 10, BATCH_ROWS),
            (0, 0, BATCH_ROWS),
            (300 << 20, 300, 4),
            (300_000_000, 30_000, 419),
            (u64::MAX, 1, 1),
        ] {
            assert_eq!(batch_rows(bytes, records), expected, "{bytes} {records}");
        }
    }
}
