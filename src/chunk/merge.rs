//! Rows of one key become one row, since the inside of a job is processed in no order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;

use super::{Chunk, ChunkError, Part, RowOrdinals, csv, row_sizes};
use crate::coerce::Key;
use crate::options::MAX_RECORD_CHARS;

/// A chunk that holds each key once, and what became of the other rows.
#[derive(Debug)]
pub struct Merged {
    /// The chunk: at most as many bytes as before. Rows of the other lists are skipped in it.
    pub chunk: Chunk,
    /// Digests of the keys of the rows that are sent.
    pub keys: Vec<u128>,
    /// Ordinals of rows that are not sent, each with that of the row which has its cells now, the
    /// last of its key; ascending.
    pub merged: Vec<(u64, u64)>,
    /// Rows that must wait, as the digest of the key and the ordinal, ascending: the key is
    /// blocked, or is sent by an earlier row that cannot take their cells too.
    pub held: Vec<(u128, u64)>,
}

/// A row that is to be sent, and where it stands.
struct Row {
    digest: u128,
    ordinal: u64,
    part: u32,
    row: u32,
}

impl Row {
    fn place(&self) -> (usize, usize) {
        (self.part as usize, self.row as usize)
    }
}

impl Chunk {
    /// Merges rows of one key by cell: the last row by ordinal stays, and takes, for each column in
    /// which it has no value, the last value that an earlier row has. So one update does what all
    /// would have done one after the other. Rows whose key `is_blocked` are held back.
    ///
    /// Where the merged row might be longer than a job takes, the first row is sent alone and the
    /// others are held back. A row without a key is as it was: sent, merged with none, in none of
    /// the lists.
    ///
    /// # Errors
    /// [`ChunkError::Schema`] if the cells have no column of the key; [`ChunkError::Merge`] if
    /// arrow refuses to join cells, only by a defect of this crate.
    pub fn merge(
        mut self,
        key: &Key,
        is_blocked: impl Fn(u128) -> bool,
    ) -> Result<Merged, ChunkError> {
        let (once, repeated) = by_key(keyed_rows(&self.parts, key)?);
        let columns = columns(&self);
        let mut keys = Vec::with_capacity(once.len());
        let (mut merged, mut held, mut rebuilt) = (Vec::new(), Vec::new(), Vec::new());
        let mut unsent = vec![Vec::new(); self.parts.len()];
        let mut skip = |rows: &[Row]| {
            for (part, row) in rows.iter().map(Row::place) {
                unsent[part].push(row);
            }
        };
        let repeated = repeated.chunk_by(|a, b| a.digest == b.digest);
        for rows in once.chunks(1).chain(repeated) {
            let sent = match rows {
                [first, ..] if is_blocked(first.digest) => 0,
                rows if takes_cells(rows, &columns) && !fits(rows, &columns) => 1,
                rows => rows.len(),
            };
            let (rows, waiting) = rows.split_at(sent);
            held.extend(waiting.iter().map(|row| (row.digest, row.ordinal)));
            skip(waiting);
            let Some((last, earlier)) = rows.split_last() else {
                continue;
            };
            keys.push(last.digest);
            merged.extend(earlier.iter().map(|row| (row.ordinal, last.ordinal)));
            if takes_cells(rows, &columns) {
                rebuilt.push(rows);
                skip(rows);
            } else {
                skip(earlier);
            }
        }
        merged.sort_unstable();
        held.sort_unstable();
        rebuilt.sort_unstable_by_key(|rows| rows.last().map(|row| row.ordinal));
        self.skip(unsent)?;
        if !rebuilt.is_empty() {
            self.append(rebuild(&self.schema, &rebuilt, &columns)?)?;
        }
        Ok(Merged {
            chunk: self,
            keys,
            merged,
            held,
        })
    }

    /// Sends these rows of each part no more.
    fn skip(&mut self, unsent: Vec<Vec<usize>>) -> Result<(), ChunkError> {
        let mut sizes = Vec::new();
        for (part, rows) in self.parts.iter_mut().zip(unsent) {
            if rows.is_empty() {
                continue;
            }
            row_sizes(&part.cells, &mut sizes)?;
            self.rows -= rows.len() as u64;
            self.bytes -= rows.iter().map(|row| u64::from(sizes[*row])).sum::<u64>();
            part.skip = Some(csv::mark(part.skip.take(), sizes.len(), rows.into_iter()));
        }
        Ok(())
    }

    /// Sends the rows of this part too.
    fn append(&mut self, part: Part) -> Result<(), ChunkError> {
        let mut sizes = Vec::new();
        row_sizes(&part.cells, &mut sizes)?;
        self.rows += sizes.len() as u64;
        self.bytes += sizes.into_iter().map(u64::from).sum::<u64>();
        self.parts.push(part);
        Ok(())
    }
}

