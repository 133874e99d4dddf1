use std::collections::BTreeMap;
use std::fs::File;

use arrow_ipc::reader::FileReader;
use arrow_salesforce::arrow::array::{RecordBatch, TimestampMillisecondArray};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema};
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use arrow_salesforce::options::{NullHandling, ValueOptions};
use tempfile::TempDir;

use super::*;

const DESCRIBE: &[u8] = br#"{"name":"Contact","createable":true,"updateable":true,"fields":[
    {"name":"Id","type":"id"},
    {"name":"Ext__c","type":"string","externalId":true,"createable":true,"updateable":true},
    {"name":"Title","type":"string","createable":true,"updateable":true,"nillable":true},
    {"name":"Rate__c","type":"double","scale":2,"createable":true,"updateable":true,"nillable":true}]}"#;
const USER: &str = "005000000000001AAA";
const OTHER: &str = "005000000000002AAA";
/// When the results of the job were read.
const READ: &str = "2026-03-01T10:00:05.500Z";
const LONG_BEFORE: &str = "2026-03-01T10:00:01.000+0000";
const JUST_BEFORE: &str = "2026-03-01T10:00:05.000Z";
const SINCE: &str = "2026-03-01T11:00:00.000Z";

/// One record: what was sent of Title, what is there now and what was there before, when and by whom
/// it was changed last.
#[derive(Clone, Copy)]
struct Case {
    sent: Option<&'static str>,
    now: Option<&'static str>,
    /// `None` if the record was not there.
    former: Option<Option<&'static str>>,
    changed: &'static str,
    by: &'static str,
    /// What became of the record, as its receipt has it, if it was not there.
    action: Option<&'static str>,
    /// Who created it.
    creator: &'static str,
    /// The run was gone on with, and rows may have become one.
    awkward: bool,
}

const PLAIN: Case = Case {
    sent: Some("New"),
    now: Some("New"),
    former: Some(Some("Old")),
    changed: LONG_BEFORE,
    by: USER,
    action: Some(sent::CREATED),
    creator: USER,
    awkward: false,
};

fn comparison() -> Comparison {
    let object = ObjectSchema::from_describe(DESCRIBE).unwrap();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let source = Schema::new(["Ext__c", "Title", "Rate__c"].map(text).to_vec());
    let operation = Operation::Upsert {
        external_id: "Ext__c".to_owned(),
    };
    let values = ValueOptions::default().with_null_handling(NullHandling::Clear);
    let related: RelatedObjects = std::iter::empty::<ObjectSchema>().collect();
    Comparison::plan(&Arc::new(source), &object, &operation, &related, values).unwrap()
}

/// What is decided of a record: what is done, and the fields that the org itself has changed.
fn decide(case: &Case, overwrite: bool) -> String {
    let comparison = comparison();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut decided = Decided {
        restores: Restores::create(&path("restores"), &comparison).unwrap(),
        deletes: Deletes::create(&path("deletes")).unwrap(),
        conflicts: Conflicts::at(path("conflicts.csv")),
        counts: Counts::default(),
    };
    let judge = Judge {
        comparison: &comparison,
        user: Some(USER),
        overwrite,
        resumed: case.awkward.then(|| moment(LONG_BEFORE).unwrap()),
        merged: case.awkward,
    };
    judge.judge(&batch(case), &mut decided).unwrap();
    decided.restores.finish().unwrap();
    decided.deletes.finish().unwrap();
    decided.conflicts.finish().unwrap();
    let mut said = Vec::new();
    let restored = FileReader::try_new(File::open(path("restores")).unwrap(), None).unwrap();
    for batch in restored {
        let batch = batch.unwrap();
        for name in ["Title", "Rate__c"] {
            let values = texts(&batch, name).unwrap();
            let flag = arrow_salesforce::source::explicit_null_flag(name);
            let nulls = batch
                .column_by_name(flag.name())
                .unwrap()
                .as_boolean()
                .clone();
            match at(&values, 0) {
                Some(value) => said.push(format!("{name} = {value}")),
                None if nulls.value(0) => said.push(format!("{name} is emptied")),
                None => {}
            }
        }
    }
    let Counts {
        deletes,
        same,
        gone,
        kept,
        unknown,
        ..
    } = decided.counts;
    for (number, word) in [
        (deletes, "deleted"),
        (same, "same"),
        (gone, "gone"),
        (kept, "kept"),
        (unknown, "left"),
    ] {
        if number > 0 {
            said.push(word.to_owned());
        }
    }
    let found = decided.counts.found();
    let by_org = found
        .iter()
        .filter(|line| line.starts_with("the org itself"));
    said.extend(by_org.map(|_| "by the org".to_owned()));
    said.join(", ")
}

