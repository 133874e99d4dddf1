mod properties;

use insta::assert_snapshot;

use super::testing::{contact, related, task};
use super::*;

fn upsert(key: &str) -> Operation {
    Operation::Upsert {
        external_id: key.into(),
    }
}

fn resolve(
    columns: &[&str],
    object: &ObjectSchema,
    operation: &Operation,
) -> Result<Header, ObjectError> {
    Header::resolve(columns, object, operation, &related())
}

/// Each column as `source:header`, the key with a star; or each problem on a line.
fn resolved(columns: &[&str], object: &ObjectSchema, operation: &Operation) -> String {
    match resolve(columns, object, operation) {
        Ok(header) => {
            let columns = header.columns.iter().enumerate();
            let columns = columns.map(|(index, column)| {
                let star = if header.key == Some(index) { "*" } else { "" };
                format!("{}:{}{star}", column.source, column.name)
            });
            columns.collect::<Vec<_>>().join(" ")
        }
        Err(ObjectError::Columns { problems, .. }) => problems.join("\n"),
        Err(error) => error.to_string(),
    }
}

fn inserted(columns: &[&str]) -> String {
    resolved(columns, &contact(), &Operation::Insert)
}

/// One column of a task.
fn of_task(column: &str) -> String {
    resolved(&[column], &task(), &Operation::Insert)
}

#[test]
fn names_take_the_case_of_the_describe_and_keep_the_order_of_the_source() {
    let columns = ["email", "_airbyte_raw", "LASTNAME"];
    assert_snapshot!(inserted(&columns), @"0:Email 2:LastName");
    let header = resolve(&columns, &contact(), &Operation::Insert).unwrap();
    assert_eq!(header.missing_required, ["Key__c", "Parent__c"]);
    assert_eq!(header.key, None);
}

#[test]
fn a_relationship_column_feeds_the_required_lookup() {
    let columns = ["LastName", "Key__c", "Parent__r.Ext__c"];
    let header = resolve(&columns, &contact(), &Operation::Insert).unwrap();
    assert!(header.missing_required.is_empty(), "{header:?}");
}

