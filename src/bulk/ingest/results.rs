//! Result files of a job become record batches.
//!
//! A file is first received whole, in memory up to a few megabytes and in a temporary file beyond
//! (or compressed, where there is no disk): a broken connection then costs a retry, and no row is read
//! twice.

use std::collections::HashSet;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow_csv::reader::Reader;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::header::CONTENT_TYPE;

use super::Ingest;
use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::file;
use crate::bulk::http::{Call, Policy};
use crate::disk::Spool;
use crate::options::DEFAULT_JOB_BYTES;

/// Rows of a result file: text columns named as in its header, empty cells null, at most 8,192
/// rows a batch. Nothing to report is no batch.
pub type ResultStream = BoxStream<'static, Result<RecordBatch, BulkError>>;

/// Most pages on end without a row.
const EMPTY_PAGES: u32 = 100;

/// Rows of a file, beside twice those sent, that are read before its pages count as endless: rows may
/// come twice, and some that were never sent.
const MORE_ROWS: u64 = 100;

/// Most rows of a job whose upload is not known: each is a character and the end of its line, at least.
const MOST_ROWS: u64 = DEFAULT_JOB_BYTES / 2;

/// Which of the files of a job.
#[derive(Debug, Clone)]
pub(super) enum ResultKind {
    Successful,
    Failed,
    /// With the header of the upload, where it is known.
    Unprocessed(Option<Arc<[String]>>),
}

impl ResultKind {
    /// Last segment of its address.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Successful => "successfulResults",
            Self::Failed => "failedResults",
            Self::Unprocessed(_) => "unprocessedrecords",
        }
    }

    /// Whether such a file can have this header.
    fn has_header(&self, header: &Schema) -> bool {
        let has = |name: &str| {
            let mut fields = header.fields().iter();
            fields.any(|field| field.name().eq_ignore_ascii_case(name))
        };
        match self {
            Self::Successful => has("sf__Id"),
            Self::Failed => has("sf__Id") && has("sf__Error"),
            // The documentation says that columns may be missing.
            Self::Unprocessed(Some(columns)) => header.fields().iter().all(|field| {
                let mut columns = columns.iter();
                field.name().starts_with("sf__")
                    || columns.any(|column| column.eq_ignore_ascii_case(field.name()))
            }),
            Self::Unprocessed(None) => header
                .fields()
                .iter()
                .all(|field| !field.name().starts_with(['<', '{', '['])),
        }
    }
}

/// Where a file is read from, and how far.
struct File {
    connection: Connection,
    action: String,
    job: String,
    kind: ResultKind,
    policy: Policy,
    rows: Option<Reader<Spool>>,
    next: Option<String>,
    /// Locators of the pages so far.
    seen: HashSet<String>,
    /// Rows that may still come before the pages are endless.
    rows_left: u64,
    /// Pages since the last row.
    empty_pages: u32,
}

/// A page of a file: a reader of its rows, if it has a header, and the locator of the next one.
struct Page {
    rows: Option<Reader<Spool>>,
    next: Option<String>,
}

/// Opens a result file of a job, to which so many rows were `sent`, if that is known.
pub(super) async fn read(
    ingest: &Ingest,
    job: &str,
    kind: ResultKind,
    sent: Option<u64>,
    policy: Policy,
) -> Result<ResultStream, BulkError> {
    let mut file = File {
        connection: ingest.connection.clone(),
        action: format!("reading {} of job {job}", kind.name()),
        job: job.to_owned(),
        kind,
        policy,
        rows: None,
        next: None,
        seen: HashSet::new(),
        rows_left: 2 * sent.unwrap_or(MOST_ROWS) + MORE_ROWS,
        empty_pages: 0,
    };
    file.open_page(None).await?;
    file.policy = Policy::InFlight;
    Ok(stream::try_unfold(file, |mut file| async move {
        Ok(file.next_batch().await?.map(|batch| (batch, file)))
    })
    .boxed())
}

impl File {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, BulkError> {
        loop {
            if let Some(batch) = self.rows.as_mut().and_then(Iterator::next) {
                let batch = batch.map_err(|error| self.unread(self.none(error.to_string())))?;
                self.rows_left = self.rows_left.saturating_sub(batch.num_rows() as u64);
                self.empty_pages = 0;
                return Ok(Some(batch));
            }
            let Some(locator) = self.next.take() else {
                return Ok(None);
            };
            self.empty_pages += 1;
            if self.rows_left == 0 || self.empty_pages > EMPTY_PAGES {
                return Err(self.unread(self.none("its pages have no end".to_owned())));
            }
            self.open_page(Some(&locator)).await?;
        }
    }

    /// Receives a page: the whole file, unless Salesforce names the locator of a next one.
    async fn open_page(&mut self, locator: Option<&str>) -> Result<(), BulkError> {
        let path = ["jobs", "ingest", &self.job, self.kind.name()];
        let mut call = Call::get(&self.action, &path, self.policy);
        let query = locator.map(|locator| [("locator", locator)]);
        call.query = query.as_ref().map_or(&[], |query| query);
        let page = self.connection.repeat(&call, || self.receive(&call)).await;
        let page = page.map_err(|error| self.unread(error))?;
        if let Some(next) = &page.next
            && !self.seen.insert(next.clone())
        {
            return Err(self.unread(self.none("its pages go in a circle".to_owned())));
        }
        (self.rows, self.next) = (page.rows, page.next);
        Ok(())
    }

    /// Receives a page once. What is no page of such a file is an error that is asked for again.
    async fn receive(&self, call: &Call<'_>) -> Result<Page, BulkError> {
        let mut answer = self.connection.send(call).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let next =
            header("Sforce-Locator").filter(|locator| !locator.is_empty() && locator != "null");
        let kind = header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let table = file::receive(call.action, self.connection.clock(), &mut answer).await?;
        let rows = table.rows;
        match &rows {
            Some(rows) if !self.kind.has_header(&rows.schema()) => {
                Err(self.none("it has another header".to_owned()))
            }
            None if kind.contains("html") || kind.contains("xml") => {
                Err(self.none(format!("it is empty, and {kind}")))
            }
            _ => Ok(Page { rows, next }),
        }
    }

    /// The error of an answer that is no such file.
    fn none(&self, reason: String) -> BulkError {
        BulkError::Results {
            action: self.action.clone(),
            reason,
        }
    }

    /// The error of a file that cannot be read.
    fn unread(&self, error: BulkError) -> BulkError {
        match error.of_job(&self.job) {
            error @ (BulkError::JobGone { .. } | BulkError::Spool { .. }) => error,
            error => BulkError::ResultsUnread {
                id: self.job.clone(),
                source: Box::new(error),
            },
        }
    }
}

/// The rows of the text of a result file, for programs that try arbitrary bytes on it. No part of the
/// API.
///
/// # Errors
/// What is wrong with the text.
#[doc(hidden)]
pub fn result_rows(text: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
    match file::rows(Cursor::new(text), file::BATCH_ROWS)? {
        Some(rows) => rows.collect(),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

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
        let batches = file::rows(spool, file::BATCH_ROWS).unwrap().unwrap();
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
