//! A rejected record, as its file holds it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A rejected record: its values as texts, and why it was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// `_airbyte_raw_id`: no two lines have the same.
    pub(crate) id: String,
    pub(crate) attempt: Option<String>,
    /// Number of the record in its attempt, from 0.
    pub(crate) ordinal: Option<u64>,
    pub(crate) stage: String,
    pub(crate) code: String,
    pub(crate) message: String,
    /// API names of the fields at fault.
    pub(crate) fields: Vec<String>,
    /// Values by column, in the order of the file; null is none.
    pub(crate) values: Vec<(String, Option<String>)>,
    /// The text of a record that could not be read; it has no values.
    pub(crate) text: Option<String>,
}

/// Columns of the files that are no values of the record.
const ENVELOPE: [&str; 4] = [
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
    "_airbyte_generation_id",
];
const DATA: &str = "_airbyte_data";
const SF_ID: &str = "sf__Id";
const SF_ERROR: &str = "sf__Error";
const TEXT: &str = "_raw";
/// Stands before names that the files have themselves.
const SOURCE_PREFIX: &str = "_source_";

/// A value as a file holds it.
enum Given<'a> {
    Json(&'a str),
    Cell(&'a str),
}

impl Rejected {
    /// Whether these are the names of a line of rejected records.
    pub(crate) fn knows<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| name == "_airbyte_meta")
    }

    /// Reads a line of JSON.
    pub(crate) fn from_json(line: &str) -> Result<Self, String> {
        let Members(members) = serde_json::from_str(line).map_err(|_| not_json())?;
        let members = members.into_iter();
        Self::of(members.map(|(name, value)| (name, Given::Json(value.get()))))
    }

    /// Reads a row of a CSV.
    pub(crate) fn from_cells(names: &[String], cells: &csv::StringRecord) -> Result<Self, String> {
        let cells = names.iter().zip(cells);
        Self::of(cells.map(|(name, cell)| (Cow::Borrowed(name.as_str()), Given::Cell(cell))))
    }

    fn of<'a>(members: impl Iterator<Item = (Cow<'a, str>, Given<'a>)>) -> Result<Self, String> {
        let (mut id, mut meta, mut data, mut flat) = (None, None, None, Vec::new());
        for (name, given) in members {
            match name.as_ref() {
                "_airbyte_raw_id" => id = given.text(),
                "_airbyte_meta" => meta = given.json(),
                DATA => data = given.json(),
                name if ENVELOPE.contains(&name) => {}
                _ => flat.push((name, given)),
            }
        }
        let meta = meta.ok_or("it has no _airbyte_meta; it is no rejected record")?;
        let meta: Meta = serde_json::from_str(&meta)
            .map_err(|_| "its _airbyte_meta is not of a version that this program reads")?;
        let empty = meta.rejected.as_ref().map_or(&[][..], |meta| &meta.empty);
        let mut values = match &data {
            Some(data) => {
                let Members(members) = serde_json::from_str(data).map_err(|_| not_json())?;
                let members = members.into_iter();
                let text = |(name, value): (Cow<'_, str>, &RawValue)| {
                    (name.into_owned(), Given::Json(value.get()).text())
                };
                members.map(text).collect::<Vec<_>>()
            }
            None => flat
                .into_iter()
                .map(|(name, given)| {
                    let text = given.text();
                    let text = text.or_else(|| empty.iter().any(|e| *e == name).then(String::new));
                    (name.into_owned(), text)
                })
                .collect(),
        };
        let mut take = |wanted: &str| {
            let index = values.iter().position(|(name, _)| name == wanted)?;
            values.remove(index).1
        };
        let (error, text) = (take(SF_ERROR), take(TEXT));
        take(SF_ID);
        for (name, _) in &mut values {
            *name = source_name(name).to_owned();
        }
        if text.is_some() {
            values.clear();
        }
        let reason = match meta.rejected {
            Some(reason) => reason,
            None => Reason::of_salesforce(error.as_deref().unwrap_or_default()),
        };
        Ok(Self {
            id: id.ok_or("it has no _airbyte_raw_id")?,
            attempt: reason.attempt,
            ordinal: reason.ordinal,
            stage: reason.stage,
            code: reason.code,
            message: reason.message,
            fields: reason.fields,
            values,
            text,
        })
    }

    /// The value of a column; none if it is null, or not there.
    pub(crate) fn value(&self, column: &str) -> Option<&str> {
        let value = self.values.iter().find(|(name, _)| name == column);
        value.and_then(|(_, value)| value.as_deref())
    }

    /// Why it was rejected, in one cell.
    pub(crate) fn reason(&self) -> String {
        let mut reason = format!("{}: {}", self.code, self.message);
        // Most messages name them.
        let unnamed = self
            .fields
            .iter()
            .filter(|field| !self.message.contains(*field));
        let unnamed: Vec<&str> = unnamed.map(String::as_str).collect();
        if !unnamed.is_empty() {
            reason.push_str(&format!(" [{}]", unnamed.join(", ")));
        }
        reason
    }
}

fn not_json() -> String {
    "it is no JSON object, or is cut off".to_owned()
}

