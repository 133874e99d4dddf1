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
fn told(columns: &[&str], object: &ObjectSchema, operation: &Operation) -> String {
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
    told(columns, &contact(), &Operation::Insert)
}

/// One column of a task.
fn of_task(column: &str) -> String {
    told(&[column], &task(), &Operation::Insert)
}

#[test]
fn names_take_the_case_of_the_describe_and_keep_the_order_of_the_source() {
    let columns = ["email", "_airbyte_raw", "LASTNAME"];
    assert_snapshot!(inserted(&columns), @"");
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
    assert_snapshot!(inserted(&columns), @"");
}

#[test]
fn a_header_needs_a_column() {
    assert_snapshot!(inserted(&["_airbyte_raw"]), @"");
    assert_snapshot!(inserted(&[]), @"");
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
    let told = operations.map(|operation| told(&["Id"], &object, &operation));
    assert_snapshot!(told.join("\n"), @"");
}

#[test]
fn an_update_takes_the_id_and_what_may_be_updated() {
    let columns = ["Email", "ID", "parent__c"];
    assert_snapshot!(told(&columns[..2], &contact(), &Operation::Update), @"");
    assert_snapshot!(told(&columns[2..], &contact(), &Operation::Update), @"");
}

#[test]
fn an_upsert_takes_its_key_and_what_may_be_written() {
    let contact = contact();
    let columns = ["LastName", "KEY__C", "Parent__r.Ext__c"];
    assert_snapshot!(told(&columns, &contact, &upsert("key__c")), @"");
    assert_snapshot!(told(&["id", "Email"], &contact, &upsert("ID")), @"");
    assert_snapshot!(told(&["email"], &contact, &upsert("Email")), @"");
    let header = resolve(&columns, &contact, &upsert("kEY__c")).unwrap();
    assert_eq!(header.operation, upsert("Key__c"));
    assert!(header.missing_required.is_empty());
}

#[test]
fn keys_that_name_no_record() {
    let contact = contact();
    assert_snapshot!(told(&["LastName"], &contact, &upsert("lastname")), @"");
    assert_snapshot!(told(&["Email"], &contact, &upsert("Kee__c")), @"");
    assert_snapshot!(told(&["Email"], &contact, &upsert("key__c")), @"");
    assert_snapshot!(told(&["Id", "Key__c"], &contact, &upsert("key__c")), @"");
    assert_snapshot!(told(&["Subject"], &task(), &upsert("Subject")), @"");
}

#[test]
fn a_deletion_sends_the_id_alone() {
    let columns = ["Email", "Nowhere", "A.B.C", "id", "Account.Name"];
    assert_snapshot!(told(&columns, &contact(), &Operation::Delete), @"");
    assert_snapshot!(told(&columns, &contact(), &Operation::HardDelete), @"");
    assert_snapshot!(told(&columns[..2], &contact(), &Operation::Delete), @"");
    assert_snapshot!(told(&["Id", "ID"], &contact(), &Operation::Delete), @"");
    assert!(Header::related(&columns, &contact(), &Operation::Delete).is_empty());
}

#[test]
fn a_lookup_of_one_object_has_no_prefix() {
    assert_snapshot!(inserted(&["account.EXT__C", "ACCOUNT:parent__R.id"]), @"");
    assert_snapshot!(inserted(&["ReportsTo.Email"]), @"");
    assert_snapshot!(inserted(&["Lead:Account.ext__c"]), @"");
    let header = resolve(&["Account.Number__c"], &contact(), &Operation::Insert).unwrap();
    let column = &header.columns[0];
    assert_eq!(column.field.field_type, FieldType::Double);
    assert_eq!(column.fills().name, "AccountId");
}

#[test]
fn a_lookup_of_several_objects_has_one() {
    assert_snapshot!(of_task("lead:WHO.email"), @"");
    assert_snapshot!(of_task("Who.Lead_key__c"), @"");
    assert_snapshot!(of_task("Who.Email"), @"");
    assert_snapshot!(of_task("Who.Id"), @"");
    assert_snapshot!(of_task("Who.Nothing"), @"");
    assert_snapshot!(of_task("Account:Who.email"), @"");
    assert_snapshot!(inserted(&["Owner.Email"]), @"");
}

#[test]
fn objects_that_the_user_does_not_see() {
    assert_snapshot!(of_task("What.Ext__c"), @"");
    assert_snapshot!(of_task("account:What.Ext__c"), @"");
    assert_snapshot!(of_task("Secret__c:What.Ext__c"), @"");
    assert_snapshot!(inserted(&["RecordType.Id"]), @"");
}

#[test]
fn fields_that_name_no_record() {
    assert_snapshot!(inserted(&["Account.name"]), @"");
    assert_snapshot!(inserted(&["Account.Nothing"]), @"");
    assert_snapshot!(inserted(&["Account."]), @"");
    assert_snapshot!(of_task("Lead:Who.Key__c"), @"");
}

#[test]
fn wrong_names_of_a_relationship() {
    assert_snapshot!(inserted(&["AccountId.ext__c"]), @"");
    assert_snapshot!(inserted(&["Parent__c.Ext__c"]), @"");
    assert_snapshot!(inserted(&["parent.Ext__c"]), @"");
    assert_snapshot!(inserted(&["Reports.Email"]), @"");
    assert_snapshot!(inserted(&["Account.Owner.Email"]), @"");
    assert_snapshot!(of_task("WhoId.lead_key__c"), @"");
    assert_snapshot!(inserted(&["RecordTypeId.developername"]), @"");
    let bare = ObjectSchema::new("Bare", vec![contact().fields()[1].clone()]);
    assert_snapshot!(told(&["A.B"], &bare, &Operation::Insert), @"");
}

#[test]
fn a_lookup_must_be_writable() {
    assert_snapshot!(inserted(&["CreatedBy.Email"]), @"");
    assert_snapshot!(told(&["Id", "Parent__r.Ext__c"], &contact(), &Operation::Update), @"");
}

#[test]
fn a_lookup_is_fed_once() {
    assert_snapshot!(inserted(&["AccountId", "Account.Ext__c"]), @"");
    assert_snapshot!(inserted(&["Account.Ext__c", "Account.Number__c"]), @"");
    assert_snapshot!(inserted(&["RecordType.Name", "RecordTypeId"]), @"");
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
        (column.field.name.as_str(), &column.lookup),
        ("RecordTypeId", &None)
    );
    RecordTypes::clone(column.record_types.as_ref().unwrap())
}

#[test]
fn record_types_by_developer_name() {
    let types = record_types("recordtype.DEVELOPERNAME");
    assert_eq!(types.id("customer_a"), Ok("012000000000001AAA"));
    assert_eq!(types.id(" PARTNER_B "), Ok("012000000000003AAA"));
    assert_eq!(types.id("Gone"), Ok("012000000000004AAA"));
    assert_snapshot!(types.id("Customer").unwrap_err(), @"");
}

#[test]
fn record_types_by_name() {
    let types = record_types("RecordType:RecordType.name");
    assert_eq!(types.id("CUSTOMER"), Ok("012000000000001AAA"));
    assert_snapshot!(types.id("Partner").unwrap_err(), @"");
    assert_snapshot!(types.id("Partner_A").unwrap_err(), @"");
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
fn many_record_types_are_not_all_told() {
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
    assert_snapshot!(types.id("T25").unwrap_err(), @"");
}
