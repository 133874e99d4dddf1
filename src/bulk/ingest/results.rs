//! Result files of a job become record batches.
//!
//! A file is first received whole, in memory up to a few megabytes and in a temporary file beyond:
//! a broken connection then costs a retry, and no row is read twice.

use std::io::{Cursor, Read, Seek};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow_csv::reader::{Format, Reader, ReaderBuilder};
use futures::stream::{self, BoxStream, StreamExt};
use tempfile::SpooledTempFile;

use super::Ingest;
use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{self, Call, Policy};

/// Rows of a result file: text columns named as in its header, empty cells null, at most 8,192
/// rows a batch. Nothing to report is no batch.
pub type ResultStream = BoxStream<'static, Result<RecordBatch, BulkError>>;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;

/// Bytes of a file that are kept in memory.
const MEMORY_BYTES: usize = 4 << 20;

/// Where a file is read from, and how far.
struct File {
    connection: Connection,
    action: String,
    job: String,
    name: &'static str,
    rows: Option<Reader<SpooledTempFile>>,
    next: Option<String>,
}

/// Opens a result file of a job.
pub(super) async fn read(
    ingest: &Ingest,
    job: &str,
    name: &'static str,
) -> Result<ResultStream, BulkError> {
    let mut file = File {
        connection: ingest.connection.clone(),
        action: format!("reading {name} of job {job}"),
        job: job.to_owned(),
        name,
        rows: None,
        next: None,
    };
    file.open_page(None).await?;
    Ok(stream::try_unfold(file, |mut file| async move {
        Ok(file.next_batch().await?.map(|batch| (batch, file)))
    })
    .boxed())
}

impl File {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, BulkError> {
        loop {
            if let Some(batch) = self.rows.as_mut().and_then(Iterator::next) {
                return batch.map(Some).map_err(|error| self.unreadable(&error));
            }
            let Some(locator) = self.next.take() else {
                return Ok(None);
            };
            self.open_page(Some(&locator)).await?;
        }
    }

    /// Receives a page: the whole file, unless Salesforce names the locator of a next one.
    async fn open_page(&mut self, locator: Option<&str>) -> Result<(), BulkError> {
        let path = ["jobs", "ingest", &self.job, self.name];
        let mut call = Call::get(&self.action, &path, Policy::JOB);
        let query = locator.map(|locator| [("locator", locator)]);
        call.query = query.as_ref().map_or(&[], |query| query);
        let (spool, next) = self
            .connection
            .repeat(&call, || receive(&self.connection, &call))
            .await
            .map_err(|error| error.of_job(&self.job))?;
        if next.is_some() && next.as_deref() == locator {
            return Err(BulkError::Results {
                action: self.action.clone(),
                reason: "its next page is the same page".to_owned(),
            });
        }
        self.rows = rows(spool).map_err(|error| self.unreadable(&error))?;
        self.next = next;
        Ok(())
    }

    fn unreadable(&self, error: &ArrowError) -> BulkError {
        BulkError::Results {
            action: self.action.clone(),
            reason: error.to_string(),
        }
    }
}

/// Receives a page, and the locator of the next one.
async fn receive(
    connection: &Connection,
    call: &Call<'_>,
) -> Result<(SpooledTempFile, Option<String>), BulkError> {
    let mut answer = connection.send(call).await?;
    let next = answer
        .headers()
        .get("Sforce-Locator")
        .and_then(|value| value.to_str().ok())
        .filter(|locator| !locator.is_empty() && *locator != "null")
        .map(str::to_owned);
    let mut spool = tempfile::spooled_tempfile(MEMORY_BYTES);
    http::receive(call.action, &mut answer, &mut spool).await?;
    spool.rewind().map_err(|source| BulkError::Spool {
        action: call.action.to_owned(),
        source,
    })?;
    Ok((spool, next))
}

/// A reader of the rows; none without a header line.
fn rows<R: Read + Seek>(mut file: R) -> Result<Option<Reader<R>>, ArrowError> {
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
        .with_batch_size(BATCH_ROWS)
        .build(file)?;
    Ok(Some(reader))
}

/// The rows of the text of a result file, for programs that try arbitrary bytes on it. No part of the
/// API.
///
/// # Errors
/// What is wrong with the text.
#[doc(hidden)]
pub fn result_rows(text: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
    match rows(Cursor::new(text))? {
        Some(rows) => rows.collect(),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use arrow::array::{ArrayRef, AsArray, StringArray};
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Chunker, RowOrdinals};

    type Row = (Option<String>, Option<String>);

    fn cell() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-c,\"\n é😀]{1,8}")
    }

    /// The rows as a job is sent them.
    fn upload(rows: &[Row]) -> Vec<u8> {
        let first: StringArray = rows.iter().map(|row| row.0.as_deref()).collect();
        let second: StringArray = rows.iter().map(|row| row.1.as_deref()).collect();
        let cells = RecordBatch::try_from_iter_with_nullable([
            ("Account.Ext__c", Arc::new(first) as ArrayRef, true),
            ("Name", Arc::new(second) as ArrayRef, true),
        ])
        .unwrap();
        let mut chunker = Chunker::new(&cells.schema(), 1_000_000, None).unwrap();
        chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
        let chunk = chunker.close().unwrap();
        chunk.csv().flat_map(|piece| piece.unwrap()).collect()
    }

    fn read_back(csv: &[u8]) -> Vec<Row> {
        let mut spool = tempfile::spooled_tempfile(64);
        spool.write_all(csv).unwrap();
        spool.rewind().unwrap();
        let batches = rows(spool).unwrap().unwrap();
        let batches = batches.collect::<Result<Vec<_>, _>>().unwrap();
        let of_batch = |batch: &RecordBatch| {
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_string::<i32>()
                    .clone()
            };
            let (first, second) = (text("Account.Ext__c"), text("Name"));
            let pairs = first.iter().zip(&second);
            pairs
                .map(|(first, second)| (first.map(str::to_owned), second.map(str::to_owned)))
                .collect::<Vec<_>>()
        };
        batches.iter().flat_map(of_batch).collect()
    }

    proptest! {
        #[test]
        fn unprocessed_rows_are_read_as_they_were_sent(
            rows in proptest::collection::vec((cell(), cell()), 1..40),
        ) {
            prop_assert_eq!(read_back(&upload(&rows)), rows);
        }
    }
}
