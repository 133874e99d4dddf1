//! The org's objects: read from compact JSON, completed to what a describe call answers, and
//! reduced to what validating a row needs.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// How the values of a field are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Email,
    Boolean,
    Int,
    Long,
    Double,
    Date,
    DateTime,
    Time,
    Base64,
    Id,
    Reference,
}

impl Kind {
    fn of(type_name: &str) -> Kind {
        match type_name {
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "double" | "currency" | "percent" => Kind::Double,
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "time" => Kind::Time,
            "base64" => Kind::Base64,
            "id" => Kind::Id,
            "reference" => Kind::Reference,
            "email" => Kind::Email,
            _ => Kind::Text,
        }
    }

    fn soap(self) -> &'static str {
        match self {
            Kind::Text | Kind::Email => "xsd:string",
            Kind::Boolean => "xsd:boolean",
            Kind::Int => "xsd:int",
            Kind::Long => "xsd:long",
            Kind::Double => "xsd:double",
            Kind::Date => "xsd:date",
            Kind::DateTime => "xsd:dateTime",
            Kind::Time => "xsd:time",
            Kind::Base64 => "xsd:base64Binary",
            Kind::Id | Kind::Reference => "tns:ID",
        }
    }
}

/// A field, as far as validating, storing and looking up its values goes.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    /// Characters; 0 where the type has none.
    pub(crate) length: usize,
    pub(crate) precision: usize,
    pub(crate) scale: usize,
    pub(crate) digits: usize,
    /// A value is needed on insert.
    pub(crate) required: bool,
    pub(crate) nillable: bool,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) external_id: bool,
    pub(crate) id_lookup: bool,
    pub(crate) unique: bool,
    pub(crate) case_sensitive: bool,
    pub(crate) reference_to: Vec<String>,
    pub(crate) relationship: Option<String>,
    /// The active values of a restricted picklist.
    pub(crate) restricted: Option<HashSet<String>>,
    pub(crate) multiple: bool,
}

/// An object (table) of the org with its describe answer.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) deletable: bool,
    pub(crate) fields: Vec<Field>,
    /// Records that are there from the start, as CSV.
    pub(crate) records: Option<String>,
    /// The whole describe answer.
    pub(crate) describe: Value,
    by_name: HashMap<String, usize>,
}

impl Object {
    /// Finds a field by its name in any letter case, as Salesforce does.
    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// Finds a lookup field by the name of its relationship in any letter case.
    pub(crate) fn relationship(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| {
            field
                .relationship
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
    }
}

/// All objects of the org, in the order of its description.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) objects: Vec<Arc<Object>>,
}

const EMBEDDED: &str = include_str!("org.json");
/// The keys of a described field that no type and no description sets.
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

impl Org {
    /// Reads an org from a file, or the embedded one.
    pub(crate) fn load(path: Option<&Path>) -> io::Result<Org> {
        match path {
            Some(path) => Org::parse(&std::fs::read_to_string(path)?),
            None => Org::parse(EMBEDDED),
        }
    }

    fn parse(text: &str) -> io::Result<Org> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let file: Value = serde_json::from_str(text)?;
        let described = file["objects"]
            .as_array()
            .ok_or_else(|| invalid("an org file needs a list \"objects\"".to_owned()))?;
        let objects = described
            .iter()
            .map(|given| {
                object(given).map(Arc::new).ok_or_else(|| {
                    invalid(format!(
                        "object {} needs name, keyPrefix and fields",
                        given["name"]
                    ))
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Org { objects })
    }

    /// Finds an object by its name in any letter case.
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects
            .iter()
            .find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// The answer of the global describe.
    pub(crate) fn global(&self) -> Value {
        let objects: Vec<Value> = self
            .objects
            .iter()
            .map(|object| {
                let mut entry = object.describe.as_object().cloned().unwrap_or_default();
                for key in ["fields", "recordTypeInfos", "childRelationships"] {
                    entry.remove(key);
                }
                Value::Object(entry)
            })
            .collect();
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})
    }
}

