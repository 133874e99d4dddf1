//! The records of a stream: good ones with values of all kinds, and bad ones of all kinds.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::{Map, Value, json};
use testkit::KEY;

use super::input::{End, Record};
use super::plan::{Operation, StreamPlan};
use super::shapes::Kind;
use crate::harness::lines::Stream;

/// What a record does to a field of the org's record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// It holds this text from then on.
    Set(String),
    Clear,
}

impl Cell {
    /// What the field holds then.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Set(text) => text,
            Self::Clear => "",
        }
    }
}

/// In every value of a record, so that values are found where they must not be.
pub(super) const MARK: &str = "zq";

/// Makes the records of a stream.
pub(super) struct Maker<'a> {
    pub(super) stream: &'a StreamPlan,
    pub(super) lines: &'a Stream,
    /// Number of the stream, which its values hold.
    pub(super) number: usize,
    /// Ids of the records that are in the org.
    pub(super) ids: &'a [String],
    pub(super) clears: bool,
}

impl Maker<'_> {
    pub(super) fn records(&self, random: &mut Rng) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::with_capacity(self.stream.rows);
        let insert = self.stream.operation == Operation::Insert;
        for number in 0..self.stream.rows {
            let copies = insert && !self.stream.with_key && random.u8(..100) < 3;
            let earlier = (copies && number > 0).then(|| random.usize(..number));
            let copied = earlier.filter(|earlier| records[*earlier].end != End::Rejected);
            let record = match copied {
                Some(earlier) => copy(&mut records[earlier]),
                None if random.f64() < self.stream.bad => self.bad(random, number),
                None => self.good(random, number),
            };
            records.push(record);
        }
        if self.stream.operation == Operation::Delete {
            let mut deleted = BTreeSet::new();
            for record in &mut records {
                let again = record.key.clone().is_some_and(|key| !deleted.insert(key));
                if again && record.end == End::Accepted {
                    // What is gone already counts as deleted, or as an Id of nothing.
                    record.end = End::Either;
                }
            }
        }
        records
    }

    fn good(&self, random: &mut Rng, number: usize) -> Record {
        let key = self.key(random);
        let (data, cells) = self.data(random, number, key.clone());
        self.record(number, Some(data), cells, key, End::Accepted)
    }

    /// A record that is refused for what it holds, whatever the org holds.
    fn bad(&self, random: &mut Rng, number: usize) -> Record {
        let operation = self.stream.operation;
        let key = self.key(random);
        let (mut data, _) = self.data(random, number, key);
        let shape = self.stream.shape;
        let key_field = self.key_field();
        let mut line = None;
        match random.u8(..8) {
            0 | 1 if operation.is_keyed() => {
                let missing = [Value::Null, json!(""), json!("  ")];
                let missing = random.choice(missing).unwrap_or_default();
                data.insert(key_field.unwrap_or(KEY).to_owned(), missing);
            }
            _ if operation == Operation::Delete => {
                data.insert("Id".to_owned(), json!(format!("{MARK} no Id {number}")));
            }
            2 => {
                let text = Value::Object(data.clone()).to_string();
                let end = text.len() - 1;
                line = Some(
                    self.lines
                        .record_text(&format!("{},\"x\":tru}}", &text[..end])),
                );
            }
            3 => {
                data.insert(shape.text.0.to_owned(), json!("#N/A"));
            }
            4 if operation == Operation::Insert && !shape.required.is_empty() => {
                data.insert(shape.required[0].to_owned(), Value::Null);
            }
            5 if operation != Operation::Update => {
                // The org refuses it, so that nothing else may be for its key.
                if let Some(field) = key_field {
                    data.insert(field.to_owned(), json!(self.own_key(number)));
                }
                let text = format!("{MARK}{}", "x".repeat(shape.text.1));
                data.insert(shape.text.0.to_owned(), json!(text));
            }
            _ => {
                let (name, _, kind) = *random.choice(shape.typed).unwrap_or(&shape.typed[0]);
                let wrong = if kind == Kind::Email {
                    "#N/A"
                } else {
                    "zq a dozen"
                };
                data.insert(name.to_owned(), json!(wrong));
            }
        }
        let mut record = self.record(number, Some(data), BTreeMap::new(), None, End::Rejected);
        if let Some(line) = line {
            record.line = line;
            record.data = None;
        }
        record
    }

    fn record(
        &self,
        number: usize,
        data: Option<Map<String, Value>>,
        cells: BTreeMap<&'static str, Cell>,
        key: Option<String>,
        end: End,
    ) -> Record {
        let delete = self.stream.operation == Operation::Delete;
        let identity = key.clone().filter(|_| delete);
        let data_text = Value::Object(data.clone().unwrap_or_default()).to_string();
        Record {
            line: self.lines.record_text(&data_text),
            data,
            identity: identity.unwrap_or_else(|| self.identity(number)),
            end,
            key: key.map(|key| normal(&key, self.stream.operation)),
            cells,
        }
    }

    fn identity(&self, number: usize) -> String {
        format!("{MARK}-{}-{number}", self.number)
    }

    fn key_field(&self) -> Option<&'static str> {
        match self.stream.operation {
            Operation::Insert => self.stream.with_key.then_some(KEY),
            Operation::Upsert => Some(KEY),
            Operation::Update | Operation::Delete => Some("Id"),
        }
    }

    /// A key that only this record has.
    fn own_key(&self, number: usize) -> String {
        format!("{MARK}-own-{}-{number}", self.number)
    }

    /// The key of a good record, in one of the forms that mean the same.
    fn key(&self, random: &mut Rng) -> Option<String> {
        match self.stream.operation {
            Operation::Insert => None,
            Operation::Upsert => {
                let number = random.usize(..self.stream.keys);
                let key = format!("{MARK}-Key-{}-{number}", self.number);
                Some(match random.u8(..10) {
                    0 => key.to_uppercase(),
                    1 => format!(" {key} "),
                    _ => key,
                })
            }
            Operation::Update | Operation::Delete => {
                let id = random.choice(self.ids)?;
                let length = if random.u8(..4) == 0 { 15 } else { 18 };
                Some(id[..length].to_owned())
            }
        }
    }

    /// Values of a record, and what they do to the org's.
    fn data(
        &self,
        random: &mut Rng,
        number: usize,
        key: Option<String>,
    ) -> (Map<String, Value>, BTreeMap<&'static str, Cell>) {
        let mut values = Values {
            data: Map::new(),
            cells: BTreeMap::new(),
            clears: self.clears,
        };
        if let Some(field) = self.key_field() {
            let key = key.unwrap_or_else(|| self.own_key(number));
            values.data.insert(field.to_owned(), json!(key));
        }
        if self.stream.operation == Operation::Delete {
            return (values.data, values.cells);
        }
        let shape = self.stream.shape;
        values.set(shape.identity, json!(self.identity(number)));
        for field in shape.required {
            values.set(field, json!(format!("{MARK} Ng {number}")));
        }
        let words = text(random, shape.text.1 / 4);
        values.perhaps(random, shape.text.0, words);
        let is_long = random.f64() < self.stream.long_share && self.stream.long_text > 0;
        let long = if is_long {
            random_text(random, self.stream.long_text)
        } else {
            text(random, 60)
        };
        values.perhaps(random, shape.long, long);
        for (field, _, kind) in shape.typed {
            let value = match kind {
                Kind::Integer => json!(random.u32(..1_000_000)),
                Kind::Decimal => json!(f64::from(random.u32(..99_999)) / 100.0),
                Kind::Date => json!(format!(
                    "20{:02}-0{}-1{}",
                    random.u8(10..30),
                    random.u8(1..10),
                    random.u8(..10)
                )),
                Kind::Email => json!(format!("{MARK}.{number}@example.com")),
                Kind::Flag => json!(random.bool()),
            };
            values.perhaps(random, field, value);
        }
        (values.data, values.cells)
    }
}

