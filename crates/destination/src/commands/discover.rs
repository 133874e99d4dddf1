//! `discover`: what can be done to which objects, and with which fields.

use std::collections::BTreeMap;
use std::path::Path;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::rotation;
use super::stop::Stop;
use crate::config::Config;
use crate::protocol::message::{DestinationCatalog, Message};
use crate::protocol::output::Output;
use arrow_salesforce::bulk::{COMPOSITE_REQUESTS, Client, Described};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::object::{self, Field, FieldType, ListedObject, ObjectSchema};

/// Composite requests at once: each response is several megabytes.
const CALLS: usize = 4;

/// Prints what the org of the config at `path` can take.
///
/// # Errors
/// A config or transient error if the org cannot be asked, or if a signal comes first.
pub(super) async fn run(path: &Path, output: &Output, stop: &Stop) -> Result<()> {
    let config = Config::read(path)?;
    let login = rotation::login(&config, output).connect();
    let client = stop
        .unless_asked_for_long(login)
        .await?
        .map_err(Error::from)?;
    let catalog = stop.unless_asked(catalog(&config, &client)).await??;
    output.print(&Message::DestinationCatalog {
        destination_catalog: catalog,
    })
}

/// All that the org can take.
async fn catalog(config: &Config, client: &Client) -> Result<DestinationCatalog> {
    let listed = object::list(&client.sobjects().await?)?;
    let names = selected(&listed, config.discover_system_objects);
    tracing::info!(
        listed = listed.len(),
        described = names.len(),
        "objects of the org, and those of them that the user can write"
    );
    let mut parts = stream::iter(names.chunks(COMPOSITE_REQUESTS))
        .map(|objects| part(client, objects))
        .buffered(CALLS);
    let mut all = Part::default();
    while let Some(part) = parts.try_next().await? {
        all.operations.extend(part.operations);
        for (field_type, field) in part.unknown_types {
            all.unknown_types.entry(field_type).or_insert(field);
        }
    }
    for (field_type, field) in &all.unknown_types {
        tracing::warn!(
            field_type,
            field,
            "fields of a type that this version does not know are written as texts"
        );
    }
    Ok(DestinationCatalog {
        operations: all.operations,
    })
}

/// What some of the objects can take.
#[derive(Debug, Default)]
struct Part {
    /// As texts: the describes, which are far larger, go at once.
    operations: Vec<Box<RawValue>>,
    /// Field types that are unknown here, each with the first field that has it.
    unknown_types: BTreeMap<String, String>,
}

/// The objects to describe, in the order of the list.
fn selected(listed: &[ListedObject], system_objects: bool) -> Vec<String> {
    listed
        .iter()
        .filter(|object| object.is_writable())
        .filter(|object| system_objects || !object.is_systems_own())
        .map(|object| object.name.clone())
        .collect()
}

async fn part(client: &Client, objects: &[String]) -> Result<Part> {
    let mut part = Part::default();
    for Described { object, describe } in client.describe_many(objects).await? {
        let described = describe.map_err(Error::from).and_then(|describe| {
            let object = ObjectSchema::from_describe(describe.get().as_bytes())?;
            Ok(object)
        });
        match described {
            Ok(object) => {
                note_unknown_types(&object, &mut part.unknown_types);
                for operation in operations_on(&object) {
                    part.operations
                        .push(to_raw_value(&operation).map_err(|error| {
                            Error::system("an operation cannot be printed").with_source(error)
                        })?);
                }
            }
            Err(reason) => {
                tracing::warn!(object, %reason, "an object is left out: it has no describe");
            }
        }
    }
    Ok(part)
}

/// One thing that can be done to an object.
#[derive(Debug, Serialize)]
struct OperationOn<'a> {
    object_name: &'a str,
    sync_mode: &'static str,
    json_schema: JsonSchema<'a>,
    /// Alternatives, each the path of one field.
    matching_keys: Vec<[&'a str; 1]>,
}

#[derive(Debug, Serialize)]
struct JsonSchema<'a> {
    r#type: &'static str,
    #[serde(rename = "additionalProperties")]
    additional_properties: bool,
    #[serde(serialize_with = "in_order")]
    properties: Vec<&'a Field>,
}

/// The operations that the object's flags allow, each with the fields it can set. An operation
/// without fields is left out.
fn operations_on(object: &ObjectSchema) -> Vec<OperationOn<'_>> {
    let fields = |wanted: &dyn Fn(&Field) -> bool| -> Vec<&Field> {
        let fields = object.fields().iter();
        fields.filter(|field| wanted(field)).collect()
    };
    let is_id = |field: &Field| field.name == "Id";
    let mut operations = Vec::new();
    let mut add = |sync_mode, properties: Vec<_>, matching_keys| {
        if properties.is_empty() {
            let object = &object.name;
            tracing::warn!(object, sync_mode, "an operation without fields is left out");
            return;
        }
        operations.push(OperationOn {
            object_name: &object.name,
            sync_mode,
            json_schema: JsonSchema {
                r#type: "object",
                additional_properties: false,
                properties,
            },
            matching_keys,
        });
    };
    if object.createable {
        add("append", fields(&|field| field.createable), Vec::new());
    }
    if object.updateable {
        let properties = fields(&|field| field.updateable || is_id(field));
        add("update", properties, vec![["Id"]]);
    }
    if object.createable && object.updateable {
        let both = |field: &Field| field.createable && field.updateable;
        let properties = fields(&|field| both(field) || field.external_id || is_id(field));
        let external_ids = object.fields().iter().filter(|field| field.external_id);
        let keys = external_ids.map(|field| [field.name.as_str()]);
        add("append_dedup", properties, keys.chain([["Id"]]).collect());
    }
    if object.deletable {
        add("soft_delete", fields(&is_id), vec![["Id"]]);
    }
    operations
}