/// The name that a column had before the file, which has columns of that name itself.
fn source_name(name: &str) -> &str {
    let mut bare = name;
    while let Some(rest) = bare.strip_prefix(SOURCE_PREFIX) {
        bare = rest;
    }
    let taken = ENVELOPE.contains(&bare) || [SF_ID, SF_ERROR, TEXT].contains(&bare);
    match name.strip_prefix(SOURCE_PREFIX) {
        Some(name) if taken => name,
        _ => name,
    }
}

impl Given<'_> {
    /// A string's content, any other value as it stands; null and an empty cell are none.
    fn text(&self) -> Option<String> {
        match self {
            Self::Json("null") | Self::Cell("") => None,
            Self::Json(json) if json.starts_with('"') => serde_json::from_str(json).ok(),
            Self::Json(text) | Self::Cell(text) => Some((*text).to_owned()),
        }
    }

    /// A member of JSON, or the JSON that a cell is.
    fn json(&self) -> Option<String> {
        let (Self::Json(json) | Self::Cell(json)) = self;
        Some((*json).to_owned())
    }
}

/// `_airbyte_meta`.
#[derive(Deserialize)]
struct Meta {
    /// Not there where Airbyte's own connector wrote the file.
    rejected: Option<Reason>,
}

/// `_airbyte_meta.rejected`.
#[derive(Deserialize)]
struct Reason {
    attempt: Option<String>,
    ordinal: Option<u64>,
    stage: String,
    code: String,
    message: String,
    fields: Vec<String>,
    #[serde(default)]
    empty: Vec<String>,
}

impl Reason {
    /// The reason of `CODE:message:fields --`, the form of Salesforce's own result files.
    fn of_salesforce(error: &str) -> Self {
        let (code, rest) = error.split_once(':').unwrap_or(("UNKNOWN", error));
        let (message, fields) = match rest.rsplit_once(':') {
            Some((message, fields)) if fields.trim_end().ends_with("--") => (message, fields),
            _ => (rest, ""),
        };
        let fields = fields
            .trim()
            .trim_end_matches("--")
            .split(',')
            .map(str::trim);
        Self {
            attempt: None,
            ordinal: None,
            stage: "salesforce".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            fields: fields
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
                .collect(),
            empty: Vec::new(),
        }
    }
}

/// The members of a JSON object in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = r#"{"sync_id":0,"changes":[],"rejected":{"version":2,"attempt":"A","ordinal":7,"stage":"coerce","code":"INVALID_VALUE","message":"no number","fields":["Size__c"],"at":1,"empty":["Title"]}}"#;

    #[test]
    fn nested_lines_keep_order_digits_and_nulls() {
        let line = format!(
            r#"{{"_airbyte_raw_id":"r1","_airbyte_extracted_at":1,"_airbyte_meta":{META},"_airbyte_generation_id":0,"_airbyte_data":{{"sf__Id":"","sf__Error":"x","Z":1.10,"A":null,"_source_sf__Id":"own","T":"a\"b"}}}}"#
        );
        let record = Rejected::from_json(&line).unwrap();
        assert_eq!((record.id.as_str(), record.ordinal), ("r1", Some(7)));
        let values: Vec<_> = record
            .values
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_deref()))
            .collect();
        assert_eq!(
            values,
            [
                ("Z", Some("1.10")),
                ("A", None),
                ("sf__Id", Some("own")),
                ("T", Some("a\"b"))
            ]
        );
        assert_eq!(record.reason(), "INVALID_VALUE: no number [Size__c]");
    }

    #[test]
    fn flat_cells_distinguish_empty_texts_from_nulls() {
        let names = [
            "_airbyte_raw_id",
            "_airbyte_meta",
            "sf__Id",
            "sf__Error",
            "Name",
            "Title",
            "_raw",
        ];
        let names = names.map(str::to_owned);
        let cells = csv::StringRecord::from(vec!["r2", META, "", "x", "", "", ""]);
        let record = Rejected::from_cells(&names, &cells).unwrap();
        assert_eq!(
            record.values,
            [
                ("Name".to_owned(), None),
                ("Title".to_owned(), Some(String::new()))
            ]
        );
        assert_eq!(record.text, None);
    }

    #[test]
    fn a_line_that_could_not_be_read_is_its_text() {
        let line = format!(
            r#"{{"_airbyte_raw_id":"r","_airbyte_meta":{META},"_airbyte_data":{{"_raw":"a;b"}}}}"#
        );
        let record = Rejected::from_json(&line).unwrap();
        assert_eq!(record.text.as_deref(), Some("a;b"));
        assert!(record.values.is_empty());
    }

    #[test]
    fn the_reason_of_other_connectors_is_salesforces_own_line() {
        let line = r#"{"_airbyte_raw_id":"r","_airbyte_meta":{"sync_id":1,"changes":[]},"_airbyte_data":{"sf__Error":"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","Email":"a@b.c"}}"#;
        let record = Rejected::from_json(line).unwrap();
        assert_eq!(record.code, "REQUIRED_FIELD_MISSING");
        assert_eq!(record.message, "Required fields are missing: [LastName]");
        assert_eq!(record.fields, ["LastName"]);
        assert_eq!(record.value("Email"), Some("a@b.c"));
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "{",
            "[]",
            "{}",
            r#"{"_airbyte_raw_id":"r","_airbyte_meta":7}"#,
        ] {
            assert!(Rejected::from_json(line).is_err(), "{line}");
        }
    }
}
