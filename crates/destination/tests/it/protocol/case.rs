//! A case as it stands in its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One run of the binary.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Case {
    /// Name of its file, without the extension.
    #[serde(skip)]
    pub(super) name: String,
    /// Rules that it shows: number of the section, a colon, the rule.
    pub(super) covers: Vec<String>,
    /// What a reader should know.
    #[serde(rename = "about")]
    _about: String,
    /// `write` if absent.
    pub(super) command: Option<String>,
    /// The whole command line, where it is an unusual one.
    pub(super) args: Option<Vec<String>>,
    /// Keys that differ from the usual config, or the text of the file.
    pub(super) config: Value,
    /// The catalog, or the text of the file; one stream of contacts if absent.
    pub(super) catalog: Value,
    /// Lines: objects, texts as they are, and more that the README describes.
    pub(super) input: Vec<Value>,
    pub(super) log_level: Option<String>,
    pub(super) sim: Sim,
    /// Rejected records go to a bucket: what differs from the usual settings of it.
    pub(super) s3: Option<Map<String, Value>>,
    pub(super) expect: Expect,
}

/// What the org is like.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sim {
    pub(super) options: Map<String, Value>,
    /// Its objects, in place of the embedded ones.
    pub(super) objects: Option<Value>,
}

/// What must come of it. What is absent is not looked at, but for the exit code, and that there is
/// one error trace where it is 1 and none where it is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    pub(super) exit: i32,
    /// Stdout is for people: no messages are looked for.
    pub(super) prose: bool,
    /// All messages but LOG, in order.
    pub(super) messages: Option<Vec<Value>>,
    /// The `state` of all STATE messages, those of a stream in order.
    pub(super) states: Option<Vec<Value>>,
    /// The `error` of the error trace.
    pub(super) trace: Option<Value>,
    /// Records of objects, in any order.
    pub(super) org: BTreeMap<String, Vec<Value>>,
    /// Ingest jobs of the org, in any order.
    pub(super) jobs: Option<Vec<Value>>,
    /// Rejected records, in any order.
    pub(super) rejected: Option<Vec<Value>>,
    /// Names of the files of rejected records, with `*` for any text.
    pub(super) files: Option<Vec<String>>,
    /// Texts within lines of the log, each of which begins with its level.
    pub(super) log_contains: Vec<String>,
    pub(super) log_lacks: Vec<String>,
    /// Texts within stdout as it is.
    pub(super) stdout_contains: Vec<String>,
    pub(super) stdout_lacks: Vec<String>,
    pub(super) stderr_contains: Vec<String>,
}

/// Where the data of the protocol tests is.
pub(super) fn data(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/data/protocol").join(name)
}

impl Case {
    /// All cases, by name.
    pub(super) fn all() -> Vec<Self> {
        let entries = fs::read_dir(data("cases")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty());
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let case = serde_path_to_error::deserialize::<_, Self>(json_of(path));
        let mut case = case.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        case.name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!case.covers.is_empty(), "{} covers nothing", case.name);
        case
    }

    /// Stdin, piece by piece.
    pub(super) fn pieces(&self) -> Vec<Vec<u8>> {
        let pieces = self
            .input
            .iter()
            .flat_map(|line| match line["end"].as_str() {
                Some(text) => vec![text.as_bytes().to_vec()],
                None => lines_of(line)
                    .into_iter()
                    .map(|line| [line.as_slice(), b"\n"].concat())
                    .collect(),
            });
        pieces.collect()
    }
}

/// The JSON of a file, with the content of others in place of each `<file NAME>`.
fn json_of(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    with_files(json)
}

fn with_files(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let name = text
                .strip_prefix("<file ")
                .and_then(|rest| rest.strip_suffix('>'));
            name.map_or(Value::String(text.clone()), |name| json_of(&data(name)))
        }
        Value::Array(items) => items.into_iter().map(with_files).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(key, value)| (key, with_files(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// `{"times": 3, "lines": [..]}` is its lines three times, with `{i}` counting from 0;
/// `{"hex": "ff"}` is a line of bytes; within any other object `{"text": 1000}` as a value is a
/// long text.
fn lines_of(line: &Value) -> Vec<Vec<u8>> {
    if let (Some(times), Some(lines)) = (line["times"].as_u64(), line["lines"].as_array()) {
        let numbered = |i: u64| {
            let lines = lines.iter().flat_map(lines_of);
            lines.map(move |line| {
                let text = String::from_utf8(line).unwrap();
                text.replace("{i}", &i.to_string()).into_bytes()
            })
        };
        return (0..times).flat_map(numbered).collect();
    }
    if let Some(hex) = line["hex"].as_str() {
        let digits: Vec<char> = hex.chars().collect();
        let byte =
            |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        return vec![digits.chunks(2).map(byte).collect()];
    }
    match line {
        Value::String(text) => vec![text.clone().into_bytes()],
        object => vec![with_long_texts(object).to_string().into_bytes()],
    }
}

fn with_long_texts(value: &Value) -> Value {
    match value {
        Value::Object(object) => match object.get("text").and_then(Value::as_u64) {
            Some(length) if object.len() == 1 => {
                Value::String("x".repeat(usize::try_from(length).unwrap()))
            }
            _ => {
                let members = object.iter();
                let members = members.map(|(key, value)| (key.clone(), with_long_texts(value)));
                Value::Object(members.collect())
            }
        },
        Value::Array(items) => items.iter().map(with_long_texts).collect(),
        other => other.clone(),
    }
}
