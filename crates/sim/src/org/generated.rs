//! Generated objects, for orgs of any size.

use serde_json::{Value, json};

use super::describe;

/// Objects come in groups. The last four of a group are the history, shares, feed and change events
/// of its first.
const GROUP: usize = 8;

/// The compact description of a generated object.
pub(crate) fn object(number: usize) -> Value {
    let key_prefix = format!("x{}", base_36(number));
    let owner = number - number % GROUP;
    let of_owner = |suffix: &str, createable: bool, fields: Value| {
        json!({
            "name": format!("Extra_{owner:05}__{suffix}"), "keyPrefix": key_prefix,
            "createable": createable, "updateable": createable, "deletable": createable,
            "layoutable": false, "searchable": false, "custom": false,
            "associateEntityType": suffix, "associateParentEntity": format!("Extra_{owner:05}__c"),
            "fields": fields,
        })
    };
    let parent = json!({"name": "ParentId", "type": "reference", "nillable": false,
        "referenceTo": [format!("Extra_{owner:05}__c")], "relationshipName": "Parent"});
    match number % GROUP {
        4 => of_owner(
            "History",
            false,
            json!([parent, read_only("Field"), read_only("NewValue")]),
        ),
        5 => {
            let access = json!({"name": "AccessLevel", "type": "picklist", "length": 40,
                "values": ["Read", "Edit", "All"], "nillable": false});
            of_owner("Share", true, json!([parent, access]))
        }
        6 => of_owner("Feed", false, json!([parent, read_only("Body")])),
        7 => of_owner("ChangeEvent", false, json!([read_only("ReplayId")])),
        _ => business(number, &key_prefix),
    }
}

fn read_only(name: &str) -> Value {
    json!({"name": name, "type": "string", "length": 255, "createable": false,
        "updateable": false})
}

/// An object with fields of many types, one of them a type that no client knows.
fn business(number: usize, key_prefix: &str) -> Value {
    let field = |name: &str, type_name: &str, more: Value| {
        let mut field = json!({"name": name, "type": type_name, "custom": true});
        describe::merge(&mut field, &more);
        field
    };
    let plain = |name: &str, type_name: &str| field(name, type_name, json!({}));
    let text = json!({"length": 255});
    let number_of = |digits: u64, scale: u64| json!({"precision": digits, "scale": scale});
    let account = json!({"referenceTo": ["Account"], "relationshipName": "Account__r"});
    let values = json!({"length": 255, "values": ["One", "Two", "Three"]});
    let mut fields = vec![
        json!({"name": "Name", "type": "string", "length": 80, "nameField": true,
            "nillable": false, "defaultedOnCreate": true}),
        json!({"name": "OwnerId", "type": "reference", "referenceTo": ["Group", "User"],
            "relationshipName": "Owner", "nillable": false, "defaultedOnCreate": true}),
        field(
            "Ext_Id__c",
            "string",
            json!({"length": 80, "externalId": true, "idLookup": true,
            "unique": true, "caseSensitive": false}),
        ),
        field("Account__c", "reference", account),
        field("Kind__c", "picklist", values.clone()),
        field("Kinds__c", "multipicklist", values),
        field("Amount__c", "currency", number_of(18, 2)),
        field("Share__c", "percent", number_of(5, 2)),
        field("Count__c", "double", number_of(18, 0)),
        field("Long__c", "textarea", json!({"length": 32_000})),
        field("Odd__c", "hologram", json!({})),
        field(
            "Place__c",
            "location",
            json!({"createable": false, "updateable": false}),
        ),
    ];
    for (name, type_name) in [
        ("Flag__c", "boolean"),
        ("Day__c", "date"),
        ("Moment__c", "datetime"),
        ("Hour__c", "time"),
    ] {
        fields.push(plain(name, type_name));
    }
    for (name, type_name) in [
        ("Email__c", "email"),
        ("Phone__c", "phone"),
        ("Url__c", "url"),
    ] {
        fields.push(field(name, type_name, text.clone()));
    }
    for index in 0..number % 40 {
        fields.push(field(
            &format!("Text_{index:02}__c"),
            "string",
            text.clone(),
        ));
    }
    json!({
        "name": format!("Extra_{number:05}__c"), "keyPrefix": key_prefix, "custom": true,
        "fields": fields,
    })
}

/// Two letters for numbers up to 1,295; beyond, the prefixes repeat.
fn base_36(number: usize) -> String {
    let digit =
        |value: usize| char::from_digit(u32::try_from(value % 36).unwrap_or(0), 36).unwrap_or('0');
    [digit(number / 36), digit(number)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_their_followers() {
        let names: Vec<String> = (8..16)
            .map(|number| object(number)["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names[0], "Extra_00008__c");
        assert_eq!(
            names[3..],
            [
                "Extra_00011__c",
                "Extra_00008__History",
                "Extra_00008__Share",
                "Extra_00008__Feed",
                "Extra_00008__ChangeEvent",
            ]
        );
        let prefixes: std::collections::HashSet<String> = (0..1_200)
            .map(|number| object(number)["keyPrefix"].to_string())
            .collect();
        assert_eq!(prefixes.len(), 1_200);
    }
}
