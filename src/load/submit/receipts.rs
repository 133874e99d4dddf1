//! Receipts of accepted rows: to the store or the events, before the rows count as ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, Stream, TryStreamExt as _};
use tokio::task::spawn_blocking;

use super::judge::SettlePermit;
use super::records::records;
use crate::bulk::EndedJob;
use crate::chunk::RowOrdinals;
use crate::error::{Error, Result};
use crate::load::LoadError;
use crate::load::event::{Event, EventSender};
use crate::load::org::{Reservation, Unpacker};
use crate::load::picked::picked;
use crate::load::plan::{Receipts, ReceiptsPlan};
use crate::load::settle::{PartRecords, Records, RowRecord};
use crate::load::state::Load;
use crate::object::{Operation, RecordId, RecordIds};
use crate::receipt::{Action, FILE_BYTES, Mark, ReceiptFile, ReceiptRows};
use crate::rows::RowSet;

/// Rows of a batch of receipts, at most.
const BATCH_ROWS: usize = 8_192;

/// Memory that is taken while receipts are made, beside the columns of the source, in bytes: a part of
/// the records, a batch.
const MAKING_BYTES: usize = 2 << 20;

/// Hands on the receipts of rows that a job wrote. `permit` is the permit to settle, if it is held.
///
/// # Errors
/// [`LoadError::Stopped`] if nobody reads the events; those of the store, of reading the results of
/// the job and of reading rows back.
pub(super) async fn deliver(
    load: &Arc<Load>,
    ended: &mut EndedJob,
    accepted: &RowSet,
    permit: &mut Option<SettlePermit>,
    events: &EventSender,
) -> Result<()> {
    let Some(plan) = load.plan.receipts.as_ref() else {
        return Ok(());
    };
    if accepted.is_empty() {
        return Ok(());
    }
    let of = match load.plan.target.operation {
        Operation::Insert | Operation::Upsert { .. } => {
            RecordsOf::Results(Box::new(records(load, ended, accepted, permit).await?))
        }
        Operation::Update | Operation::Delete | Operation::HardDelete => RecordsOf::Keys,
    };
    hand_on(load, plan, of, accepted, [&ended.id, &ended.id], events).await
}

/// Hands on the receipts of rows that came again after a job of an older attempt had written them: the
/// Id of each, if it is known.
///
/// # Errors
/// As [`deliver`].
pub(in crate::load) async fn deliver_known(
    load: &Arc<Load>,
    job: &str,
    records: BTreeMap<u64, Option<String>>,
    events: &EventSender,
) -> Result<()> {
    let Some((plan, (first, _))) = load.plan.receipts.as_ref().zip(records.first_key_value())
    else {
        return Ok(());
    };
    let (name, rows) = (format!("{job}-{first}"), records.keys().copied().collect());
    let of = RecordsOf::Older(records);
    hand_on(load, plan, of, &rows, [job, &name], events).await
}

/// Hands on the receipts of rows; `job` is the Id of their job, and the name of their file.
async fn hand_on(
    load: &Arc<Load>,
    plan: &ReceiptsPlan,
    of: RecordsOf,
    rows: &RowSet,
    [job, name]: [&str; 2],
    events: &EventSender,
) -> Result<()> {
    let receipts = receipts(load, plan, of, rows, job);
    match &plan.to {
        Receipts::Store { store, stream } => {
            let _memory = load.org.budget().reserve(FILE_BYTES);
            let file = ReceiptFile::new(&plan.columns)?;
            store.write_job(stream, name, encoded(file, receipts)).await
        }
        _ => {
            let mut receipts = std::pin::pin!(receipts);
            while let Some(batch) = receipts.try_next().await? {
                let sent = events.send(Ok(Event::Accepted(batch))).await;
                sent.map_err(|_| LoadError::Stopped)?;
            }
            Ok(())
        }
    }
}

/// Where the records of rows are known from.
enum RecordsOf {
    /// The results of the job.
    Results(Box<Records>),
    /// The key of each row is the Id of its record.
    Keys,
    /// An older attempt has written them.
    Older(BTreeMap<u64, Option<String>>),
}

