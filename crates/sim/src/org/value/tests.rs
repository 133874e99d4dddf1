use super::*;
use crate::org::Schema;

fn checked(field_name: &str, given: &str) -> Result<(), String> {
    let schema = Schema::embedded().unwrap();
    let object = schema.object("Everything__c").unwrap();
    check(&object.fields[object.field(field_name).unwrap()], 3, given)
}

#[test]
fn good_values_pass() {
    for (field, given) in [
        ("Text__c", "x"),
        ("Email__c", "a.b+c@example.co.uk"),
        ("Restricted__c", "Small"),
        ("Multi__c", "A;Z"),
        ("Flag__c", "TRUE"),
        ("Flag__c", "0"),
        ("Int__c", "-250"),
        ("Double__c", "1.5E3"),
        ("Double__c", "-.25"),
        ("Date__c", "2024-02-29"),
        ("Date_Time__c", "2024-02-29T10:00:00Z"),
        ("Date_Time__c", "2024-02-29T10:00:00.123+02:00"),
        ("Date_Time__c", "2024-02-29T10:00:00.000+0000"),
        ("Time__c", "10:00:00.000Z"),
        ("Data__c", "aGVsbG8="),
        ("Text__c", "#N/A"),
    ] {
        assert_eq!(checked(field, given), Ok(()), "{field} {given}");
    }
}

#[test]
fn bad_values_have_salesforces_texts() {
    let long = "x".repeat(256);
    for (field, given, expected) in [
        ("Text__c", long.as_str(), "(max length=255):Text__c --"),
        (
            "Email__c",
            "foo",
            "INVALID_EMAIL_ADDRESS:Email: invalid email address: foo:Email__c",
        ),
        (
            "Restricted__c",
            "Tiny",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Restricted: bad value for restricted \
             picklist field: Tiny:Restricted__c --",
        ),
        ("Flag__c", "yes", "xsd:boolean:Flag__c --"),
        (
            "Int__c",
            "250.0",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Int: value not of required type: 250.0:Int__c --",
        ),
        ("Int__c", "1,000", "xsd:int"),
        ("Int__c", "4000000000", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Double__c", "12%", "xsd:double"),
        ("Double__c", "123456789012345", "NUMBER_OUTSIDE_VALID_RANGE"),
        (
            "Date__c",
            "6/15/19",
            "INVALID_FIELD:Failed to deserialize field at col 3. Due to, '6/15/19' is not a \
             valid value for the type xsd:date:Date__c --",
        ),
        ("Date__c", "2024-02-30", "xsd:date"),
        ("Date_Time__c", "2024-02-29 10:00:00Z", "xsd:dateTime"),
        ("Date_Time__c", "2024-02-29T10:00:00", "xsd:dateTime"),
        ("Date_Time__c", "2024-02-29T10:00:00z", "xsd:dateTime"),
        ("Date__c", "2024-02-29Z", "xsd:date"),
        ("Time__c", "10:00:00", "xsd:time"),
        ("Time__c", "1:00:00Z", "xsd:time"),
        ("Flag__c", "#N/A", "xsd:boolean"),
        ("Text__c", "a\u{1}b", "invalid XML character (Unicode: 0x1)"),
        ("Name", "#N/A", "Required fields are missing: [Name]"),
        ("Data__c", "a", "xsd:base64Binary"),
        (
            "Parent__c",
            "0019",
            "MALFORMED_ID:Parent: id value of incorrect type: 0019:Parent__c",
        ),
    ] {
        let error = checked(field, given).unwrap_err();
        assert!(error.contains(expected), "{field} {given}: {error}");
    }
}
