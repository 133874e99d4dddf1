//! Puts rows into a load, within the memory of the org.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::Result;

use super::LoadError;
use super::memory::batch_bytes;
use super::org::{LetIn, Member, Org, Reservation};

/// Batches that may wait between a feed and its load.
const BATCHES: usize = 2;

/// Memory that a batch is let in with, in its own sizes: its rows, and the cells that they become.
const ROWS_AND_CELLS: usize = 2;

/// Rows on their way into a load, with the checkpoints among them.
#[derive(Debug, Clone)]
pub struct FeedBatch {
    rows: RecordBatch,
    received: u64,
    checkpoints: Vec<Checkpoint>,
}

/// A checkpoint inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Rows of the batch before it.
    pub(super) row: usize,
    /// Bytes received for those rows.
    pub(super) bytes: u64,
    pub(super) id: u64,
}

impl FeedBatch {
    /// A batch without checkpoints, received as so many bytes as it takes in memory.
    pub fn new(rows: RecordBatch) -> Self {
        Self {
            received: rows.get_array_memory_size() as u64,
            rows,
            checkpoints: Vec::new(),
        }
    }

    /// Bytes that the rows were received as: what the counts of checkpoints and the report say.
    #[must_use]
    pub fn received(mut self, bytes: u64) -> Self {
        self.received = bytes;
        self
    }

    /// Sets checkpoint `id` behind the first `row` rows of this batch, which were received as the
    /// first `bytes` of its bytes. Checkpoints of a batch come in the order of their rows.
    #[must_use]
    pub fn checkpoint(mut self, row: usize, bytes: u64, id: u64) -> Self {
        self.checkpoints.push(Checkpoint { row, bytes, id });
        self
    }

    /// Memory that its rows take; those that are not there take none.
    fn memory(&self) -> usize {
        match self.rows.num_rows() {
            0 => 0,
            _ => batch_bytes(&self.rows),
        }
    }

    fn is_ordered(&self) -> bool {
        let last = Checkpoint {
            row: self.rows.num_rows(),
            bytes: self.received,
            id: 0,
        };
        let mut before = (0, 0);
        self.checkpoints.iter().chain([&last]).all(|next| {
            let ordered = before.0 <= next.row && before.1 <= next.bytes;
            before = (next.row, next.bytes);
            ordered
        })
    }

    /// The rows, the bytes they were received as, and the checkpoints among them.
    pub(super) fn into_parts(self) -> (RecordBatch, u64, Vec<Checkpoint>) {
        (self.rows, self.received, self.checkpoints)
    }
}

impl From<RecordBatch> for FeedBatch {
    fn from(rows: RecordBatch) -> Self {
        Self::new(rows)
    }
}

/// What goes from a feed to its load.
#[derive(Debug)]
pub(super) enum FeedMessage {
    Rows {
        batch: FeedBatch,
        /// Memory of the rows and of their cells.
        memory: Reservation,
        let_in: LetIn,
    },
    Flush,
    /// No more rows come, checkpoints may.
    Complete,
    End,
}

/// Puts rows into a load. Dropping it without [`Feed::finish`] stops the load at once, as
/// [`Feed::stop`] does.
#[derive(Debug)]
pub struct Feed {
    org: Org,
    member: Arc<Member>,
    load: mpsc::Sender<FeedMessage>,
    schema: SchemaRef,
    stop: CancellationToken,
    finished: bool,
}

/// A slot for one batch, and memory for its rows. Dropped unused, it gives both back.
#[derive(Debug)]
pub struct FeedPermit<'a> {
    feed: &'a Feed,
    slot: mpsc::Permit<'a, FeedMessage>,
    memory: Reservation,
    let_in: LetIn,
}

impl FeedPermit<'_> {
    /// Puts a batch into the load, whole and at once. Its rows count with the memory that they and
    /// their cells take, if the permit was made for more or less.
    ///
    /// # Errors
    /// A config error if the columns are not the loader's, or checkpoints are out of order or
    /// beyond the rows; [`LoadError::Stopped`] if the load ended already: the cause is in its
    /// [`Events`](super::Events). Then nothing of the batch is loaded.
    pub fn send(mut self, batch: FeedBatch) -> Result<()> {
        self.feed.check(&batch)?;
        self.memory.resize(batch.memory() * ROWS_AND_CELLS);
        let (memory, let_in) = (self.memory, self.let_in);
        self.slot.send(FeedMessage::Rows {
            batch,
            memory,
            let_in,
        });
        Ok(())
    }
}

impl Feed {
    /// A feed of batches of `schema`, and where its load takes them from.
    pub(super) fn new(
        org: Org,
        member: Arc<Member>,
        schema: SchemaRef,
        stop: CancellationToken,
    ) -> (Self, mpsc::Receiver<FeedMessage>) {
        let (load, messages) = mpsc::channel(BATCHES);
        let feed = Self {
            org,
            member,
            load,
            schema,
            stop,
            finished: false,
        };
        (feed, messages)
    }

