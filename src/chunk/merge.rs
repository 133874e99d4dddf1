//! Rows of one key become one row, since the inside of a job is processed in no order.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;

use super::{Chunk, ChunkError, Part, RowOrdinals, csv, row_sizes};
use crate::coerce::Key;
use crate::options::MAX_RECORD_CHARS;
use crate::rows::{KeyDigest, KeySet, MergedRow, WaitingRow};

/// A chunk that holds each key once, and what became of the other rows.
#[derive(Debug)]
pub struct Merged {
    /// The chunk: at most as many bytes as before. Rows of the other lists are skipped in it.
    pub chunk: Chunk,
    /// The keys of the rows that are sent, in the order of their ordinals.
    pub keys: Vec<KeyDigest>,
    /// Rows that are not sent, each with the row that has its cells now, the last of its key;
    /// ascending.
    pub merged: Vec<MergedRow>,
    /// Rows that must wait, ascending by key: it is blocked, or is sent by an earlier row that
    /// cannot take their cells too.
    pub waiting: Vec<WaitingRow>,
}

/// A row that is to be sent, and where it stands.
#[derive(Debug)]
struct Row {
    digest: KeyDigest,
    ordinal: u64,
    part: u32,
    row: u32,
}

impl Row {
    /// Its part, and its position there.
    fn position(&self) -> (usize, usize) {
        (self.part as usize, self.row as usize)
    }
}

/// A chunk whose rows are grouped by key, not merged yet.
#[derive(Debug)]
pub struct KeyedChunk {
    chunk: Chunk,
    /// Rows whose key no other row has.
    once: Vec<Row>,
    /// All others that have a key, rows of one key side by side in their order.
    repeated: Vec<Row>,
}

impl Chunk {
    /// Groups the rows by key. This and [`KeyedChunk::merge`] take long for many rows; what needs
    /// to know which keys are in use, [`KeyedChunk::blocked`], stands between them and does not.
    ///
    /// # Errors
    /// [`ChunkError::Schema`] if the cells have no column of the key.
    pub fn by_key(self, key: &Key) -> Result<KeyedChunk, ChunkError> {
        let (once, repeated) = grouped(keyed_rows(&self.parts, key)?);
        Ok(KeyedChunk {
            chunk: self,
            once,
            repeated,
        })
    }
}

impl KeyedChunk {
    /// Those of its keys that `is_blocked`, which is asked once a key.
    pub fn blocked(&self, is_blocked: impl Fn(KeyDigest) -> bool) -> KeySet {
        let repeated = self.repeated.chunk_by(|a, b| a.digest == b.digest);
        let repeated = repeated.filter_map(|rows| rows.first());
        let keys = self.once.iter().chain(repeated).map(|row| row.digest);
        keys.filter(|key| is_blocked(*key)).collect()
    }

    /// Merges rows of one key by cell: the last row by ordinal stays, and takes, for each column in
    /// which it has no value, the last value that an earlier row has. So one update does what all
    /// would have done one after the other. Rows whose key is `blocked` must wait.
    ///
    /// Where the merged row might be longer than a job takes, the first row is sent alone and the
    /// others must wait. A row without a key is as it was: sent, merged with none, in none of the
    /// lists.
    ///
    /// # Errors
    /// [`ChunkError::Merge`] if arrow refuses to join cells, only by a defect of this crate.
    pub fn merge(self, blocked: &KeySet) -> Result<Merged, ChunkError> {
        let Self {
            mut chunk,
            once,
            repeated,
        } = self;
        let columns = columns(&chunk);
        let mut keys = Keys::with_capacity(once.len());
        let (mut merged, mut waiting, mut rebuilt) = (Vec::new(), Vec::new(), Vec::new());
        let mut unsent = vec![Vec::new(); chunk.parts.len()];
        let mut skip = |rows: &[Row]| {
            for (part, row) in rows.iter().map(Row::position) {
                unsent[part].push(row);
            }
        };
        let repeated = repeated.chunk_by(|a, b| a.digest == b.digest);
        for rows in once.chunks(1).chain(repeated) {
            let sent = match rows {
                [first, ..] if blocked.contains(&first.digest) => 0,
                rows if takes_cells(rows, &columns) && !fits(rows, &columns) => 1,
                rows => rows.len(),
            };
            let (rows, later) = rows.split_at(sent);
            waiting.extend(later.iter().map(|row| WaitingRow {
                key: row.digest,
                row: row.ordinal,
            }));
            skip(later);
            let Some((last, earlier)) = rows.split_last() else {
                continue;
            };
            keys.push(last);
            merged.extend(earlier.iter().map(|row| MergedRow {
                row: row.ordinal,
                into: last.ordinal,
            }));
            if takes_cells(rows, &columns) {
                rebuilt.push(rows);
                skip(rows);
            } else {
                skip(earlier);
            }
        }
        merged.sort_unstable();
        waiting.sort_unstable();
        rebuilt.sort_unstable_by_key(|rows| rows.last().map(|row| row.ordinal));
        chunk.skip(unsent)?;
        if !rebuilt.is_empty() {
            chunk.append(rebuild(&chunk.schema, &rebuilt, &columns)?)?;
        }
        Ok(Merged {
            chunk,
            keys: keys.in_order(),
            merged,
            waiting,
        })
    }
}

