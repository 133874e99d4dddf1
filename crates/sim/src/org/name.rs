//! `Name`: what Salesforce shows of a parent that may be of several objects.
//!
//! [Its fields](https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_name.htm),
//! without the profile, the role and when it was looked at.

use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::records::Record;
use super::schema::{self, Object};

/// The names of the object and of its field for the name, and what stands in for that where an
/// object has none.
const NAME: &str = "Name";
const OTHER_NAMES: [&str; 2] = ["CaseNumber", "Subject"];
/// The objects of owners: of other records `Alias`, `Email` and their like are not shown.
const OWNERS: [&str; 2] = ["User", "Group"];
/// What is shown of records that are no owners.
const OF_ALL: [&str; 4] = ["Id", NAME, "FirstName", "LastName"];

/// The object; nothing is stored in it.
pub(crate) fn object() -> Option<Arc<Object>> {
    static MADE: OnceLock<Option<Arc<Object>>> = OnceLock::new();
    MADE.get_or_init(|| made().map(Arc::new)).clone()
}

fn made() -> Option<Object> {
    let text =
        |name: &str, kind: &str, length: u16| json!({"name": name, "type": kind, "length": length});
    let given = json!({"name": NAME, "keyPrefix": "", "queryable": false, "fields": [
        text("Alias", "string", 8),
        text("Email", "email", 80),
        text("FirstName", "string", 40),
        {"name": "IsActive", "type": "boolean"},
        text("LastName", "string", 80),
        text(NAME, "string", 255),
        text("Phone", "phone", 40),
        text("Title", "string", 80),
        text("Type", "picklist", 40),
        text("Username", "string", 80),
    ]});
    let own = given["fields"].as_array().map_or(0, Vec::len);
    let mut object = schema::object(&given, Vec::new(), Vec::new())?;
    // It has none of the fields that every other object has, but for the Id.
    for field in own + 1..object.fields.len() {
        object.hide(field);
    }
    Some(object)
}

/// The value of a field of the object for a record of another one.
pub(crate) fn value(field: &str, object: &Object, record: &Record) -> Option<String> {
    let of = |name: &str| object.field(name).and_then(|field| record[field].clone());
    match field {
        "Type" => Some(object.name.clone()),
        NAME => [NAME].iter().chain(&OTHER_NAMES).find_map(|name| of(name)),
        field if OF_ALL.contains(&field) || OWNERS.contains(&object.name.as_str()) => of(field),
        _ => None,
    }
}
