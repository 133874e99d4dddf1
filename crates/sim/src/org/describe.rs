//! Completes compact descriptions of objects and fields to describe responses.

use serde_json::{Map, Value, json};

use super::Kind;
use super::record_type::{self, RecordType};

/// The keys of a described field, with the values that apply where nothing else is said.
const FIELD_DEFAULTS: &str = include_str!("field.json");

/// Fields that every object has: name, type, further keys.
const SYSTEM_FIELDS: &[(&str, &str, &str)] = &[
    (
        "IsDeleted",
        "boolean",
        r#"{"label":"Deleted","defaultedOnCreate":true}"#,
    ),
    ("CreatedDate", "datetime", r#"{"defaultedOnCreate":true}"#),
    (
        "CreatedById",
        "reference",
        r#"{"referenceTo":["User"],"relationshipName":"CreatedBy","defaultedOnCreate":true}"#,
    ),
    (
        "LastModifiedDate",
        "datetime",
        r#"{"defaultedOnCreate":true}"#,
    ),
    (
        "LastModifiedById",
        "reference",
        r#"{"referenceTo":["User"],"relationshipName":"LastModifiedBy","defaultedOnCreate":true}"#,
    ),
    (
        "SystemModstamp",
        "datetime",
        r#"{"defaultedOnCreate":true}"#,
    ),
];

/// The keys that the description of a field may have, with their defaults.
pub(crate) fn field_defaults() -> Map<String, Value> {
    serde_json::from_str(FIELD_DEFAULTS).unwrap_or_default()
}

/// The describe response of an object; absent where a field lacks its name or type.
pub(crate) fn object(given: &Value, name: &str, record_types: &[RecordType]) -> Option<Value> {
    let mut fields = vec![described_field(&json!({
        "name": "Id", "label": format!("{} ID", spaced(name)), "type": "id", "length": 18,
        "nillable": false,
        "createable": false, "updateable": false, "idLookup": true, "defaultedOnCreate": true,
        "unique": true,
    }))?];
    for field in given["fields"].as_array()? {
        fields.push(described_field(field)?);
    }
    let has_own = |name: &str| fields.iter().any(|known| known["name"] == name);
    if !record_types.is_empty() && !has_own(record_type::FIELD) {
        fields.push(described_field(&json!({
            "name": record_type::FIELD, "type": "reference", "label": "Record Type ID",
            "referenceTo": [record_type::OBJECT], "relationshipName": record_type::OBJECT,
        }))?);
    }
    for (name, type_name, more) in SYSTEM_FIELDS {
        let mut field = json!({"name": name, "type": type_name, "nillable": false,
            "createable": false, "updateable": false});
        merge(&mut field, &serde_json::from_str(more).ok()?);
        if !fields.iter().any(|known| known["name"] == field["name"]) {
            fields.push(described_field(&field)?);
        }
    }
    let mut describe = summary(given, name);
    describe["fields"] = Value::Array(fields);
    describe["childRelationships"] = json!([]);
    describe["recordTypeInfos"] = record_type::infos(name, record_types);
    Some(describe)
}

/// An object's part of the global describe.
pub(crate) fn summary(given: &Value, name: &str) -> Value {
    let label = spaced(name);
    let mut describe = json!({
        "name": name, "label": label, "labelPlural": format!("{label}s"), "custom": false,
        "createable": true, "updateable": true, "deletable": true, "queryable": true,
        "retrieveable": true, "undeletable": true, "layoutable": true, "searchable": true,
        "triggerable": true, "mergeable": false, "replicateable": true,
        "deprecatedAndHidden": false, "customSetting": false, "activateable": false,
        "associateEntityType": null, "associateParentEntity": null,
        "urls": {
            "sobject": format!("/services/data/v62.0/sobjects/{name}"),
            "describe": format!("/services/data/v62.0/sobjects/{name}/describe"),
            "rowTemplate": format!("/services/data/v62.0/sobjects/{name}/{{ID}}"),
        },
    });
    merge(&mut describe, given);
    if let Some(map) = describe.as_object_mut() {
        for key in ["records", "recordTypes", "validationRules", "fields"] {
            map.remove(key);
        }
    }
    describe
}

/// Completes a field: what its type implies, then what the description says.
fn described_field(given: &Value) -> Option<Value> {
    let name = given["name"].as_str()?;
    let type_name = given["type"].as_str()?;
    let kind = Kind::of(type_name);
    let length = match kind {
        Kind::Id | Kind::Reference => 18,
        Kind::Text | Kind::Email => given["length"].as_u64().unwrap_or(0),
        _ => 0,
    };
    let mut field: Value = serde_json::from_str(FIELD_DEFAULTS).ok()?;
    let of_type = json!({
        "label": spaced(name), "length": length, "byteLength": length * 3,
        "encrypted": type_name == "encryptedstring", "soapType": kind.soap(),
    });
    merge(&mut field, &of_type);
    merge(&mut field, given);
    let shorthand = field.as_object_mut().and_then(|map| map.remove("values"));
    if let Some(Value::Array(values)) = shorthand {
        field["picklistValues"] = values
            .into_iter()
            .map(|value| {
                let default = value == field["defaultValue"];
                json!({"value": value, "label": value, "active": true, "defaultValue": default,
                    "validFor": null})
            })
            .collect();
    }
    Some(field)
}

/// Sets keys of an object.
pub(crate) fn merge(target: &mut Value, more: &Value) {
    let empty = Map::new();
    for (key, value) in more.as_object().unwrap_or(&empty) {
        target[key.as_str()] = value.clone();
    }
}

/// `LastName` as `Last Name`, `Ext_Id__c` as `Ext Id`.
fn spaced(name: &str) -> String {
    let name = name.strip_suffix("__c").unwrap_or(name);
    let mut label = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for letter in name.chars() {
        if letter == '_' {
            label.push(' ');
        } else {
            if letter.is_ascii_uppercase() && previous_lower {
                label.push(' ');
            }
            label.push(letter);
        }
        previous_lower = letter.is_ascii_lowercase();
    }
    label
}

/// Removes the rights to write the object and its fields from a describe response.
pub(crate) fn make_read_only(describe: &mut Value) {
    let take_away = |part: &mut Value| {
        for key in ["createable", "updateable", "deletable"] {
            if let Some(right) = part.get_mut(key) {
                *right = Value::Bool(false);
            }
        }
    };
    take_away(describe);
    let fields = describe.get_mut("fields").and_then(Value::as_array_mut);
    fields.into_iter().flatten().for_each(take_away);
}
