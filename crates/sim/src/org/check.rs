//! Mistakes in an org file: what would be read as something else, or not at all, is an error with
//! its place.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::describe;
use super::file::{Right, UserFile};
use super::record_type;

/// Letters of a key prefix.
const PREFIX_LETTERS: usize = 3;
/// Objects that every org of Salesforce has, so that lookups may name them in a file without them.
const ALWAYS_THERE: [&str; 4] = ["User", "Group", "RecordType", "Organization"];

/// Checks the objects as they stand in a file.
pub(super) fn given(objects: &[Value]) -> Result<(), String> {
    let known = describe::field_defaults();
    for (index, object) in objects.iter().enumerate() {
        of_object(object, &known)
            .map_err(|error| format!("objects[{index}] {}: {error}", object["name"]))?;
    }
    Ok(())
}

fn of_object(object: &Value, known: &Map<String, Value>) -> Result<(), String> {
    let name = api_name(object)?;
    let mut described = describe::summary(&json!({}), name);
    described["keyPrefix"] = json!("");
    described["records"] = json!("");
    for key in ["fields", "recordTypes", "validationRules"] {
        described[key] = json!([]);
    }
    for (key, value) in object.as_object().into_iter().flatten() {
        let usual = described.get(key);
        let usual = usual.ok_or_else(|| format!("it has no key \"{key}\""))?;
        same_type(key, usual, value)?;
    }
    if let Some(prefix) = object["keyPrefix"].as_str() {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric();
        if prefix.len() != PREFIX_LETTERS || !prefix.bytes().all(is_letter) {
            return Err(format!(
                "keyPrefix \"{prefix}\" is not {PREFIX_LETTERS} letters or digits"
            ));
        }
    }
    let fields = object["fields"].as_array().into_iter().flatten();
    let mut names = HashSet::new();
    for (index, field) in fields.enumerate() {
        let place = |error: String| format!("fields[{index}] {}: {error}", field["name"]);
        of_field(field, known).map_err(place)?;
        let name = field["name"].as_str().unwrap_or_default();
        if name.eq_ignore_ascii_case("Id") || !names.insert(name.to_ascii_lowercase()) {
            return Err(place("the object has it already".to_owned()));
        }
    }
    Ok(())
}

fn of_field(field: &Value, known: &Map<String, Value>) -> Result<(), String> {
    api_name(field)?;
    if !field["type"].is_string() {
        return Err("it needs a type".to_owned());
    }
    for (key, value) in field.as_object().into_iter().flatten() {
        let is_list_of_texts = |value: &Value| {
            value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string))
        };
        let usual = match key.as_str() {
            "values" if is_list_of_texts(value) => continue,
            "values" => return Err("values: it is a list of texts".to_owned()),
            "label" | "relationshipName" => &Value::String(String::new()),
            _ => known
                .get(key)
                .ok_or_else(|| format!("it has no key \"{key}\""))?,
        };
        same_type(key, usual, value)?;
    }
    Ok(())
}

/// The name of an object or a field.
fn api_name(described: &Value) -> Result<&str, String> {
    let name = described["name"].as_str().ok_or("it needs a name")?;
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.chars().all(is_letter)
    {
        Ok(name)
    } else {
        Err("a name has letters, digits and _, and begins with a letter".to_owned())
    }
}

/// Checks that a value is of the type that it usually has; one that is usually null may be all.
fn same_type(key: &str, usual: &Value, value: &Value) -> Result<(), String> {
    let (is_it, wanted) = match usual {
        Value::Bool(_) => (value.is_boolean(), "true or false"),
        Value::Number(_) => (value.is_u64(), "a count"),
        Value::String(_) => (value.is_string(), "a text"),
        Value::Array(_) => (value.is_array(), "a list"),
        Value::Object(_) => (value.is_object(), "an object"),
        Value::Null => (true, ""),
    };
    if is_it || (value.is_null() && usual.is_string()) {
        Ok(())
    } else {
        Err(format!("{key}: {value} is not {wanted}"))
    }
}