/// Receipts that are made some rows at a time.
struct Making {
    load: Arc<Load>,
    of: RecordsOf,
    accepted: RowSet,
    job: String,
    at: DateTime<Utc>,
    left: RowsLeft,
    /// The part of the records that was read last.
    part: Option<PartRecords>,
    _memory: Reservation,
}

/// Rows whose receipts are not made yet.
enum RowsLeft {
    /// Nothing of the rows themselves is needed.
    Ordinals(std::vec::IntoIter<RowSet>),
    /// In batches of the row store, by their first ordinals, and in the one that was read last.
    Batches(std::vec::IntoIter<u64>, Option<Rows>),
}

/// Rows, as far as their receipts show them.
struct Rows {
    ordinals: RowOrdinals,
    columns: Vec<ArrayRef>,
    /// The Ids that they came with, where these are their records.
    keys: Option<ArrayRef>,
    rows: usize,
}

/// The receipts of rows, in their order.
fn receipts(
    load: &Arc<Load>,
    plan: &ReceiptsPlan,
    of: RecordsOf,
    accepted: &RowSet,
    job: &str,
) -> impl Stream<Item = Result<RecordBatch>> + Send + use<> {
    let needs_rows = !plan.columns.source().is_empty() || matches!(of, RecordsOf::Keys);
    let left = if needs_rows {
        let batches = load.books.rows().firsts(accepted);
        RowsLeft::Batches(batches.into_iter(), None)
    } else {
        RowsLeft::Ordinals(accepted.split(BATCH_ROWS).into_iter())
    };
    let making = Making {
        load: Arc::clone(load),
        of,
        accepted: accepted.clone(),
        job: job.to_owned(),
        at: load.org.client().server_time(),
        left,
        part: None,
        _memory: load.org.budget().reserve(MAKING_BYTES),
    };
    stream::try_unfold(making, |mut making| async move {
        let made = spawn_blocking(move || {
            let batch = making.next()?;
            Ok::<_, Error>(batch.map(|batch| (batch, making)))
        });
        made.await.map_err(LoadError::from)?
    })
}

/// Receipts as pieces of a file.
fn encoded(
    file: ReceiptFile,
    receipts: impl Stream<Item = Result<RecordBatch>> + Send,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let writing = Some((file, Box::pin(receipts)));
    stream::try_unfold(writing, |writing| async move {
        let Some((mut file, mut receipts)) = writing else {
            return Ok(None);
        };
        let Some(batch) = receipts.try_next().await? else {
            return Ok(Some((file.finish()?, None)));
        };
        let written = spawn_blocking(move || file.write(&batch).map(|piece| (piece, file)));
        let (piece, file) = written.await.map_err(LoadError::from)??;
        Ok(Some((piece, Some((file, receipts)))))
    })
}

