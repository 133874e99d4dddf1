//! What Salesforce would answer to the describe call of a shape's object: the simulated org's
//! fields.

use serde_json::{Value, json};

use super::records::Shape;

/// The simulated org's objects, and what a field says where its object does not say otherwise.
const ORG: &str = include_str!("../../../sim/src/org.json");
const FIELD: &str = include_str!("../../../sim/src/field.json");

/// The describe answer of the object that records of `shape` go to.
///
/// # Errors
/// Only if the simulated org has no such object.
pub(crate) fn describe(shape: Shape) -> serde_json::Result<Value> {
    let org: Value = serde_json::from_str(ORG)?;
    let defaults: Value = serde_json::from_str(FIELD)?;
    let objects = org["objects"].as_array().into_iter().flatten();
    let fields = objects
        .filter(|object| object["name"] == shape.object())
        .flat_map(|object| object["fields"].as_array().into_iter().flatten());
    let id = json!({"name": "Id", "type": "id", "length": 18, "createable": false,
        "updateable": false, "nillable": false, "defaultedOnCreate": true, "idLookup": true});
    let fields = std::iter::once(&id).chain(fields);
    let fields: Vec<Value> = fields.map(|field| overlaid(&defaults, field)).collect();
    Ok(json!({
        "name": shape.object(), "createable": true, "updateable": true, "deletable": true,
        "fields": fields,
    }))
}

fn overlaid(defaults: &Value, field: &Value) -> Value {
    let mut whole = defaults.clone();
    for (key, value) in field.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    whole
}