fn batch(case: &Case) -> RecordBatch {
    let id = Some("003000000000001AAA");
    let (former, before) = match case.former {
        Some(former) => (former, id),
        None => (None, None),
    };
    let mut columns: BTreeMap<String, Option<&str>> = BTreeMap::new();
    let mut add = |name: &str, value: Option<&'static str>| {
        columns.insert(name.to_owned(), value);
    };
    add(join::ID, id);
    add(join::NOW_ID, id);
    add(join::BEFORE_ID, before);
    add(join::ACTION, case.action);
    add(join::CREATED, Some(LONG_BEFORE));
    add(join::CREATED_BY, Some(case.creator));
    add(join::MODIFIED, Some(case.changed));
    add(join::MODIFIED_BY, Some(case.by));
    let rate = case.former.map(|_| "9.12260031E8");
    let fields = [
        [Some("k"), Some("k"), Some("k"), case.former.map(|_| "k")],
        [case.sent, case.now, case.now, former],
        [Some("1.5"), Some("1.50"), Some("1.50"), rate],
    ];
    for (index, values) in fields.into_iter().enumerate() {
        for (name, value) in join::of_field(index).iter().zip(values) {
            add(name, value);
        }
    }
    let columns = columns.into_iter().map(|(name, value)| {
        let values: ArrayRef = Arc::new(StringArray::from(vec![value]));
        (name, values)
    });
    let read = moment(READ).unwrap().timestamp_millis();
    let read: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![read]));
    let columns = columns.chain([(join::AT.to_owned(), read)]);
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))
        .unwrap()
}

#[test]
fn what_the_run_wrote_comes_back() {
    let cases = [
        (PLAIN, "Title = Old, Rate__c = 912260031"),
        (
            Case {
                former: Some(None),
                ..PLAIN
            },
            "Title is emptied, Rate__c = 912260031",
        ),
        (
            Case {
                former: None,
                ..PLAIN
            },
            "deleted",
        ),
        (
            Case {
                sent: Some(CLEAR),
                now: None,
                ..PLAIN
            },
            "Title = Old, Rate__c = 912260031",
        ),
        // Who changed it last does not matter where the value is the run's.
        (
            Case {
                changed: SINCE,
                by: OTHER,
                ..PLAIN
            },
            "Title = Old, Rate__c = 912260031",
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(decide(&case, false), expected);
    }
}

#[test]
fn what_has_changed_since_is_left_alone() {
    let changed = Case {
        now: Some("Mine"),
        changed: SINCE,
        by: OTHER,
        ..PLAIN
    };
    assert_eq!(decide(&changed, false), "Rate__c = 912260031, kept");
    assert_eq!(decide(&changed, true), "Title = Old, Rate__c = 912260031");
    let created = Case {
        former: None,
        ..changed
    };
    assert_eq!(decide(&created, false), "kept");
    assert_eq!(decide(&created, true), "deleted");
    // Back already.
    let back = Case {
        now: Some("Old"),
        ..changed
    };
    assert_eq!(decide(&back, false), "Rate__c = 912260031");
}

#[test]
fn a_change_is_the_orgs_own_only_if_it_surely_is() {
    let odd = Case {
        now: Some("NEW!"),
        ..PLAIN
    };
    assert_eq!(
        decide(&odd, false),
        "Title = Old, Rate__c = 912260031, by the org"
    );
    let created = Case {
        former: None,
        ..odd
    };
    assert_eq!(decide(&created, false), "deleted, by the org");
    for unsure in [
        Case {
            changed: JUST_BEFORE,
            ..odd
        },
        Case { by: OTHER, ..odd },
        Case { changed: "", ..odd },
    ] {
        assert_eq!(decide(&unsure, false), "Rate__c = 912260031, kept");
    }
    // Another row of the key has written what this one left alone.
    let left = Case {
        sent: None,
        ..PLAIN
    };
    assert_eq!(
        decide(&left, false),
        "Title = Old, Rate__c = 912260031, by the org"
    );
    let since = Case {
        changed: SINCE,
        ..left
    };
    assert_eq!(decide(&since, false), "Rate__c = 912260031");
}

#[test]
fn what_the_run_has_not_created_is_never_deleted() {
    // Somebody else has created it after the former values were read, or the receipt does not say.
    for action in [Some("updated"), None] {
        let case = Case {
            former: None,
            action,
            ..PLAIN
        };
        assert_eq!(decide(&case, false), "left");
        assert_eq!(decide(&case, true), "left");
        let resumed = Case {
            awkward: true,
            ..case
        };
        assert_eq!(decide(&resumed, false), "deleted");
        let others = Case {
            creator: OTHER,
            ..resumed
        };
        assert_eq!(decide(&others, true), "left");
    }
}

#[test]
fn what_a_merged_row_has_written_is_never_passed_over() {
    let merged = Case {
        sent: None,
        awkward: true,
        ..PLAIN
    };
    let just = Case {
        changed: JUST_BEFORE,
        ..merged
    };
    for own in [merged, just] {
        let decided = decide(&own, false);
        assert!(decided.starts_with("Title = Old, Rate__c"), "{decided}");
    }
    let since = Case {
        changed: SINCE,
        by: OTHER,
        ..merged
    };
    assert_eq!(decide(&since, false), "Rate__c = 912260031, kept");
    assert_eq!(decide(&since, true), "Title = Old, Rate__c = 912260031");
}

#[test]
fn former_values_are_exact() {
    let exact = |kind: FieldType, text: &str, canonical: &str| {
        let of = |text: &str| StringArray::from(vec![text]);
        let exact = exact(&kind, &of(text), &of(canonical));
        exact.value(0).to_owned()
    };
    let double = exact(FieldType::Double, "9.12260031E8", "912260031");
    assert_eq!(double, "912260031");
    let text = exact(FieldType::String, "Ab", "ab");
    assert_eq!(text, "Ab");
    for text in [
        "2024-03-01T10:00:00.678+0000",
        "2024-03-01T12:00:00.678+02:00",
    ] {
        let moment = exact(FieldType::DateTime, text, "2024-03-01T10:00:00Z");
        assert_eq!(moment, "2024-03-01T10:00:00.678Z");
    }
}
