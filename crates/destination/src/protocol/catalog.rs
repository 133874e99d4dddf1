//! The configured catalog: which streams come, and the object and operation of each.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::StreamDescriptor;
use crate::failure::{Failure, Failures};
use crate::platform::{null_is_default, read_file};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::ledger::LoadIdentity;
use arrow_salesforce::object::Operation;

/// One stream and what becomes of its records.
#[derive(Debug)]
pub(crate) struct CatalogStream {
    pub(crate) descriptor: StreamDescriptor,
    /// API name of the object that records are written to.
    pub(crate) object: String,
    pub(crate) operation: Operation,
    /// Schema of the records, as text: its properties are columns in their order.
    pub(crate) json_schema: Box<RawValue>,
    /// The platform's job; 0 if it did not say.
    pub(crate) sync_id: i64,
    /// Generation of the data; 0 if the platform did not say.
    pub(crate) generation_id: i64,
    /// A digest of the stream as the catalog has it, but for what changes from sync to sync.
    pub(crate) digest: String,
}

/// Reads and checks the catalog at `path`: at least one stream, each once, each with an operation
/// that this version has.
///
/// # Errors
/// A config error that names the path, or the stream and what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Vec<CatalogStream>, Failure> {
    parse(&read_file("catalog", path)?)
}

/// Lets streams that delete bypass the recycle bin.
pub(crate) fn delete_for_good(streams: &mut [CatalogStream]) {
    for stream in streams {
        if stream.operation == Operation::Delete {
            stream.operation = Operation::HardDelete;
        }
    }
}

#[derive(Deserialize)]
struct CatalogFile {
    streams: Vec<ConfiguredStream>,
}

/// The streams as they are.
#[derive(Deserialize)]
struct Texts {
    streams: Vec<Value>,
}

#[derive(Deserialize)]
struct ConfiguredStream {
    stream: Stream,
    destination_sync_mode: String,
    destination_object_name: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    primary_key: Vec<Vec<String>>,
    #[serde(default, deserialize_with = "null_is_default")]
    cursor_field: Vec<String>,
    generation_id: Option<i64>,
    sync_id: Option<i64>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    namespace: Option<String>,
    json_schema: Box<RawValue>,
}

pub(crate) fn parse(json: &[u8]) -> Result<Vec<CatalogStream>, Failure> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let file: CatalogFile = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Error::config(format!("the catalog cannot be read: {error}")))?;
    if file.streams.is_empty() {
        return Err(Error::config(
            "the catalog has no streams; select at least one stream of the source",
        )
        .into());
    }
    let mut seen = HashSet::new();
    let mut streams = Vec::with_capacity(file.streams.len());
    let mut failures = Failures::default();
    let texts: Texts = serde_json::from_slice(json)
        .map_err(|error| Error::config(format!("the catalog cannot be read: {error}")))?;
    for (configured, text) in file.streams.into_iter().zip(texts.streams) {
        match check(configured, digest(text)) {
            Ok(stream) if !seen.insert(stream.descriptor.clone()) => failures.add(complaint(
                &stream.descriptor,
                "it appears more than once in the catalog; give one of them another name or \
                 namespace",
            )),
            Ok(stream) => streams.push(stream),
            Err(failure) => failures.add(failure),
        }
    }
    failures.or(streams)
}

fn check(configured: ConfiguredStream, digest: String) -> Result<CatalogStream, Failure> {
    let Stream {
        name,
        namespace,
        json_schema,
    } = configured.stream;
    let descriptor = StreamDescriptor { name, namespace };
    let operation = match configured.destination_sync_mode.as_str() {
        "append" => Operation::Insert,
        "append_dedup" => {
            let external_id = matching_key(&descriptor, &configured.primary_key)?;
            let columns = columns(&json_schema);
            in_schema(&descriptor, "primary key", &external_id, &columns)?;
            if let Some(cursor) = configured.cursor_field.first() {
                in_schema(&descriptor, "cursor", cursor, &columns)?;
            }
            Operation::Upsert { external_id }
        }
        "update" => Operation::Update,
        "soft_delete" => Operation::Delete,
        mode => {
            return Err(complaint(
                &descriptor,
                &format!(
                    "destination sync mode {mode} is not supported; choose append to insert, \
                     append_dedup to upsert, update, or soft_delete"
                ),
            ));
        }
    };
    let object = configured
        .destination_object_name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| descriptor.name.clone());
    Ok(CatalogStream {
        descriptor,
        object,
        operation,
        json_schema,
        sync_id: configured.sync_id.unwrap_or_default(),
        generation_id: configured.generation_id.unwrap_or_default(),
        digest,
    })
}

/// A digest of a stream's JSON, whatever the order of its keys, without what changes from sync to sync.
/// The generation is a part of its own.
fn digest(mut stream: Value) -> String {
    if let Some(stream) = stream.as_object_mut() {
        for key in ["sync_id", "generation_id", "minimum_generation_id"] {
            stream.remove(key);
        }
    }
    // Objects of serde_json have their keys in order.
    LoadIdentity::id_of(&stream.to_string())
}

/// The one field that records of an upsert are matched by.
fn matching_key(stream: &StreamDescriptor, primary_key: &[Vec<String>]) -> Result<String, Failure> {
    let cure = "choose one matching key for the stream: an external ID field of the object, or Id";
    match primary_key {
        [path] => match path.as_slice() {
            [field] if !field.is_empty() => Ok(field.clone()),
            _ => Err(complaint(
                stream,
                &format!("the matching key is not the name of one field; {cure}"),
            )),
        },
        [] => Err(complaint(
            stream,
            &format!("append_dedup needs a matching key; {cure}"),
        )),
        _ => Err(complaint(
            stream,
            &format!(
                "append_dedup takes one matching key, not {}; {cure}",
                primary_key.len()
            ),
        )),
    }
}

/// Names of the properties; none if the schema has no such form, which is reported later.
fn columns(json_schema: &RawValue) -> Vec<String> {
    #[derive(Deserialize)]
    struct Schema {
        properties: HashMap<String, IgnoredAny>,
    }
    let schema = serde_json::from_str::<Schema>(json_schema.get());
    schema.map_or_else(
        |_| Vec::new(),
        |schema| schema.properties.into_keys().collect(),
    )
}

fn in_schema(
    stream: &StreamDescriptor,
    role: &str,
    wanted: &str,
    columns: &[String],
) -> Result<(), Failure> {
    if columns
        .iter()
        .any(|column| column.eq_ignore_ascii_case(wanted))
    {
        return Ok(());
    }
    Err(complaint(
        stream,
        &format!(
            "{role} column {wanted} is not in the schema of the stream; map a column of the source \
             to it, or choose another {role}"
        ),
    ))
}

fn complaint(stream: &StreamDescriptor, what: &str) -> Failure {
    Failure::of(Error::config(format!("stream {stream}: {what}")), stream)
}

#[cfg(test)]
mod tests;
