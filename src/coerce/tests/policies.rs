//! What settings and operations add to the types: nulls, keys, lengths, choices, zones.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::Schema;

use super::{field, text_batch};
use crate::coerce::*;
use crate::error::Result;
use crate::object::{Field, FieldType, ObjectSchema, Operation, RelatedObjects};
use crate::options::{NullHandling, OnTooLong, Timezone, Validate, ValueOptions};
use crate::source::EXPLICIT_NULL_OF;

const CLEAR: ValueOptions = ValueOptions {
    null_handling: NullHandling::Clear,
    on_too_long: OnTooLong::Reject,
    validate: Validate::Minimal,
    timezone: Timezone::Named(chrono_tz::UTC),
};

const STRICT: ValueOptions = ValueOptions {
    null_handling: NullHandling::Leave,
    validate: Validate::Strict,
    ..CLEAR
};

const TRUNCATE: ValueOptions = ValueOptions {
    null_handling: NullHandling::Leave,
    on_too_long: OnTooLong::Truncate,
    ..CLEAR
};

fn object() -> ObjectSchema {
    let text = |name: &str, length: u32| Field {
        length,
        ..field(name, FieldType::String)
    };
    let choices = |name: &str, field_type: FieldType| Field {
        restricted_picklist: true,
        picklist_values: vec!["Red".into(), "Grün".into()],
        length: 255,
        ..field(name, field_type)
    };
    ObjectSchema::new(
        "Contact",
        vec![
            Field {
                nillable: false,
                ..text("LastName", 4)
            },
            text("Title", 4),
            Field {
                length: 8,
                ..field("Email", FieldType::Email)
            },
            Field {
                external_id: true,
                ..text("Key__c", 4)
            },
            field("Birthdate", FieldType::Date),
            field("Joined__c", FieldType::DateTime),
            field("Budget__c", FieldType::Currency),
            choices("Color__c", FieldType::Picklist),
            choices("Colors__c", FieldType::MultiPicklist),
            field("Id", FieldType::Id),
        ],
    )
}

fn upsert() -> Operation {
    Operation::Upsert {
        external_id: "Key__c".into(),
    }
}

fn plan(source: &SchemaRef, operation: &Operation, settings: ValueOptions) -> Result<Coercion> {
    let related = RelatedObjects::default();
    Coercion::plan(source, &object(), operation, &related, settings)
}

/// Cells row by row, null as `-`, and the messages of the rows that are rejected.
fn cells(
    batch: &RecordBatch,
    operation: &Operation,
    settings: ValueOptions,
) -> (Vec<String>, Vec<(usize, String)>) {
    let coercion = plan(&batch.schema(), operation, settings).unwrap();
    let cells = coercion.apply(batch).unwrap();
    let rows = (0..batch.num_rows()).map(|row| {
        let columns = cells.batch.columns().iter();
        let texts = columns.map(|column| {
            let texts = column.as_string::<i32>();
            if texts.is_valid(row) {
                texts.value(row)
            } else {
                "-"
            }
        });
        texts.collect::<Vec<_>>().join("|")
    });
    let rejects = cells.rejects.iter();
    let rejects =
        rejects.map(|(row, reason)| (*row, format!("{}: {}", reason.code, reason.message)));
    (rows.collect(), rejects.collect())
}

/// Cells of one column of an update.
fn one(name: &str, values: &[Option<&str>], settings: ValueOptions) -> Vec<String> {
    let ids = vec![Some("003000000000001AAA"); values.len()];
    let batch = text_batch(&[("Id", &ids), (name, values)]);
    let (mut cells, rejects) = cells(&batch, &Operation::Update, settings);
    for cell in &mut cells {
        *cell = cell
            .split_once('|')
            .map(|(_, cell)| cell.to_owned())
            .unwrap();
    }
    for (row, message) in rejects {
        cells[row] = format!("! {message}");
    }
    cells
}

/// A batch with the flag column that says which nulls are stated.
fn with_stated_nulls(name: &str, values: &[Option<&str>], stated: &[bool]) -> RecordBatch {
    let metadata = HashMap::from([(EXPLICIT_NULL_OF.to_owned(), name.to_owned())]);
    let flags =
        ArrowField::new("_airbyte_null_x", DataType::Boolean, false).with_metadata(metadata);
    let schema = Schema::new(vec![text_field(name), flags]);
    let texts = text_batch(&[(name, values)]);
    let flags = Arc::new(BooleanArray::from(stated.to_vec()));
    RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(texts.column(0)), flags]).unwrap()
}

