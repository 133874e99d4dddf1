//! Rows of one parent stand together in their job: what Salesforce works on at the same time then
//! rarely waits for the lock of one.

use std::ops::Range;

use arrow::array::{AsArray, RecordBatch};

use super::order::Place;
use super::pack::{Run, cut, pack};
use super::{Chunk, ChunkError, Part};
use crate::coerce::{CLEAR, Key};
use crate::options::{BATCH_RECORDS, TRANSACTION_RECORDS};
use crate::text::trim;

/// The columns of the cells that name the records which a row locks: its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Rows whose values here name one record are a group.
    pub by: Key,
    /// What else orders the rows of a group.
    pub then: Vec<Key>,
}

/// A row that is sent, by what it is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    group: u64,
    then: u64,
    place: Place,
}

impl Grouping {
    /// Memory that ordering a row takes for a while.
    pub const ROW_BYTES: usize = 2 * size_of::<Row>() + size_of::<Run>();

    /// The parent of each row, as [`key_values`] has it.
    ///
    /// # Errors
    /// [`ChunkError::Schema`] if the cells lack the column.
    pub fn parents(&self, cells: &RecordBatch) -> Result<Vec<Option<u64>>, ChunkError> {
        key_values(cells, &self.by)
    }
}

/// The record that each row names in a column, as half of its digest; `None` if it names none.
///
/// # Errors
/// [`ChunkError::Schema`] if the cells lack the column.
pub fn key_values(cells: &RecordBatch, key: &Key) -> Result<Vec<Option<u64>>, ChunkError> {
    let column = cells.columns().get(key.column);
    let column = column
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or(ChunkError::Schema)?;
    let mut buffer = String::new();
    let values = column.iter().map(|value| {
        let value = value.filter(|value| *value != CLEAR && !trim(value).is_empty())?;
        Some(key.form.digest(value, &mut buffer).low())
    });
    Ok(values.collect())
}

impl Chunk {
    /// Sends rows of one parent side by side, ordered so that borders of internal batches, and in them
    /// of transactions, fall between parents where that is possible. Rows of one parent that are equal
    /// in the other columns too keep their order. Takes long for many rows.
    ///
    /// # Errors
    /// [`ChunkError::Schema`] if the cells lack the columns.
    pub fn grouped(mut self, grouping: &Grouping) -> Result<Self, ChunkError> {
        self.order = None;
        if self.rows <= TRANSACTION_RECORDS {
            return Ok(self);
        }
        let mut rows = Vec::with_capacity(self.rows as usize);
        let mut loose = Vec::new();
        for (part, index) in self.parts.iter().zip(0..) {
            add_rows(part, index, grouping, &mut rows, &mut loose)?;
        }
        if rows.is_empty() {
            return Ok(self);
        }
        rows.sort_unstable();
        let groups: Vec<Range<usize>> = groups_of(&rows);
        let mut order = Vec::with_capacity(rows.len() + loose.len());
        let mut next: Vec<usize> = groups.iter().map(|group| group.start).collect();
        let mut loose = loose.into_iter();
        for run in arranged(&groups, loose.len()) {
            match run.group.map(|group| group as usize) {
                Some(group) => {
                    let from = next[group];
                    next[group] += run.rows;
                    order.extend(rows[from..next[group]].iter().map(|row| row.place));
                }
                None => order.extend(loose.by_ref().take(run.rows)),
            }
        }
        if !order.is_sorted() {
            self.order = Some(order.into());
        }
        Ok(self)
    }
}

/// Adds the rows of a part that are sent to those that name a parent, or to the others.
fn add_rows(
    part: &Part,
    index: u32,
    grouping: &Grouping,
    rows: &mut Vec<Row>,
    loose: &mut Vec<Place>,
) -> Result<(), ChunkError> {
    let parents = key_values(&part.cells, &grouping.by)?;
    let mut then = vec![0; parents.len()];
    for (key, shift) in grouping.then.iter().zip([32, 0]) {
        for (then, value) in then.iter_mut().zip(key_values(&part.cells, key)?) {
            *then |= (value.unwrap_or_default() >> 32) << shift;
        }
    }
    for row in part.runs().into_iter().flatten() {
        let place = Place {
            part: index,
            row: row as u32,
        };
        match parents[row] {
            Some(group) => rows.push(Row {
                group,
                then: then[row],
                place,
            }),
            None => loose.push(place),
        }
    }
    Ok(())
}

/// The rows of each group, those of the group that came first at the front.
fn groups_of(rows: &[Row]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    for same in rows.chunk_by(|a, b| a.group == b.group) {
        let start = groups.last().map_or(0, |last: &Range<usize>| last.end);
        groups.push(start..start + same.len());
    }
    groups
}

/// The groups and so many loose rows, in the order in which they are sent.
fn arranged(groups: &[Range<usize>], loose: usize) -> Vec<Run> {
    let (batch, transaction) = (BATCH_RECORDS as usize, TRANSACTION_RECORDS as usize);
    let runs = groups.iter().zip(0..).map(|(rows, group)| Run {
        group: Some(group),
        rows: rows.len(),
    });
    let batches = cut(&pack(runs, loose, batch, batch), batch);
    let mut arranged = Vec::with_capacity(groups.len());
    for (index, runs) in batches.iter().enumerate() {
        let group = |run: Option<&Run>| run.and_then(|run| run.group);
        let before = index
            .checked_sub(1)
            .and_then(|before| batches[before].last());
        let behind = batches.get(index + 1).and_then(|behind| behind.first());
        // What stands across a border stays there: its two parts are then far from each other in time.
        let first = runs
            .first()
            .filter(|run| run.group.is_some() && run.group == group(before));
        let last = runs
            .last()
            .filter(|run| run.group.is_some() && run.group == group(behind));
        let last = last.filter(|_| runs.len() > 1 || first.is_none());
        let middle = &runs[usize::from(first.is_some())..runs.len() - usize::from(last.is_some())];
        let taken = first.map_or(0, |run| run.rows) % transaction;
        let loose = middle.iter().filter(|run| run.group.is_none());
        let loose = loose.map(|run| run.rows).sum();
        let whole = middle.iter().filter(|run| run.group.is_some()).copied();
        arranged.extend(first);
        arranged.extend(pack(whole, loose, transaction, transaction - taken));
        arranged.extend(last);
    }
    arranged
}

#[cfg(test)]
mod tests;
