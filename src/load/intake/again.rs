//! Rows that come again, after an older attempt has loaded them and could not say so.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use crate::chunk::RowOrdinals;
use crate::coerce::Cells;
use crate::error::Result;
use crate::ledger::{LeftEnd, LoadLedger, Taken};
use crate::load::LoadError;
use crate::load::checkpoint::End;
use crate::load::event::EventSender;
use crate::load::org::Reservation;
use crate::load::settle::row_digests;
use crate::load::state::Load;
use crate::load::submit::deliver_known;
use crate::rows::RowSet;

/// What is expected of older attempts.
pub(super) struct Again {
    ledger: LoadLedger,
    /// Of what is expected.
    memory: Reservation,
}

/// Rows that came again.
pub(super) struct CameAgain {
    taken: Taken,
    all: RowSet,
}

impl Again {
    /// None if nothing is expected.
    pub(super) fn of(load: &Load) -> Option<Self> {
        let ledger = load.ledger.as_ref().filter(|ledger| ledger.left() > 0)?;
        Some(Self {
            ledger: ledger.clone(),
            memory: load.org.budget().reserve(ledger.memory()),
        })
    }

    /// Those of the rows from `first` on that came again; `None` if none did. Rows that are rejected
    /// here never were in a job.
    pub(super) fn take(
        &mut self,
        load: &Load,
        cells: &Cells,
        first: u64,
    ) -> Result<Option<CameAgain>> {
        if self.ledger.left() == 0 {
            return Ok(None);
        }
        let rejected: BTreeSet<usize> = cells.rejects.iter().map(|(row, _)| *row).collect();
        let digests = row_digests(&load.plan.coercion, &cells.batch)?.unwrap_or_default();
        let digests: Vec<_> = digests
            .into_iter()
            .enumerate()
            .filter(|(row, _)| !rejected.contains(row))
            .collect();
        let records = load.plan.receipts.is_some();
        let taken = self.ledger.take(first, &digests, records)?;
        self.memory.resize(self.ledger.memory());
        if taken.rows.is_empty() {
            return Ok(None);
        }
        let mut all = RowSet::new();
        taken.rows.values().for_each(|rows| all.insert_all(rows));
        Ok(Some(CameAgain { taken, all }))
    }
}

impl CameAgain {
    /// All of them.
    pub(super) fn all(&self) -> &RowSet {
        &self.all
    }

    /// The other rows of a batch whose first row has the ordinal `first`: their cells, their ordinals,
    /// and those of them that are rejected, by their place among these cells.
    ///
    /// # Errors
    /// A system error if arrow cannot filter.
    pub(super) fn others(&self, cells: Cells, first: u64) -> Result<(Cells, RowOrdinals)> {
        let rows = cells.batch.num_rows();
        let is_other: Vec<bool> = (0..rows)
            .map(|row| !self.all.contains(first + row as u64))
            .collect();
        let places: Vec<usize> = is_other
            .iter()
            .scan(0, |next, is_other| {
                let place = *next;
                *next += usize::from(*is_other);
                Some(place)
            })
            .collect();
        let ordinals: Vec<u64> = (0..rows)
            .filter(|row| is_other[*row])
            .map(|row| first + row as u64)
            .collect();
        let filtered = filter_record_batch(&cells.batch, &BooleanArray::from(is_other));
        let batch: RecordBatch = filtered.map_err(LoadError::from)?;
        let rejects = cells.rejects.into_iter();
        let others = Cells {
            batch,
            rejects: rejects.map(|(row, reason)| (places[row], reason)).collect(),
        };
        Ok((others, RowOrdinals::Listed(ordinals.into())))
    }

    /// They have their end: they are in Salesforce, or stored as rejected. The receipts of the former
    /// are handed on before.
    ///
    /// # Errors
    /// Those of handing the receipts on.
    pub(super) async fn end(&mut self, load: &Arc<Load>, events: &EventSender) -> Result<()> {
        for (job, records) in std::mem::take(&mut self.taken.records) {
            deliver_known(load, &job, records, events).await?;
        }
        load.books.rows().close(&self.all);
        load.books.came_again(self.all.len());
        for (end, rows) in &self.taken.rows {
            let end = match end {
                LeftEnd::Accepted => End::Accepted,
                LeftEnd::Rejected => End::Rejected,
            };
            load.books.end(rows.ranges(), end);
        }
        Ok(())
    }
}
