//! The objects of an org: read from compact JSON, completed to a describe response, and reduced
//! to what validating a row needs.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::record_type::{self, RecordType};
use super::{describe, generated};

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
    pub(crate) fn of(type_name: &str) -> Kind {
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

    pub(crate) fn soap(self) -> &'static str {
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

/// A field: what is needed to validate, store and find its values.
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
    /// A lookup to the record's master.
    pub(crate) to_master: bool,
    /// The active values of a restricted picklist.
    pub(crate) restricted: Option<HashSet<String>>,
    pub(crate) multiple: bool,
    /// An address or a location, whose parts are fields of their own.
    pub(crate) compound: bool,
    pub(crate) custom: bool,
}

/// An object of the org.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) deletable: bool,
    pub(crate) fields: Vec<Field>,
    /// Its record types besides the master; none in most objects.
    pub(crate) record_types: Vec<RecordType>,
    /// Records that are there from the start, as CSV.
    pub(crate) records: Option<String>,
    /// The compact description.
    given: Value,
    by_name: HashMap<String, usize>,
}

impl Object {
    /// The describe response.
    pub(crate) fn describe(&self) -> Value {
        // Not absent: it was made once already, when the org was read.
        describe::object(&self.given, &self.name, &self.record_types).unwrap_or_default()
    }

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

/// All objects of an org, in the order of its description.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) objects: Vec<Arc<Object>>,
}

const EMBEDDED: &str = include_str!("org.json");

impl Schema {
    /// Reads an org from a file, or the embedded one.
    pub(crate) fn load(path: Option<&Path>, extra_objects: usize) -> io::Result<Schema> {
        match path {
            Some(path) => Schema::parse(&std::fs::read_to_string(path)?, extra_objects),
            None if extra_objects > 0 => Schema::parse(EMBEDDED, extra_objects),
            None => Schema::embedded(),
        }
    }

    /// The embedded org as it is, read once in a process.
    fn embedded() -> io::Result<Schema> {
        static READ: OnceLock<Schema> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read.clone());
        }
        let read = Schema::parse(EMBEDDED, 0)?;
        Ok(READ.get_or_init(|| read).clone())
    }

    fn parse(text: &str, extra_objects: usize) -> io::Result<Schema> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let file: Value = serde_json::from_str(text)?;
        let described = file["objects"]
            .as_array()
            .ok_or_else(|| invalid("an org file needs a list \"objects\"".to_owned()))?;
        let mut record_types = record_type::Numbers::default();
        let mut objects = Vec::with_capacity(described.len() + extra_objects);
        let described = described.iter().map(Cow::Borrowed);
        let extra = (0..extra_objects).map(|number| Cow::Owned(generated::object(number)));
        for given in described.chain(extra) {
            let read = object(&given, record_types.read(&given)).ok_or_else(|| {
                let name = &given["name"];
                invalid(format!("object {name} needs name, keyPrefix and fields"))
            })?;
            objects.push(read);
        }
        let records = record_type::records(&objects);
        for object in &mut objects {
            if object.name == record_type::OBJECT {
                object.records = records.clone();
            }
        }
        let objects = objects.into_iter().map(Arc::new).collect();
        Ok(Schema { objects })
    }

    /// Finds an object by its name in any letter case.
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects
            .iter()
            .find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// The response of the global describe.
    pub(crate) fn global(&self) -> Value {
        let objects = self.objects.iter();
        let objects: Vec<Value> = objects
            .map(|object| describe::summary(&object.given, &object.name))
            .collect();
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})
    }
}

fn object(given: &Value, record_types: Vec<RecordType>) -> Option<Object> {
    let name = given["name"].as_str()?.to_owned();
    let key_prefix = given["keyPrefix"].as_str()?.to_owned();
    let describe = describe::object(given, &name, &record_types)?;
    let described = describe["fields"].as_array()?;
    let fields: Vec<Field> = described.iter().map(field).collect::<Option<_>>()?;
    let by_name = fields
        .iter()
        .enumerate()
        .map(|(index, field)| (field.name.to_ascii_lowercase(), index))
        .collect();
    let flag = |key: &str| describe[key].as_bool().unwrap_or(true);
    Some(Object {
        createable: flag("createable"),
        updateable: flag("updateable"),
        deletable: flag("deletable"),
        records: given["records"].as_str().map(str::to_owned),
        name,
        key_prefix,
        fields,
        record_types,
        given: given.clone(),
        by_name,
    })
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
        to_master: described["relationshipOrder"].is_number(),
        restricted,
        multiple: described["type"] == "multipicklist",
        compound: described["type"] == "address" || described["type"] == "location",
        custom: flag("custom"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_org_is_complete() {
        let org = Schema::load(None, 0).unwrap();
        let contact = org.object("contact").unwrap();
        assert_eq!(contact.key_prefix, "003");
        let last_name = &contact.fields[contact.field("LASTNAME").unwrap()];
        assert!(last_name.required && last_name.length == 80 && last_name.label == "Last Name");
        let name = &contact.fields[contact.field("Name").unwrap()];
        assert!(!name.createable && !name.required);
        assert_eq!(contact.relationship("account"), contact.field("AccountId"));
        let described = contact.describe();
        let described = described["fields"].as_array().unwrap();
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
        assert!(Schema::parse("{}", 0).is_err());
        assert!(Schema::parse(r#"{"objects":[{"name":"X"}]}"#, 0).is_err());
    }
}
