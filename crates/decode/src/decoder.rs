//! Records of one table -> its source batches.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::keys::Keys;
use crate::rows::Rows;
use crate::{Cells, Cursor, MAX_RECORD_BYTES, SourceSchema, Undecodable};

/// Decodes the records of one table, such as the lines of a file.
///
/// A line that is a record goes to [`Self::line`]. Where the record stands within a message, the
/// message is read by a [`Cursor`], its object by [`Self::read`], and [`Self::push`] adds the row
/// once the whole line has turned out to be well formed: no line ever leaves half a row.
///
/// A key feeds the column of exactly its name, or else the one that differs in letter case alone.
#[derive(Debug)]
pub struct RowDecoder {
    keys: Keys,
    rows: Rows,
    unknown_keys: u64,
    /// Empty, with the memory of the line before.
    spare: Cells<'static>,
}

impl RowDecoder {
    /// A decoder into batches of this schema.
    pub fn new(schema: &SourceSchema) -> Self {
        Self {
            keys: Keys::new(schema.properties()),
            rows: Rows::new(Arc::clone(schema.arrow())),
            unknown_keys: 0,
            spare: Cells::default(),
        }
    }

    /// Decodes a line that is one record, given without its line end; nothing of a line of blanks.
    /// Never panics, whatever the bytes: a line that cannot be decoded is a row too, with its text. A
    /// line of more than [`MAX_RECORD_BYTES`] is not decoded.
    pub fn line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let mut cells = std::mem::take(&mut self.spare).recycle();
        match self.record(line, &mut cells) {
            Ok(()) => self.push(&cells, None, None),
            Err(problem) => self.push_undecodable(line, &problem),
        }
        self.spare = cells.recycle();
    }

    fn record<'a>(&mut self, line: &'a [u8], cells: &mut Cells<'a>) -> Result<(), Undecodable> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(Undecodable::too_long());
        }
        let mut cursor = Cursor::of_line(line)?;
        self.read(&mut cursor, cells)?;
        Ok(cursor.end()?)
    }

    /// Reads the object that begins at the cursor into `cells`, in place of what they held.
    ///
    /// # Errors
    /// If there is no object, or it is no JSON, or a text in it has an escape that stands for no
    /// character. `cells` must not be pushed then.
    #[inline]
    pub fn read<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        cells: &mut Cells<'a>,
    ) -> Result<(), Undecodable> {
        cells.read(cursor, &mut self.keys)
    }

    /// Adds the row of a record: the cells that [`Self::read`] of this decoder left, when the source
    /// emitted it, in milliseconds since 1970, and what happened to its values on the way, as a
    /// compact JSON array.
    ///
    /// # Panics
    /// If another decoder, with another number of columns, left the cells.
    #[inline]
    pub fn push(&mut self, cells: &Cells<'_>, emitted_at: Option<i64>, changes: Option<&str>) {
        assert_eq!(
            cells.as_slice().len(),
            self.keys.columns(),
            "cells of another decoder"
        );
        self.rows.push(cells, emitted_at, changes);
        self.unknown_keys += u64::from(cells.has_unknown_key());
    }

    /// Adds a row for a line that could not be decoded: its text, and why.
    pub fn push_undecodable(&mut self, line: &[u8], problem: &Undecodable) {
        let text = String::from_utf8_lossy(line);
        self.rows.push_raw(&text, &problem.to_string());
    }

    /// Rows that wait.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the rows that wait are 8,192, or have 8 MiB of text: flush them before the next line.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    /// Memory that the rows that wait take, roughly.
    pub fn memory(&self) -> usize {
        self.rows.memory()
    }

    /// Takes the rows that wait; none if no row does.
    pub fn flush(&mut self) -> Option<RecordBatch> {
        self.rows.flush()
    }

    /// How many records so far had a key that no column is for.
    pub fn unknown_keys(&self) -> u64 {
        self.unknown_keys
    }
}