/// Checks the objects of the whole org: names and key prefixes, and what names other parts of it.
pub(super) fn whole(objects: &[Value]) -> Result<(), String> {
    let (mut names, mut prefixes) = (HashSet::new(), HashSet::new());
    for object in objects {
        let name = object["name"].as_str().unwrap_or_default();
        let is_new = names.insert(name.to_ascii_lowercase());
        if !is_new {
            return Err(format!("object {name} is there twice"));
        }
        if let Some(prefix) = object["keyPrefix"].as_str()
            && !prefixes.insert(prefix)
        {
            return Err(format!(
                "object {name}: another object has the keyPrefix {prefix}"
            ));
        }
    }
    for object in objects {
        names_known(object, &names)
            .map_err(|error| format!("object {}: {error}", object["name"]))?;
    }
    Ok(())
}

fn names_known(object: &Value, objects: &HashSet<String>) -> Result<(), String> {
    let fields = object["fields"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names = HashSet::new();
    for field in fields {
        let name = field["name"].as_str().unwrap_or_default();
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(format!("field {name} is there twice"));
        }
        for parent in field["referenceTo"].as_array().into_iter().flatten() {
            let known = parent.as_str().is_some_and(|parent| {
                ALWAYS_THERE.contains(&parent) || objects.contains(&parent.to_ascii_lowercase())
            });
            if !known {
                return Err(format!("field {name}: there is no object {parent}"));
            }
        }
    }
    let types = object["recordTypes"].as_array().into_iter().flatten();
    let (mut developer_names, mut defaults) = (HashSet::new(), 0);
    for (index, given) in types.enumerate() {
        let place = |error: String| format!("recordTypes[{index}] {}: {error}", given["name"]);
        let read = record_type::Given::read(given).map_err(|error| place(error.to_string()))?;
        let is_picklist = |name: &String| {
            let same = |field: &&Value| {
                let known = field["name"].as_str().unwrap_or_default();
                known.eq_ignore_ascii_case(name)
            };
            let field = fields.iter().find(same);
            field.is_some_and(|field| {
                let kind = field["type"].as_str().unwrap_or_default();
                ["picklist", "multipicklist", "combobox"].contains(&kind)
            })
        };
        if let Some(name) = read.picklists.keys().find(|name| !is_picklist(name)) {
            return Err(place(format!("there is no picklist {name}")));
        }
        defaults += usize::from(read.default);
        if defaults > 1 {
            return Err(place("another record type is the default".to_owned()));
        }
        if !developer_names.insert(read.developer_name.clone()) {
            let name = read.developer_name;
            return Err(place(format!("another has the developerName {name}")));
        }
    }
    Ok(())
}

/// Checks the users: what they log in with is their own, and their rights are such.
pub(super) fn users(users: &[UserFile]) -> Result<(), String> {
    let mut taken = HashSet::new();
    for user in users {
        let wrong = |error: String| Err(format!("user {}: {error}", user.username));
        let own = [
            ("username", Some(&user.username)),
            ("clientId", Some(&user.client_id)),
            ("refreshToken", user.refresh_token.as_ref()),
        ];
        for (key, value) in own {
            if let Some(value) = value
                && !taken.insert((key, value))
            {
                return wrong(format!("another user has the {key} {value}"));
            }
        }
        for (object, rights) in &user.objects {
            if !rights.is_empty() && !rights.contains(&Right::Read) {
                return wrong(format!("objects: {object}: other rights need read"));
            }
        }
        for (field, rights) in &user.fields {
            if rights.contains(&Right::Create) || rights.contains(&Right::Delete) {
                return wrong(format!("fields: {field}: rights are read and update"));
            }
            if rights.contains(&Right::Update) && !rights.contains(&Right::Read) {
                return wrong(format!("fields: {field}: update needs read"));
            }
        }
    }
    Ok(())
}
