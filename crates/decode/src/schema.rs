//! The JSON schema of a table -> the columns of its batches.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::source::{
    CHANGES, DeclaredType, EMITTED_AT, RAW, RAW_ERROR, explicit_null_flag, is_bookkeeping,
};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A schema that no decoder can be built for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// There is no column.
    #[error("the schema has no properties, so there is no column to write")]
    NoProperties,
    /// The text of the schema is not JSON.
    #[error("the JSON schema could not be read: {0}")]
    Json(String),
}

/// What a dialect of JSON Schema declares that the standard does not: asked of each schema first,
/// and then for each name in its `type`. What it leaves open is read by the standard.
pub type Dialect = fn(schema: &Value, type_name: Option<&str>) -> Option<DeclaredType>;

/// The columns of a decoder's batches: the properties of its records, all `Utf8`, then the
/// bookkeeping columns of [`source`](arrow_salesforce::source).
#[derive(Debug, Clone)]
pub struct SourceSchema(SchemaRef);

impl SourceSchema {
    /// Of these properties, in their order. One named as a bookkeeping column is left out: no
    /// Salesforce field has such a name.
    ///
    /// # Errors
    /// [`SchemaError::NoProperties`] if there is none.
    pub fn new<N>(
        properties: impl IntoIterator<Item = (N, DeclaredType)>,
    ) -> Result<Self, SchemaError>
    where
        N: AsRef<str> + Into<String>,
    {
        let properties = properties.into_iter();
        let mut fields: Vec<Field> = properties
            .filter(|(name, _)| !is_bookkeeping(name.as_ref()))
            .map(|(name, declared)| declared.field(name))
            .collect();
        if fields.is_empty() {
            return Err(SchemaError::NoProperties);
        }
        fields.extend([
            Field::new(EMITTED_AT, DataType::Int64, true),
            Field::new(CHANGES, DataType::Utf8, true),
            Field::new(RAW, DataType::Utf8, true),
            Field::new(RAW_ERROR, DataType::Utf8, true),
        ]);
        Ok(Self(Arc::new(Schema::new(fields))))
    }

    /// Of the properties of a JSON schema, given as text, in the order of the text.
    ///
    /// # Errors
    /// [`SchemaError::Json`] if the text is not JSON, and as [`Self::new`].
    pub fn from_json_schema(json_schema: &str) -> Result<Self, SchemaError> {
        Self::in_dialect(json_schema, |_, _| None)
    }

    /// The same of a schema in a dialect of JSON Schema.
    ///
    /// # Errors
    /// As [`Self::from_json_schema`].
    pub fn in_dialect(json_schema: &str, dialect: Dialect) -> Result<Self, SchemaError> {
        let read: Result<OrderedSchema, _> = serde_json::from_str(json_schema);
        let read = read.map_err(|error| SchemaError::Json(error.to_string()))?;
        let properties = read.properties.unwrap_or_default().0.into_iter();
        Self::new(properties.map(|(name, schema)| (name, declared_type(&schema, dialect))))
    }

    /// Adds a flag for each property, which is true where a record has its key with null: see
    /// [`EXPLICIT_NULL_OF`](arrow_salesforce::source::EXPLICIT_NULL_OF).
    #[must_use]
    pub fn with_explicit_nulls(self) -> Self {
        let flags: Vec<Field> = self.properties().map(explicit_null_flag).collect();
        let fields = self.0.fields().iter().map(Arc::clone);
        let fields = fields.chain(flags.into_iter().map(Arc::new));
        Self(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// The schema of the batches.
    pub fn arrow(&self) -> &SchemaRef {
        &self.0
    }

    /// Names of the columns that records feed.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        let names = self.0.fields().iter().map(|field| field.name().as_str());
        names.filter(|name| !is_bookkeeping(name))
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
fn declared_type(schema: &Value, dialect: Dialect) -> DeclaredType {
    if let Some(declared) = dialect(schema, None) {
        return declared;
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return untyped(schema, dialect),
    };
    let names = names.into_iter().filter(|name| *name != "null");
    one_of(names.map(|name| dialect(schema, Some(name)).unwrap_or_else(|| named(name, schema))))
}

/// What one name in a schema's `type` means by the standard.
fn named(name: &str, schema: &Value) -> DeclaredType {
    let format = schema.get("format").and_then(Value::as_str);
    match (name, format) {
        ("string", Some("date")) => DeclaredType::Date,
        ("string", Some("time")) => DeclaredType::TimeWithTimezone,
        ("string", Some("date-time")) => DeclaredType::TimestampWithTimezone,
        ("string", _) => DeclaredType::String,
        ("number", _) => DeclaredType::Number,
        ("integer", _) => DeclaredType::Integer,
        ("boolean", _) => DeclaredType::Boolean,
        ("object", _) => DeclaredType::Object,
        ("array", _) => DeclaredType::Array,
        _ => DeclaredType::Unknown,
    }
}

fn untyped(schema: &Value, dialect: Dialect) -> DeclaredType {
    let options = ["oneOf", "anyOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(key)?.as_array());
    match options {
        Some(options) => one_of(
            options
                .iter()
                .filter(|option| option.get("type").and_then(Value::as_str) != Some("null"))
                .map(|option| declared_type(option, dialect)),
        ),
        None if schema.get("properties").is_some() => DeclaredType::Object,
        None => DeclaredType::Unknown,
    }
}

/// One type stands for itself, several are a union.
fn one_of(mut types: impl Iterator<Item = DeclaredType>) -> DeclaredType {
    match types.next() {
        None => DeclaredType::Unknown,
        Some(first) if types.all(|other| other == first) => first,
        Some(_) => DeclaredType::Union,
    }
}

#[cfg(test)]
mod tests;
