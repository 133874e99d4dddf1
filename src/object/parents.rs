//! Which lookups lock the record that they point to.
//!
//! Salesforce locks the parent of a row that it saves: the master of a detail, and the record of a
//! lookup that must not lose it, or whose totals the parent keeps. Other lookups lock nothing.

use super::{Field, FieldType, Header};

/// Lookups of standard objects that lock their parents, the one that does so most first.
const LOCKING: [(&str, &[&str]); 13] = [
    ("AccountContactRelation", &["AccountId", "ContactId"]),
    ("Asset", &["AccountId", "ContactId"]),
    ("CampaignMember", &["CampaignId"]),
    ("Case", &["AccountId", "ContactId"]),
    ("Contact", &["AccountId"]),
    ("Contract", &["AccountId"]),
    ("Event", &["WhatId", "WhoId"]),
    ("Opportunity", &["AccountId"]),
    ("OpportunityContactRole", &["OpportunityId", "ContactId"]),
    ("OpportunityLineItem", &["OpportunityId"]),
    ("Order", &["AccountId"]),
    ("OrderItem", &["OrderId"]),
    ("Task", &["WhatId", "WhoId"]),
];

/// How surely, and how much, a lookup locks its parent: the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Locks {
    /// Its master; the first comes before the second.
    Master(u32),
    /// A parent that takes its children with it.
    Cascade,
    /// By the table.
    Known(usize),
    /// A parent that cannot be deleted, or that no row may lack.
    Held,
}

impl Header {
    /// The columns that fill lookups which lock their parents, by index: the one to group rows by
    /// first, then those that come after it.
    pub(crate) fn locking(&self, object: &str) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let mut found: Vec<(Locks, usize)> = columns
            .filter_map(|(index, column)| Some((locks(object, column.fills())?, index)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, index)| index).collect()
    }

    /// The columns that fill a lookup, by index, with the name of its field.
    pub(crate) fn lookups(&self) -> impl Iterator<Item = (usize, &str)> {
        let columns = self.columns.iter().enumerate();
        let columns = columns.map(|(index, column)| (index, column.fills()));
        let lookups = columns.filter(|(_, field)| field.field_type == FieldType::Reference);
        lookups.map(|(index, field)| (index, field.name.as_str()))
    }
}

fn locks(object: &str, field: &Field) -> Option<Locks> {
    if field.field_type != FieldType::Reference {
        return None;
    }
    if let Some(order) = field.master_detail {
        return Some(Locks::Master(order));
    }
    if field.cascade_delete {
        return Some(Locks::Cascade);
    }
    let same = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let known = LOCKING.iter().find(|(name, _)| same(name, object));
    let known = known.and_then(|(_, fields)| fields.iter().position(|f| same(f, &field.name)));
    if let Some(known) = known {
        return Some(Locks::Known(known));
    }
    (field.restricted_delete || field.required_on_create()).then_some(Locks::Held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{ObjectSchema, Operation, RelatedObjects};

    fn locking(object: &str, fields: &str) -> Vec<String> {
        let json = format!(r#"{{"name":"{object}","fields":[{fields}]}}"#);
        let object = ObjectSchema::from_describe(json.as_bytes()).unwrap();
        let columns: Vec<&str> = object.fields().iter().map(|f| f.name.as_str()).collect();
        let related = RelatedObjects::default();
        let header = Header::resolve(&columns, &object, &Operation::Insert, &related).unwrap();
        let locking = header.locking(&object.name).into_iter();
        locking.map(|index| columns[index].to_owned()).collect()
    }

    #[test]
    fn masters_come_before_lookups_of_the_table_and_those_that_hold() {
        let fields = r#"
            {"name":"OwnerId","type":"reference","nillable":false,"defaultedOnCreate":true},
            {"name":"Plain__c","type":"reference"},
            {"name":"Held__c","type":"reference","restrictedDelete":true},
            {"name":"Needed__c","type":"reference","nillable":false},
            {"name":"AccountId","type":"reference"},
            {"name":"Gone__c","type":"reference","cascadeDelete":true},
            {"name":"Second__c","type":"reference","relationshipOrder":1,"cascadeDelete":true},
            {"name":"First__c","type":"reference","relationshipOrder":0,"cascadeDelete":true},
            {"name":"Name","type":"string","nillable":false}"#;
        let of_contact = [
            "First__c",
            "Second__c",
            "Gone__c",
            "AccountId",
            "Held__c",
            "Needed__c",
        ];
        assert_eq!(locking("Contact", fields), of_contact);
        let of_others = ["First__c", "Second__c", "Gone__c", "Held__c", "Needed__c"];
        assert_eq!(locking("Thing__c", fields), of_others);
    }

    #[test]
    fn the_table_has_an_order() {
        let fields = r#"{"name":"WhoId","type":"reference"},{"name":"WhatId","type":"reference"}"#;
        assert_eq!(locking("task", fields), ["WhatId", "WhoId"]);
        assert!(locking("Lead", fields).is_empty());
    }
}
