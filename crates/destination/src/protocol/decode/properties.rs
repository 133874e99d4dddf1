//! Arbitrary lines through the decoder, with serde_json as the oracle.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;

use super::tests::{COLUMNS, contacts, contacts_and_others, record, row};
use super::*;
use arrow_salesforce::source::{EMITTED_AT, RAW, RAW_ERROR};

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z \u{e9}\u{4e2d}\u{1f600}{}\\[\\],:]{0,12}",
        1 => prop::sample::select(vec![
            r#"\""#, r"\\", r"\/", r"\n", r"\u00e9", r"\u0007", r"\ud83d\ude00", r"\\\\",
        ])
        .prop_map(str::to_owned),
        1 => "[^\\p{Cc}\"\\\\]{0,40}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r]{0,2}"]
}

fn list(open: char, items: Vec<(String, String)>, close: char) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|(blanks, item)| format!("{blanks}{item}{blanks}"))
        .collect();
    format!("{open}{}{close}", items.join(","))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "1.10", "-0", "0e-5"])
            .prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?",
        string(),
        string(),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let array = prop::collection::vec((blanks(), inner.clone()), 0..5)
            .prop_map(|items| list('[', items, ']'));
        prop_oneof![array, object(string(), inner)]
    })
}

fn object(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let entry = (key, blanks(), blanks(), value);
    let entry =
        entry.prop_map(|(key, before, after, value)| format!("{key}{before}:{after}{value}"));
    prop::collection::vec((blanks(), entry), 0..6).prop_map(|items| list('{', items, '}'))
}

fn data() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Id",
        "id",
        "Name",
        "name",
        "NAME",
        "Größe",
        "GRÖSSE",
        "größe",
        r#"é \"x\""#,
        r"\u0049d",
        "x",
    ])
    .prop_map(|key| format!("\"{key}\""));
    object(prop_oneof![8 => known, 1 => string()], value())
}

/// A record's line with the keys of its record in any order.
fn record_line() -> impl Strategy<Value = String> {
    let record = data().prop_flat_map(|data| {
        let parts = vec![
            r#""stream" : "contacts""#.to_owned(),
            r#""namespace":null"#.to_owned(),
            format!("\"data\":{data}"),
            r#""emitted_at":1700000000000"#.to_owned(),
        ];
        Just(parts).prop_shuffle()
    });
    (record, any::<bool>()).prop_map(|(parts, type_first)| {
        let record = format!("\"record\":{{{}}}", parts.join(","));
        let kind = r#""type":"RECORD""#;
        if type_first {
            format!("{{{kind},{record}}}")
        } else {
            format!("{{{record}, {kind}}}")
        }
    })
}

/// The keys and values of an object in their order.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Entries<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The compact text of a value by serde_json, numbers as they stand; none if a text in it has an
/// escape that stands for no character.
fn oracle_compact(raw: &str) -> Option<String> {
    Some(match raw.as_bytes()[0] {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
            let items: Option<Vec<_>> = items
                .iter()
                .map(|item| oracle_compact(item.get()))
                .collect();
            format!("[{}]", items?.join(","))
        }
        b'{' => {
            let Entries(entries) = serde_json::from_str(raw).ok()?;
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(key, value)| {
                    Some(format!("{}:{}", json!(key), oracle_compact(value.get())?))
                })
                .collect();
            format!("{{{}}}", entries?.join(","))
        }
        b'"' => json!(serde_json::from_str::<String>(raw).ok()?).to_string(),
        _ => raw.to_owned(),
    })
}

/// The row of a record's line by serde_json; none if the line is not one that can be decoded.
fn oracle(line: &[u8]) -> Option<HashMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(borrow)]
        record: Record<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        stream: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let message: Message<'_> = serde_json::from_slice(line).ok()?;
    if message.kind != "RECORD" || message.record.stream != "contacts" {
        return None;
    }
    let mut expected = HashMap::new();
    let mut exact = Vec::new();
    let Entries(entries) = serde_json::from_str(message.record.data.get()).ok()?;
    for (key, value) in entries {
        let raw = value.get();
        let text = match serde_json::from_str::<Option<String>>(raw) {
            Ok(text) => text,
            Err(_) if raw.starts_with('"') => return None,
            Err(_) => Some(oracle_compact(raw)?),
        };
        let is_exact = COLUMNS.contains(&key.as_str());
        let lower = key.to_lowercase();
        let mut columns: Vec<&str> = COLUMNS.to_vec();
        columns.sort_unstable();
        let Some(column) = columns.into_iter().find(|column| {
            if is_exact {
                *column == key
            } else {
                column.to_lowercase() == lower
            }
        }) else {
            continue;
        };
        if is_exact {
            exact.push(column);
        } else if exact.contains(&column) {
            continue;
        }
        match text {
            Some(text) => expected.insert(column.to_owned(), text),
            None => expected.remove(column),
        };
    }
    Some(expected)
}

/// Decodes one line; what is there must be one whole row, and only of a record.
fn properties_of(decoder: &mut MessageDecoder, line: &[u8]) -> Option<HashMap<String, String>> {
    let is_record = matches!(decoder.line(line), Line::Record { stream: 0, .. });
    assert_eq!(decoder.rows(0), usize::from(is_record));
    let batch = decoder.flush(0)?;
    let mut found = row(&batch, 0);
    if let Some(raw) = found.get(RAW) {
        assert_eq!(*raw, String::from_utf8_lossy(line));
        assert!(found.contains_key(RAW_ERROR));
        assert_eq!(found.len(), 2, "half a row: {found:?}");
        return None;
    }
    found.remove(EMITTED_AT);
    Some(found)
}