#[test]
fn nulls_leave_the_field_or_clear_it() {
    let values = [Some("a"), None, Some(""), Some("#N/A")];
    let refused =
        "! INVALID_VALUE: Title: the text #N/A would clear the field and cannot be written";
    assert_eq!(
        one("Title", &values, ValueOptions::default()),
        ["a", "-", "-", refused]
    );
    assert_eq!(one("Title", &values, CLEAR), ["a", "#N/A", "#N/A", refused]);
    let dates = [Some("2024-01-31"), None, Some(" ")];
    assert_eq!(
        one("Birthdate", &dates, CLEAR),
        ["2024-01-31", "#N/A", "#N/A"]
    );
    assert_eq!(one("Birthdate", &[None], CLEAR), ["#N/A"]);
}

#[test]
fn a_missing_key_of_a_record_clears_nothing() {
    let values = [None, None, Some("a"), Some(""), Some("#N/A")];
    let batch = with_stated_nulls("Title", &values, &[true, false, false, false, false]);
    let rejected = |rejects: Vec<(usize, String)>| -> Vec<usize> {
        rejects.into_iter().map(|(row, _)| row).collect()
    };
    // What clears nothing is a blank line, since there is no other column.
    let (found, rejects) = cells(&batch, &Operation::Insert, CLEAR);
    assert_eq!(found, ["#N/A", "-", "a", "#N/A", "-"]);
    assert_eq!(rejected(rejects), [1, 4]);
    let (found, rejects) = cells(&batch, &Operation::Insert, ValueOptions::default());
    assert_eq!(found, ["-", "-", "a", "-", "-"]);
    assert_eq!(rejected(rejects), [0, 1, 3, 4]);
}

#[test]
fn columns_that_need_nothing_are_not_copied_with_clear_either() {
    let batch = with_stated_nulls("Title", &[Some("a"), None], &[false, false]);
    let coercion = plan(&batch.schema(), &Operation::Insert, CLEAR).unwrap();
    let cells = coercion.apply(&batch).unwrap();
    assert!(Arc::ptr_eq(cells.batch.column(0), batch.column(0)));
}

#[test]
fn a_row_without_its_key_is_rejected() {
    let batch = text_batch(&[
        ("key__c", &[Some("a"), None, Some(""), Some("#N/A"), None]),
        ("birthdate", &[None, None, None, None, Some("soon")]),
    ]);
    for settings in [ValueOptions::default(), CLEAR] {
        let coercion = plan(&batch.schema(), &upsert(), settings).unwrap();
        let cells = coercion.apply(&batch).unwrap();
        assert_eq!(cells.batch.column(0).null_count(), 4);
        let codes: Vec<_> = cells
            .rejects
            .iter()
            .map(|(row, r)| (*row, &*r.code))
            .collect();
        let missing = Reason::MISSING_KEY;
        assert_eq!(
            codes,
            [
                (1, missing),
                (2, missing),
                (3, Reason::INVALID_VALUE),
                (4, missing)
            ]
        );
        let (_, reason) = &cells.rejects[0];
        assert_eq!(
            (reason.stage, reason.fields.as_slice()),
            (Stage::Coerce, &["Key__c".into()][..])
        );
        insta::allow_duplicates! {
            insta::assert_snapshot!(
                reason.message,
                @"Key__c: no value, and the field is the key of the record"
            );
        }
        assert_eq!(cells.rejects[3].1.fields, ["Key__c", "Birthdate"]);
    }
    let ids = RecordBatch::try_from_iter_with_nullable([(
        "Id",
        Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
        true,
    )]);
    let (found, rejects) = cells(&ids.unwrap(), &Operation::Delete, CLEAR);
    assert_eq!((found, rejects.len()), (vec!["1".into(), "-".into()], 1));
}

