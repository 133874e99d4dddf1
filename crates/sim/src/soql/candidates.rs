//! Which records of a table a condition can be true of, without reading all of them.

use super::filter::{Checked, Key, Wanted};
use super::parse::Order;
use crate::org::table::{Found, key_digest};
use crate::org::{Kind, Object, Org, id};

/// Numbers of records, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    Range(u32, u32),
    These(Vec<u32>),
}

impl Candidates {
    pub(super) fn numbers(self) -> Box<dyn DoubleEndedIterator<Item = u32>> {
        match self {
            Candidates::Range(first, end) => Box::new(first..end),
            Candidates::These(numbers) => Box::new(numbers.into_iter()),
        }
    }
}

/// The records of an object of which a condition can be true. Records in the recycle bin are in no
/// index.
pub(super) fn candidates(
    org: &Org,
    object: &Object,
    filter: Option<&Checked>,
    with_deleted: bool,
) -> Candidates {
    let total = org.table(&object.name).map_or(0, |table| table.total());
    let mut range = (0, total);
    let one = std::slice::from_ref;
    let parts = match filter {
        Some(Checked::All(parts)) => parts.as_slice(),
        // A condition alone is read as a list of one.
        Some(Checked::Any(parts)) if parts.len() == 1 => parts.as_slice(),
        Some(other) => one(other),
        None => &[],
    };
    for part in parts {
        let part = match part {
            Checked::Any(inner) | Checked::All(inner) if inner.len() == 1 => &inner[0],
            part => part,
        };
        match part {
            Checked::In(field, values) if !with_deleted => {
                if let Some(numbers) = indexed(org, object, *field, values.list()) {
                    return Candidates::These(numbers);
                }
            }
            Checked::Compare(field, order, Wanted::One(Key::Text(text)))
                if object.field("Id") == Some(*field) =>
            {
                let Some(number) = id::number(&object.key_prefix, text) else {
                    continue;
                };
                match order {
                    Order::Less => range.1 = range.1.min(number),
                    Order::LessOrEqual => range.1 = range.1.min(number.saturating_add(1)),
                    Order::More => range.0 = range.0.max(number.saturating_add(1)),
                    Order::MoreOrEqual => range.0 = range.0.max(number),
                }
            }
            _ => {}
        }
    }
    Candidates::Range(range.0.min(range.1), range.1)
}

/// The records that have one of the values in a field with an index.
fn indexed(org: &Org, object: &Object, field: usize, values: &[Wanted]) -> Option<Vec<u32>> {
    // A field of a parent is in no index of the object.
    let described = object.fields.get(field)?;
    let is_id = object.field("Id") == Some(field);
    let is_key = described.external_id && described.unique;
    if !(is_id || is_key) {
        return None;
    }
    let table = org.table(&object.name)?;
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        let Wanted::One(Key::Text(text)) = value else {
            return None;
        };
        if is_id {
            numbers.extend(table.by_id(text));
        } else if described.kind == Kind::Text {
            match table.by_key(field, key_digest(described, text)) {
                Found::Nothing => {}
                Found::One(number) => numbers.push(number),
                Found::Several => return None,
            }
        } else {
            return None;
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}
