//! Rejected rows come to their end: with the columns they came with, where the user wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use chrono::Utc;
use futures::stream::{self, Stream, TryStreamExt as _};
use tokio::task::spawn_blocking;

use crate::coerce::Reason;
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::checkpoint::End;
use crate::load::event::{Event, EventSender};
use crate::load::memory::{batch_bytes, rejected_bytes};
use crate::load::org::{Reservation, Unpacker};
use crate::load::plan::Rejects;
use crate::load::state::Load;
use crate::reject::{self, RejectedRow};
use crate::rows::{MergedRow, RowSet};

/// Rejected rows of a chunk that are kept while others of it are sent again: so few that files of a
/// handful of rows are rare, and their reasons take little memory.
const KEPT: usize = 1_000;

/// Rejected rows of a chunk that are not handed on yet.
#[derive(Debug)]
pub(super) struct Rejected {
    rows: Vec<RejectedRow>,
    memory: Reservation,
    events: EventSender,
}

impl Rejected {
    pub(super) fn new(load: &Load, rows: Vec<RejectedRow>, events: EventSender) -> Self {
        let mut rejected = Self {
            rows,
            memory: load.org.budget().reserve(0),
            events,
        };
        rejected.account();
        rejected
    }

    /// Where they go if they become events.
    pub(super) fn events(&self) -> &EventSender {
        &self.events
    }

    pub(super) fn extend(&mut self, rows: impl Iterator<Item = RejectedRow>) {
        self.rows.extend(rows);
        self.account();
    }

    /// Hands the rows on if they are many.
    ///
    /// # Errors
    /// As [`Rejected::deliver`].
    pub(super) async fn deliver_many(&mut self, load: &Arc<Load>) -> Result<()> {
        if self.rows.len() > KEPT {
            self.deliver(load).await?;
        }
        Ok(())
    }

    /// Hands the rows on with the columns they came with, then counts them as ended.
    ///
    /// # Errors
    /// [`LoadError::Stopped`] if nobody reads the events; those of the store and of reading rows
    /// back.
    pub(super) async fn deliver(&mut self, load: &Arc<Load>) -> Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|row| row.ordinal);
        deliver(load, rows, &self.events).await?;
        self.account();
        Ok(())
    }

    /// Reserves what the rows take.
    fn account(&mut self) {
        self.memory.resize(rejected_bytes(&self.rows));
    }
}

/// Rows that a job refused, and with them those that were merged into them.
pub(super) fn refused(
    rejected: Vec<(u64, Arc<Reason>)>,
    merged: &[MergedRow],
    job_id: &str,
) -> impl Iterator<Item = RejectedRow> {
    let job_id: Arc<str> = job_id.into();
    let parts: Vec<(u64, Arc<Reason>)> = merged
        .iter()
        .filter_map(|MergedRow { row, into }| {
            let found = rejected.binary_search_by_key(into, |(ordinal, _)| *ordinal);
            Some((*row, Arc::clone(&rejected[found.ok()?].1)))
        })
        .collect();
    let all = rejected.into_iter().chain(parts);
    all.map(move |(ordinal, reason)| RejectedRow {
        ordinal,
        reason,
        job_id: Some(Arc::clone(&job_id)),
    })
}

/// Hands rejected rows on with the columns they came with, then counts them as ended. They ascend.
async fn deliver(load: &Arc<Load>, rejects: Vec<RejectedRow>, events: &EventSender) -> Result<()> {
    if rejects.is_empty() {
        return Ok(());
    }
    let rejects = Arc::new(rejects);
    hand_on(load, &rejects, events).await?;
    mark(load, &rejects).await?;
    let reasons = rejects.iter().map(|row| &row.reason);
    let keep_message = load.plan.options.log_values;
    load.books.rejected(reasons, keep_message);
    let rows: RowSet = rejects.iter().map(|row| row.ordinal).collect();
    if let Some(held) = &load.held {
        held.end(&rows, false);
    }
    load.books.end(rows.ranges(), End::Rejected);
    Ok(())
}