#[test]
fn texts_are_cut_to_the_length_of_their_field() {
    let values = [
        Some("ab😀"),
        Some("ab😀d"),
        Some("abc😀"),
        Some(" abcd "),
        Some("#N/Ax"),
        Some("a\r\nbcd"),
        Some("     "),
    ];
    let clears =
        "! INVALID_VALUE: Title: the text #N/A would clear the field and cannot be written";
    assert_eq!(
        one("Title", &values, TRUNCATE),
        ["ab😀", "ab😀", "abc", "abcd", clears, "a\nbc", "-"]
    );
    assert_eq!(
        one("Email", &[Some("abc@example.org")], TRUNCATE),
        ["abc@example.org"]
    );
    let batch = text_batch(&[("Key__c", &[Some("abcdef")]), ("Title", &[Some("abcdef")])]);
    let (found, rejects) = cells(&batch, &upsert(), TRUNCATE);
    assert_eq!((found, rejects.len()), (vec!["abcdef|abcd".into()], 0));
    let batch = text_batch(&[("Key__c", &[Some("abcdef")])]);
    assert_eq!(cells(&batch, &Operation::Insert, TRUNCATE).0, ["abcd"]);
}

#[test]
fn strict_checks_lengths_choices_and_required_fields() {
    let long =
        |field: &str, most: u32| format!("! INVALID_VALUE: {field}: longer than {most} characters");
    assert_eq!(
        one(
            "Title",
            &[
                Some("ab😀"),
                Some("ab😀d"),
                Some(" abcd "),
                Some("abcd\u{a0}"),
                None
            ],
            STRICT
        ),
        [
            "ab😀",
            &(long("Title", 4) + " (an emoji is two)"),
            " abcd ",
            &long("Title", 4),
            "-"
        ]
    );
    assert_eq!(
        one("Email", &[Some("abc@example.org")], STRICT),
        [long("Email", 8)]
    );
    let both = ValueOptions {
        on_too_long: OnTooLong::Truncate,
        ..STRICT
    };
    assert_eq!(one("Title", &[Some("abcde")], both), ["abcd"]);
    let unlisted = |field: &str| {
        format!("! INVALID_VALUE: {field}: not an active value of the restricted picklist")
    };
    assert_eq!(
        one(
            "Color__c",
            &[Some("RED"), Some("GRÜN"), Some("Blue"), Some("Red;Grün")],
            STRICT
        ),
        ["RED", "GRÜN", &unlisted("Color__c"), &unlisted("Color__c")]
    );
    assert_eq!(
        one(
            "Colors__c",
            &[Some("red;grün"), Some(r#"["Red","Blue"]"#)],
            STRICT
        ),
        ["red;grün", &unlisted("Colors__c")]
    );
    assert_eq!(one("Color__c", &[Some("Blue")], CLEAR), ["Blue"]);
    let batch = text_batch(&[("LastName", &[Some("Ng"), None, Some("")])]);
    for settings in [
        STRICT,
        ValueOptions {
            null_handling: NullHandling::Clear,
            ..STRICT
        },
    ] {
        let (found, rejects) = cells(&batch, &Operation::Insert, settings);
        assert_eq!(found, ["Ng", "-", "-"]);
        assert_eq!(rejects.len(), 2);
        assert_eq!(
            rejects[0].1,
            "INVALID_VALUE: LastName: no value, and the field is required"
        );
    }
    assert_eq!(one("LastName", &[None], STRICT), ["-"]);
    assert!(cells(&batch, &Operation::Insert, CLEAR).1.is_empty());
}

#[test]
fn a_line_without_a_value_is_rejected() {
    let alone = "INVALID_VALUE: Title: no value, and it is the only column; a job skips a line that has no value";
    let values = [
        None,
        Some(""),
        Some(" \t"),
        Some("\u{a0}\u{3000}"),
        Some("a"),
        Some(" a"),
    ];
    let batch = text_batch(&[("Title", &values)]);
    for settings in [ValueOptions::default(), TRUNCATE] {
        let (found, rejects) = cells(&batch, &Operation::Insert, settings);
        assert_eq!(found, ["-", "-", "-", "-", "a", " a"]);
        let expected: Vec<_> = (0..4).map(|row| (row, alone.to_owned())).collect();
        assert_eq!(rejects, expected);
    }
    let (found, rejects) = cells(&batch, &Operation::Insert, CLEAR);
    assert_eq!(
        (&found[..4], rejects.len()),
        (&["#N/A"; 4].map(String::from)[..], 0)
    );
    let dates = text_batch(&[("Birthdate", &[Some(" "), Some("2024-01-31"), Some("soon")])]);
    let (_, rejects) = cells(&dates, &Operation::Insert, ValueOptions::default());
    assert_eq!(rejects.len(), 2);
    assert!(rejects[0].1.contains("only column") && rejects[1].1.contains("not a date"));
    // With a second column no line is blank.
    let two = text_batch(&[("Title", &values), ("Birthdate", &[None; 6])]);
    let (found, rejects) = cells(&two, &Operation::Insert, ValueOptions::default());
    assert_eq!((found[2].as_str(), rejects.len()), (" \t|-", 0));
}

#[test]
fn blanks_around_a_key() {
    let keys = [
        " a\t",
        "a\u{a0}",
        "\u{a0}",
        " \u{3000}\u{2003}",
        "\u{200b}",
        "\n#N/A ",
        "\u{1} b",
    ];
    let batch = text_batch(&[("Key__c", &keys.map(Some)), ("Title", &keys.map(Some))]);
    let (found, rejects) = cells(&batch, &upsert(), ValueOptions::default());
    let found: Vec<_> = found
        .iter()
        .map(|row| row.split('|').next().unwrap())
        .collect();
    assert_eq!(found, ["a", "a\u{a0}", "-", "-", "-", "-", "b"]);
    let rejects: Vec<_> = rejects
        .iter()
        .map(|(row, reason)| (*row, reason.split(':').next().unwrap()))
        .collect();
    let missing = Reason::MISSING_KEY;
    assert_eq!(
        rejects,
        [
            (2, missing),
            (3, missing),
            (4, missing),
            (5, Reason::INVALID_VALUE)
        ]
    );
    // Merged, held back and settled by the very text that is sent.
    let coercion = plan(&batch.schema(), &upsert(), ValueOptions::default()).unwrap();
    let cells = coercion.apply(&batch).unwrap();
    let form = &coercion.key().unwrap().form;
    let keys = cells.batch.column(0).as_string::<i32>();
    let digest = |cell: &str| form.digest(cell, &mut String::new());
    assert_eq!(digest(keys.value(0)), digest(" a\t"));
    assert_ne!(digest(keys.value(0)), digest(keys.value(1)));
}

#[test]
fn a_person_has_a_last_name_and_a_company_a_name() {
    let text = |name: &str, nillable| Field {
        nillable,
        length: 80,
        ..field(name, FieldType::String)
    };
    let account = |last_name: bool| {
        let mut fields = vec![text("Name", false), text("Site", true)];
        fields.extend(last_name.then(|| text("LastName", true)));
        ObjectSchema::new("Account", fields)
    };
    let plan = |columns: &[(&str, &[Option<&str>])], object: &ObjectSchema, settings| {
        let (batch, related) = (text_batch(columns), RelatedObjects::default());
        let (schema, insert) = (batch.schema(), Operation::Insert);
        Coercion::plan(&schema, object, &insert, &related, settings).map(|plan| (plan, batch))
    };
    let names: [(&str, &[Option<&str>]); 2] = [
        ("Name", &[Some("Acme"), None, None, Some(" ")]),
        ("LastName", &[None, Some("Ng"), None, Some("")]),
    ];
    let clear = ValueOptions {
        null_handling: NullHandling::Clear,
        ..STRICT
    };
    for settings in [STRICT, clear] {
        let (coercion, batch) = plan(&names, &account(true), settings).unwrap();
        let cells = coercion.apply(&batch).unwrap();
        assert_eq!(cells.batch.column(1).null_count(), 3, "nothing is cleared");
        let rows: Vec<usize> = cells.rejects.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [2, 3]);
        assert_eq!(
            cells.rejects[0].1.message,
            "Name: no value, nor has LastName; the record needs either"
        );
    }
    for one in names {
        let (coercion, batch) = plan(&[one, ("Site", &[None; 4])], &account(true), STRICT).unwrap();
        assert!(coercion.header().missing_required.is_empty());
        let rejects = coercion.apply(&batch).unwrap().rejects;
        assert_eq!(rejects.len(), 3, "{}: {rejects:?}", one.0);
    }
    let site: [(&str, &[Option<&str>]); 1] = [("Site", &[])];
    let error = plan(&site, &account(true), STRICT).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("required fields Name or LastName;"),
        "{error}"
    );
    let error = plan(&site, &account(false), STRICT).unwrap_err();
    assert!(
        error.to_string().contains("required fields Name;"),
        "{error}"
    );
}

