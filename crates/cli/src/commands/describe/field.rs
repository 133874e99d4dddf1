//! A field, as it is described and as it is shown.

use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const NAMES: [&str; 21] = [
    "name",
    "label",
    "type",
    "length",
    "precision",
    "scale",
    "required",
    "nillable",
    "create",
    "change",
    "calculated",
    "auto_number",
    "external_id",
    "id_lookup",
    "unique",
    "case_sensitive",
    "references",
    "relationship",
    "master_detail",
    "restricted",
    "values",
];

/// Most values of a picklist in a table.
const FEW: usize = 8;

/// An object, as Salesforce describes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) name: String,
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) createable: bool,
    #[serde(default)]
    pub(super) updateable: bool,
    #[serde(default)]
    pub(super) deletable: bool,
    #[serde(default)]
    pub(super) queryable: bool,
    pub(super) fields: Vec<Field>,
    #[serde(default)]
    record_type_infos: Vec<RecordType>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordType {
    #[serde(default)]
    name: String,
    #[serde(default)]
    available: bool,
    #[serde(default)]
    master: bool,
}

/// A field of it. Salesforce leaves nothing out; what a simulator leaves out is false, zero or empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    #[serde(rename = "type")]
    field_type: String,
    length: u32,
    precision: u32,
    scale: u32,
    digits: u32,
    nillable: bool,
    createable: bool,
    updateable: bool,
    defaulted_on_create: bool,
    calculated: bool,
    auto_number: bool,
    external_id: bool,
    id_lookup: bool,
    unique: bool,
    case_sensitive: bool,
    reference_to: Option<Vec<String>>,
    relationship_name: Option<String>,
    relationship_order: Option<u32>,
    restricted_picklist: bool,
    picklist_values: Option<Vec<PicklistValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PicklistValue {
    active: bool,
    value: Option<String>,
}

impl Object {
    /// Names of the record types that this user may give to records.
    pub(super) fn record_types(&self) -> Vec<&str> {
        let types = self.record_type_infos.iter();
        let types = types.filter(|one| one.available && !one.master);
        types.map(|one| one.name.as_str()).collect()
    }
}

impl Field {
    pub(super) fn is_writable(&self) -> bool {
        self.createable || self.updateable
    }

    /// Whether a new record without it is refused.
    fn is_required(&self) -> bool {
        !self.nillable && self.createable && !self.defaulted_on_create
    }

    /// The type, with its size where it has one.
    pub(super) fn kind(&self) -> String {
        let kind = &self.field_type;
        match kind.as_str() {
            "int" if self.digits > 0 => format!("{kind}({})", self.digits),
            "double" | "currency" | "percent" => {
                format!("{kind}({},{})", self.precision, self.scale)
            }
            "string" | "textarea" | "email" | "phone" | "url" | "encryptedstring"
                if self.length > 0 =>
            {
                format!("{kind}({})", self.length)
            }
            _ => kind.clone(),
        }
    }