fn object(given: &Value) -> Option<Object> {
    let name = given["name"].as_str()?.to_owned();
    let key_prefix = given["keyPrefix"].as_str()?.to_owned();
    let mut described = vec![described_field(&json!({
        "name": "Id", "label": "Record ID", "type": "id", "length": 18, "nillable": false,
        "createable": false, "updateable": false, "idLookup": true, "defaultedOnCreate": true,
        "unique": true,
    }))?];
    for field in given["fields"].as_array()? {
        described.push(described_field(field)?);
    }
    for (name, type_name, more) in SYSTEM_FIELDS {
        let mut field = json!({"name": name, "type": type_name, "nillable": false,
            "createable": false, "updateable": false});
        merge(&mut field, &serde_json::from_str(more).ok()?);
        if !described.iter().any(|known| known["name"] == field["name"]) {
            described.push(described_field(&field)?);
        }
    }
    let fields: Vec<Field> = described.iter().map(field).collect::<Option<_>>()?;
    let by_name = fields
        .iter()
        .enumerate()
        .map(|(index, field)| (field.name.to_ascii_lowercase(), index))
        .collect();
    let describe = described_object(given, &name, described);
    let flag = |key: &str| describe[key].as_bool().unwrap_or(true);
    Some(Object {
        createable: flag("createable"),
        updateable: flag("updateable"),
        deletable: flag("deletable"),
        records: given["records"].as_str().map(str::to_owned),
        name,
        key_prefix,
        fields,
        describe,
        by_name,
    })
}

fn described_object(given: &Value, name: &str, fields: Vec<Value>) -> Value {
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
        "recordTypeInfos": [], "childRelationships": [],
    });
    merge(&mut describe, given);
    describe.as_object_mut().map(|map| map.remove("records"));
    describe["fields"] = Value::Array(fields);
    describe
}

/// Completes a field: type defaults first, then what the description says.
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

fn field(described: &Value) -> Option<Field> {
    let text = |key: &str| described[key].as_str().map(str::to_owned);
    let flag = |key: &str| described[key].as_bool().unwrap_or(false);
    let number = |key: &str| {
        described[key]
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(0)
    };
    let active = |entry: &Value| {
        entry["active"]
            .as_bool()
            .unwrap_or(true)
            .then(|| entry["value"].as_str().map(str::to_owned))
    };
    let restricted = flag("restrictedPicklist").then(|| {
        let values = described["picklistValues"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        values.iter().filter_map(active).flatten().collect()
    });
    let references = described["referenceTo"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    Some(Field {
        name: text("name")?,
        label: text("label")?,
        kind: Kind::of(described["type"].as_str()?),
        length: number("length"),
        precision: number("precision"),
        scale: number("scale"),
        digits: number("digits"),
        required: !flag("nillable") && flag("createable") && !flag("defaultedOnCreate"),
        nillable: flag("nillable"),
        createable: flag("createable"),
        updateable: flag("updateable"),
        external_id: flag("externalId"),
        id_lookup: flag("idLookup"),
        unique: flag("unique"),
        case_sensitive: flag("caseSensitive"),
        reference_to: references
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        relationship: text("relationshipName"),
        restricted,
        multiple: described["type"] == "multipicklist",
    })
}

fn merge(target: &mut Value, more: &Value) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_org_is_complete() {
        let org = Org::load(None).unwrap();
        let contact = org.object("contact").unwrap();
        assert_eq!(contact.key_prefix, "003");
        let last_name = &contact.fields[contact.field("LASTNAME").unwrap()];
        assert!(last_name.required && last_name.length == 80 && last_name.label == "Last Name");
        let name = &contact.fields[contact.field("Name").unwrap()];
        assert!(!name.createable && !name.required);
        assert_eq!(contact.relationship("account"), contact.field("AccountId"));
        let described = contact.describe["fields"].as_array().unwrap();
        assert!(described.iter().all(|field| field["soapType"].is_string()));
        assert!(
            described
                .iter()
                .any(|field| field["name"] == "SystemModstamp")
        );
        let everything = org.object("Everything__c").unwrap();
        let size = &everything.fields[everything.field("Restricted__c").unwrap()];
        assert_eq!(size.restricted.as_ref().unwrap().len(), 3);
        assert!(org.global()["sobjects"][0].get("fields").is_none());
    }

    #[test]
    fn an_org_file_without_objects_is_refused() {
        assert!(Org::parse("{}").is_err());
        assert!(Org::parse(r#"{"objects":[{"name":"X"}]}"#).is_err());
    }
}
