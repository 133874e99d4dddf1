//! Examples of every literal: `-` is a null cell, `!` a rejected value.

use super::texts;
use crate::coerce::literal::Rewrite;
use crate::coerce::number;

#[test]
fn text_keeps_all_but_what_xml_cannot_hold() {
    let values = [
        "a\r\nb\rc\nd",
        "x\0y\u{FFFE}z",
        "\u{1}",
        "",
        "#N/A",
        "#N/A\0",
        " #N/A",
        "\r\0\n",
    ];
    let expected = ["a\nb\nc\nd", "xyz", "-", "-", "!", "!", " #N/A", "\n"];
    assert_eq!(texts("LastName", &values), expected);
    assert_eq!(texts("Place__c", &values), expected);
}

#[test]
fn whole_numbers_are_digits_where_the_source_declares_them() {
    let huge = format!("1{}", "0".repeat(30));
    for (text, expected) in [
        ("12345.0", "12345"),
        ("12345.000", "12345"),
        ("1.2345e4", "12345"),
        ("1e3", "1000"),
        ("-1E+2", "-100"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.0e5", "0"),
        ("1e30", huge.as_str()),
        ("12345678901234567890123.0", "12345678901234567890123"),
        ("12345", "12345"),
        // No whole number, and none that JSON writes: texts, which keep what they are.
        ("12345.5", "12345.5"),
        ("1.5e-1", "0.15"),
        ("0017", "0017"),
        ("007.0", "007.0"),
        (".5e1", ".5e1"),
        ("+5.0", "+5.0"),
        (" 5.0", " 5.0"),
        ("1e400", "1e400"),
        ("1e", "1e"),
        ("-", "-"),
        ("", ""),
        ("n/a.e", "n/a.e"),
        ("1é.0", "1é.0"),
    ] {
        let mut out = String::new();
        let found = match number::integer(text, &mut out) {
            Rewrite::Same => text,
            Rewrite::Written => &out,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn numbers_as_text() {
    let values = [
        "1.005",
        "12345678901234567890.10",
        "9.12260031E8",
        "1e3",
        "1.5e-3",
        "+5",
        "007",
        ".5",
        "5.",
        "-.5e1",
        "1e400",
        "1e-400",
        "1e99999999999999999999",
        "0e99999999999999999999",
        "NaN",
        "inf",
        "1,000",
        "1_000",
        "",
        " 7 ",
        "-",
        ".",
        "e5",
        "0x10",
        "١",
        "--1",
        "1e",
        "#N/A",
        "-0",
        "50%",
    ];
    let expected = [
        "1.005",
        "12345678901234567890.10",
        "912260031",
        "1000",
        "0.0015",
        "5",
        "7",
        "0.5",
        "5",
        "-5",
        "!",
        "!",
        "!",
        "0",
        "!",
        "!",
        "!",
        "!",
        "-",
        "7",
        "!",
        "!",
        "!",
        "!",
        "!",
        "!",
        "!",
        "!",
        "-0",
        "!",
    ];
    assert_eq!(texts("Budget__c", &values), expected);
}

#[test]
fn whole_numbers() {
    let values = [
        "250.0",
        "1.5",
        "1e3",
        "1.5e1",
        "2147483647",
        "2147483648",
        "9223372036854775808",
    ];
    let int = ["250", "!", "1000", "15", "2147483647", "!", "!"];
    let long = ["250", "!", "1000", "15", "2147483647", "2147483648", "!"];
    assert_eq!(texts("Children__c", &values), int);
    assert_eq!(texts("Clicks__c", &values), long);
}

#[test]
fn booleans() {
    let values = [
        "true", "TRUE", "t", "Yes", "y", "1", "False", "f", "no", "N", "0", "on", "2", "",
    ];
    let (t, f) = ("true", "false");
    let expected = [t, t, t, t, t, t, f, f, f, f, f, "!", "!", "-"];
    assert_eq!(texts("DoNotCall", &values), expected);
}

#[test]
fn dates() {
    let values = [
        "2024-01-31",
        "2023-02-30",
        "1900-02-29",
        "2000-02-29",
        "0000-01-01",
        "2024-01-01T23:30:00-02:00",
        "2024-01-01T00:30:00+0200",
        "2024-01-01 10:00",
        "1704067200",
        "01/31/2024",
        "2024-1-1",
        "2024-01-31Z",
        "20240131",
        "9999-12-31T23:59:59-01",
        "0001-01-01T00:00:00+01",
        "2024-13-01",
        "2024-01-01x",
    ];
    let expected = [
        "2024-01-31",
        "!",
        "!",
        "2000-02-29",
        "!",
        "2024-01-02",
        "2023-12-31",
        "2024-01-01",
        "!",
        "!",
        "!",
        "2024-01-31",
        "!",
        "!",
        "!",
        "!",
        "!",
    ];
    assert_eq!(texts("Birthdate", &values), expected);
}

#[test]
fn timestamps() {
    let cases = [
        ("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01 00:00:00", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01 00:00:00 UTC", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01t01:02:03.1z", "2024-01-01T01:02:03.100Z"),
        (
            "2024-01-01T01:02:03.123456789+05:30",
            "2023-12-31T19:32:03.123Z",
        ),
        ("2024-01-01T01:02:03-0800", "2024-01-01T09:02:03.000Z"),
        ("2024-01-01T01:02:03+00", "2024-01-01T01:02:03.000Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("2024-01-01T24:00:00Z", "!"),
        ("2024-01-01T23:59:60Z", "!"),
        ("2024-01-01T01:02:03.1234567890Z", "!"),
        ("2024-01-01T01:02:03.Z", "!"),
        ("2024-01-01T01:02:03+24:00", "!"),
        ("2024-01-01T", "!"),
        ("1704067200000", "!"),
        ("2024-01-01é1:02:03", "!"),
    ];
    let (values, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(texts("Joined__c", &values), expected);
}

#[test]
fn times() {
    let values = [
        "10:20:30.000Z",
        "10:20",
        "10:20:30.5+11:00",
        "25:00",
        "2024-01-01T10:20:30Z",
    ];
    let expected = ["10:20:30.000Z", "10:20:00.000Z", "23:20:30.500Z", "!", "!"];
    assert_eq!(texts("Wakes__c", &values), expected);
}

#[test]
fn lists_and_base64() {
    let values = [
        r#"["a","b"]"#,
        "a;b",
        "[]",
        r#"["a;b"]"#,
        r##"["#N/A"]"##,
        "[x",
        "[1,true,null]",
        "[[]]",
    ];
    let expected = ["a;b", "a;b", "-", "!", "!", "[x", "1;true", "!"];
    assert_eq!(texts("Tags__c", &values), expected);
    let values = ["aGk=", "aGk", "a Gk\n=", "", "=", "====", "a-_="];
    let expected = ["aGk=", "!", "aGk=", "-", "!", "!", "!"];
    assert_eq!(texts("Photo__c", &values), expected);
}