impl Making {
    /// The receipts of the next rows.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(rows), Some(plan)) = (self.next_rows()?, &self.load.plan.receipts) else {
            return Ok(None);
        };
        let mut receipts = ReceiptRows::default();
        let mut id = String::new();
        for row in 0..rows.rows {
            let ordinal = rows.ordinals.of(row);
            id.clear();
            match &self.of {
                RecordsOf::Keys => {
                    let known = key(rows.keys.as_ref(), row, &mut id);
                    receipts.push(ordinal, known.map(|()| id.as_str()), self.action(None));
                }
                RecordsOf::Older(records) => {
                    let known = records.get(&ordinal).and_then(Option::as_deref);
                    receipts.push(ordinal, known.ok_or(Mark::NoResult), self.action(None));
                }
                RecordsOf::Results(records) => {
                    let record = records.log.record_of(ordinal, &mut self.part)?;
                    let number = match record {
                        RowRecord::Known(number) => Ok(number),
                        RowRecord::Indistinct => Err(Mark::Indistinct),
                        RowRecord::NoResult => Err(Mark::NoResult),
                    };
                    if let Ok(number) = number {
                        records.ids.write(number, &mut id);
                    }
                    let action = self.action(number.ok());
                    receipts.push(ordinal, number.map(|_| id.as_str()), action);
                }
            }
        }
        self.load
            .books
            .receipts(rows.rows as u64, receipts.without_id());
        let attempt = match &plan.to {
            Receipts::Store { stream, .. } => stream.attempt.as_deref(),
            _ => None,
        };
        let schema = plan.columns.schema();
        let batch = receipts.finish(schema, rows.columns, &self.job, attempt, self.at)?;
        Ok(Some(batch))
    }

    fn next_rows(&mut self) -> Result<Option<Rows>> {
        match &mut self.left {
            RowsLeft::Ordinals(sets) => Ok(sets.next().as_ref().map(Rows::of_ordinals)),
            RowsLeft::Batches(firsts, read) => {
                while read.as_ref().is_none_or(|read| read.rows == 0) {
                    let Some(first) = firsts.next() else {
                        return Ok(None);
                    };
                    *read = read_rows(&self.load, first, &self.accepted)?;
                }
                Ok(read.as_mut().map(|read| read.split_off(BATCH_ROWS)))
            }
        }
    }

    /// What was done to a record: an upsert says it with the number.
    fn action(&self, number: Option<u64>) -> Option<Action> {
        match &self.load.plan.target.operation {
            Operation::Insert => Some(Action::Created),
            Operation::Update => Some(Action::Updated),
            Operation::Delete | Operation::HardDelete => Some(Action::Deleted),
            Operation::Upsert { .. } => Some(match RecordIds::is_created(number?) {
                true => Action::Created,
                false => Action::Updated,
            }),
        }
    }
}

impl Rows {
    fn of_ordinals(set: &RowSet) -> Self {
        let ordinals: Vec<u64> = set.iter().collect();
        Self {
            rows: ordinals.len(),
            ordinals: RowOrdinals::Listed(ordinals.into()),
            columns: Vec::new(),
            keys: None,
        }
    }

    /// Takes the first rows, so many at most.
    fn split_off(&mut self, most: usize) -> Self {
        let (rows, left) = (self.rows.min(most), self.rows.saturating_sub(most));
        let part = |from: usize, rows: usize| Self {
            ordinals: self.ordinals.slice(from, rows),
            columns: self.columns.iter().map(|c| c.slice(from, rows)).collect(),
            keys: self.keys.as_ref().map(|keys| keys.slice(from, rows)),
            rows,
        };
        let (first, rest) = (part(0, rows), part(rows, left));
        *self = rest;
        first
    }
}

/// Those of the accepted rows that are in the batch whose first row has the ordinal `first`.
fn read_rows(load: &Load, first: u64, accepted: &RowSet) -> Result<Option<Rows>> {
    let (Some(batch), Some(plan)) = (
        load.books.rows().get(first, &mut Unpacker::default()),
        &load.plan.receipts,
    ) else {
        return Ok(None);
    };
    let (batch, ordinals) = picked(first, &batch?, accepted)?;
    let columns = plan.columns.source().iter();
    let keys = match load.plan.target.operation {
        Operation::Insert | Operation::Upsert { .. } => None,
        _ => load.plan.coercion.key_cells(&batch)?,
    };
    Ok(Some(Rows {
        ordinals,
        columns: columns
            .map(|index| Arc::clone(batch.column(*index)))
            .collect(),
        keys,
        rows: batch.num_rows(),
    }))
}

/// Writes the Id that a row came with, in its long form.
fn key(keys: Option<&ArrayRef>, row: usize, id: &mut String) -> Result<(), Mark> {
    let keys = keys.and_then(|keys| keys.as_string_opt::<i32>());
    let key = keys
        .filter(|keys| keys.is_valid(row))
        .map(|keys| keys.value(row));
    let Some(record) = key.and_then(RecordId::parse) else {
        return Err(Mark::NoResult);
    };
    id.extend(record.as_bytes().iter().map(|byte| char::from(*byte)));
    id.extend(record.checksum().map(char::from));
    Ok(())
}
