//! Record types: what describes list of them, and which a row may have.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Object, id};

/// The object that holds the record types of all objects.
pub(crate) const OBJECT: &str = "RecordType";
/// The field of an object's records that holds their record type.
pub(crate) const FIELD: &str = "RecordTypeId";
const KEY_PREFIX: &str = "012";
/// The record type that every object has, and that means none.
const MASTER: &str = "012000000000000AAA";

/// A record type of an object.
#[derive(Debug, Clone)]
pub(crate) struct RecordType {
    /// Its number among the records of `RecordType`.
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) developer_name: String,
    active: bool,
    /// The user may use it.
    available: bool,
    /// The user's default.
    default: bool,
    /// By the name of a picklist field in lower case, the values that this type allows.
    picklists: HashMap<String, HashSet<String>>,
}

impl RecordType {
    pub(crate) fn id(&self) -> String {
        id::make(KEY_PREFIX, self.number)
    }

    /// Whether a picklist field may have a value in records of this type.
    pub(crate) fn allows(&self, field: &str, value: &str) -> bool {
        self.picklists
            .get(&field.to_ascii_lowercase())
            .is_none_or(|values| values.contains(value))
    }
}

/// A record type as a file describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Given {
    name: String,
    pub(super) developer_name: String,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default = "yes")]
    available: bool,
    #[serde(default)]
    pub(super) default: bool,
    #[serde(default)]
    pub(super) picklists: HashMap<String, HashSet<String>>,
}

fn yes() -> bool {
    true
}

impl Given {
    pub(super) fn read(given: &Value) -> serde_json::Result<Given> {
        serde_json::from_value(given.clone())
    }
}

/// Numbers the record types of an org while it is read.
#[derive(Debug, Default)]
pub(crate) struct Numbers(u32);

impl Numbers {
    /// Reads the record types of an object's description, which was checked.
    pub(crate) fn read(&mut self, object: &Value) -> Vec<RecordType> {
        let given = object["recordTypes"].as_array().into_iter().flatten();
        let given = given.filter_map(|given| Given::read(given).ok());
        given.map(|given| self.one(given)).collect()
    }

    fn one(&mut self, given: Given) -> RecordType {
        let picklists = given.picklists.into_iter();
        let new = RecordType {
            number: self.0,
            name: given.name,
            developer_name: given.developer_name,
            active: given.active,
            available: given.available,
            default: given.default,
            picklists: picklists
                .map(|(field, values)| (field.to_ascii_lowercase(), values))
                .collect(),
        };
        self.0 += 1;
        new
    }
}

/// `recordTypeInfos` of an object, the master at the end.
pub(crate) fn infos(object: &str, record_types: &[RecordType]) -> Value {
    let info = |id: &str, names: [&str; 2], flags: [bool; 4]| {
        let [active, available, default, master] = flags;
        json!({
            "recordTypeId": id, "name": names[0], "developerName": names[1],
            "active": active, "available": available,
            "defaultRecordTypeMapping": default, "master": master,
            "urls": {"layout":
                format!("/services/data/v62.0/sobjects/{object}/describe/layouts/{id}")},
        })
    };
    let mut infos: Vec<Value> = record_types
        .iter()
        .map(|known| {
            let flags = [known.active, known.available, known.default, false];
            info(&known.id(), [&known.name, &known.developer_name], flags)
        })
        .collect();
    let default = !record_types.iter().any(|known| known.default);
    infos.push(info(MASTER, ["Master"; 2], [true, true, default, true]));
    Value::Array(infos)
}

/// The records of `RecordType` as CSV, in the order of their numbers.
pub(crate) fn records(objects: &[Object]) -> Option<String> {
    let mut csv = "Name,DeveloperName,SobjectType,IsActive\n".to_owned();
    let header = csv.len();
    for object in objects {
        for known in &object.record_types {
            csv.push_str(&format!(
                "\"{}\",{},{},{}\n",
                known.name.replace('"', "\"\""),
                known.developer_name,
                object.name,
                known.active
            ));
        }
    }
    (csv.len() > header).then_some(csv)
}

/// Finds the record type of an Id: nothing for the master.
///
/// # Errors
/// If a row of the object may not have it.
pub(crate) fn by_id<'a>(object: &'a Object, value: &str) -> Result<Option<&'a RecordType>, String> {
    let normal = id::normal(value).unwrap_or_default();
    let found = object
        .record_types
        .iter()
        .find(|known| known.id() == normal);
    match found {
        Some(known) if known.active && known.available => Ok(Some(known)),
        None if normal == MASTER => Ok(None),
        _ => Err(format!(
            "INVALID_CROSS_REFERENCE_KEY:Record Type ID: this ID value isn't valid for the user: \
             {value}:{FIELD} --"
        )),
    }
}

/// Finds record types of an object by one of their fields; letter case matters.
pub(crate) fn by_field<'a>(
    object: &'a Object,
    field: &str,
    value: &str,
) -> impl Iterator<Item = &'a RecordType> {
    object.record_types.iter().filter(move |known| match field {
        "Name" => known.name == value,
        "DeveloperName" => known.developer_name == value,
        _ => id::normal(value).is_some_and(|normal| known.id() == normal),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use super::*;

    #[test]
    fn rows_may_have_the_types_that_are_active_and_available() {
        let org = Schema::embedded().unwrap();
        let account = org.object("Account").unwrap();
        let of = |name: &str| by_field(account, "DeveloperName", name).next().unwrap();
        let partner = by_id(account, &of("Partner").id()).unwrap().unwrap();
        assert_eq!(partner.name, "Partner Account");
        assert!(by_id(account, &of("Partner").id()[..15]).is_ok());
        assert!(by_id(account, MASTER).unwrap().is_none());
        for other in ["Old", "Other_Team"] {
            let error = by_id(account, &of(other).id()).unwrap_err();
            assert!(error.contains("this ID value isn't valid for the user"));
        }
        let case = org.object("Case").unwrap();
        assert!(by_id(account, &case.record_types[0].id()).is_err());
        assert!(partner.allows("Tier__c", "Gold") && partner.allows("Type", "Other"));
        assert!(!partner.allows("tier__c", "Silver"));
        assert!(
            by_field(account, "DeveloperName", "partner")
                .next()
                .is_none()
        );
    }

    #[test]
    fn every_object_has_a_master() {
        let org = Schema::embedded().unwrap();
        let infos = |name: &str| org.object(name).unwrap().describe()["recordTypeInfos"].clone();
        let contact = infos("Contact");
        assert_eq!(contact.as_array().unwrap().len(), 1);
        assert_eq!(contact[0]["defaultRecordTypeMapping"], true);
        let account = infos("Account");
        assert_eq!(account[0]["developerName"], "Customer");
        assert_eq!(account[0]["defaultRecordTypeMapping"], true);
        assert_eq!(account[2]["active"], false);
        assert_eq!(account[4]["master"], true);
        assert_eq!(account[4]["defaultRecordTypeMapping"], false);
    }
}
