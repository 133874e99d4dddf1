use arrow_salesforce::source::DECLARED_TYPE;
use serde_json::json;

use super::*;

#[test]
fn types_that_schemas_declare() {
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
            json!({"type": "string", "format": "time"}),
            "time_with_timezone",
        ),
        (json!({"type": "number"}), "number"),
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
        (json!({"$ref": "#/definitions/Integer"}), "unknown"),
        (json!({}), "unknown"),
        (json!(true), "unknown"),
    ] {
        let declared = declared_type(&schema, |_, _| None);
        assert_eq!(declared.name(), expected, "{schema}");
    }
}

#[test]
fn a_dialect_is_asked_first_at_every_depth() {
    let dialect: Dialect = |schema, name| match (schema.get("x"), name) {
        (Some(_), None) => Some(DeclaredType::Boolean),
        (_, Some("money")) => Some(DeclaredType::Number),
        _ => None,
    };
    for (schema, expected) in [
        (json!({"x": 1, "type": "string"}), DeclaredType::Boolean),
        (json!({"type": ["null", "money"]}), DeclaredType::Number),
        (json!({"oneOf": [{"x": 1}]}), DeclaredType::Boolean),
        (json!({"type": "string"}), DeclaredType::String),
    ] {
        assert_eq!(declared_type(&schema, dialect), expected, "{schema}");
    }
}

#[test]
fn columns_keep_the_order_of_the_text() {
    let text = r#"{"type":"object","properties":{"b":{"type":"string"},"_airbyte_raw":{},
        "A":{"type":"integer"},"b":{"type":"number"},"_airbyte_meta":{"type":"object"}}}"#;
    let schema = SourceSchema::from_json_schema(text).unwrap();
    let fields = schema.arrow().fields().iter();
    let columns: Vec<_> = fields
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
    assert!(schema.properties().eq(["A", "b", "_airbyte_meta"]));
}

#[test]
fn a_schema_without_properties_is_none() {
    for schema in ["{}", r#"{"properties":{}}"#, r#"{"properties":null}"#] {
        let error = SourceSchema::from_json_schema(schema).unwrap_err();
        assert_eq!(error, SchemaError::NoProperties);
    }
    for schema in ["{", "1"] {
        let error = SourceSchema::from_json_schema(schema).unwrap_err();
        assert!(matches!(error, SchemaError::Json(_)), "{error}");
    }
}
