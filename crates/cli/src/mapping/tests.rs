use arrow_salesforce::arrow::datatypes::{DataType, Field as Column};
use serde_json::json;

use super::*;

fn contact() -> ObjectSchema {
    let field = |name: &str, label: &str, kind: &str, writable: bool| {
        json!({
            "name": name, "label": label, "type": kind, "createable": writable,
            "updateable": writable, "nillable": true, "externalId": name == "Ext_Id__c",
            "idLookup": name == "Ext_Id__c" || name == "Id", "referenceTo": [],
        })
    };
    let mut account = field("AccountId", "Account ID", "reference", true);
    account["referenceTo"] = json!(["Account"]);
    account["relationshipName"] = json!("Account");
    let fields = json!([
        field("Id", "Contact ID", "id", false),
        field("LastName", "Last Name", "string", true),
        field("FirstName", "First Name", "string", true),
        field("Email", "E-Mail", "email", true),
        field("Home__c", "Address", "string", true),
        field("Work__c", "Address", "string", true),
        field("CreatedDate", "Created Date", "datetime", false),
        field("Ext_Id__c", "External Id", "string", true),
        account,
    ]);
    let describe = json!({
        "name": "Contact", "createable": true, "updateable": true, "deletable": true,
        "fields": fields,
    });
    ObjectSchema::from_describe(describe.to_string().as_bytes()).unwrap()
}

fn map(columns: &[&str], spec: &LoadSpec) -> Result<Mapping, MappingError> {
    let columns = columns
        .iter()
        .map(|name| Column::new(*name, DataType::Utf8, true));
    Mapping::of(&Schema::new(columns.collect::<Vec<_>>()), &contact(), spec)
}

fn spec(map: &[(&str, &str)]) -> LoadSpec {
    let text = |text: &&str| (*text).to_owned();
    LoadSpec {
        map: map
            .iter()
            .map(|(field, column)| (text(field), text(column)))
            .collect(),
        ..LoadSpec::default()
    }
}

/// `column=field`, and what is left out after a bar.
fn shown(mapping: &Mapping) -> String {
    let pairs = mapping.pairs().iter();
    let pairs: Vec<String> = pairs
        .map(|(column, field)| format!("{column}={field}"))
        .collect();
    let ignored: Vec<&str> = mapping.ignored().iter().map(|i| &*i.column).collect();
    format!("{} | {}", pairs.join(" "), ignored.join(" "))
}

#[test]
fn names_match_in_any_case_then_labels() {
    let mapping = map(&["LASTNAME", " first  name", "e-mail"], &spec(&[])).unwrap();
    assert_eq!(
        shown(&mapping),
        "LASTNAME=LastName  first  name=FirstName e-mail=Email | "
    );
}

#[test]
fn a_relationship_goes_on_to_the_engine() {
    let mapping = map(&["LastName", "account.Ext__c"], &spec(&[])).unwrap();
    assert_eq!(
        shown(&mapping),
        "LastName=LastName account.Ext__c=account.Ext__c | "
    );
    let mapping = map(
        &["who", "acct"],
        &spec(&[("LastName", "who"), ("Account.Ext__c", "acct")]),
    );
    assert_eq!(
        shown(&mapping.unwrap()),
        "who=LastName acct=Account.Ext__c | "
    );
}

#[test]
fn what_is_typed_comes_first() {
    let mut spec = spec(&[("email", "Mail"), ("LastName", "surname")]);
    spec.set.insert("homE__C".to_owned(), "x".to_owned());
    let mapping = map(&["mail", "surname", "Email", "Home__c"], &spec).unwrap();
    assert_eq!(
        shown(&mapping),
        "mail=Email surname=LastName | Email Home__c"
    );
    assert_eq!(
        mapping.constants(),
        [("Home__c".to_owned(), "x".to_owned())]
    );
    let reasons: Vec<&str> = mapping.ignored().iter().map(|i| &*i.reason).collect();
    assert_eq!(
        reasons,
        [
            "matches Email, which column mail fills",
            "matches Home__c, which --set fills"
        ]
    );
}

