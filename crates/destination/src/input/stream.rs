//! What came of one stream since its last batch.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::protocol::StreamDescriptor;
use arrow_salesforce::load::{Feed, FeedBatch};

/// What the input knows of one stream.
#[derive(Debug)]
pub(crate) struct InputStream {
    pub(super) descriptor: StreamDescriptor,
    schema: SchemaRef,
    /// Absent once the input has ended, and in tests.
    pub(super) feed: Option<Feed>,
    /// The source has said that no more records come.
    pub(super) ended: bool,
    /// States since the last batch.
    states: Vec<Mark>,
    /// Bytes of the record messages since the last batch.
    bytes: u64,
    /// When the oldest of what waits came.
    pub(super) since: Option<Instant>,
}

impl InputStream {
    pub(crate) fn new(descriptor: StreamDescriptor, schema: SchemaRef, feed: Option<Feed>) -> Self {
        Self {
            descriptor,
            schema,
            feed,
            ended: false,
            states: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// A record came, in a message of so many bytes.
    pub(super) fn record(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
    }

    /// The state `id` came, behind so many rows that wait.
    pub(super) fn state(&mut self, id: u64, row: usize) {
        let bytes = self.bytes;
        self.states.push(Mark { row, bytes, id });
        self.since.get_or_insert_with(Instant::now);
    }

    /// What waits, to be sent on with `rows`; none if nothing does.
    pub(super) fn batch(&mut self, rows: Option<RecordBatch>) -> Option<FeedBatch> {
        self.since = None;
        let bytes = std::mem::take(&mut self.bytes);
        let states = std::mem::take(&mut self.states);
        let rows = match rows {
            Some(rows) => rows,
            None if states.is_empty() => return None,
            None => RecordBatch::new_empty(Arc::clone(&self.schema)),
        };
        let batch = FeedBatch::new(rows).received(bytes);
        let states = states.into_iter();
        Some(states.fold(batch, |batch, state| {
            batch.checkpoint(state.row, state.bytes, state.id)
        }))
    }
}

/// A state among the records since the last batch.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Records before it.
    row: usize,
    /// Bytes of their messages.
    bytes: u64,
    id: u64,
}
