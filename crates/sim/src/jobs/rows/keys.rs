//! The key of a row, which finds its record: an Id or an external ID.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::jobs::job::Operation;
use crate::org::table::{self, Upload};
use crate::org::{Field, Kind, Object, value};

/// Rows that are saved in one transaction.
pub(crate) const TRANSACTION_ROWS: usize = 200;

/// What finds the record of a row.
#[derive(Debug)]
pub(crate) enum Key {
    None,
    Id(String),
    /// The digest of an external ID, and its text.
    Digest(u64, String),
}

/// The keys of a job's rows.
#[derive(Debug)]
pub(crate) struct Keys {
    operation: Operation,
    /// The field that finds records, and the column that holds it.
    field: Option<(usize, Option<usize>)>,
    /// Digests of the keys that are repeated: external IDs within the upload, Ids within a
    /// transaction.
    repeated: HashSet<u64>,
}

/// The key of a row after its check.
#[derive(Debug)]
pub(crate) enum KeyCheck {
    Good(Key),
    /// Why the row fails.
    Bad(Key, String),
    /// An external ID without a value, and why the row fails.
    Blank(String),
}

impl Keys {
    pub(crate) fn new(
        object: &Object,
        operation: Operation,
        external_id: Option<usize>,
        upload: &Upload,
    ) -> Keys {
        let field = match operation {
            Operation::Insert => None,
            Operation::Upsert => external_id,
            Operation::Update | Operation::Delete | Operation::HardDelete => object.field("Id"),
        };
        let field = field.map(|field| (field, upload.position(field)));
        let repeated = match field {
            Some((field, Some(position))) => repeated(&object.fields[field], position, upload),
            _ => HashSet::new(),
        };
        Keys {
            operation,
            field,
            repeated,
        }
    }

    /// The field that finds records, by its index in the object.
    pub(crate) fn field(&self) -> Option<usize> {
        self.field.map(|(field, _)| field)
    }

    /// Checks the key of a row.
    pub(crate) fn check(&self, object: &Object, row: usize, values: &[Cow<'_, str>]) -> KeyCheck {
        let Some((field, position)) = self.field else {
            return KeyCheck::Good(Key::None);
        };
        let field = &object.fields[field];
        let value = position.map_or("", |position| values[position].as_ref());
        if value.trim().is_empty() || value::is_null(value) {
            return match (self.operation, field.kind) {
                (Operation::Upsert, Kind::Id) => KeyCheck::Good(Key::None),
                (Operation::Upsert, _) => {
                    KeyCheck::Blank(format!("MISSING_ARGUMENT:{} not specified:--", field.name))
                }
                (operation, _) => {
                    let call = operation.call();
                    let error = format!("MISSING_ARGUMENT:Id not specified in {call} call:--");
                    KeyCheck::Bad(Key::None, error)
                }
            };
        }
        let digest = table::key_digest(field, value);
        let repeated = self.repeated.contains(&within(field, row, digest));
        let (key, what) = if field.kind == Kind::Id {
            (Key::Id(value.to_owned()), "id")
        } else {
            (Key::Digest(digest, value.to_owned()), "external id")
        };
        if !repeated {
            return KeyCheck::Good(key);
        }
        let name = &field.name;
        let error = format!("DUPLICATE_VALUE:Duplicate {what} specified: {value}:{name} --");
        KeyCheck::Bad(key, error)
    }
}

/// Digests of the keys that are repeated where they must not be.
fn repeated(field: &Field, position: usize, upload: &Upload) -> HashSet<u64> {
    let mut seen = HashSet::new();
    let mut repeated = HashSet::new();
    let mut values = Vec::new();
    for row in 0..upload.file.rows() {
        upload.file.split(row, &mut values);
        if values[position].is_empty() {
            continue;
        }
        let digest = within(field, row, table::key_digest(field, &values[position]));
        if !seen.insert(digest) {
            repeated.insert(digest);
        }
    }
    repeated
}

/// A key's digest, different in each part of the upload within which the key must be unique: for
/// an Id, in each transaction.
fn within(field: &Field, row: usize, digest: u64) -> u64 {
    let transaction = if field.kind == Kind::Id {
        row / TRANSACTION_ROWS
    } else {
        0
    };
    digest ^ (transaction as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