/// Notes in the ledger that the rows are stored: a later attempt does not send equal ones again.
async fn mark(load: &Load, rejects: &[RejectedRow]) -> Result<()> {
    let (Some(ledger), Rejects::Store { .. }) = (&load.ledger, &load.plan.rejects) else {
        return Ok(());
    };
    let mut of_jobs = BTreeMap::<&str, RowSet>::new();
    for row in rejects {
        if let Some(job) = &row.job_id {
            of_jobs.entry(job).or_default().insert(row.ordinal);
        }
    }
    for (job, rows) in of_jobs {
        ledger.rejected(job, &rows).await?;
    }
    Ok(())
}

/// Rejected rows that are read a batch at a time.
struct Reading {
    load: Arc<Load>,
    rejects: Arc<Vec<RejectedRow>>,
    /// The first ordinals of the batches not read yet.
    batches: std::vec::IntoIter<u64>,
    /// How many rejected rows were read.
    read: usize,
    unpacker: Unpacker,
    /// Of the batch read last, and of its rows as they are written.
    memory: Reservation,
}

/// The rejected rows with the columns they came with, a batch at a time.
fn records(
    load: &Arc<Load>,
    rejects: &Arc<Vec<RejectedRow>>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
    let rows: RowSet = rejects.iter().map(|row| row.ordinal).collect();
    let reading = Reading {
        load: Arc::clone(load),
        rejects: Arc::clone(rejects),
        batches: load.books.rows().firsts(&rows).into_iter(),
        read: 0,
        unpacker: Unpacker::default(),
        memory: load.org.budget().reserve(0),
    };
    stream::try_unfold(reading, |mut reading| async move {
        let Some(first) = reading.batches.next() else {
            return Ok(None);
        };
        let (load, rejects) = (Arc::clone(&reading.load), Arc::clone(&reading.rejects));
        let from = reading.read;
        let mut unpacker = std::mem::take(&mut reading.unpacker);
        let read = spawn_blocking(move || {
            let batch = rejected_of(&load, first, &rejects[from..], &mut unpacker)?;
            Ok::<_, Error>((batch, unpacker))
        });
        let (batch, unpacker) = read.await.map_err(LoadError::from)??;
        reading.unpacker = unpacker;
        reading.read += batch.num_rows();
        reading.memory.resize(batch_bytes(&batch) * 2);
        Ok(Some((batch, reading)))
    })
}

/// Those of `rejects`, which ascend, that are in the batch whose first row has the ordinal `first`.
fn rejected_of(
    load: &Load,
    first: u64,
    rejects: &[RejectedRow],
    unpacker: &mut Unpacker,
) -> Result<RecordBatch> {
    let batch = load.books.rows().get(first, unpacker);
    let batch =
        batch.ok_or_else(|| Error::system("rejected rows are gone; please report this"))??;
    let end = first + batch.num_rows() as u64;
    let here = &rejects[..rejects.partition_point(|row| row.ordinal < end)];
    let batch = if here.len() == batch.num_rows() {
        batch
    } else {
        let rows: UInt64Array = here.iter().map(|row| row.ordinal - first).collect();
        take_record_batch(&batch, &rows).map_err(LoadError::from)?
    };
    Ok(reject::rejected(batch, here, Utc::now())?)
}

async fn hand_on(
    load: &Arc<Load>,
    rejects: &Arc<Vec<RejectedRow>>,
    events: &EventSender,
) -> Result<()> {
    match &load.plan.rejects {
        Rejects::Count => Ok(()),
        Rejects::Events => {
            let mut records = std::pin::pin!(records(load, rejects));
            while let Some(batch) = records.try_next().await? {
                let sent = events.send(Ok(Event::Rejected(batch))).await;
                sent.map_err(|_| LoadError::Stopped)?;
            }
            Ok(())
        }
        Rejects::Store { store, stream } => {
            let mut stream = stream.clone();
            let attempt = || {
                load.ledger
                    .as_ref()
                    .map(|ledger| ledger.attempt().to_owned())
            };
            stream.attempt = stream.attempt.or_else(attempt);
            let path = store.write_stream(&stream, records(load, rejects)).await?;
            path.into_iter().for_each(|path| load.books.stored(path));
            Ok(())
        }
    }
}
