//! A stream of a catalog -> the columns of its batches, by Airbyte's dialect of JSON Schema.

use arrow::datatypes::SchemaRef;
use arrow_salesforce::source::DeclaredType;
use arrow_salesforce_decode::{SchemaError, SourceSchema};
use serde_json::Value;

use super::CatalogError;

/// A stream of a catalog: its name and the columns of its batches.
#[derive(Debug, Clone)]
pub struct StreamSchema {
    name: String,
    namespace: Option<String>,
    columns: SourceSchema,
}

impl StreamSchema {
    /// The columns are the properties of `json_schema`, in the order of its text, then the
    /// bookkeeping columns.
    ///
    /// # Errors
    /// [`CatalogError`] if the text is not JSON, or if there is no property.
    pub fn from_json_schema(
        name: impl Into<String>,
        namespace: Option<&str>,
        json_schema: &str,
    ) -> Result<Self, CatalogError> {
        let name = name.into();
        match SourceSchema::in_dialect(json_schema, declared_type) {
            Ok(columns) => Ok(Self {
                name,
                namespace: namespace.map(str::to_owned),
                columns,
            }),
            Err(error) => {
                let stream = full_name(&name, namespace);
                Err(match error {
                    SchemaError::Json(reason) => CatalogError::Schema { stream, reason },
                    _ => CatalogError::NoProperties { stream },
                })
            }
        }
    }

    /// Adds a flag for each property, which is true where a record has its key with null.
    #[must_use]
    pub fn with_explicit_nulls(self) -> Self {
        Self {
            columns: self.columns.with_explicit_nulls(),
            ..self
        }
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream's namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The columns of the stream's batches.
    pub fn columns(&self) -> &SourceSchema {
        &self.columns
    }

    /// The schema of the stream's batches.
    pub fn schema(&self) -> &SchemaRef {
        self.columns.arrow()
    }

    /// `namespace.name`, for messages.
    pub(super) fn full_name(&self) -> String {
        full_name(&self.name, self.namespace())
    }
}

fn full_name(name: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

/// What Airbyte declares beyond the standard: references to its well-known types, and the key
/// `airbyte_type`.
fn declared_type(schema: &Value, type_name: Option<&str>) -> Option<DeclaredType> {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let airbyte_type = text("airbyte_type");
    match type_name {
        None => {
            let reference = text("$ref").rsplit_once("WellKnownTypes.json#/definitions/");
            reference.map(|(_, name)| well_known(name))
        }
        Some("number") if airbyte_type == "integer" => Some(DeclaredType::Integer),
        Some("string") if airbyte_type.ends_with("_without_timezone") => match text("format") {
            "time" => Some(DeclaredType::TimeWithoutTimezone),
            "date-time" => Some(DeclaredType::TimestampWithoutTimezone),
            _ => None,
        },
        Some(_) => None,
    }
}

fn well_known(name: &str) -> DeclaredType {
    match name {
        "Integer" => DeclaredType::Integer,
        "Number" => DeclaredType::Number,
        "String" | "BinaryData" => DeclaredType::String,
        "Boolean" => DeclaredType::Boolean,
        "Date" => DeclaredType::Date,
        "TimestampWithTimezone" => DeclaredType::TimestampWithTimezone,
        "TimestampWithoutTimezone" => DeclaredType::TimestampWithoutTimezone,
        "TimeWithTimezone" => DeclaredType::TimeWithTimezone,
        "TimeWithoutTimezone" => DeclaredType::TimeWithoutTimezone,
        _ => DeclaredType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_that_airbyte_declares() {
        let known = "WellKnownTypes.json#/definitions/";
        for (schema, expected) in [
            (
                json!({"type": "string", "format": "date-time",
                    "airbyte_type": "timestamp_without_timezone"}),
                "timestamp_without_timezone",
            ),
            (
                json!({"type": ["null", "string"], "format": "time",
                    "airbyte_type": "time_without_timezone"}),
                "time_without_timezone",
            ),
            (
                json!({"type": "string", "format": "date-time",
                    "airbyte_type": "timestamp_with_timezone"}),
                "timestamp_with_timezone",
            ),
            (
                json!({"type": "number", "airbyte_type": "integer"}),
                "integer",
            ),
            (json!({"$ref": format!("{known}Integer")}), "integer"),
            (json!({"$ref": format!("{known}BinaryData")}), "string"),
            (
                json!({"$ref": format!("{known}TimeWithoutTimezone")}),
                "time_without_timezone",
            ),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": format!("{known}Number")}]}),
                "number",
            ),
            (json!({"$ref": "#/definitions/Integer"}), "unknown"),
        ] {
            let text = json!({"properties": {"x": schema}}).to_string();
            let stream = StreamSchema::from_json_schema("s", None, &text).unwrap();
            let declared = DeclaredType::of(stream.schema().field(0)).unwrap();
            assert_eq!(declared.name(), expected, "{schema}");
        }
    }

    #[test]
    fn a_stream_has_its_names() {
        let text = r#"{"properties":{"a":{}}}"#;
        let stream = StreamSchema::from_json_schema("s", Some("n"), text).unwrap();
        assert_eq!((stream.name(), stream.namespace()), ("s", Some("n")));
        assert!(stream.columns().properties().eq(["a"]));
    }

    #[test]
    fn a_schema_without_properties_names_the_stream() {
        for schema in ["{}", r#"{"properties":{}}"#, r#"{"properties":null}"#, "1"] {
            let error = StreamSchema::from_json_schema("users", Some("crm"), schema).unwrap_err();
            assert!(
                error.to_string().starts_with("stream crm.users: "),
                "{error}"
            );
        }
        let error = StreamSchema::from_json_schema("users", None, "{").unwrap_err();
        assert!(error.to_string().contains("could not be read"), "{error}");
    }
}