proptest! {
    #[test]
    fn decodes_as_serde_json_does(lines in prop::collection::vec(record_line(), 1..4)) {
        let mut decoder = contacts();
        for line in lines {
            let expected = oracle(line.as_bytes());
            prop_assert!(expected.is_some(), "{line}");
            prop_assert_eq!(properties_of(&mut decoder, line.as_bytes()), expected, "{}", line);
        }
    }

    #[test]
    fn a_changed_byte_is_read_as_serde_json_does(
        line in record_line(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut line = line.into_bytes();
        let place = place.index(line.len());
        line[place] = byte;
        let found = properties_of(&mut contacts(), &line);
        prop_assert_eq!(found, oracle(&line), "{}", String::from_utf8_lossy(&line));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_truncated_record_is_never_half_a_row(line in record_line()) {
        let mut decoder = contacts();
        for end in 0..line.len() {
            prop_assert_eq!(properties_of(&mut decoder, &line.as_bytes()[..end]), None);
        }
    }

}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}:,\"\\\\ u0-9a-fnulltrue.eE+-]{0,60}",
    ) {
        let mut decoder = contacts();
        properties_of(&mut decoder, &bytes);
        properties_of(&mut decoder, json.as_bytes());
        let mut line = record("{\"Id\":").into_bytes();
        line.extend_from_slice(&bytes);
        properties_of(&mut decoder, &line);
        properties_of(&mut decoder, record(&json).as_bytes());
        properties_of(&mut decoder, record(&format!("{{\"Id\":{json}}}")).as_bytes());
    }
}

/// Keys in the order of a source, with values that are mostly texts; some are left out, some come
/// twice, some in another spelling or at another place.
fn steady_data() -> impl Strategy<Value = String> {
    const KEYS: [&str; 6] = ["Id", "Name", "x", "Größe", "name", r#"é \"x\""#];
    let value = || prop_oneof![6 => string(), 1 => value()];
    let values = prop::collection::vec(value(), KEYS.len());
    let odd = prop_oneof![
        12 => Just(None),
        1 => prop::sample::select(vec!["ID", r"\u0049d", r"N\u0061me", "NAME", "y"]).prop_map(Some),
    ];
    let change = (0..40_usize, 0..KEYS.len(), odd);
    let gap = prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("  ")];
    (values, change, gap).prop_map(|(values, (kind, place, odd), gap)| {
        let mut keys: Vec<&str> = KEYS.to_vec();
        match kind {
            0 | 1 => drop(keys.remove(place)),
            2 | 3 => keys.insert(place, KEYS[kind]),
            4 => keys.reverse(),
            _ => {}
        }
        if let (Some(odd), Some(key)) = (odd, keys.get_mut(place)) {
            *key = odd;
        }
        let entries = keys.iter().zip(values.iter().cycle());
        let entries: Vec<String> = entries
            .map(|(key, value)| format!("\"{key}\":{gap}{value}"))
            .collect();
        format!("{{{}}}", entries.join(&format!(",{gap}")))
    })
}

/// Lines of a source that writes all of them alike, of which some differ.
fn steady_lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let order = Just(vec![0, 1, 2, 3, 4]).prop_shuffle();
    let number = prop_oneof![
        4 => "17[0-9]{11}",
        1 => prop::sample::select(vec!["5", "1.5e3", "null", "\"5\"", "true", "[]", "01", "-"])
            .prop_map(str::to_owned),
    ];
    let number = prop_oneof![3 => number.boxed(), 1 => Just("1700000000000".to_owned()).boxed()];
    let stream = prop::sample::select(vec!["contacts"; 8])
        .prop_flat_map(|name| prop_oneof![9 => Just(name), 1 => Just("others"), 1 => Just("none")]);
    let meta = prop_oneof![
        6 => Just(r#""meta":{"changes":[]}"#),
        1 => Just(r#""meta":{"changes":[{"field":"Id"}]}"#),
        1 => Just(r#""meta":{"changes":[{"field":"Id"}]}, "emitted_at":7"#),
        1 => Just(r#""data":{}"#),
        1 => Just(r#""meta":1"#),
    ];
    let broken = (0..24_u8, any::<prop::sample::Index>(), any::<u8>());
    let parts = (steady_data(), number, stream, meta, broken);
    (order, prop::collection::vec(parts, 2..12)).prop_map(|(order, lines)| {
        let lines = lines.into_iter();
        let lines = lines.map(|(data, number, stream, meta, (broken, place, byte))| {
            let parts = [
                format!("\"stream\":\"{stream}\""),
                "\"namespace\":null".to_owned(),
                format!("\"emitted_at\":{number}"),
                meta.to_owned(),
                format!("\"data\":{data}"),
            ];
            let parts: Vec<&str> = order.iter().map(|part| parts[*part].as_str()).collect();
            let line = format!(r#"{{"type":"RECORD","record":{{{}}}}}"#, parts.join(","));
            let mut line = line.into_bytes();
            let place = place.index(line.len());
            match broken {
                0 => line.truncate(place),
                1 | 2 => line[place] = byte,
                3 => line.push(b' '),
                4 => line.push(byte),
                _ => {}
            }
            line
        });
        lines.collect()
    })
}

/// All that a line leaves behind.
fn left_by(decoder: &mut MessageDecoder, line: &[u8]) -> (String, Vec<Option<RecordBatch>>) {
    let found = format!("{:?}", decoder.line(line));
    (found, (0..2).map(|stream| decoder.flush(stream)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_line_is_read_alike_whatever_came_before(lines in steady_lines()) {
        let mut decoder = contacts_and_others();
        for line in lines {
            let found = left_by(&mut decoder, &line);
            let alone = left_by(&mut contacts_and_others(), &line);
            prop_assert_eq!(found, alone, "{}", String::from_utf8_lossy(&line));
        }
    }
}
