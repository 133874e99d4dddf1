//! Headers of any columns: names resolve whatever their case, and nothing panics.

use proptest::prelude::*;
use proptest::sample::select;

use crate::object::testing::{contact, related, task};
use crate::object::*;

/// A text with each letter in a case of its own.
fn in_any_case(text: &str, upper: &[bool]) -> String {
    let cases = upper.iter().chain(std::iter::repeat(&false));
    let letter = |(c, upper): (char, &bool)| match upper {
        true => c.to_ascii_uppercase(),
        false => c.to_ascii_lowercase(),
    };
    text.chars().zip(cases).map(letter).collect()
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = prop_oneof![select(vec!["Id", "key__C", "Email", "LastName"]), Just("")];
    prop_oneof![
        Just(Operation::Insert),
        Just(Operation::Update),
        Just(Operation::Delete),
        Just(Operation::HardDelete),
        key.prop_map(|key| Operation::Upsert {
            external_id: key.to_owned()
        }),
    ]
}

/// Anything, with a leaning to what nearly is a column.
fn column() -> impl Strategy<Value = String> {
    let words = select(vec![
        "Id",
        "LastName",
        "Account",
        "AccountId",
        "Parent__r",
        "Parent__c",
        "Owner",
        "Who",
        "What",
        "Lead",
        "User",
        "Email",
        "Key__c",
        "Ext__c",
        "RecordType",
        "DeveloperName",
        "Name",
        ":",
        ".",
        "",
        "é",
    ]);
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(words, 0..7).prop_map(|words| words.concat()),
        "(Lead:|User:|x:)?(Who|Owner|Account|RecordType)[.](Id|Email|Ext__c|Name)",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_columns_make_a_header_or_an_error(
        columns in proptest::collection::vec(column(), 0..8),
        operation in operation(),
    ) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        for object in [contact(), task()] {
            let needed = Header::related(&columns, &object, &operation);
            let described = needed.iter().filter_map(|name| related().get(name).cloned());
            let narrow: RelatedObjects = described.collect();
            let header = Header::resolve(&columns, &object, &operation, &narrow);
            let wide = Header::resolve(&columns, &object, &operation, &related());
            let (header, wide) = match (header, wide) {
                (Ok(header), Ok(wide)) => (header, wide),
                (Err(header), Err(wide)) => {
                    prop_assert_eq!(header.to_string(), wide.to_string());
                    continue;
                }
                (header, wide) => return Err(TestCaseError::fail(format!("{header:?} {wide:?}"))),
            };
            prop_assert_eq!(&header, &wide);
            let mut names: Vec<&str> = header.columns.iter().map(|c| c.fills().name.as_str()).collect();
            names.sort_unstable();
            prop_assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert_eq!(header.key.is_some(), operation.key_field().is_some());
            let names: Vec<&str> = header.columns.iter().map(|c| c.name.as_str()).collect();
            let same = Header::resolve(&names, &object, &header.operation, &related()).unwrap();
            let same: Vec<&str> = same.columns.iter().map(|c| c.name.as_str()).collect();
            prop_assert_eq!(same, names);
        }
    }

    #[test]
    fn names_resolve_whatever_their_case(
        name in select(vec![
            "LastName", "Key__c", "Account.Ext__c", "ReportsTo.Key__c", "Parent__r.Number__c",
            "User:Owner.Username", "Group:Owner.Id",
        ]),
        upper in proptest::collection::vec(any::<bool>(), 0..24),
    ) {
        let column = in_any_case(name, &upper);
        let columns = [column.as_str()];
        let needed = Header::related(&columns, &contact(), &Operation::Insert);
        let described = needed.iter().filter_map(|name| related().get(name).cloned()).collect();
        let header = Header::resolve(&columns, &contact(), &Operation::Insert, &described);
        prop_assert_eq!(&header.unwrap().columns[0].name, name);
    }
}
