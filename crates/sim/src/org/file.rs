//! Org files: what a JSON file says of an org, with errors that name the place.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{check, describe};

const EMBEDDED: &str = include_str!("org.json");
/// What a file says to add its objects to the embedded org.
const BUILTIN: &str = "builtin";

/// What a file says of an org.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrgFile {
    /// `builtin`, if the objects are added to those of the embedded org.
    #[serde(default)]
    extends: Option<String>,
    /// Descriptions of objects.
    #[serde(default)]
    pub(crate) objects: Vec<Value>,
    /// Users besides the one that the options log in as.
    #[serde(default)]
    pub(crate) users: Vec<UserFile>,
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// Limits of an org, by their names in `GET …/limits`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Limits {
    pub(crate) daily_api_requests: Option<u64>,
    pub(crate) daily_bulk_api_batches: Option<u64>,
    #[serde(rename = "DailyBulkV2QueryJobs")]
    pub(crate) daily_query_jobs: Option<u64>,
}

/// A user of an org.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UserFile {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What logs in as the user: a client of its own.
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    #[serde(default)]
    pub(crate) refresh_token: Option<String>,
    /// What the user may do with objects; all with those that are absent.
    #[serde(default)]
    pub(crate) objects: std::collections::BTreeMap<String, Vec<Right>>,
    /// What the user may do with fields (`Contact.Email`); all with those that are absent.
    #[serde(default)]
    pub(crate) fields: std::collections::BTreeMap<String, Vec<Right>>,
}

/// A right to an object or, if it is to read or update, to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Right {
    Create,
    Read,
    Update,
    Delete,
}

/// A rule that refuses records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ValidationRule {
    pub(crate) name: String,
    #[serde(default = "yes")]
    pub(crate) active: bool,
    /// The condition of a query, true of the records that are refused.
    pub(crate) condition: String,
    pub(crate) message: String,
    /// The field that the error names.
    #[serde(default)]
    pub(crate) field: Option<String>,
}

fn yes() -> bool {
    true
}

