//! The JSON schema of a stream -> the columns of its batches.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::DecodeError;
use crate::source::{
    CHANGES, DECLARED_TYPE, EMITTED_AT, RAW, RAW_ERROR, explicit_null_flag, is_bookkeeping,
};

/// A stream of a catalog: its name and the columns of its batches.
#[derive(Debug, Clone)]
pub struct StreamSchema {
    name: String,
    namespace: Option<String>,
    schema: SchemaRef,
}

impl StreamSchema {
    /// Columns are the schema's properties in their order, all `Utf8`, then the bookkeeping
    /// columns. A property named as one of those is left out: no Salesforce field has such a name.
    ///
    /// A [`Value`] has its keys sorted; [`Self::from_json_schema_text`] keeps the catalog's order.
    ///
    /// # Errors
    /// [`DecodeError::NoProperties`] if there is no property.
    pub fn from_json_schema(
        name: impl Into<String>,
        namespace: Option<&str>,
        json_schema: &Value,
    ) -> Result<Self, DecodeError> {
        let properties = json_schema.get("properties").and_then(Value::as_object);
        let properties = properties
            .into_iter()
            .flatten()
            .map(|(name, declared)| (name.as_str(), declared));
        Self::from_properties(name.into(), namespace, properties)
    }

    /// The same from the schema's text, with the columns in the order of the text.
    ///
    /// # Errors
    /// [`DecodeError::Schema`] if the text is not JSON, and as above.
    pub fn from_json_schema_text(
        name: impl Into<String>,
        namespace: Option<&str>,
        json_schema: &str,
    ) -> Result<Self, DecodeError> {
        let name = name.into();
        let read: OrderedSchema =
            serde_json::from_str(json_schema).map_err(|e| DecodeError::Schema {
                stream: full_name(&name, namespace),
                reason: e.to_string(),
            })?;
        let properties = read.properties.unwrap_or_default().0;
        let properties = properties
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        Self::from_properties(name, namespace, properties)
    }