#[test]
fn every_problem_is_named_at_once() {
    let columns = [
        "Lastname__c",
        "CreatedDate",
        "Email",
        "EMAIL",
        "Account.Name",
        "Boss.Key__c",
        "Zzz",
        "Id",
    ];
    assert_snapshot!(inserted(&columns), @"
    column Lastname__c: Contact has no such field; map the column to another, nearest: LastName
    column CreatedDate: the user may not create it; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it
    column EMAIL: column Email feeds the same field Email; keep one of them
    column Account.Name: AccountId points to Account, whose Name is neither an external ID nor a lookup field; write Account.Id, Account.Ext__c or Account.Number__c
    column Boss.Key__c: Contact has no relationship Boss; use one of its relationships: ReportsTo, Owner, Account, RecordType or Parent__r
    column Zzz: Contact has no such field, or the user may not see it; map the column to another field, or leave it out
    column Id: the user may not create it; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it
    ");
}

#[test]
fn names_with_characters_that_cannot_be_seen_show_them() {
    let columns = [
        "\u{feff}LastName",
        "Email ",
        "Last\u{200b}Name",
        "Account.\u{a0}Ext__c",
        "\u{202e}Zzz",
    ];
    assert_snapshot!(inserted(&columns), @r#"
    column "\u{feff}LastName": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them, so that it is LastName
    column "Email ": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them, so that it is Email
    column "Last\u{200b}Name": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them, so that it is LastName
    column "Account.\u{a0}Ext__c": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them
    column "\u{202e}Zzz": its name has characters that cannot be seen, written as escapes here, or blanks around it; rename it in the source without them
    "#);
    let key = upsert("Key__c\u{200b}");
    assert_snapshot!(resolved(&["Key__c"], &contact(), &key), @r#"key "Key__c\u{200b}": it is not a field of Contact; use Key__c or Id"#);
}

#[test]
fn a_header_needs_a_column() {
    assert_snapshot!(inserted(&["_airbyte_raw"]), @"no column of the source is a field of it; map at least one");
    assert_snapshot!(inserted(&[]), @"no column of the source is a field of it; map at least one");
}

#[test]
fn the_object_must_allow_the_operation() {
    let mut object = contact();
    let hard = Operation::HardDelete;
    (object.createable, object.updateable, object.deletable) = (false, false, false);
    let operations = [
        Operation::Insert,
        Operation::Update,
        upsert("Id"),
        Operation::Delete,
        hard,
    ];
    let resolved = operations.map(|operation| resolved(&["Id"], &object, &operation));
    assert_snapshot!(resolved.join("\n"), @"
    object Contact: the user may not insert its records; grant Create on it in a profile or permission set of the integration user
    object Contact: the user may not update its records; grant Edit on it in a profile or permission set of the integration user
    object Contact: the user may not upsert its records; grant Create and Edit on it in a profile or permission set of the integration user
    object Contact: the user may not delete its records; grant Delete on it in a profile or permission set of the integration user
    object Contact: the user may not hardDelete its records; grant Delete on it and Bulk API Hard Delete in a profile or permission set of the integration user
    ");
}

#[test]
fn an_update_takes_the_id_and_what_may_be_updated() {
    let columns = ["Email", "ID", "parent__c"];
    assert_snapshot!(resolved(&columns[..2], &contact(), &Operation::Update), @"0:Email 1:Id*");
    assert_snapshot!(resolved(&columns[2..], &contact(), &Operation::Update), @"
    column parent__c: the user may not update it; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it
    no column feeds Id, by which update finds the records of Contact; map a column to it
    ");
}

#[test]
fn an_upsert_takes_its_key_and_what_may_be_written() {
    let contact = contact();
    let columns = ["LastName", "KEY__C", "Parent__r.Ext__c"];
    assert_snapshot!(resolved(&columns, &contact, &upsert("key__c")), @"0:LastName 1:Key__c* 2:Parent__r.Ext__c");
    assert_snapshot!(resolved(&["id", "Email"], &contact, &upsert("ID")), @"0:Id* 1:Email");
    assert_snapshot!(resolved(&["email"], &contact, &upsert("Email")), @"0:Email*");
    let columns_of_two = ["ReportsTo.Key__c", "Key__c"];
    assert_snapshot!(resolved(&columns_of_two, &contact, &upsert("Key__c")), @"0:ReportsTo.Key__c 1:Key__c*");
    let header = resolve(&columns, &contact, &upsert("kEY__c")).unwrap();
    assert_eq!(header.operation, upsert("Key__c"));
    assert!(header.missing_required.is_empty());
}

#[test]
fn keys_that_name_no_record() {
    let contact = contact();
    assert_snapshot!(resolved(&["LastName"], &contact, &upsert("lastname")), @"key LastName: it is not an external ID of Contact; use Key__c or Id");
    assert_snapshot!(resolved(&["Email"], &contact, &upsert("Kee__c")), @"key Kee__c: it is not a field of Contact; use Key__c or Id");
    assert_snapshot!(resolved(&["Email"], &contact, &upsert("key__c")), @"no column feeds Key__c, by which upsert finds the records of Contact; map a column to it");
    assert_snapshot!(resolved(&["Id", "Key__c"], &contact, &upsert("key__c")), @"column Id: the user may not write it; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it");
    assert_snapshot!(resolved(&["Subject"], &task(), &upsert("Subject")), @"key Subject: it is not an external ID of Task; use Id, or let the user see an external ID of it");
}

#[test]
fn a_deletion_sends_the_id_alone() {
    let columns = ["Email", "Nowhere", "A.B.C", "id", "Account.Name"];
    assert_snapshot!(resolved(&columns, &contact(), &Operation::Delete), @"3:Id*");
    assert_snapshot!(resolved(&columns, &contact(), &Operation::HardDelete), @"3:Id*");
    assert_snapshot!(resolved(&columns[..2], &contact(), &Operation::Delete), @"no column feeds Id, by which delete finds the records of Contact; map a column to it");
    assert_snapshot!(resolved(&["Id", "ID"], &contact(), &Operation::Delete), @"column ID: column Id feeds the same field Id; keep one of them");
    assert!(Header::related(&columns, &contact(), &Operation::Delete).is_empty());
}

#[test]
fn a_lookup_of_one_object_has_no_prefix() {
    assert_snapshot!(inserted(&["account.EXT__C", "ACCOUNT:parent__R.id"]), @"0:Account.Ext__c 1:Parent__r.Id");
    assert_snapshot!(inserted(&["ReportsTo.Email"]), @"0:ReportsTo.Email");
    assert_snapshot!(inserted(&["Lead:Account.ext__c"]), @"column Lead:Account.ext__c: AccountId points to Account, not to Lead; write Account.Ext__c");
    let header = resolve(&["Account.Number__c"], &contact(), &Operation::Insert).unwrap();
    let column = &header.columns[0];
    assert_eq!(column.field.field_type, FieldType::Double);
    assert_eq!(column.fills().name, "AccountId");
}

#[test]
fn a_lookup_of_several_objects_has_one() {
    assert_snapshot!(of_task("lead:WHO.email"), @"0:Lead:Who.Email");
    assert_snapshot!(of_task("Who.Lead_key__c"), @"0:Lead:Who.Lead_Key__c");
    assert_snapshot!(of_task("Who.Email"), @"column Who.Email: WhoId points to several objects that have Email; write Contact:Who.Email or Lead:Who.Email");
    assert_snapshot!(of_task("Who.Id"), @"column Who.Id: WhoId points to several objects that have Id; write Contact:Who.Id or Lead:Who.Id, or map the Id of the related record to WhoId");
    assert_snapshot!(of_task("Who.Nothing"), @"column Who.Nothing: WhoId points to objects that have no external ID or lookup field Nothing; write Contact:Who.Id, Contact:Who.Email, Contact:Who.Key__c, Lead:Who.Id, Lead:Who.Email or Lead:Who.Lead_Key__c");
    assert_snapshot!(of_task("Account:Who.email"), @"column Account:Who.email: WhoId points to Contact and Lead, not to Account; write Contact:Who.Email or Lead:Who.Email");
    assert_snapshot!(inserted(&["Owner.Email"]), @"0:User:Owner.Email");
}

#[test]
fn objects_that_the_user_does_not_see() {
    assert_snapshot!(of_task("What.Ext__c"), @"column What.Ext__c: WhatId points to Secret__c, which the user may not see; write Account:What.Ext__c, or grant the user Read on Secret__c");
    assert_snapshot!(of_task("account:What.Ext__c"), @"0:Account:What.Ext__c");
    assert_snapshot!(of_task("Secret__c:What.Ext__c"), @"column Secret__c:What.Ext__c: WhatId points to Secret__c, which the user may not see; map the Id of the related record to WhatId, or grant the user Read on Secret__c");
    assert_snapshot!(inserted(&["RecordType.Id"]), @"column RecordType.Id: RecordTypeId points to RecordType, which the user may not see; map the Id of the related record to RecordTypeId, or grant the user Read on RecordType");
}

#[test]
fn fields_that_name_no_record() {
    assert_snapshot!(inserted(&["Account.name"]), @"column Account.name: AccountId points to Account, whose name is neither an external ID nor a lookup field; write Account.Id, Account.Ext__c or Account.Number__c");
    assert_snapshot!(inserted(&["Account.Nothing"]), @"column Account.Nothing: AccountId points to Account, which has no such field; write Account.Id, Account.Ext__c or Account.Number__c");
    assert_snapshot!(inserted(&["Account."]), @"column Account.: AccountId points to Account, which has no such field; write Account.Id, Account.Ext__c or Account.Number__c");
    assert_snapshot!(of_task("Lead:Who.Key__c"), @"column Lead:Who.Key__c: WhoId points to Lead, which has no such field; write Lead:Who.Id, Lead:Who.Email or Lead:Who.Lead_Key__c");
}

#[test]
fn wrong_names_of_a_relationship() {
    assert_snapshot!(inserted(&["AccountId.ext__c"]), @"column AccountId.ext__c: AccountId is not the name of the relationship, Account is; write Account.Ext__c");
    assert_snapshot!(inserted(&["Parent__c.Ext__c"]), @"column Parent__c.Ext__c: Parent__c is not the name of the relationship, Parent__r is; write Parent__r.Ext__c");
    assert_snapshot!(inserted(&["parent.Ext__c"]), @"column parent.Ext__c: parent is not the name of the relationship, Parent__r is; write Parent__r.Ext__c");
    assert_snapshot!(inserted(&["Reports.Email"]), @"column Reports.Email: Contact has no relationship Reports; use one of its relationships: ReportsTo, RecordType, Parent__r, Owner or Account");
    assert_snapshot!(inserted(&["Account.Owner.Email"]), @"column Account.Owner.Email: a job follows one relationship only; write Relationship.Field with a field of the related record itself, or map the record's Id to the lookup field");
    assert_snapshot!(of_task("WhoId.lead_key__c"), @"column WhoId.lead_key__c: WhoId is not the name of the relationship, Who is; write Lead:Who.Lead_Key__c");
    assert_snapshot!(inserted(&["RecordTypeId.developername"]), @"column RecordTypeId.developername: RecordTypeId is not the name of the relationship, RecordType is; write RecordType.DeveloperName");
    let bare = ObjectSchema::new("Bare", vec![contact().fields()[1].clone()]);
    assert_snapshot!(resolved(&["A.B"], &bare, &Operation::Insert), @"column A.B: Bare has no relationship A; it has none; leave the column out");
}

#[test]
fn a_lookup_must_be_writable() {
    assert_snapshot!(inserted(&["CreatedBy.Email"]), @"column CreatedBy.Email: the user may not create CreatedById; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it");
    assert_snapshot!(resolved(&["Id", "Parent__r.Ext__c"], &contact(), &Operation::Update), @"column Parent__r.Ext__c: the user may not update Parent__c; leave the column out, or, unless Salesforce fills the field by itself, give the user edit access to it");
}

#[test]
fn a_lookup_is_fed_once() {
    assert_snapshot!(inserted(&["AccountId", "Account.Ext__c"]), @"column Account.Ext__c: column AccountId feeds the same field AccountId; keep one of them");
    assert_snapshot!(inserted(&["Account.Ext__c", "Account.Number__c"]), @"column Account.Number__c: column Account.Ext__c feeds the same field AccountId; keep one of them");
    assert_snapshot!(inserted(&["RecordType.Name", "RecordTypeId"]), @"column RecordTypeId: column RecordType.Name feeds the same field RecordTypeId; keep one of them");
}

#[test]
fn objects_to_describe() {
    let columns = [
        "account.Ext__c",
        "Parent__r.Id",
        "ReportsTo.Key__c",
        "Owner.Email",
    ];
    let needed = Header::related(&columns, &contact(), &Operation::Insert);
    assert_eq!(needed, ["Account", "Group", "User"]);
    let columns = [
        "User:OwnerId.Email",
        "RecordType.DeveloperName",
        "A.B.C",
        "Email",
        "No.Where",
    ];
    let needed = Header::related(&columns, &contact(), &Operation::Insert);
    assert_eq!(needed, ["User"]);
    let needed = Header::related(&["Nobody:Who.Email"], &task(), &Operation::Update);
    assert_eq!(needed, ["Contact", "Lead"]);
}

fn record_types(column: &str) -> RecordTypes {
    let header = resolve(&[column], &contact(), &Operation::Insert).unwrap();
    let [column] = header.columns.as_slice() else {
        panic!("{header:?}");
    };
    assert_eq!(column.name, "RecordTypeId");
    assert_eq!(
        (&column.field.field_type, column.field.length),
        (&FieldType::String, 0)
    );
    assert_eq!(column.fills().name, "RecordTypeId");
    RecordTypes::clone(column.record_types.as_ref().unwrap())
}

#[test]
fn record_types_by_developer_name() {
    let types = record_types("recordtype.DEVELOPERNAME");
    assert_eq!(types.id("customer_a"), Ok("012000000000001AAA"));
    assert_eq!(types.id(" PARTNER_B "), Ok("012000000000003AAA"));
    assert_eq!(types.id("Gone"), Ok("012000000000004AAA"));
    assert_snapshot!(types.id("Customer").unwrap_err(), @"not the developer name of a record type (known: Customer_A, Partner_A, Partner_B, Master)");
}

#[test]
fn record_types_by_name() {
    let types = record_types("RecordType:RecordType.name");
    assert_eq!(types.id("CUSTOMER"), Ok("012000000000001AAA"));
    assert_snapshot!(types.id("Partner").unwrap_err(), @"the name of 2 record types, whose Ids are 012000000000002AAA, 012000000000003AAA; use RecordType.DeveloperName, or map the Id of the right one to RecordTypeId");
    assert_snapshot!(types.id("Partner_A").unwrap_err(), @"not the name of a record type (known: Customer, Partner, Master)");
}

#[test]
fn record_types_of_one_developer_name_are_known_by_their_ids() {
    let mut object = contact();
    for record_type in &mut object.record_types {
        record_type.developer_name = Some("Same".to_owned());
    }
    let header = resolve(&["RecordType.DeveloperName"], &object, &Operation::Insert).unwrap();
    let types = header.columns[0].record_types.as_ref().unwrap();
    assert_snapshot!(types.id("same").unwrap_err(), @"the developer name of 4 record types, whose Ids are 012000000000001AAA, 012000000000002AAA, 012000000000003AAA, 012000000000000AAA; map the Id of the right one to RecordTypeId");
}

#[test]
fn record_types_without_developer_names_are_left_to_salesforce() {
    let mut object = contact();
    for record_type in &mut object.record_types {
        record_type.developer_name = None;
    }
    for (column, name) in [
        ("recordtype.developername", "RecordType.DeveloperName"),
        ("recordtype.NAME", "RecordType.Name"),
    ] {
        let header = resolve(&[column], &object, &Operation::Insert).unwrap();
        let column = &header.columns[0];
        assert_eq!(column.name, name);
        assert_eq!(column.field.field_type, FieldType::String);
        assert_eq!(
            (column.fills().name.as_str(), &column.record_types),
            ("RecordTypeId", &None)
        );
    }
}

#[test]
fn many_record_types_are_not_all_listed() {
    let mut object = contact();
    object.record_types = (0..25)
        .map(|n| RecordType {
            id: format!("0120000000000{n:02}AAA"),
            name: format!("Type {n}"),
            developer_name: Some(format!("T{n}")),
            usable: true,
        })
        .collect();
    let header = resolve(&["RecordType.DeveloperName"], &object, &Operation::Insert).unwrap();
    let types = header.columns[0].record_types.as_ref().unwrap();
    assert_snapshot!(types.id("T25").unwrap_err(), @"not the developer name of a record type (known: T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15, T16, T17, T18, T19 and 5 more)");
}