impl OrgFile {
    /// The embedded org.
    pub(crate) fn embedded() -> Result<OrgFile, String> {
        serde_json::from_str(EMBEDDED).map_err(|error| format!("the embedded org: {error}"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Which place of which file is wrong.
    pub(crate) fn read(path: &Path) -> Result<OrgFile, String> {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
        OrgFile::parse(&text).map_err(|error| at(&error))
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<OrgFile, String> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('[') {
            return Err("it is a list, not an object with the key \"objects\"".to_owned());
        }
        let mut file: OrgFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        check::given(&file.objects)?;
        check::users(&file.users)?;
        match file.extends.as_deref() {
            None => {}
            Some(BUILTIN) => {
                let mut whole = OrgFile::embedded()?;
                for object in file.objects {
                    extend(&mut whole.objects, object);
                }
                file.objects = whole.objects;
            }
            Some(other) => return Err(format!("extends: \"{other}\" is not \"{BUILTIN}\"")),
        }
        check::whole(&file.objects)?;
        Ok(file)
    }
}

/// Adds an object, or what is said of a known one: its fields by name, and other keys.
fn extend(objects: &mut Vec<Value>, more: Value) {
    let known = objects
        .iter_mut()
        .find(|object| object["name"] == more["name"]);
    let Some(known) = known else {
        objects.push(more);
        return;
    };
    let mut fields = known["fields"].take();
    describe::merge(known, &more);
    let known_fields = fields.as_array_mut();
    let new_fields = more["fields"].as_array().into_iter().flatten();
    if let Some(known_fields) = known_fields {
        for field in new_fields {
            match known_fields
                .iter_mut()
                .find(|old| old["name"] == field["name"])
            {
                Some(old) => describe::merge(old, field),
                None => known_fields.push(field.clone()),
            }
        }
    }
    known["fields"] = fields;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_place() {
        for (text, place) in [
            ("{", "line 1 column 1"),
            (r#"{"object":[]}"#, "unknown field `object`"),
            (r#"{"extends":"other"}"#, "extends: \"other\""),
            (
                r#"{"objects":[{"keyPrefix":"a01"}]}"#,
                "objects[0] null: it needs a name",
            ),
            (
                r#"{"objects":[{"name":"X","feilds":[]}]}"#,
                "objects[0] \"X\": it has no key \"feilds\"",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A"}]}]}"#,
                "fields[0] \"A\": it needs a type",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"string","lenght":1}]}]}"#,
                "it has no key \"lenght\"",
            ),
            ("[]", "it is a list"),
            (
                r#"{"objects":[{"name":"X","keyPrefix":"a-9","fields":[]}]}"#,
                "keyPrefix \"a-9\" is not 3 letters",
            ),
            (
                r#"{"objects":[{"name":"X","fields":{}}]}"#,
                "objects[0] \"X\": fields: {} is not a list",
            ),
            (
                r#"{"objects":[{"name":"X Y","fields":[]}]}"#,
                "a name has letters",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"string","length":"1"}]}]}"#,
                "length: \"1\" is not a count",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"int","nillable":"no"}]}]}"#,
                "nillable: \"no\" is not true or false",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"int"},{"name":"a","type":"int"}]}]}"#,
                "fields[1] \"a\": the object has it already",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"reference","referenceTo":["Y"]}]}]}"#,
                "field A: there is no object \"Y\"",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[{"name":"A","type":"picklist","values":"a"}]}]}"#,
                "values: it is a list of texts",
            ),
            (
                r#"{"objects":[{"name":"X","fields":[]},{"name":"x","fields":[]}]}"#,
                "object x is there twice",
            ),
            (
                r#"{"objects":[{"name":"X","keyPrefix":"a01"},{"name":"Y","keyPrefix":"a01"}]}"#,
                "object Y: another object has the keyPrefix a01",
            ),
            (
                r#"{"objects":[{"name":"X","recordTypes":[{"name":"A"}]}]}"#,
                "recordTypes[0] \"A\": missing field `developerName`",
            ),
            (
                r#"{"extends":"builtin","objects":[{"name":"Contact","recordTypes":
                    [{"name":"A","developerName":"A","picklists":{"Nope":["x"]}}]}]}"#,
                "there is no picklist Nope",
            ),
            (
                r#"{"users":[{"username":"a","clientId":"c","clientSecret":"s"},
                    {"username":"b","clientId":"c","clientSecret":"s"}]}"#,
                "user b: another user has the clientId c",
            ),
            (
                r#"{"users":[{"username":"a","clientId":"c","clientSecret":"s",
                    "objects":{"X":["create"]}}]}"#,
                "objects: X: other rights need read",
            ),
            (
                r#"{"users":[{"username":"a","clientId":"c","clientSecret":"s",
                    "fields":{"X.F":["read","create"]}}]}"#,
                "fields: X.F: rights are read and update",
            ),
            (
                r#"{"users":[{"username":"a"}]}"#,
                "missing field `clientId`",
            ),
        ] {
            let error = OrgFile::parse(text).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn a_file_extends_the_embedded_org() {
        let text = r#"{"extends":"builtin","objects":[
            {"name":"Contact","fields":[{"name":"LastName","type":"string","length":10},
                {"name":"Extra__c","type":"date","custom":true}]},
            {"name":"New__c","keyPrefix":"a99","fields":[]}]}"#;
        let file = OrgFile::parse(text).unwrap();
        let embedded = OrgFile::embedded().unwrap();
        assert_eq!(file.objects.len(), embedded.objects.len() + 1);
        let fields = |file: &OrgFile| {
            let contact = file.objects.iter().find(|known| known["name"] == "Contact");
            contact.unwrap()["fields"].as_array().unwrap().clone()
        };
        let (before, after) = (fields(&embedded), fields(&file));
        assert_eq!(after.len(), before.len() + 1);
        let last = after.iter().find(|field| field["name"] == "LastName");
        assert_eq!(last.unwrap()["length"], 10);
        assert_eq!(last.unwrap()["nillable"], false);
    }
}
