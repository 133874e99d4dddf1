//! Rejected rows come to their end: with the columns they came with, where the user wants them.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use chrono::Utc;

use crate::coerce::Reason;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::checkpoint::End;
use crate::load::event::{Event, EventSender};
use crate::load::org::Reservation;
use crate::load::plan::Rejects;
use crate::load::state::Load;
use crate::reject::{self, RejectedRow};
use crate::rows::{MergedRow, RowSet};

/// Memory that a reason takes beside its message.
const REASON_BYTES: usize = size_of::<Reason>() + 64;

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

    /// Reserves what the reasons take. Rows that were refused alike may share theirs.
    fn account(&mut self) {
        let mut last = std::ptr::null();
        let bytes = self.rows.iter().map(|row| {
            let reason = Arc::as_ptr(&row.reason);
            let shared = std::mem::replace(&mut last, reason) == reason;
            let own = if shared {
                0
            } else {
                REASON_BYTES + row.reason.message.len()
            };
            size_of::<RejectedRow>() + own
        });
        self.memory.resize(bytes.sum());
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
    let records = match load.plan.rejects {
        Rejects::Count => Vec::new(),
        _ => records(load, Arc::clone(&rejects)).await?,
    };
    let bytes = records.iter().map(RecordBatch::get_array_memory_size).sum();
    let reservation = load.org.budget().reserve(bytes);
    hand_on(load, records, events).await?;
    drop(reservation);
    let reasons = rejects.iter().map(|row| &row.reason);
    let keep_message = load.plan.options.log_values;
    load.ledger.rejected(reasons, keep_message);
    let rows: RowSet = rejects.iter().map(|row| row.ordinal).collect();
    load.ledger.end(rows.ranges(), End::Rejected);
    Ok(())
}

/// The rejected rows, with the columns they came with.
async fn records(load: &Arc<Load>, rejects: Arc<Vec<RejectedRow>>) -> Result<Vec<RecordBatch>> {
    let load = Arc::clone(load);
    let records = tokio::task::spawn_blocking(move || {
        let rows: RowSet = rejects.iter().map(|row| row.ordinal).collect();
        let mut rest = rejects.as_slice();
        let mut records = Vec::new();
        for read in load.ledger.rows().read(&rows) {
            let (first, batch) = read?;
            let end = first + batch.num_rows() as u64;
            let (here, later) = rest.split_at(rest.partition_point(|row| row.ordinal < end));
            rest = later;
            let rows: UInt64Array = here.iter().map(|row| row.ordinal - first).collect();
            let rows = take_record_batch(&batch, &rows).map_err(LoadError::from)?;
            records.push(reject::rejected(rows, here, Utc::now())?);
        }
        Ok(records)
    });
    records.await.map_err(LoadError::from)?
}

async fn hand_on(load: &Load, records: Vec<RecordBatch>, events: &EventSender) -> Result<()> {
    match &load.plan.rejects {
        Rejects::Count => Ok(()),
        Rejects::Events => {
            for batch in records {
                let sent = events.send(Ok(Event::Rejected(batch))).await;
                sent.map_err(|_| LoadError::Stopped)?;
            }
            Ok(())
        }
        Rejects::Store { store, stream } => {
            let path = store.write(stream, &records).await?;
            load.ledger.stored(path);
            Ok(())
        }
    }
}
