//! Lookups: whether the record that a row refers to is there.

use super::id;
use super::index::Found;
use super::org::{Field, Kind, Object};
use super::record_type;
use super::rules::{DELETED, NO_SUCH_RECORD};
use super::state::Shared;
use super::table::{self, Held};
use super::validate;

/// Finds the record of a parent object that has a value in one of its indexed fields.
///
/// `child` is the object whose row refers to it: of record types only its own are found.
pub(crate) fn find(
    shared: &Shared,
    child: &Object,
    parent: &Object,
    by: usize,
    value: &str,
) -> Found {
    let field = &parent.fields[by];
    if parent.name == record_type::OBJECT {
        let mut found = record_type::by_field(child, &field.name, value);
        return match (found.next(), found.next()) {
            (None, _) => Found::Nothing,
            (Some(only), None) => Found::One(only.number),
            (Some(_), Some(_)) => Found::Several,
        };
    }
    let Some(table) = shared.table(&parent.name) else {
        return Found::Nothing;
    };
    if field.kind == Kind::Id {
        table.by_id(value).map_or(Found::Nothing, Found::One)
    } else {
        table.by_key(by, table::key_digest(field, value))
    }
}

/// The Id of the record that a held value refers to.
pub(crate) fn id_of(shared: &Shared, child: &Object, held: &Held) -> Option<String> {
    match held {
        Held::Null => None,
        Held::Text(id) => Some(id.clone()),
        Held::Lookup { parent, by, text } => {
            let parent = shared.org.object(parent)?;
            match find(shared, child, parent, *by, text) {
                Found::One(number) => Some(id::make(&parent.key_prefix, number)),
                Found::Nothing | Found::Several => None,
            }
        }
    }
}

/// Checks a value in a relationship column.
pub(crate) fn by_key(
    shared: &Shared,
    child: &Object,
    parent: &str,
    by: usize,
    value: &str,
) -> Result<(), String> {
    let Some(object) = shared.org.object(parent) else {
        return Ok(());
    };
    let Field { name, label, .. } = &object.fields[by];
    match find(shared, child, object, by, value) {
        Found::One(_) => Ok(()),
        Found::Nothing => Err(format!(
            "INVALID_FIELD:Foreign key external ID: {value} not found for field {name} in entity \
             {parent}:--"
        )),
        Found::Several => Err(format!(
            "DUPLICATE_EXTERNAL_ID:{label}: more than one record found for external id field: \
             [{value}]:--"
        )),
    }
}

/// Checks an Id in a lookup field.
pub(crate) fn by_id(
    shared: &Shared,
    child: &Object,
    field: &Field,
    value: &str,
) -> Result<(), String> {
    if field.name == record_type::FIELD {
        return record_type::by_id(child, value).map(|_| ());
    }
    let parents: Vec<_> = field
        .reference_to
        .iter()
        .map(|parent| shared.org.object(parent))
        .collect();
    let Some(normal) = id::normal(value) else {
        return Ok(());
    };
    let parent = parents
        .iter()
        .flatten()
        .find(|parent| normal.starts_with(&parent.key_prefix));
    let Some(parent) = parent else {
        if parents.iter().any(Option::is_none) {
            return Ok(());
        }
        return Err(validate::malformed_id(field, value));
    };
    let Some(table) = shared.table(&parent.name) else {
        return Ok(());
    };
    if table.by_id(&normal).is_some() || !shared.options().check_references {
        Ok(())
    } else if table.is_deleted(&normal) {
        Err(DELETED.to_owned())
    } else {
        Err(NO_SUCH_RECORD.to_owned())
    }
}