    fn from_properties<'p>(
        name: String,
        namespace: Option<&str>,
        properties: impl Iterator<Item = (&'p str, &'p Value)>,
    ) -> Result<Self, DecodeError> {
        let mut fields: Vec<Field> = properties
            .filter(|(name, _)| !is_bookkeeping(name))
            .map(|(name, declared)| {
                let declared = declared_type(declared).to_owned();
                Field::new(name, DataType::Utf8, true)
                    .with_metadata(HashMap::from([(DECLARED_TYPE.to_owned(), declared)]))
            })
            .collect();
        if fields.is_empty() {
            return Err(DecodeError::NoProperties {
                stream: full_name(&name, namespace),
            });
        }
        fields.extend([
            Field::new(EMITTED_AT, DataType::Int64, true),
            Field::new(CHANGES, DataType::Utf8, true),
            Field::new(RAW, DataType::Utf8, true),
            Field::new(RAW_ERROR, DataType::Utf8, true),
        ]);
        Ok(Self {
            name,
            namespace: namespace.map(str::to_owned),
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// Adds a column for each property that tells a key with null from a missing one: see
    /// [`EXPLICIT_NULL_OF`](crate::source::EXPLICIT_NULL_OF).
    #[must_use]
    pub fn with_explicit_nulls(mut self) -> Self {
        let siblings: Vec<Field> = self.properties().map(explicit_null_flag).collect();
        let fields = self.schema.fields().iter().map(Arc::clone);
        let fields = fields.chain(siblings.into_iter().map(Arc::new));
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream's namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The schema of the stream's batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// `namespace.name`, for messages.
    pub(super) fn full_name(&self) -> String {
        full_name(&self.name, self.namespace())
    }

    /// Names of the columns that records feed.
    pub(super) fn properties(&self) -> impl Iterator<Item = &str> {
        let names = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name().as_str());
        names.filter(|name| !is_bookkeeping(name))
    }
}

fn full_name(name: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

#[derive(Deserialize)]
struct OrderedSchema {
    properties: Option<Properties>,
}

#[derive(Default)]
struct Properties(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Properties;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut properties: Vec<(String, Value)> = Vec::new();
                while let Some((name, declared)) = map.next_entry::<String, Value>()? {
                    properties.retain(|(earlier, _)| *earlier != name);
                    properties.push((name, declared));
                }
                Ok(Properties(properties))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

/// The type that a property's schema declares, with null left out.
fn declared_type(schema: &Value) -> &'static str {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    if let Some((_, name)) = text("$ref").rsplit_once("WellKnownTypes.json#/definitions/") {
        return well_known(name);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return untyped(schema),
    };
    one_of(
        types
            .into_iter()
            .filter(|name| *name != "null")
            .map(|name| match name {
                "string" => text_type(text("format"), text("airbyte_type")),
                "number" if text("airbyte_type") == "integer" => "integer",
                "number" => "number",
                "integer" => "integer",
                "boolean" => "boolean",
                "object" => "object",
                "array" => "array",
                _ => "unknown",
            }),
    )
}

fn untyped(schema: &Value) -> &'static str {
    let options = ["oneOf", "anyOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(key)?.as_array());
    match options {
        Some(options) => one_of(
            options
                .iter()
                .filter(|option| option.get("type").and_then(Value::as_str) != Some("null"))
                .map(declared_type),
        ),
        None if schema.get("properties").is_some() => "object",
        None => "unknown",
    }
}

/// One type stands for itself, several are a union.
fn one_of(mut types: impl Iterator<Item = &'static str>) -> &'static str {
    match types.next() {
        None => "unknown",
        Some(first) if types.all(|other| other == first) => first,
        Some(_) => "union",
    }
}

fn text_type(format: &str, airbyte_type: &str) -> &'static str {
    let zoned = !airbyte_type.ends_with("_without_timezone");
    match (format, zoned) {
        ("date", _) => "date",
        ("time", true) => "time_with_timezone",
        ("time", false) => "time_without_timezone",
        ("date-time", true) => "timestamp_with_timezone",
        ("date-time", false) => "timestamp_without_timezone",
        _ => "string",
    }
}

fn well_known(name: &str) -> &'static str {
    match name {
        "Integer" => "integer",
        "Number" => "number",
        "String" | "BinaryData" => "string",
        "Boolean" => "boolean",
        "Date" => "date",
        "TimestampWithTimezone" => "timestamp_with_timezone",
        "TimestampWithoutTimezone" => "timestamp_without_timezone",
        "TimeWithTimezone" => "time_with_timezone",
        "TimeWithoutTimezone" => "time_without_timezone",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn declared_types() {
        let known = "WellKnownTypes.json#/definitions/";
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["null", "string"]}), "string"),
            (json!({"type": "string", "format": "uuid"}), "string"),
            (json!({"type": "string", "format": "date"}), "date"),
            (
                json!({"type": ["string", "null"], "format": "date-time"}),
                "timestamp_with_timezone",
            ),
            (
                json!({"type": "string", "format": "date-time",
                    "airbyte_type": "timestamp_without_timezone"}),
                "timestamp_without_timezone",
            ),
            (
                json!({"type": "string", "format": "time"}),
                "time_with_timezone",
            ),
            (
                json!({"type": "string", "format": "time",
                    "airbyte_type": "time_without_timezone"}),
                "time_without_timezone",
            ),
            (json!({"type": "number"}), "number"),
            (
                json!({"type": "number", "airbyte_type": "integer"}),
                "integer",
            ),
            (json!({"type": "integer"}), "integer"),
            (json!({"type": "boolean"}), "boolean"),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                "array",
            ),
            (json!({"type": "object"}), "object"),
            (json!({"properties": {"a": {}}}), "object"),
            (json!({"type": ["null", "string", "integer"]}), "union"),
            (
                json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
                "union",
            ),
            (
                json!({"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]}),
                "date",
            ),
            (json!({"type": ["null"]}), "unknown"),
            (json!({"type": "money"}), "unknown"),
            (json!({}), "unknown"),
            (json!(true), "unknown"),
            (json!({"$ref": format!("{known}Integer")}), "integer"),
            (json!({"$ref": format!("{known}BinaryData")}), "string"),
            (
                json!({"$ref": format!("{known}TimeWithoutTimezone")}),
                "time_without_timezone",
            ),
            (json!({"$ref": "#/definitions/Integer"}), "unknown"),
        ] {
            assert_eq!(declared_type(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn columns_keep_the_order_of_the_text() {
        let text = r#"{"type":"object","properties":{"b":{"type":"string"},"_airbyte_raw":{},
            "A":{"type":"integer"},"b":{"type":"number"},"_airbyte_meta":{"type":"object"}}}"#;
        let stream = StreamSchema::from_json_schema_text("s", Some("n"), text).unwrap();
        let columns: Vec<_> = stream
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let declared = field.metadata().get(DECLARED_TYPE).map(String::as_str);
                (field.name().as_str(), declared)
            })
            .collect();
        assert_eq!(
            columns,
            [
                ("A", Some("integer")),
                ("b", Some("number")),
                ("_airbyte_meta", Some("object")),
                (EMITTED_AT, None),
                (CHANGES, None),
                (RAW, None),
                (RAW_ERROR, None),
            ]
        );
        assert_eq!((stream.name(), stream.namespace()), ("s", Some("n")));
        assert!(stream.properties().eq(["A", "b", "_airbyte_meta"]));
    }

    #[test]
    fn a_schema_without_properties_names_the_stream() {
        for schema in [
            json!({}),
            json!({"properties": {}}),
            json!({"properties": null}),
            json!(1),
        ] {
            let error = StreamSchema::from_json_schema("users", Some("crm"), &schema).unwrap_err();
            assert!(
                error.to_string().starts_with("stream crm.users: "),
                "{error}"
            );
        }
        let error = StreamSchema::from_json_schema_text("users", None, "{").unwrap_err();
        assert!(error.to_string().contains("could not be read"), "{error}");
    }
}