#[test]
fn strict_needs_a_column_for_each_required_field() {
    let schema = text_batch(&[("Title", &[None])]).schema();
    let plan = |settings| plan(&schema, &Operation::Insert, settings);
    let error = plan(STRICT).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Config);
    insta::assert_snapshot!(error, @"no column feeds the required fields LastName; map columns to them, or set validate to minimal");
    assert_eq!(plan(CLEAR).unwrap().header().missing_required, ["LastName"]);
}

#[test]
fn the_zone_of_dates_and_timestamps() {
    let berlin = ValueOptions {
        timezone: Timezone::parse("Europe/Berlin").unwrap(),
        ..ValueOptions::default()
    };
    let stamps = [
        Some("2024-07-01"),
        Some("2024-07-01T12:00:00"),
        Some("2024-07-01T12:00:00Z"),
        Some("2024-03-31T02:30:00"),
        Some("2024-10-27 02:30"),
        Some("2024-07-01T12:00:00-08:00"),
        Some("2024-07-01T12:00:00.000Z"),
    ];
    assert_eq!(
        one("Joined__c", &stamps, berlin),
        [
            "2024-06-30T22:00:00.000Z",
            "2024-07-01T10:00:00.000Z",
            "2024-07-01T12:00:00.000Z",
            "2024-03-31T01:30:00.000Z",
            "2024-10-27T00:30:00.000Z",
            "2024-07-01T20:00:00.000Z",
            "2024-07-01T12:00:00.000Z",
        ]
    );
    let dates = [
        Some("2024-07-01"),
        Some("2024-07-01T23:30:00"),
        Some("2024-07-01T23:30:00Z"),
        Some("2024-07-01T23:30:00-08:00"),
        Some("9999-12-31T23:30:00Z"),
    ];
    let refused = "! INVALID_VALUE: Birthdate: not a date (expected YYYY-MM-DD or a timestamp)";
    assert_eq!(
        one("Birthdate", &dates, berlin),
        [
            "2024-07-01",
            "2024-07-01",
            "2024-07-02",
            "2024-07-02",
            refused
        ]
    );
}

