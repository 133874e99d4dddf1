//! Uploaded rows: what their columns write, and what a table needs of them.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::csv::File;
use crate::org::columns::Column;
use crate::org::{Field, Object, value};

/// An uploaded file and what its columns write.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) file: File,
    pub(crate) columns: Vec<Column>,
}

impl Upload {
    /// The position of the column that writes a field directly.
    pub(crate) fn position(&self, field: usize) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| *column == Column::Field(field))
    }
}

/// The digest of a key's normal form. The odds that two of ten million keys share one are 1 to
/// 400,000.
pub(crate) fn key_digest(field: &Field, value: &str) -> u64 {
    xxh3_64(value::key(field, value).as_bytes())
}

/// Whether rows can be found by the values of a field.
pub(super) fn is_key(field: &Field) -> bool {
    field.name != "Id" && (field.external_id || field.unique || field.id_lookup)
}

/// What a table needs of a row.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The number of the upload in the table.
    pub(crate) upload: u32,
    /// The number of the row in the upload.
    pub(crate) row: u32,
    /// The digest of all values.
    pub(crate) digest: u64,
    /// The key fields that the row writes, each with the digest of its value; none for null.
    pub(crate) keys: Vec<(usize, Option<u64>)>,
}

impl Entry {
    pub(crate) fn new(
        object: &Object,
        upload: &Upload,
        number: u32,
        row: usize,
        values: &[Cow<'_, str>],
    ) -> Entry {
        let mut entry = Entry {
            upload: number,
            row: u32::try_from(row).unwrap_or(u32::MAX),
            digest: 0,
            keys: Vec::new(),
        };
        for (column, value) in upload.columns.iter().zip(values) {
            if value.is_empty() {
                continue;
            }
            let index = column.field();
            let field = &object.fields[index];
            let direct = *column == Column::Field(index);
            let stored = direct.then(|| value::stored(field, value)).flatten();
            let stored = stored.as_deref().unwrap_or(value);
            entry.digest = entry.digest.wrapping_add(value_digest(index, stored));
            if direct && is_key(field) {
                let digest = (!value::is_null(value)).then(|| key_digest(field, value));
                entry.keys.push((index, digest));
            }
        }
        entry
    }
}

/// A value as the org stores it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    Text(String),
    Null,
    /// A lookup by another field of the parent.
    Lookup {
        parent: String,
        by: usize,
        text: String,
    },
}

impl Stored {
    /// What the org stores of a value that a column writes.
    pub(crate) fn of(object: &Object, column: &Column, value: &str) -> Stored {
        match column {
            _ if value::is_null(value) => Stored::Null,
            Column::Field(field) => value::stored(&object.fields[*field], value)
                .map_or(Stored::Null, |text| Stored::Text(text.into_owned())),
            Column::Lookup { parent, by, .. } => Stored::Lookup {
                parent: parent.clone(),
                by: *by,
                text: value.to_owned(),
            },
        }
    }
}

/// A value's part of the digest of its row, which is the sum of the parts in any order.
pub(super) fn value_digest(field: usize, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), field as u64)
}
