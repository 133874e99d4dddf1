//! The object of a record -> the cells of its row.

use std::borrow::Cow;

use crate::keys::{Key, Keys};
use crate::value;
use crate::{Cursor, Syntax, Undecodable};

const NO_OBJECT: &str = "the line is no JSON object";

/// What a record has for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// The record lacks the key.
    Missing,
    /// The key is there with null.
    Null,
    Text(Cow<'a, str>),
}

impl<'a> From<value::Text<'a>> for Cell<'a> {
    fn from(text: value::Text<'a>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// The values of one record, as [`RowDecoder::read`](crate::RowDecoder::read) left them: what is
/// pushed to its batch once all of the line has been proved.
#[derive(Debug, Default)]
pub struct Cells<'a> {
    /// One a column.
    cells: Vec<Cell<'a>>,
    /// The record has a key that no column is for.
    unknown_key: bool,
}

impl<'a> Cells<'a> {
    /// No cells, with the memory of these: for the next line.
    #[must_use]
    pub fn recycle<'to>(mut self) -> Cells<'to> {
        self.cells.clear();
        Cells {
            cells: self.cells.into_iter().map(|_| Cell::Missing).collect(),
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
        let cells = &mut self.cells;
        cells.clear();
        cells.extend((0..keys.columns()).map(|_| Cell::Missing));
        let mut unknown_key = false;
        let mut more = cursor.open()?;
        while more {
            let key = next_key(cursor, keys)?;
            unknown_key |= key == Key::Unknown;
            let column = match key {
                Key::Column(column) => Some(column),
                Key::Shadowed | Key::Unknown => None,
            };
            let cell = match cursor.plain_text() {
                Some(text) => Cell::Text(Cow::Borrowed(text)),
                None => value::cell(cursor.value()?)
                    .map_err(|reason| {
                        let field = column.and_then(|column| keys.column_name(column));
                        Undecodable::new(reason).of_field(field)
                    })?
                    .into(),
            };
            if let Some(slot) = column.and_then(|column| cells.get_mut(column)) {
                *slot = cell;
            }
            more = cursor.next_entry()?;
        }
        self.unknown_key = unknown_key;
        Ok(())
    }

    pub(crate) fn as_slice(&self) -> &[Cell<'a>] {
        &self.cells
    }

    pub(crate) fn has_unknown_key(&self) -> bool {
        self.unknown_key
    }
}

#[inline]
fn next_key(cursor: &mut Cursor<'_>, keys: &mut Keys) -> Result<Key, Syntax> {
    if let Some((key, length)) = keys.expected(cursor.rest()) {
        cursor.advance(length);
        return Ok(key);
    }
    let name = cursor.key()?.text().ok_or(Syntax)?;
    Ok(keys.find(&name))
}
