//! The object of a record -> the cells of its row.

use std::ops::Range;

use crate::cursor::plain_length;
use crate::keys::{Key, Keys};
use crate::value::{self, Found};
use crate::{Cursor, Syntax, Undecodable};

const NO_OBJECT: &str = "the line is no JSON object";

/// Above this the memory of texts that were made is given back.
const KEPT_BYTES: usize = 64 << 10;

/// What a record has for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// The record lacks the key.
    Missing,
    /// The key is there with null.
    Null,
    /// A text that stands in the line.
    Text(&'a str),
    /// From here to there in the texts that were made.
    Made(usize, usize),
}

/// The values of one record, as [`RowDecoder::read`](crate::RowDecoder::read) left them: what is
/// pushed to its batch once all of the line has been proved.
#[derive(Debug, Default)]
pub struct Cells<'a> {
    /// One a column.
    cells: Vec<Cell<'a>>,
    /// Texts that do not stand in the line as they are, one behind the other.
    made: String,
    /// The record has a key that no column is for.
    unknown_key: bool,
}

impl<'a> Cells<'a> {
    /// No cells, with the memory of these: for the next line.
    #[must_use]
    #[inline]
    pub fn recycle<'to>(mut self) -> Cells<'to> {
        self.cells.clear();
        if self.made.capacity() > KEPT_BYTES {
            self.made = String::new();
        }
        Cells {
            cells: self.cells.into_iter().map(|_| Cell::Missing).collect(),
            made: self.made,
            unknown_key: false,
        }
    }

    /// Reads the object that begins at the cursor, in place of what is here.
    pub(crate) fn read(
        &mut self,
        cursor: &mut Cursor<'a>,
        keys: &mut Keys,
    ) -> Result<(), Undecodable> {
        if cursor.peek() != Some(b'{') {
            return Err(Undecodable::new(NO_OBJECT));
        }
        keys.start_record();
        self.made.clear();
        self.unknown_key = false;
        self.cells.clear();
        self.cells.resize(keys.columns(), Cell::Missing);
        let mut more = cursor.open()?;
        while more {
            let (key, rest) = self.read_steady(cursor.rest(), keys);
            cursor.go_to(rest);
            let key = match key {
                Some(key) => key,
                None => other_key(cursor, keys)?,
            };
            let cell = match cursor.plain_text() {
                Some(text) => Cell::Text(text),
                None => self.other(cursor, key, keys)?,
            };
            self.set(key, cell);
            more = cursor.next_entry()?;
        }
        Ok(())
    }

    /// Reads entries for as long as they are as they mostly are: the key that came at this place last
    /// time, a text without escapes, another entry behind it. Returns the line from the first that is
    /// not, or from its value and the key that was read.
    #[inline]
    fn read_steady(&mut self, line: &'a str, keys: &mut Keys) -> (Option<Key>, &'a str) {
        let mut rest = line;
        while let Some((found, value)) = keys.expected(rest) {
            let key = keys.see(found);
            let Some((text, next)) = text_and_next(value) else {
                return (Some(key), value);
            };
            self.set(key, Cell::Text(text));
            rest = next;
        }
        (None, rest)
    }

    #[inline]
    fn set(&mut self, key: Key, cell: Cell<'a>) {
        match key {
            Key::Column(column) => {
                if let Some(slot) = self.cells.get_mut(column) {
                    *slot = cell;
                }
            }
            Key::Shadowed => {}
            Key::Unknown => self.unknown_key = true,
        }
    }

    /// The cell of a value that is no text without escapes, or has blanks before it.
    #[inline(never)]
    fn other(
        &mut self,
        cursor: &mut Cursor<'a>,
        key: Key,
        keys: &Keys,
    ) -> Result<Cell<'a>, Undecodable> {
        let start = self.made.len();
        if cursor.peek() == Some(b'"') {
            if let Some(text) = cursor.plain_text() {
                return Ok(Cell::Text(text));
            }
            if cursor.unescape_text(&mut self.made).is_some() {
                return Ok(Cell::Made(start, self.made.len()));
            }
            self.made.truncate(start);
        }
        let text = value::text_or_made(cursor.value()?, &mut self.made).map_err(|reason| {
            let field = match key {
                Key::Column(column) => keys.column_name(column),
                Key::Shadowed | Key::Unknown => None,
            };
            Undecodable::new(reason).of_field(field)
        })?;
        Ok(match text {
            Found::Null => Cell::Null,
            Found::Text(text) => Cell::Text(text),
            Found::Made => Cell::Made(start, self.made.len()),
        })
    }

    pub(crate) fn as_slice(&self) -> &[Cell<'a>] {
        &self.cells
    }

    /// The text of [`Cell::Made`].
    pub(crate) fn made(&self, range: Range<usize>) -> &str {
        self.made.get(range).unwrap_or_default()
    }

    pub(crate) fn has_unknown_key(&self) -> bool {
        self.unknown_key
    }
}

/// A text without escapes, and the entry that follows.
#[inline]
fn text_and_next(value: &str) -> Option<(&str, &str)> {
    let inside = value.strip_prefix('"')?;
    let (text, behind) = inside.split_at_checked(plain_length(inside.as_bytes()))?;
    Some((text, behind.strip_prefix("\",")?))
}

/// A key that is not the one that came here last time.
#[inline(never)]
fn other_key(cursor: &mut Cursor<'_>, keys: &mut Keys) -> Result<Key, Syntax> {
    if let Some((found, value)) = keys.expected_later(cursor.rest()) {
        cursor.go_to(value);
        return Ok(keys.see_later(found));
    }
    let start = cursor.position();
    let name = cursor.key()?.text().ok_or(Syntax)?;
    cursor.peek();
    let written = cursor.line().get(start..cursor.position());
    Ok(keys.find(&name, written.unwrap_or_default()))
}
