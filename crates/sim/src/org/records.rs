//! Records as clients read them: what was written, and what the org itself adds.

use std::ops::ControlFlow;

use chrono::{DateTime, SecondsFormat, Utc};

use super::table::{Stamp, Stored};
use super::{Kind, Object, Org, id, reference, value};

/// Records that are read under one lock.
const CHUNK: usize = 1_000;

/// A record: the value of each field, none for null. Moments are as [`value::stored`] has them.
pub(crate) type Record = Vec<Option<String>>;

/// What a table holds of a record.
type Row = (
    String,
    bool,
    std::collections::BTreeMap<usize, Stored>,
    Option<[Stamp; 2]>,
);

/// Reads the records of an object with these numbers one after another, with those in the recycle
/// bin or without, until `each` breaks off.
pub(crate) fn read(
    org: &Org,
    object: &Object,
    with_deleted: bool,
    mut numbers: impl Iterator<Item = u32>,
    mut each: impl FnMut(Record) -> ControlFlow<()>,
) {
    loop {
        let numbers: Vec<u32> = numbers.by_ref().take(CHUNK).collect();
        if numbers.is_empty() {
            return;
        }
        // The Ids of parents are looked up without the lock: they may be in the same table.
        for row in rows(org, object, numbers.into_iter(), with_deleted) {
            if each(completed(org, object, row)).is_break() {
                return;
            }
        }
    }
}

/// Reads one record by its Id, in the recycle bin too or not.
pub(crate) fn one(org: &Org, object: &Object, id: &str, with_deleted: bool) -> Option<Record> {
    let number = id::number(&object.key_prefix, &id::normal(id)?)?;
    let row = rows(org, object, number..number.checked_add(1)?, with_deleted).pop()?;
    Some(completed(org, object, row))
}

fn rows(
    org: &Org,
    object: &Object,
    numbers: impl Iterator<Item = u32>,
    with_deleted: bool,
) -> Vec<Row> {
    let Some(table) = org.table(&object.name) else {
        return Vec::new();
    };
    let found = numbers.filter_map(|number| {
        let is_deleted = table.is_in_bin(number)?;
        if is_deleted && !with_deleted {
            return None;
        }
        let stamps = table.stamps(number).map(|stamps| stamps.map(Stamp::clone));
        Some((table.id(number), is_deleted, table.values(number), stamps))
    });
    found.collect()
}

/// The record of a row with the fields that the org itself writes.
fn completed(org: &Org, object: &Object, (id, is_deleted, values, stamps): Row) -> Record {
    let mut record = vec![None; object.fields.len()];
    for (field, stored) in values {
        record[field] = reference::id_of(org, object, &stored);
    }
    let mut set = |name: &str, text: String| {
        if let Some(field) = object.field(name) {
            record[field].get_or_insert(text);
        }
    };
    set("Id", id);
    set("IsDeleted", is_deleted.to_string());
    if let Some([created, changed]) = stamps {
        set("CreatedDate", moment(created.at));
        set("LastModifiedDate", moment(changed.at));
        set("SystemModstamp", moment(changed.at));
        set("OwnerId", created.user.clone());
        set("CreatedById", created.user);
        set("LastModifiedById", changed.user);
    }
    name_people(object, &mut record);
    for (field, value) in object.fields.iter().zip(&mut record) {
        // A checkbox is never null.
        if field.kind == Kind::Boolean && value.is_none() {
            *value = Some("false".to_owned());
        }
    }
    record
}

/// The name of a person is made of the first and the last one.
fn name_people(object: &Object, record: &mut Record) {
    let parts = ["FirstName", "LastName", "Name"].map(|name| object.field(name));
    let [Some(first), Some(last), Some(name)] = parts else {
        return;
    };
    let parts = [&record[first], &record[last]].into_iter().flatten();
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    if !object.fields[name].createable && !parts.is_empty() {
        record[name] = Some(parts.join(" "));
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A value in JSON: booleans and numbers are no texts, and moments have their offset.
pub(crate) fn json(kind: Kind, text: &str) -> serde_json::Value {
    match kind {
        Kind::Boolean => (text.eq_ignore_ascii_case("true") || text == "1").into(),
        Kind::Int | Kind::Long | Kind::Double => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        Kind::DateTime => {
            value::date_time(text).map_or_else(|| text.into(), |at| value::with_offset(at).into())
        }
        _ => text.into(),
    }
}
