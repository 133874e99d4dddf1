//! The cases of `tests/data/values.json`.

use std::collections::BTreeMap;
use std::fmt;

use arrow_salesforce::object::Operation;
use arrow_salesforce::options::{NullHandling, OnTooLong, Timezone, Validate, ValueOptions};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::lines::{KEY, Stream};

/// Settings of a case as the config of the binary has them.
pub(crate) type SettingsText = BTreeMap<String, String>;

/// A kind of field that cases are about, and the field of the simulated org that stands for it.
pub(crate) struct FieldKind {
    pub(crate) kind: &'static str,
    pub(crate) object: &'static str,
    pub(crate) name: &'static str,
    /// Fields of the same table in the docs.
    pub(crate) literal: &'static str,
}

const fn everything(kind: &'static str, name: &'static str, literal: &'static str) -> FieldKind {
    FieldKind {
        kind,
        object: "Everything__c",
        name,
        literal,
    }
}

pub(crate) const FIELDS: [FieldKind; 23] = [
    everything("string", "Text__c", "text"),
    everything("textarea", "Text_Area__c", "text"),
    everything("picklist", "Picklist__c", "text"),
    everything("restricted picklist", "Restricted__c", "text"),
    everything("combobox", "Combo__c", "text"),
    everything("encryptedstring", "Secret__c", "text"),
    everything("phone", "Phone__c", "text"),
    everything("email", "Email__c", "text"),
    everything("url", "Url__c", "text"),
    everything("reference", "Parent__c", "text"),
    everything("multipicklist", "Multi__c", "multipicklist"),
    everything("boolean", "Flag__c", "boolean"),
    everything("int", "Int__c", "int"),
    everything("long", "Long__c", "long"),
    everything("double", "Double__c", "number"),
    everything("currency", "Currency__c", "number"),
    everything("percent", "Percent__c", "number"),
    everything("date", "Date__c", "date"),
    everything("datetime", "Date_Time__c", "datetime"),
    everything("time", "Time__c", "time"),
    everything("base64", "Data__c", "base64"),
    FieldKind {
        kind: "required",
        object: "Contact",
        name: "LastName",
        literal: "text",
    },
    everything("key", KEY, "key"),
];

/// One source value, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The kind of field, one of [`FIELDS`].
    pub(crate) field: String,
    /// Another field of that kind.
    name: Option<String>,
    pub(crate) source: Source,
    /// The exact JSON of the value; none where the record lacks the key.
    #[serde(default, deserialize_with = "stated")]
    pub(crate) value: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) settings: SettingsText,
    pub(crate) expect: Expect,
    #[serde(skip)]
    number: usize,
}

/// Where a value comes from: a JSON schema's declared type, or an Arrow type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    Json(String),
    Arrow(String),
}

/// What becomes of a value: one of `cell`, `reject` and `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The cell of the job; null is an empty one.
    #[serde(default, deserialize_with = "stated")]
    pub(crate) cell: Option<Option<String>>,
    /// Part of why the row is rejected.
    pub(crate) reject: Option<String>,
    /// Part of why no load of such a column starts.
    pub(crate) config: Option<String>,
    /// What the org holds where that is not the cell; `refuses` if it refuses the row.
    org: Option<String>,
}

/// Tells null from a key that is not there.
fn stated<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// All cases, in the order of the file.
pub(crate) fn read() -> Vec<Case> {
    let mut cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../../../tests/data/values.json")).unwrap();
    for (number, case) in cases.iter_mut().enumerate() {
        case.number = number;
    }
    cases
}

impl Case {
    pub(crate) fn kind(&self) -> &'static FieldKind {
        let mut fields = FIELDS.iter();
        fields.find(|field| field.kind == self.field).unwrap()
    }

    pub(crate) fn object(&self) -> &'static str {
        self.kind().object
    }

    pub(crate) fn api_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind().name)
    }

    pub(crate) fn operation(&self) -> Operation {
        if self.field == "key" {
            Operation::Upsert {
                external_id: KEY.into(),
            }
        } else {
            Operation::Insert
        }
    }

    /// The key of the case's record.
    pub(crate) fn key(&self) -> String {
        format!("V-{}", self.number)
    }

    /// The record of the case as a line.
    pub(crate) fn line(&self, stream: &Stream) -> String {
        let value = self.value.as_ref().map(|value| {
            let (name, value) = (json!(self.api_name()), value.get());
            format!(",{name}:{value}")
        });
        let (key, value) = (json!(self.key()), value.unwrap_or_default());
        stream.record_text(&format!(r#"{{"{KEY}":{key}{value}}}"#))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map_or("missing", |value| value.get());
        let (source, settings) = (&self.source, &self.settings);
        write!(f, "{} from {source:?} {value} {settings:?}", self.field)
    }
}

impl Expect {
    /// Whether the org, not the loader, refuses the row.
    pub(crate) fn is_refused(&self) -> bool {
        self.org.as_deref() == Some("refuses")
    }

    /// None if the org has no such record; else what it holds, none where that is not told.
    pub(crate) fn held(&self) -> Option<Option<&str>> {
        let cell = self.cell.as_ref().filter(|_| !self.is_refused())?;
        let held = self.org.as_deref().or(cell.as_deref());
        Some(held.filter(|held| *held != "#N/A"))
    }
}

/// The settings of a case for the library.
pub(crate) fn options(text: &SettingsText) -> ValueOptions {
    let mut options = ValueOptions::default();
    for (key, value) in text {
        match (key.as_str(), value.as_str()) {
            ("null_handling", "clear") => options.null_handling = NullHandling::Clear,
            ("on_too_long", "truncate") => options.on_too_long = OnTooLong::Truncate,
            ("validate", "strict") => options.validate = Validate::Strict,
            ("timezone", zone) => options.timezone = Timezone::parse(zone).unwrap(),
            other => panic!("{other:?} is no setting of a case"),
        }
    }
    options
}

/// The JSON schema of a declared type.
pub(crate) fn json_schema(declared: &str) -> Value {
    let text = |format: &str, airbyte_type: &str| json!({"type": ["null", "string"], "format": format, "airbyte_type": airbyte_type});
    match declared {
        "date" => text("date", "date"),
        "time_with_timezone" | "time_without_timezone" => text("time", declared),
        "timestamp_with_timezone" | "timestamp_without_timezone" => text("date-time", declared),
        "union" => json!({"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "array"}]}),
        "unknown" => json!({}),
        plain => json!({"type": ["null", plain]}),
    }
}