/// The rows that are to be sent and have a key.
fn keyed_rows(parts: &[Part], key: &Key) -> Result<Vec<Row>, ChunkError> {
    let count = parts.iter().map(|part| part.cells.num_rows()).sum();
    let mut rows = Vec::with_capacity(count);
    let mut buffer = String::new();
    for (part, index) in parts.iter().zip(0..) {
        let column = part.cells.columns().get(key.column);
        let cells = column
            .and_then(|column| column.as_string_opt::<i32>())
            .ok_or(ChunkError::Schema)?;
        let sent = part.runs().into_iter().flatten();
        rows.extend(sent.filter(|row| cells.is_valid(*row)).map(|row| Row {
            digest: key.form.digest(cells.value(row), &mut buffer),
            ordinal: part.ordinals.of(row),
            part: index,
            row: row as u32,
        }));
    }
    Ok(rows)
}

/// The rows whose key comes once, and all others, rows of one key side by side in their order.
fn by_key(rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    // Half of a digest is enough to tell the few rows that must be looked at.
    let mut seen: HashMap<u64, usize, BuildHasherDefault<Unhashed>> =
        HashMap::with_capacity_and_hasher(rows.len(), BuildHasherDefault::default());
    let mut again = vec![false; rows.len()];
    for (index, row) in rows.iter().enumerate() {
        match seen.entry(row.digest as u64) {
            Entry::Vacant(first) => {
                first.insert(index);
            }
            Entry::Occupied(first) => {
                again[*first.get()] = true;
                again[index] = true;
            }
        }
    }
    let mut again = again.into_iter();
    let (mut repeated, once): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|_| again.next() == Some(true));
    repeated.sort_unstable_by_key(|row| (row.digest, row.ordinal));
    (once, repeated)
}

/// The hash of a digest is the digest.
#[derive(Debug, Default)]
pub(crate) struct Unhashed(u64);

impl Hasher for Unhashed {
    fn write(&mut self, digest: &[u8]) {
        if let Some(digest) = digest.first_chunk() {
            self.0 = u64::from_ne_bytes(*digest);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A column, as each part holds it.
type Column = Vec<StringArray>;

fn columns(chunk: &Chunk) -> Vec<Column> {
    let part = |part: &Part, index| part.cells.column(index).as_string::<i32>().clone();
    (0..chunk.schema.fields().len())
        .map(|index| chunk.parts.iter().map(|p| part(p, index)).collect())
        .collect()
}

/// The place of the last value that these rows have in a column, or of the last row if none has.
fn latest(rows: &[Row], column: &Column) -> Option<(usize, usize)> {
    let mut places = rows.iter().rev().map(Row::place);
    places
        .find(|(part, row)| column[*part].is_valid(*row))
        .or_else(|| rows.last().map(Row::place))
}

/// Whether the last of these rows lacks a value that an earlier one has.
fn takes_cells(rows: &[Row], columns: &[Column]) -> bool {
    let last = rows.last().map(Row::place);
    rows.len() > 1 && columns.iter().any(|column| latest(rows, column) != last)
}

/// Whether a job takes the merged row, however its values are quoted.
fn fits(rows: &[Row], columns: &[Column]) -> bool {
    let cells = columns.iter().map(|column| {
        latest(rows, column).map_or(0, |(part, row)| column[part].value_length(row) as usize)
    });
    cells
        .map(|length| 2 * length + ",\"\"".len())
        .sum::<usize>()
        <= MAX_RECORD_CHARS
}

/// One row of each group, of the last values of its rows.
fn rebuild(schema: &SchemaRef, groups: &[&[Row]], columns: &[Column]) -> Result<Part, ChunkError> {
    let cells = columns.iter().map(|column| {
        let arrays: Vec<&dyn Array> = column.iter().map(|cells| cells as _).collect();
        let places: Vec<_> = groups
            .iter()
            .filter_map(|rows| latest(rows, column))
            .collect();
        interleave(&arrays, &places)
    });
    let cells = cells.collect::<Result<_, _>>().map_err(ChunkError::Merge)?;
    let cells = RecordBatch::try_new(SchemaRef::clone(schema), cells).map_err(ChunkError::Merge)?;
    let last = groups.iter().filter_map(|rows| rows.last());
    Ok(Part {
        cells,
        ordinals: RowOrdinals::Listed(last.map(|row| row.ordinal).collect()),
        skip: None,
    })
}

#[cfg(test)]
mod tests;
