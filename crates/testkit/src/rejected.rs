//! Files of rejected records, read back without the library's help.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The columns of a file of rejected records.
const ENVELOPE: [&str; 5] = [
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
    "_airbyte_generation_id",
    "_airbyte_data",
];

/// One rejected record as it stands in a file.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The whole line.
    pub envelope: Value,
}

impl Rejected {
    /// The record, without `sf__Id` and `sf__Error`.
    pub fn record(&self) -> Value {
        let mut data = self.envelope["_airbyte_data"].clone();
        let data_object = data.as_object_mut().unwrap();
        data_object.remove("sf__Id");
        data_object.remove("sf__Error");
        data
    }

    /// Salesforce's own words, `sf__Error`.
    pub fn sf_error(&self) -> &str {
        self.envelope["_airbyte_data"]["sf__Error"]
            .as_str()
            .unwrap()
    }

    /// `_airbyte_meta.rejected`.
    pub fn reason(&self) -> &Value {
        &self.envelope["_airbyte_meta"]["rejected"]
    }

    /// Code of the reason.
    pub fn code(&self) -> &str {
        self.reason()["code"].as_str().unwrap()
    }

    /// Stage that rejected the record.
    pub fn stage(&self) -> &str {
        self.reason()["stage"].as_str().unwrap()
    }

    /// A text of the record.
    pub fn text(&self, field: &str) -> &str {
        self.envelope["_airbyte_data"][field].as_str().unwrap()
    }
}

/// All rejected records of some files (name and content), in order.
pub fn read_all<'a>(files: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Rejected> {
    files
        .into_iter()
        .flat_map(|(name, content)| read(name, content))
        .collect()
}

/// The rejected records of a file, whose format its name says.
pub fn read(name: &str, content: &str) -> Vec<Rejected> {
    let envelopes: Vec<Value> = if name.contains(".jsonl") {
        assert!(content.ends_with('\n'), "{name} ends within a line");
        content
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    } else {
        assert!(name.contains(".csv"), "{name} is neither CSV nor JSONL");
        from_csv(content)
    };
    envelopes
        .into_iter()
        .map(|envelope| Rejected {
            envelope: unflattened(envelope),
        })
        .collect()
}

/// The envelope's five columns: those of a flattened file are put into `_airbyte_data`.
fn unflattened(mut envelope: Value) -> Value {
    let object = envelope.as_object_mut().unwrap();
    if !object.contains_key("_airbyte_data") {
        let mut data = std::mem::take(object);
        for name in &ENVELOPE[..4] {
            object.insert((*name).to_owned(), data.remove(*name).unwrap());
        }
        if data.get("_raw").is_some_and(|raw| !raw.is_null()) {
            data.retain(|name, _| name == "_raw");
        }
        object.insert("_airbyte_data".to_owned(), data.into());
    }
    let keys: Vec<&String> = object.keys().collect();
    assert_eq!(keys.len(), ENVELOPE.len(), "{keys:?}");
    assert!(
        ENVELOPE.iter().all(|name| object.get(*name).is_some()),
        "{keys:?}"
    );
    envelope
}

fn from_csv(content: &str) -> Vec<Value> {
    let mut rows = csv(content).into_iter();
    let header = rows.next().unwrap();
    assert_eq!(header[..4], ENVELOPE[..4]);
    let json_of = |text: &String| -> Value { serde_json::from_str(text).unwrap() };
    rows.map(|row| {
        assert_eq!(row.len(), header.len());
        let [id, at, meta, generation, data @ ..] = row.as_slice() else {
            panic!("a row of {} cells", row.len());
        };
        let mut envelope = json!({
            "_airbyte_raw_id": id,
            "_airbyte_extracted_at": json_of(at),
            "_airbyte_meta": json_of(meta),
            "_airbyte_generation_id": json_of(generation),
        });
        match (&header[4..], data) {
            ([name], [data]) if name == "_airbyte_data" => envelope[name] = json_of(data),
            (names, cells) => {
                assert_eq!(names[..2], ["sf__Id", "sf__Error"]);
                assert_eq!(names.last().unwrap(), "_raw");
                let empty = envelope["_airbyte_meta"]["rejected"]["empty"].clone();
                let empty = empty.as_array().cloned().unwrap_or_default();
                for (name, cell) in names.iter().zip(cells) {
                    let is_text =
                        !cell.is_empty() || name == "sf__Id" || empty.contains(&json!(name));
                    if is_text || name != "_raw" {
                        envelope[name] = is_text.then_some(cell.as_str()).into();
                    }
                }
            }
        }
        envelope
    })
    .collect()
}

/// Rows of a CSV text whose lines end in CRLF.
pub fn csv(content: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut characters) = (false, content.chars().peekable());
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(characters.next(), Some('\n'), "a lone CR outside quotes");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\n' if !quoted => panic!("a line that does not end in CRLF"),
            _ => cell.push(c),
        }
    }
    assert!(
        !quoted && row.is_empty() && cell.is_empty(),
        "the file ends within a row"
    );
    rows
}

/// How often each code was given.
pub fn codes(rejected: &[Rejected]) -> BTreeMap<&str, usize> {
    rejected
        .iter()
        .fold(BTreeMap::new(), |mut counts, rejected| {
            *counts.entry(rejected.code()).or_default() += 1;
            counts
        })
}
