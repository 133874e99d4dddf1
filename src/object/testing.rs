//! Described objects for tests.

use super::{ObjectSchema, RelatedObjects};

fn described(json: &str) -> ObjectSchema {
    ObjectSchema::from_describe(json.as_bytes()).unwrap()
}

pub(super) fn contact() -> ObjectSchema {
    described(
        r#"{"name":"Contact","fields":[
        {"name":"Id","type":"id","nillable":false,"createable":false,"updateable":false,
         "idLookup":true},
        {"name":"LastName","type":"string","nillable":false},
        {"name":"Email","type":"email","idLookup":true},
        {"name":"AccountId","type":"reference","relationshipName":"Account",
         "referenceTo":["Account"]},
        {"name":"ReportsToId","type":"reference","relationshipName":"ReportsTo",
         "referenceTo":["Contact"]},
        {"name":"Key__c","type":"string","nillable":false,"externalId":true,"idLookup":true},
        {"name":"Parent__c","type":"reference","relationshipName":"Parent__r","updateable":false,
         "nillable":false,"referenceTo":["Account"]},
        {"name":"OwnerId","type":"reference","nillable":false,"defaultedOnCreate":true,
         "relationshipName":"Owner","referenceTo":["Group","User"]},
        {"name":"CreatedById","type":"reference","nillable":false,"createable":false,
         "updateable":false,"relationshipName":"CreatedBy","referenceTo":["User"]},
        {"name":"RecordTypeId","type":"reference","relationshipName":"RecordType",
         "referenceTo":["RecordType"]},
        {"name":"CreatedDate","type":"datetime","nillable":false,"createable":false,
         "updateable":false}],
        "recordTypeInfos":[
        {"name":"Customer","developerName":"Customer_A","recordTypeId":"012000000000001AAA"},
        {"name":"Partner","developerName":"Partner_A","recordTypeId":"012000000000002AAA"},
        {"name":"Partner","developerName":"Partner_B","recordTypeId":"012000000000003AAA"},
        {"name":"Customer","developerName":"Gone","recordTypeId":"012000000000004AAA",
         "active":false},
        {"name":"Master","developerName":"Master","recordTypeId":"012000000000000AAA"}]}"#,
    )
}

pub(super) fn task() -> ObjectSchema {
    described(
        r#"{"name":"Task","fields":[
        {"name":"Id","type":"id","createable":false,"updateable":false},
        {"name":"Subject","type":"combobox"},
        {"name":"WhoId","type":"reference","relationshipName":"Who",
         "referenceTo":["Contact","Lead"]},
        {"name":"WhatId","type":"reference","relationshipName":"What",
         "referenceTo":["Account","Secret__c"]}]}"#,
    )
}

/// Without Secret__c and RecordType, as if the user did not see them.
pub(super) fn related() -> RelatedObjects {
    let account = r#"{"name":"Account","fields":[
        {"name":"Id","type":"id"},{"name":"Name","type":"string"},
        {"name":"Ext__c","type":"string","externalId":true},
        {"name":"Number__c","type":"double","externalId":true}]}"#;
    let lead = r#"{"name":"Lead","fields":[
        {"name":"Id","type":"id"},{"name":"Email","type":"email","idLookup":true},
        {"name":"Lead_Key__c","type":"string","externalId":true}]}"#;
    let group = r#"{"name":"Group","fields":[{"name":"Id","type":"id"},
        {"name":"Email","type":"email"}]}"#;
    let user = r#"{"name":"User","fields":[{"name":"Id","type":"id"},
        {"name":"Email","type":"email","idLookup":true},
        {"name":"Username","type":"string","idLookup":true}]}"#;
    [account, lead, group, user]
        .map(described)
        .into_iter()
        .chain([contact()])
        .collect()
}