#[test]
fn the_plan_shows_what_settings_add() {
    let batch = text_batch(&[
        ("Key__c", &[None]),
        ("LastName", &[None]),
        ("Title", &[None]),
        ("Birthdate", &[None]),
        ("Color__c", &[None]),
    ]);
    let settings = ValueOptions {
        null_handling: NullHandling::Clear,
        on_too_long: OnTooLong::Truncate,
        validate: Validate::Strict,
        timezone: Timezone::parse("+05:30").unwrap(),
    };
    let plan = |operation: &Operation| plan(&batch.schema(), operation, settings).unwrap();
    insta::assert_snapshot!(plan(&Operation::Insert), @r"
    Key__c: sf_text(Key__c), cut to 4 characters, nulls clear it
    LastName: sf_text(LastName), cut to 4 characters, needed
    Title: sf_text(Title), cut to 4 characters, nulls clear it
    Birthdate: sf_date(Birthdate), in +05:30, nulls clear it
    Color__c: sf_text(Color__c), at most 255 characters, of 2 choices, nulls clear it
    ");
    insta::assert_snapshot!(plan(&upsert()), @r"
    Key__c: sf_text(Key__c), at most 4 characters, needed
    LastName: sf_text(LastName), cut to 4 characters, nulls clear it
    Title: sf_text(Title), cut to 4 characters, nulls clear it
    Birthdate: sf_date(Birthdate), in +05:30, nulls clear it
    Color__c: sf_text(Color__c), at most 255 characters, of 2 choices, nulls clear it
    ");
    let plan = plan(&Operation::Insert);
    let forms: Vec<String> = plan
        .forms()
        .map(|(name, form)| format!("{name}: {form}"))
        .collect();
    insta::assert_snapshot!(forms.join("\n"), @r"
    Key__c: text as text, cut to 4 characters, nulls clear it
    LastName: text as text, cut to 4 characters, judged
    Title: text as text, cut to 4 characters, nulls clear it
    Birthdate: text as date, in +05:30, nulls clear it
    Color__c: text as text, judged, nulls clear it
    ");
}