/// The properties of a JSON schema, in the order of the describe.
fn in_order<S: Serializer>(fields: &[&Field], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        fields
            .iter()
            .map(|field| (&field.name, Property::of(field))),
    )
}

#[derive(Debug, Serialize)]
struct Property {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    airbyte_type: Option<&'static str>,
}

impl Property {
    fn of(field: &Field) -> Self {
        let (r#type, format, airbyte_type) = match field.field_type {
            FieldType::Currency | FieldType::Double | FieldType::Long | FieldType::Percent => {
                ("number", None, None)
            }
            FieldType::Int => ("integer", None, None),
            FieldType::Boolean => ("boolean", None, None),
            FieldType::Date => ("string", Some("date"), None),
            FieldType::DateTime => {
                let zoned = Some("timestamp_with_timezone");
                ("string", Some("date-time"), zoned)
            }
            _ => ("string", None, None),
        };
        Self {
            r#type,
            format,
            airbyte_type,
        }
    }
}

/// Types that are known to be texts, beside those that [`FieldType`] names.
const TEXT_TYPES: [&str; 8] = [
    "address",
    "byte",
    "calculated",
    "complexvalue",
    "datacategorygroupreference",
    "json",
    "location",
    "masterrecord",
];

fn note_unknown_types(object: &ObjectSchema, unknown: &mut BTreeMap<String, String>) {
    for field in object.fields() {
        let FieldType::Other(name) = &field.field_type else {
            continue;
        };
        if !TEXT_TYPES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            unknown
                .entry(name.clone())
                .or_insert_with(|| format!("{}.{}", object.name, field.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(describe: &str) -> String {
        let object = ObjectSchema::from_describe(describe.as_bytes()).unwrap();
        let operations = operations_on(&object);
        let lines = operations
            .iter()
            .map(|operation| serde_json::to_string(operation).unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }

    const CONTACT: &str = r#"{"name":"Contact","createable":true,"updateable":true,"deletable":true,
        "fields":[
        {"name":"Id","type":"id","createable":false,"updateable":false},
        {"name":"Zip","type":"string"},
        {"name":"Legacy_Id__c","type":"string","externalId":true,"createable":false,"updateable":false},
        {"name":"Birthdate","type":"date"},
        {"name":"Born","type":"datetime","updateable":false},
        {"name":"Amount","type":"currency","createable":false},
        {"name":"N","type":"int"},{"name":"Ok","type":"boolean"}]}"#;

    #[test]
    fn operations_by_flags_with_fields_in_order() {
        insta::assert_snapshot!(printed(CONTACT), @r#"
        {"object_name":"Contact","sync_mode":"append","json_schema":{"type":"object","additionalProperties":false,"properties":{"Zip":{"type":"string"},"Birthdate":{"type":"string","format":"date"},"Born":{"type":"string","format":"date-time","airbyte_type":"timestamp_with_timezone"},"N":{"type":"integer"},"Ok":{"type":"boolean"}}},"matching_keys":[]}
        {"object_name":"Contact","sync_mode":"update","json_schema":{"type":"object","additionalProperties":false,"properties":{"Id":{"type":"string"},"Zip":{"type":"string"},"Birthdate":{"type":"string","format":"date"},"Amount":{"type":"number"},"N":{"type":"integer"},"Ok":{"type":"boolean"}}},"matching_keys":[["Id"]]}
        {"object_name":"Contact","sync_mode":"append_dedup","json_schema":{"type":"object","additionalProperties":false,"properties":{"Id":{"type":"string"},"Zip":{"type":"string"},"Legacy_Id__c":{"type":"string"},"Birthdate":{"type":"string","format":"date"},"N":{"type":"integer"},"Ok":{"type":"boolean"}}},"matching_keys":[["Legacy_Id__c"],["Id"]]}
        {"object_name":"Contact","sync_mode":"soft_delete","json_schema":{"type":"object","additionalProperties":false,"properties":{"Id":{"type":"string"}}},"matching_keys":[["Id"]]}
        "#);
    }

    #[test]
    fn flags_that_are_off_and_operations_without_fields() {
        let none =
            r#"{"name":"A","createable":false,"updateable":false,"deletable":false,"fields":[]}"#;
        assert_eq!(printed(none), "");
        let fixed = r#"{"name":"A","updateable":false,"deletable":false,"fields":[
            {"name":"F","type":"string","createable":false}]}"#;
        assert_eq!(printed(fixed), "");
    }
}
