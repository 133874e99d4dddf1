//! The data of a record -> the cells of its row.

use std::borrow::Cow;

use super::cursor::{Cursor, Syntax};
use super::keys::{Key, Keys};
use super::undecodable::{NO_OBJECT, Undecodable};
use super::value::{self, Cell};

/// Reads the data of a record, one cell a column; answers whether it has a key without a column.
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    keys: &mut Keys,
    cells: &mut Vec<Cell<'a>>,
) -> Result<bool, Undecodable> {
    if cursor.peek() != Some(b'{') {
        return Err(Undecodable::new(NO_OBJECT));
    }
    keys.start_record();
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
                    Undecodable::of_field(reason, field)
                })?
                .into(),
        };
        if let Some(place) = column.and_then(|column| cells.get_mut(column)) {
            *place = cell;
        }
        more = cursor.next_entry()?;
    }
    Ok(unknown_key)
}

#[inline]
fn next_key(cursor: &mut Cursor<'_>, keys: &mut Keys) -> Result<Key, Syntax> {
    if let Some((key, length)) = keys.expected(cursor.rest()) {
        cursor.advance(length);
        return Ok(key);
    }
    let name = value::text(cursor.key()?).ok_or(Syntax)?;
    Ok(keys.find(&name))
}
