//! Encodings.

use super::{read, read_with, refused};
use crate::spec::ReadSpec;

fn encoding(label: &str) -> ReadSpec {
    ReadSpec {
        encoding: Some(label.to_owned()),
        ..ReadSpec::default()
    }
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = mark.then_some('\u{FEFF}');
    let text: String = mark.into_iter().chain(text.chars()).collect();
    let units = text.encode_utf16();
    units
        .flat_map(|unit| {
            if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        })
        .collect()
}

#[test]
fn marks_say_the_encoding() {
    let csv = "Name,Ort\nJürgen,Köln\n";
    let expected = [["Jürgen", "Köln"]];
    let marked = [b"\xEF\xBB\xBF", csv.as_bytes()].concat();
    for bytes in [csv.as_bytes().to_vec(), marked] {
        let given = read(&bytes);
        assert_eq!(
            (given.columns[0].as_str(), given.rows),
            (
                "Name",
                expected.map(|row| row.map(str::to_owned).to_vec()).to_vec()
            )
        );
    }
    for (little, mark) in [(true, true), (false, true), (true, false), (false, false)] {
        let given = read(utf16(csv, little, mark));
        assert_eq!(given.rows, expected, "{little} {mark}");
        assert!(
            given.found[0].contains("CSV in UTF-16"),
            "{:?}",
            given.found
        );
    }
}

#[test]
fn what_is_not_utf8_is_windows_1252_and_said() {
    let given = read(b"Name,Gr\xF6\xDFe\nJ\xFCrgen,5 \x80\n");
    assert_eq!(given.columns, ["Name", "Größe"]);
    assert_eq!(given.rows, [["Jürgen", "5 €"]]);
    assert!(given.found[0].contains("windows-1252 (it is not UTF-8; --encoding names another)"));
    let central = read_with(b"a,b\n\xB3\xF3d\xBC,1\n", &encoding("iso-8859-2")).unwrap();
    assert_eq!(central.rows, [["łódź", "1"]]);
}

#[test]
fn an_encoding_that_is_not_clear_is_refused_until_it_is_said() {
    let mixed = b"Name\nJ\xFCrgen\nJ\xC3\xBCrgen\n";
    assert!(refused(mixed).contains("--encoding utf-8 rejects the records"));
    let given = read_with(mixed, &encoding("utf-8")).unwrap();
    assert_eq!(given.rows[0][1], "! bytes that are not UTF-8");
    assert_eq!(given.rows[1], ["Jürgen"]);
    assert!(given.found[1].contains("bytes that are not of this encoding are rejected"));
    assert!(refused(b"a,b\n\x81,\xFC\n").contains("neither UTF-8 nor windows-1252"));
    assert!(refused(b"a,b\nPK\x00,1\n").contains("it is no text"));
    assert!(refused(b"ab\x00,b\n1,1\n").contains("it is no text"));
    let given = read(b"a,b\nx\x00y,1\n2,3\n");
    assert_eq!(
        given.rows[0],
        ["x\x00y,1", "! a NUL character, which no text has"]
    );
    assert_eq!(given.rows[1], ["2", "3"]);
    assert_eq!(
        given.found[1],
        "f.csv: 1 record with a NUL character, rejected (line 2)"
    );
    let error = read_with(b"a,b\n1,2\n", &encoding("klingon")).unwrap_err();
    assert!(error.starts_with("--encoding klingon names no encoding"));
    // Half a character in a value and half in the next is none.
    let given = read_with(b"a,b\n\xC3,\xA9\n1,2\n", &encoding("utf-8")).unwrap();
    assert_eq!(given.rows[0][1], "! bytes that are not UTF-8");
}

#[test]
fn bytes_that_are_not_of_the_encoding_reject_their_record() {
    let mut bytes = utf16("a,b\n1,2\n", true, true);
    bytes.extend([0x00, 0xD8]);
    bytes.extend(utf16(",x\n3,4\n", true, false));
    let given = read(&bytes);
    assert_eq!(given.rows[0], ["1", "2"]);
    assert_eq!(given.rows[1][1], "! bytes that are not UTF-16LE");
    assert_eq!(given.rows[2], ["3", "4"]);
}