#[test]
fn one_column_may_fill_two_fields() {
    let mapping = map(
        &["name"],
        &spec(&[("LastName", "name"), ("FirstName", "name")]),
    )
    .unwrap();
    assert_eq!(shown(&mapping), "name=FirstName name=LastName | ");
}

#[test]
fn bookkeeping_goes_through() {
    let mapping = map(&["LastName", source::RAW, source::RAW_ERROR], &spec(&[])).unwrap();
    assert_eq!(mapping.passed(), [source::RAW, source::RAW_ERROR]);
}

#[test]
fn a_delete_takes_the_key_alone() {
    let delete = LoadSpec {
        delete: true,
        ..LoadSpec::default()
    };
    let mapping = map(&["contact id", "Email", "whatever"], &delete).unwrap();
    assert_eq!(shown(&mapping), "contact id=Id | Email whatever");
}

#[test]
fn columns_can_be_left_out() {
    let spec = LoadSpec {
        ignore_unknown: true,
        ..LoadSpec::default()
    };
    let mapping = map(&["Id", "LastName", "x", "Address", "foo.bar"], &spec).unwrap();
    assert_eq!(shown(&mapping), "LastName=LastName | Id x Address foo.bar");
    let error = map(&["x"], &spec).unwrap_err();
    assert!(matches!(error, MappingError::Nothing { .. }), "{error}");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let columns = [
        "last_nam",
        "Address",
        "CreatedDate",
        "Email",
        "E-Mail",
        "zzz",
        "foo.bar",
    ];
    let mut wrong = spec(&[("Surname", "CreatedDate"), ("FirstName", "given")]);
    wrong.set.insert("CreatedDate".to_owned(), "x".to_owned());
    insta::assert_snapshot!(map(&columns, &wrong).unwrap_err(), @"
    the columns do not fit Contact:
      --map FirstName=given: there is no column given; the columns are last_nam, Address, CreatedDate, Email, E-Mail, zzz and foo.bar
      --map Surname: Contact has no such field, or the user may not see it; nearest: FirstName (First Name)
      --set CreatedDate: CreatedDate is read-only for this user: an insert cannot write it
      column last_nam: Contact has no field of this name or label, or the user may not see it; nearest: LastName (Last Name), FirstName (First Name)
      column Address has the label of Home__c and Work__c; name one by --map
      column CreatedDate: CreatedDate is read-only for this user: an insert cannot write it
      column E-Mail and column Email both fill Email; choose one by --map 'Email=…'
      column zzz: Contact has no field of this name or label, or the user may not see it
      column foo.bar: Contact has no field of this name or label, or the user may not see it
    name a field for a column by --map 'LastName=last_nam', or leave out columns that match none by --ignore-unknown
    ");
}

#[test]
fn keys_must_be_keys() {
    let upsert = |key: &str| LoadSpec {
        upsert: Some(key.to_owned()),
        ..LoadSpec::default()
    };
    let wrong = |key| map(&["LastName"], &upsert(key)).unwrap_err();
    insta::assert_snapshot!(wrong("Ext_Id"), @"
    the columns do not fit Contact:
      --upsert Ext_Id: Contact has no such field; nearest: Ext_Id__c (External Id)
    ");
    insta::assert_snapshot!(wrong("Email"), @"
    the columns do not fit Contact:
      --upsert Email: it is not an external ID of Contact; use Ext_Id__c or Id
    ");
    insta::assert_snapshot!(wrong("Ext_Id__c"), @"
    the columns do not fit Contact:
      no column fills Ext_Id__c, by which upsert finds the records of Contact; name it by --map 'Ext_Id__c=COLUMN'
    ");
}

#[test]
fn what_cannot_be_written_is_named() {
    insta::assert_snapshot!(map(&["Id", "LastName"], &spec(&[])).unwrap_err(), @"
    the columns do not fit Contact:
      column Id: Id is read-only for this user: an insert cannot write it
    leave such columns out by --ignore-unknown, or by --sql
    ");
}
