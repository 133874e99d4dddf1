//! Rows of cells, their identity, and which of them are sent.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::buffer::{BooleanBuffer, ScalarBuffer};

use crate::rows::RowSet;

/// Ordinals of consecutive rows of cells.
#[derive(Debug, Clone)]
pub enum RowOrdinals {
    /// Ordinal of the first row; the others follow without gaps.
    From(u64),
    /// The ordinal of each row, in any order.
    Listed(ScalarBuffer<u64>),
}

impl RowOrdinals {
    /// The ordinal of a row.
    ///
    /// # Panics
    /// If ordinals are listed and the row has none.
    pub fn of(&self, row: usize) -> u64 {
        match self {
            Self::From(first) => first + row as u64,
            Self::Listed(ordinals) => ordinals[row],
        }
    }

    /// Whether they are the ordinals of this many rows.
    pub(super) fn fit(&self, rows: usize) -> bool {
        match self {
            Self::From(_) => true,
            Self::Listed(ordinals) => ordinals.len() == rows,
        }
    }

    /// Those of `rows` rows from `start` on.
    pub(crate) fn slice(&self, start: usize, rows: usize) -> Self {
        match self {
            Self::From(first) => Self::From(first + start as u64),
            Self::Listed(ordinals) => Self::Listed(ordinals.slice(start, rows)),
        }
    }
}

/// Consecutive rows of one batch of cells.
#[derive(Debug, Clone)]
pub struct Part {
    /// The rows, sharing the buffers of the batch they came in.
    pub cells: RecordBatch,
    /// Who the rows are.
    pub ordinals: RowOrdinals,
    /// True for each row that is not sent. `None`: all are.
    pub skip: Option<BooleanBuffer>,
}

impl Part {
    /// `rows` rows from `start` on, without copying.
    pub(super) fn slice(&self, start: usize, rows: usize) -> Self {
        let skip = self.skip.as_ref().map(|skip| skip.slice(start, rows));
        Self {
            cells: self.cells.slice(start, rows),
            ordinals: self.ordinals.slice(start, rows),
            skip: skip.filter(|skip| skip.count_set_bits() > 0),
        }
    }

    /// True for each row that is sent; `None` if all are.
    pub(super) fn kept(&self) -> Option<BooleanBuffer> {
        self.skip.as_ref().map(|skip| !skip)
    }

    /// Runs of rows that are sent, by position.
    pub(super) fn runs(&self) -> Vec<Range<usize>> {
        match self.kept() {
            Some(kept) => kept.set_slices().map(|(start, end)| start..end).collect(),
            None => std::iter::once(0..self.cells.num_rows()).collect(),
        }
    }

    /// Adds the rows that are sent to a set.
    pub(super) fn add_sent(&self, rows: &mut RowSet) {
        for run in self.runs() {
            match &self.ordinals {
                RowOrdinals::From(first) => {
                    rows.insert_range(first + run.start as u64..first + run.end as u64);
                }
                RowOrdinals::Listed(ordinals) => rows.extend(ordinals[run].iter().copied()),
            }
        }
    }

    /// From the lowest ordinal to behind the highest, skipped rows included; `None` without rows.
    pub(super) fn span(&self) -> Option<Range<u64>> {
        let rows = self.cells.num_rows() as u64;
        match &self.ordinals {
            RowOrdinals::From(first) => (rows > 0).then(|| *first..first + rows),
            RowOrdinals::Listed(ordinals) => {
                let (first, last) = (ordinals.iter().min()?, ordinals.iter().max()?);
                Some(*first..last + 1)
            }
        }
    }
}
