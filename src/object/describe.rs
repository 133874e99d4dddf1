//! The response of a describe call -> [`ObjectSchema`].
//!
//! Only the keys a load needs are read. A permission that the response leaves out counts as given,
//! so that Salesforce judges it; every other key that is missing or null has its harmless value.

use serde::Deserialize;

use super::{Field, FieldType, ObjectError, ObjectSchema, RecordType};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    name: Option<String>,
    createable: Option<bool>,
    updateable: Option<bool>,
    deletable: Option<bool>,
    fields: Option<Vec<DescribedField>>,
    record_type_infos: Option<Vec<RecordTypeInfo>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedField {
    name: Option<String>,
    label: Option<String>,
    #[serde(rename = "type")]
    field_type: Option<String>,
    length: Option<u32>,
    precision: Option<u32>,
    scale: Option<u32>,
    digits: Option<u32>,
    nillable: Option<bool>,
    createable: Option<bool>,
    updateable: Option<bool>,
    defaulted_on_create: Option<bool>,
    external_id: Option<bool>,
    id_lookup: Option<bool>,
    unique: Option<bool>,
    case_sensitive: Option<bool>,
    reference_to: Option<Vec<String>>,
    relationship_order: Option<u32>,
    cascade_delete: Option<bool>,
    restricted_delete: Option<bool>,
    relationship_name: Option<String>,
    restricted_picklist: Option<bool>,
    picklist_values: Option<Vec<PicklistValue>>,
}

