//! Lookups: whether the record that a row refers to exists.

use super::table::{self, Found, Stored};
use super::{Field, Kind, Object, Org, id, record_type, value};

/// The error of an Id that no record has.
pub(crate) const NO_SUCH_RECORD: &str = "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--";
/// The error of an Id whose record is in the recycle bin.
pub(crate) const DELETED: &str = "ENTITY_IS_DELETED:entity is deleted:--";

/// Finds the record of a parent object that has a value in one of its indexed fields.
///
/// `child` is the object whose row refers to it. Of record types, only its own are found.
pub(crate) fn find(org: &Org, child: &Object, parent: &Object, by: usize, value: &str) -> Found {
    let field = &parent.fields[by];
    if parent.name == record_type::OBJECT {
        let mut found = record_type::by_field(child, &field.name, value);
        return match (found.next(), found.next()) {
            (None, _) => Found::Nothing,
            (Some(only), None) => Found::One(only.number),
            (Some(_), Some(_)) => Found::Several,
        };
    }
    let Some(table) = org.table(&parent.name) else {
        return Found::Nothing;
    };
    if field.kind == Kind::Id {
        table.by_id(value).map_or(Found::Nothing, Found::One)
    } else {
        table.by_key(by, table::key_digest(field, value))
    }
}

/// The Id of the record that a stored value refers to.
pub(crate) fn id_of(org: &Org, child: &Object, stored: &Stored) -> Option<String> {
    match stored {
        Stored::Null => None,
        Stored::Text(id) => Some(id.clone()),
        Stored::Lookup { parent, by, text } => {
            let parent = org.object(parent)?;
            match find(org, child, parent, *by, text) {
                Found::One(number) => Some(id::make(&parent.key_prefix, number)),
                Found::Nothing | Found::Several => None,
            }
        }
    }
}

/// Checks a value in a relationship column.
pub(crate) fn by_key(
    org: &Org,
    child: &Object,
    parent: &str,
    by: usize,
    value: &str,
) -> Result<(), String> {
    let Some(object) = org.object(parent) else {
        return Ok(());
    };
    let Field { name, label, .. } = &object.fields[by];
    match find(org, child, object, by, value) {
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

/// Checks an Id in a lookup field; with `exists`, also that it has a record.
pub(crate) fn by_id(
    org: &Org,
    child: &Object,
    field: &Field,
    value: &str,
    exists: bool,
) -> Result<(), String> {
    if field.name == record_type::FIELD {
        return record_type::by_id(child, value).map(|_| ());
    }
    let parents: Vec<_> = field
        .reference_to
        .iter()
        .map(|parent| org.object(parent))
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
        return Err(value::malformed_id(field, value));
    };
    let Some(table) = org.table(&parent.name) else {
        return Ok(());
    };
    if table.by_id(&normal).is_some() || !exists {
        Ok(())
    } else if table.is_deleted(&normal) {
        Err(DELETED.to_owned())
    } else {
        Err(NO_SUCH_RECORD.to_owned())
    }
}
