//! The objects of an org: read from compact JSON, completed to a describe response, and reduced
//! to what validating a row needs.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::file::{OrgFile, ValidationRule};
use super::record_type::{self, RecordType};
use super::user::{self, User};
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
#[derive(Debug, Clone)]
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
    /// The user may not read it.
    pub(crate) hidden: bool,
}

/// An object of the org.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) deletable: bool,
    pub(crate) fields: Vec<Field>,
    /// Its record types besides the master; none in most objects.
    pub(crate) record_types: Vec<RecordType>,
    /// The rules that refuse records.
    pub(crate) rules: Vec<ValidationRule>,
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
        let described = describe::object(&self.given, &self.name, &self.record_types);
        let mut described = described.unwrap_or_default();
        self.restrict(&mut described);
        if let Some(fields) = described["fields"].as_array_mut() {
            for (described, field) in fields.iter_mut().zip(&self.fields) {
                described["createable"] = json!(field.createable);
                described["updateable"] = json!(field.updateable);
            }
            let mut known = self.fields.iter();
            fields.retain(|_| known.next().is_none_or(|field| !field.hidden));
        }
        described
    }

    /// The object's part of the global describe.
    fn summary(&self) -> Value {
        let mut summary = describe::summary(&self.given, &self.name);
        self.restrict(&mut summary);
        summary
    }

    /// Shows the rights to the object in its description.
    fn restrict(&self, described: &mut Value) {
        described["createable"] = json!(self.createable);
        described["updateable"] = json!(self.updateable);
        described["deletable"] = json!(self.deletable);
    }

    /// Hides a field: it is found by its name no more.
    pub(crate) fn hide(&mut self, field: usize) {
        self.fields[field].hidden = true;
        self.by_name.retain(|_, known| *known != field);
    }

    /// Finds a field by its name in any letter case, as Salesforce does.
    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// Finds a lookup field by the name of its relationship in any letter case.
    pub(crate) fn relationship(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| {
            !field.hidden
                && field
                    .relationship
                    .as_deref()
                    .is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
    }
}

/// All objects of an org, in the order of its description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) objects: Vec<Arc<Object>>,
}

impl Schema {
    /// The embedded org as it is, read once in a process.
    pub(crate) fn embedded() -> io::Result<Schema> {
        static READ: OnceLock<Schema> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read.clone());
        }
        let read = OrgFile::embedded().and_then(|file| Schema::read(&file, 0));
        let read = read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(READ.get_or_init(|| read.0).clone())
    }

    /// Reads the objects of a file, and what its users see of them.
    ///
    /// # Errors
    /// Which place of the file is wrong.
    pub(crate) fn read(
        file: &OrgFile,
        extra_objects: usize,
    ) -> Result<(Schema, Vec<Arc<User>>), String> {
        let described = &file.objects;
        let mut record_types = record_type::Numbers::default();
        let mut objects: Vec<Object> = Vec::with_capacity(described.len() + extra_objects);
        let described = described.iter().map(Cow::Borrowed);
        let extra = (0..extra_objects).map(|number| Cow::Owned(generated::object(number)));
        for given in described.chain(extra) {
            let rules: Vec<ValidationRule> = match &given["validationRules"] {
                Value::Null => Vec::new(),
                rules => serde_json::from_value(rules.clone()).map_err(|error| {
                    format!("object {}: validationRules: {error}", given["name"])
                })?,
            };
            let read = object(&given, record_types.read(&given), rules).ok_or_else(|| {
                let name = &given["name"];
                format!("object {name} needs name, keyPrefix and fields")
            })?;
            objects.push(read);
        }
        let records = record_type::records(&objects);
        for object in &mut objects {
            if object.name == record_type::OBJECT {
                object.records = records.clone();
            }
        }
        let numbers = user::add_records(&mut objects, &file.users);
        let objects = objects.into_iter().map(Arc::new).collect();
        let schema = Schema { objects };
        let users = file.users.iter().zip(numbers).map(|(user, number)| {
            User::new(user, number, &schema)
                .map(Arc::new)
                .map_err(|error| format!("user {}: {error}", user.username))
        });
        let users = users.collect::<Result<_, _>>()?;
        Ok((schema, users))
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
        let objects: Vec<Value> = objects.map(|object| object.summary()).collect();
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})
    }
}

/// An object from its compact description; nothing if that lacks what it needs.
pub(super) fn object(
    given: &Value,
    record_types: Vec<RecordType>,
    rules: Vec<ValidationRule>,
) -> Option<Object> {
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
        rules,
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
        hidden: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_org_is_complete() {
        let org = Schema::embedded().unwrap();
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
    fn an_object_without_its_keys_is_refused() {
        for text in [
            r#"{"objects":[{"name":"X"}]}"#,
            r#"{"objects":[{"fields":[]}]}"#,
        ] {
            let read = OrgFile::parse(text).and_then(|file| Schema::read(&file, 0));
            assert!(read.is_err(), "{text}");
        }
    }
}