#[derive(Deserialize)]
struct PicklistValue {
    value: Option<String>,
    active: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordTypeInfo {
    name: Option<String>,
    developer_name: Option<String>,
    record_type_id: Option<String>,
    active: Option<bool>,
    available: Option<bool>,
}

pub(super) fn parse(json: &[u8]) -> Result<ObjectSchema, ObjectError> {
    let broken = |reason: String| ObjectError::Describe { reason };
    let describe: Describe = serde_json::from_slice(json).map_err(|e| broken(e.to_string()))?;
    let name = describe
        .name
        .ok_or_else(|| broken("it has no `name`".into()))?;
    let fields = describe
        .fields
        .ok_or_else(|| broken(format!("{name} has no `fields`")))?;
    let fields = fields.into_iter().filter_map(field).collect();
    let mut object = ObjectSchema::new(name, fields);
    object.createable = describe.createable.unwrap_or(true);
    object.updateable = describe.updateable.unwrap_or(true);
    object.deletable = describe.deletable.unwrap_or(true);
    object.record_types = describe
        .record_type_infos
        .unwrap_or_default()
        .into_iter()
        .filter_map(record_type)
        .collect();
    Ok(object)
}

/// A record type without an Id cannot be written, and is left out.
fn record_type(info: RecordTypeInfo) -> Option<RecordType> {
    Some(RecordType {
        id: info.record_type_id?,
        name: info.name.unwrap_or_default(),
        developer_name: info.developer_name,
        usable: info.active.unwrap_or(true) && info.available.unwrap_or(true),
    })
}

/// A field without a name cannot be addressed, and is left out.
fn field(described: DescribedField) -> Option<Field> {
    let name = described.name?;
    let picklist_values = described.picklist_values.unwrap_or_default();
    Some(Field {
        label: described.label.unwrap_or_else(|| name.clone()),
        name,
        field_type: field_type(described.field_type.as_deref().unwrap_or("anyType")),
        length: described.length.unwrap_or(0),
        precision: described.precision.unwrap_or(0),
        scale: described.scale.unwrap_or(0),
        digits: described.digits.unwrap_or(0),
        nillable: described.nillable.unwrap_or(true),
        createable: described.createable.unwrap_or(true),
        updateable: described.updateable.unwrap_or(true),
        defaulted_on_create: described.defaulted_on_create.unwrap_or(false),
        external_id: described.external_id.unwrap_or(false),
        id_lookup: described.id_lookup.unwrap_or(false),
        unique: described.unique.unwrap_or(false),
        case_sensitive: described.case_sensitive.unwrap_or(false),
        reference_to: described.reference_to.unwrap_or_default(),
        master_detail: described.relationship_order,
        cascade_delete: described.cascade_delete.unwrap_or(false),
        restricted_delete: described.restricted_delete.unwrap_or(false),
        relationship_name: described.relationship_name,
        restricted_picklist: described.restricted_picklist.unwrap_or(false),
        picklist_values: picklist_values
            .into_iter()
            .filter(|value| value.active.unwrap_or(true))
            .filter_map(|value| value.value)
            .collect(),
    })
}

fn field_type(name: &str) -> FieldType {
    match name.to_ascii_lowercase().as_str() {
        "anytype" => FieldType::AnyType,
        "base64" => FieldType::Base64,
        "boolean" => FieldType::Boolean,
        "combobox" => FieldType::Combobox,
        "currency" => FieldType::Currency,
        "date" => FieldType::Date,
        "datetime" => FieldType::DateTime,
        "double" => FieldType::Double,
        "email" => FieldType::Email,
        "encryptedstring" => FieldType::EncryptedString,
        "id" => FieldType::Id,
        "int" => FieldType::Int,
        "long" => FieldType::Long,
        "multipicklist" => FieldType::MultiPicklist,
        "percent" => FieldType::Percent,
        "phone" => FieldType::Phone,
        "picklist" => FieldType::Picklist,
        "reference" => FieldType::Reference,
        "string" => FieldType::String,
        "textarea" => FieldType::TextArea,
        "time" => FieldType::Time,
        "url" => FieldType::Url,
        _ => FieldType::Other(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_object() {
        let json = br#"{"name":"Contact","label":"Contact","createable":true,"updateable":false,
            "deletable":null,"urls":{"x":"y"},"childRelationships":[{"field":"A"}],"fields":[
            {"name":"LastName","label":"Last Name","type":"string","length":80,"byteLength":240,
             "nillable":false,"createable":true,"updateable":true,"defaultedOnCreate":false,
             "defaultValue":null,"picklistValues":[],"referenceTo":[],"relationshipName":null},
            {"name":"AccountId","type":"Reference","referenceTo":["Account"],
             "relationshipName":"Account"},
            {"name":"LeadSource","type":"picklist","restrictedPicklist":true,"picklistValues":[
              {"value":"Web","active":true},{"value":"Fax","active":false},{"value":null},
              {"value":"Phone"}]},
            {"name":"Amount__c","type":"currency","precision":18,"scale":2,"length":null},
            {"name":"Place__c","type":"geolocation","createable":false},
            {"type":"string"}],"recordTypeInfos":[
            {"name":"Partner","developerName":"Partner_A","recordTypeId":"012000000000001AAA",
             "active":true,"available":false,"master":false},
            {"name":"Master","recordTypeId":"012000000000000AAA"},{"name":"Lost"}]}"#;
        let object = ObjectSchema::from_describe(json).unwrap();
        assert_eq!(object.name, "Contact");
        assert!(object.createable && !object.updateable && object.deletable);
        assert_eq!(object.fields().len(), 5);
        let last_name = object.field("lastname").unwrap();
        assert_eq!(last_name.label, "Last Name");
        assert_eq!(last_name.length, 80);
        assert!(last_name.required_on_create());
        let account = object.field("AccountId").unwrap();
        assert_eq!(account.field_type, FieldType::Reference);
        assert_eq!(account.reference_to, ["Account"]);
        assert_eq!(account.relationship_name.as_deref(), Some("Account"));
        assert_eq!(account.label, "AccountId");
        let source = object.field("LeadSource").unwrap();
        assert_eq!(source.picklist_values, ["Web", "Phone"]);
        assert!(source.restricted_picklist);
        let amount = object.field("Amount__c").unwrap();
        assert_eq!((amount.precision, amount.scale, amount.length), (18, 2, 0));
        let location = object.field("Place__c").unwrap();
        assert_eq!(location.field_type, FieldType::Other("geolocation".into()));
        assert!(!location.createable);
        let [partner, master] = object.record_types.as_slice() else {
            panic!("{:?}", object.record_types);
        };
        assert_eq!(partner.developer_name.as_deref(), Some("Partner_A"));
        assert_eq!(partner.id, "012000000000001AAA");
        assert!(!partner.usable && master.usable && master.developer_name.is_none());
    }

    #[test]
    fn what_is_no_describe_says_why() {
        for (json, reason) in [
            ("{", "EOF"),
            ("{}", "no `name`"),
            (r#"{"name":"Lead"}"#, "Lead has no `fields`"),
            ("[]", "invalid"),
        ] {
            let error = ObjectSchema::from_describe(json.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(reason), "{json}: {error}");
        }
    }
}