impl Chunk {
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

/// The keys of rows that are sent.
struct Keys {
    digests: Vec<KeyDigest>,
    ordinals: Vec<u64>,
}

impl Keys {
    fn with_capacity(rows: usize) -> Self {
        Self {
            digests: Vec::with_capacity(rows),
            ordinals: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, row: &Row) {
        self.digests.push(row.digest);
        self.ordinals.push(row.ordinal);
    }

    /// In the order of the ordinals of their rows.
    fn in_order(self) -> Vec<KeyDigest> {
        let Self { digests, ordinals } = self;
        if ordinals.is_sorted() {
            return digests;
        }
        let mut all: Vec<_> = ordinals.into_iter().zip(digests).collect();
        all.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        all.into_iter().map(|(_, digest)| digest).collect()
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
fn grouped(rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    let repeated = repeated(&rows);
    if repeated.is_empty() {
        return (rows, Vec::new());
    }
    let mut repeated = repeated.into_iter();
    let (mut repeated, once): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|_| repeated.next() == Some(true));
    repeated.sort_unstable_by_key(|row| (row.digest, row.ordinal));
    (once, repeated)
}

/// True for each row of which another one has the key; empty if there is none such.
fn repeated(rows: &[Row]) -> Vec<bool> {
    const FREE: u32 = u32::MAX;
    // The first row of each key, where half of its digest says or behind that: half is enough to find
    // the few rows that must be looked at, and a map of the standard library takes four times the memory.
    let mut firsts = vec![FREE; (rows.len() * 2).next_power_of_two()];
    let last_place = firsts.len() - 1;
    let mut repeated = Vec::new();
    for (row, index) in rows.iter().zip(0..FREE) {
        let mut place = row.digest.low() as usize & last_place;
        loop {
            let first = firsts[place];
            if first == FREE {
                firsts[place] = index;
                break;
            }
            if rows[first as usize].digest.low() == row.digest.low() {
                repeated.resize(rows.len(), false);
                repeated[first as usize] = true;
                repeated[index as usize] = true;
                break;
            }
            place = (place + 1) & last_place;
        }
    }
    repeated
}

/// A column, as each part holds it.
type Column = Vec<StringArray>;

fn columns(chunk: &Chunk) -> Vec<Column> {
    let part = |part: &Part, index| part.cells.column(index).as_string::<i32>().clone();
    (0..chunk.schema.fields().len())
        .map(|index| chunk.parts.iter().map(|p| part(p, index)).collect())
        .collect()
}

/// The position of the last value that these rows have in a column, or of the last row if none has.
fn latest(rows: &[Row], column: &Column) -> Option<(usize, usize)> {
    let mut positions = rows.iter().rev().map(Row::position);
    positions
        .find(|(part, row)| column[*part].is_valid(*row))
        .or_else(|| rows.last().map(Row::position))
}

/// Whether the last of these rows lacks a value that an earlier one has.
fn takes_cells(rows: &[Row], columns: &[Column]) -> bool {
    let last = rows.last().map(Row::position);
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
        let positions: Vec<_> = groups
            .iter()
            .filter_map(|rows| latest(rows, column))
            .collect();
        interleave(&arrays, &positions)
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