    /// Waits until a batch of about `bytes` bytes of memory may come: until there is a slot for it
    /// between this feed and its load, and memory for its rows and for the cells that they become.
    /// Meanwhile room is made: rows that wait for an answer go to disk, open chunks are closed.
    ///
    /// More than the budget is given once nothing else would give memory back, and 0 bytes, for
    /// checkpoints alone, are given at once. Cancelled, it takes nothing.
    /// A permit that is held while another is waited for can keep that one waiting.
    ///
    /// # Errors
    /// [`LoadError::Stopped`] if the load ended already: the cause is in its
    /// [`Events`](super::Events).
    pub async fn ready(&self, bytes: usize) -> Result<FeedPermit<'_>> {
        let slot = self.slot().await?;
        let memory = self.org.admission();
        let memory = memory.memory(bytes.saturating_mul(ROWS_AND_CELLS), &self.member);
        let (memory, let_in) = self.unless_stopped(memory).await?;
        Ok(FeedPermit {
            feed: self,
            slot,
            memory,
            let_in,
        })
    }

    /// Sends rows; waits while memory is used up.
    ///
    /// # Errors
    /// As [`FeedPermit::send`].
    pub async fn send(&mut self, batch: impl Into<FeedBatch>) -> Result<()> {
        let batch = batch.into();
        self.check(&batch)?;
        let permit = self.ready(batch.memory()).await?;
        permit.send(batch)
    }

    /// Sets a checkpoint behind all rows sent so far. [`Event::Durable`](super::Event::Durable)
    /// acknowledges it when each of them is in Salesforce or rejected.
    ///
    /// # Errors
    /// As [`Feed::ready`].
    pub async fn checkpoint(&mut self, id: u64) -> Result<()> {
        let empty = RecordBatch::new_empty(Arc::clone(&self.schema));
        let batch = FeedBatch::new(empty).received(0).checkpoint(0, 0, id);
        self.send(batch).await
    }

    /// Submits what was sent so far without waiting for more rows. More may follow.
    ///
    /// # Errors
    /// As [`Feed::ready`].
    pub async fn flush(&mut self) -> Result<()> {
        self.slot().await?.send(FeedMessage::Flush);
        Ok(())
    }

    /// No more rows will come, only checkpoints may: what is open is submitted, and when it has
    /// its end, others of its [`Family`](super::Family) wait for the load no longer. If rows come all the same, others do
    /// not wait for them.
    ///
    /// # Errors
    /// As [`Feed::ready`].
    pub async fn complete(&mut self) -> Result<()> {
        self.slot().await?.send(FeedMessage::Complete);
        Ok(())
    }

    /// No more rows will come: what is open is submitted.
    ///
    /// # Errors
    /// As [`Feed::ready`].
    pub async fn finish(mut self) -> Result<()> {
        self.slot().await?.send(FeedMessage::End);
        self.finished = true;
        Ok(())
    }

    /// Stops the load: jobs in flight come to their end, checkpoints that became durable are
    /// acknowledged, and rows not yet in a closed job are given up.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Memory of something beside the rows that is kept until a checkpoint is acknowledged. It is
    /// given at once: what it is for exists already. Ask [`Feed::is_full`] before more is kept.
    pub fn reserve(&self, bytes: usize) -> Reservation {
        self.org.budget().reserve_beside(bytes)
    }

    /// Memory of rows that are read and not sent yet, none at first: resize it as they grow, and send
    /// before all feeds together hold more than [`Feed::most_held`].
    pub fn hold(&self) -> Reservation {
        self.org.budget().reserve(0)
    }

    /// Bytes of rows that all who read may hold before they send them on.
    pub fn most_held(&self) -> usize {
        self.org.budget().held_by_readers()
    }

    /// Whether the memory budget is used up, or half of what rows may take is kept beside them:
    /// nothing more should be kept before [`Feed::has_room`], nor rows kept back that checkpoints
    /// wait for.
    pub fn is_full(&self) -> bool {
        self.org.budget().is_full()
    }

    /// Waits until the memory budget has room, and makes room meanwhile.
    ///
    /// # Errors
    /// As [`Feed::ready`].
    pub async fn has_room(&self) -> Result<()> {
        self.unless_stopped(self.org.admission().room()).await
    }

    async fn slot(&self) -> Result<mpsc::Permit<'_, FeedMessage>> {
        let slot = async {
            let slot = self.load.reserve().await;
            slot.map_err(|_| LoadError::Stopped.into())
        };
        self.unless_stopped(slot).await
    }

    /// What is `wanted`, unless the load ends first.
    pub(super) async fn unless_stopped<T>(
        &self,
        wanted: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(LoadError::Stopped.into()),
            done = wanted => done,
        }
    }

    fn check(&self, batch: &FeedBatch) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(LoadError::Stopped.into());
        }
        if batch.rows.schema_ref().fields() != self.schema.fields() {
            let (expected, actual) = (columns(&self.schema), columns(batch.rows.schema_ref()));
            return Err(LoadError::Schema { expected, actual }.into());
        }
        if !batch.is_ordered() {
            return Err(LoadError::Checkpoints.into());
        }
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.finished {
            self.stop.cancel();
        }
    }
}

fn columns(schema: &SchemaRef) -> String {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