    /// When it can be written, in a word or two.
    pub(super) fn write(&self) -> &'static str {
        match (self.createable, self.updateable) {
            (true, true) if self.is_required() => "required",
            (true, true) => "yes",
            (true, false) if self.is_required() => "required, on create",
            (true, false) => "on create",
            (false, true) => "on change",
            (false, false) => "no",
        }
    }

    /// What else matters to a load.
    pub(super) fn notes(&self) -> String {
        let mut notes: Vec<String> = Vec::new();
        let mut note = |is: bool, text: &str| {
            if is {
                notes.push(text.to_owned());
            }
        };
        note(self.external_id, "external ID");
        note(self.unique, "unique");
        note(
            (self.external_id || self.unique) && self.case_sensitive,
            "case matters",
        );
        note(
            self.id_lookup && !self.external_id && self.name != "Id",
            "names records",
        );
        note(self.auto_number, "auto number");
        note(self.calculated, "formula");
        note(self.relationship_order.is_some(), "master-detail");
        if let Some(to) = self.reference_to.as_deref().filter(|to| !to.is_empty()) {
            let name = self.relationship_name.as_deref();
            let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
            notes.push(format!("refers to {}{name}", few(to.iter())));
        }
        let values = self.values_of_picklist();
        if !values.is_empty() {
            let only = if self.restricted_picklist {
                "only "
            } else {
                ""
            };
            notes.push(format!("{only}{}", few(values.iter())));
        }
        notes.join("; ")
    }

    fn values_of_picklist(&self) -> Vec<&str> {
        let values = self.picklist_values.iter().flatten();
        let active = values.filter(|value| value.active);
        active.filter_map(|value| value.value.as_deref()).collect()
    }

    /// What programs see of it, in the order of [`NAMES`].
    pub(super) fn values(&self) -> Vec<Value> {
        vec![
            json!(self.name),
            json!(self.label),
            json!(self.field_type),
            json!(self.length),
            json!(self.precision.max(self.digits)),
            json!(self.scale),
            json!(self.is_required()),
            json!(self.nillable),
            json!(self.createable),
            json!(self.updateable),
            json!(self.calculated),
            json!(self.auto_number),
            json!(self.external_id),
            json!(self.id_lookup),
            json!(self.unique),
            json!(self.case_sensitive),
            json!(self.reference_to.as_deref().unwrap_or_default()),
            json!(self.relationship_name),
            json!(self.relationship_order.is_some()),
            json!(self.restricted_picklist),
            json!(self.values_of_picklist()),
        ]
    }
}

/// The first of some names, and how many more there are.
fn few(names: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    let more = names.len().saturating_sub(FEW);
    let first: Vec<String> = names
        .take(FEW)
        .map(|name| name.as_ref().to_owned())
        .collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let field: Field = serde_json::from_str(json).unwrap();
        let cells = [field.kind(), field.write().to_owned(), field.notes()];
        cells.join(" | ")
    }

    #[test]
    fn fields_in_words() {
        let fields = [
            r#"{"name":"LastName","type":"string","length":80,"createable":true,"updateable":true}"#,
            r#"{"name":"Amount","type":"currency","precision":18,"scale":2,"nillable":true,"createable":true}"#,
            r#"{"name":"Ext__c","type":"string","length":20,"nillable":true,"createable":true,"updateable":true,
                "externalId":true,"unique":true,"caseSensitive":true,"idLookup":true}"#,
            r#"{"name":"WhoId","type":"reference","nillable":true,"createable":true,"updateable":true,
                "referenceTo":["Contact","Lead"],"relationshipName":"Who"}"#,
            r#"{"name":"Parent__c","type":"reference","createable":true,"referenceTo":["Account"],
                "relationshipName":"Parent__r","relationshipOrder":0}"#,
            r#"{"name":"Total__c","type":"double","precision":18,"scale":0,"nillable":true,"calculated":true}"#,
            r#"{"name":"Number","type":"string","length":30,"autoNumber":true}"#,
            r#"{"name":"Rating","type":"picklist","nillable":true,"createable":true,"updateable":true,
                "restrictedPicklist":true,"picklistValues":[{"active":true,"value":"Hot"},
                {"active":false,"value":"Old"},{"active":true,"value":"Cold"}]}"#,
        ];
        insta::assert_snapshot!(fields.map(shown).join("\n"), @"
        string(80) | required | 
        currency(18,2) | on create | 
        string(20) | yes | external ID; unique; case matters
        reference | yes | refers to Contact, Lead as Who
        reference | required, on create | master-detail; refers to Account as Parent__r
        double(18,0) | no | formula
        string(30) | no | auto number
        picklist | yes | only Hot, Cold
        ");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..12).map(|number| format!("V{number}")).collect();
        assert_eq!(
            few(names.iter()),
            "V0, V1, V2, V3, V4, V5, V6, V7 and 4 more"
        );
    }
}