/// The same record once more. The org may refuse what is identical to another record.
fn copy(earlier: &mut Record) -> Record {
    earlier.end = End::Either;
    Record {
        line: earlier.line.clone(),
        data: earlier.data.clone(),
        identity: earlier.identity.clone(),
        end: End::Either,
        key: None,
        cells: earlier.cells.clone(),
    }
}

/// The form in which keys compare.
pub(super) fn normal(key: &str, operation: Operation) -> String {
    match operation {
        // Fifteen letters are all that distinguishes Ids.
        Operation::Update | Operation::Delete => key[..15].to_owned(),
        _ => key.trim().to_lowercase(),
    }
}

/// Values of a record in the making.
struct Values {
    data: Map<String, Value>,
    cells: BTreeMap<&'static str, Cell>,
    clears: bool,
}

impl Values {
    /// A value, a null, a blank, or no such key.
    fn perhaps(&mut self, random: &mut Rng, field: &'static str, value: Value) {
        match random.u8(..12) {
            0 => {}
            1 => self.set(field, Value::Null),
            2 => self.set(field, json!("")),
            _ => self.set(field, value),
        }
    }

    fn set(&mut self, field: &'static str, value: Value) {
        let held = match &value {
            Value::Null => String::new(),
            Value::String(text) => held(text),
            other => other.to_string(),
        };
        if !held.is_empty() {
            self.cells.insert(field, Cell::Set(held));
        } else if self.clears {
            self.cells.insert(field, Cell::Clear);
        }
        self.data.insert(field.to_owned(), value);
    }
}

/// What the org holds of a text: line ends are LF, what XML cannot hold and outer blanks are gone.
fn held(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: String = lines
        .chars()
        .filter(|c| *c >= ' ' || matches!(c, '\t' | '\n'))
        .collect();
    lines.trim().to_owned()
}

/// A text of one of the kinds that loaders stumble over, of so many characters at most.
fn text(random: &mut Rng, longest: usize) -> Value {
    let odd = [
        "plain",
        "with, comma",
        "\"quoted\" and \"",
        "two\nlines",
        "two\r\nlines",
        "emoji 😀😀",
        "=1+1",
        "#",
        "'single",
        "tab\tand bell\u{7}",
        "back\\slash",
        "ünï 中文",
        ",,,",
        "\"\"",
    ];
    let words = format!("{MARK} {}", random.choice(odd).unwrap_or("plain"));
    json!(words.chars().take(longest).collect::<String>())
}

fn random_text(random: &mut Rng, length: usize) -> Value {
    let letters = (0..length).map(|_| random.alphanumeric());
    let text: String = letters.collect();
    json!(format!("{MARK}{text}"))
}
