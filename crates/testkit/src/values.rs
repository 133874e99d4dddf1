//! The table of values: the cases of `tests/data/values.json`, each from a source value to the cell
//! of a job and what the org holds.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::KEY;
use crate::sim::TestSim;

/// Options of a case: name and value as the config of the destination has them.
pub type SettingsText = BTreeMap<String, String>;

/// A kind of field that cases are about, and the field of the simulated org that stands for it.
#[derive(Debug)]
pub struct FieldKind {
    /// What cases call it.
    pub kind: &'static str,
    /// Object of the simulated org.
    pub object: &'static str,
    /// API name of the field.
    pub name: &'static str,
    /// Fields of the same table in the docs.
    pub literal: &'static str,
}

const fn everything(kind: &'static str, name: &'static str, literal: &'static str) -> FieldKind {
    FieldKind {
        kind,
        object: "Everything__c",
        name,
        literal,
    }
}

/// All kinds of fields.
pub const FIELDS: [FieldKind; 23] = [
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
pub struct Case {
    /// The kind of field, one of [`FIELDS`].
    pub field: String,
    /// Another field of that kind.
    name: Option<String>,
    /// What the value comes from.
    pub source: Source,
    /// The exact JSON of the value; none where the record lacks the key.
    #[serde(default, deserialize_with = "stated")]
    pub value: Option<Box<RawValue>>,
    #[serde(default)]
    /// Options that differ from the defaults.
    pub settings: SettingsText,
    /// What becomes of the value.
    pub expect: Expect,
    #[serde(skip)]
    number: usize,
}

/// Where a value comes from: a JSON schema's declared type, or an Arrow type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The declared type of a JSON schema.
    Json(String),
    /// The text of an Arrow type.
    Arrow(String),
}

/// What becomes of a value: one of `cell`, `reject` and `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The cell of the job; null is an empty one.
    #[serde(default, deserialize_with = "stated")]
    pub cell: Option<Option<String>>,
    /// Part of why the row is rejected.
    pub reject: Option<String>,
    /// Part of why no load of such a column starts.
    pub config: Option<String>,
    /// What the org holds where that is not the cell; `refuses` if it refuses the row.
    org: Option<String>,
}

/// Distinguishes null from a key that is not there.
fn stated<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// All cases, in the order of the file.
pub fn read() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/values.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    for (number, case) in cases.iter_mut().enumerate() {
        case.number = number;
    }
    cases
}

impl Case {
    /// The kind of field.
    pub fn kind(&self) -> &'static FieldKind {
        let mut fields = FIELDS.iter();
        fields.find(|field| field.kind == self.field).unwrap()
    }

    /// Object of the simulated org.
    pub fn object(&self) -> &'static str {
        self.kind().object
    }

    /// API name of the field.
    pub fn api_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind().name)
    }

    /// Whether the field is the key of an upsert; all other cases are inserted.
    pub fn is_key(&self) -> bool {
        self.field == "key"
    }

    /// The key of the case's record.
    pub fn key(&self) -> String {
        format!("V-{}", self.number)
    }

    /// The record of the case as JSON text, its value byte for byte.
    pub fn record(&self) -> String {
        let value = self.value.as_ref().map(|value| {
            let (name, value) = (json!(self.api_name()), value.get());
            format!(",{name}:{value}")
        });
        let (key, value) = (json!(self.key()), value.unwrap_or_default());
        format!(r#"{{"{KEY}":{key}{value}}}"#)
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
    pub fn is_refused(&self) -> bool {
        self.org.as_deref() == Some("refuses")
    }

    /// None if the org has no such record; else what it holds, none where that is not stated.
    pub fn held(&self) -> Option<Option<&str>> {
        let cell = self.cell.as_ref().filter(|_| !self.is_refused())?;
        let held = self.org.as_deref().or(cell.as_deref());
        Some(held.filter(|held| *held != "#N/A"))
    }
}

/// Options of a case for the library: `T` has fields of these names.
pub fn options<T: DeserializeOwned + Serialize>(settings: &SettingsText) -> T {
    let options: T = serde_json::from_value(json!(settings)).unwrap();
    let written = json!(options);
    for name in settings.keys() {
        assert!(written.get(name).is_some(), "there is no option {name}");
    }
    options
}

/// The JSON schema of a declared type.
pub fn json_schema(declared: &str) -> Value {
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

/// What became of the value of a case before it was sent.
#[derive(Debug)]
pub struct Coerced<'a> {
    /// The cell of the job; none if it is empty.
    pub cell: Option<String>,
    /// Why its row is rejected, if it is.
    pub reject: Option<&'a str>,
}

/// The cases whose cell or reason is another than expected; the results in the order of the cases.
pub fn wrongly_coerced<'a>(
    cases: &[&Case],
    results: impl IntoIterator<Item = Coerced<'a>>,
) -> Vec<String> {
    let mut results = results.into_iter();
    let mut wrong = Vec::new();
    for case in cases {
        let Coerced { cell, reject } = results.next().unwrap();
        let right = match (&case.expect.reject, reject) {
            (Some(expected), Some(message)) => message.contains(expected.as_str()),
            (None, None) => Some(&cell) == case.expect.cell.as_ref(),
            _ => false,
        };
        if !right {
            wrong.push(format!("{case}: cell {cell:?}, reject {reject:?}"));
        }
    }
    wrong
}

/// The inserted cases of which the org holds something else than expected.
pub async fn wrongly_held<'a>(
    sim: &TestSim,
    cases: impl IntoIterator<Item = &'a Case>,
) -> Vec<String> {
    let mut rows: HashMap<String, Value> = HashMap::new();
    for object in ["Everything__c", "Contact"] {
        for row in sim.rows(object).await {
            rows.insert(row[KEY].as_str().unwrap_or_default().to_owned(), row);
        }
    }
    cases
        .into_iter()
        .filter(|case| !case.is_key())
        .filter_map(|case| {
            let row = rows.get(&case.key());
            let held = row.and_then(|row| row[case.api_name()].as_str());
            let right = match case.expect.held() {
                None => row.is_none(),
                Some(None) => row.is_some(),
                Some(Some(expected)) => held.is_some_and(|held| is_same(held, expected)),
            };
            (!right).then(|| format!("{case}: the org holds {row:?}"))
        })
        .collect()
}

/// Numbers are the same whatever their zeros; texts lose their outer blanks.
fn is_same(held: &str, expected: &str) -> bool {
    let numbers = held.parse::<f64>().ok().zip(expected.parse::<f64>().ok());
    held == expected.trim_matches(|letter| letter <= ' ')
        || numbers.is_some_and(|(held, expected)| held.to_bits() == expected.to_bits())
}
