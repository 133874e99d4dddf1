//! The few queries that clients make besides: what kind of org it is, and single records.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::App;
use crate::error::ApiError;
use crate::org::table::Stored;
use crate::org::{Kind, ORG_ID};

/// The parameter of a query.
#[derive(Debug, Deserialize)]
pub(super) struct Soql {
    q: String,
}

/// `GET …/query?q=SELECT … FROM Organization`; there are no other queries.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Path(version): Path<String>,
    Query(Soql { q }): Query<Soql>,
) -> Result<Json<Value>, ApiError> {
    let malformed = || {
        ApiError::new(
            400,
            "MALFORMED_QUERY",
            "unexpected token: only SELECT … FROM",
        )
    };
    let words: Vec<&str> = q
        .split([' ', ',', '\n', '\t'])
        .filter(|w| !w.is_empty())
        .collect();
    let from = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case("from"));
    let from = from.ok_or_else(malformed)?;
    let (Some(select), Some(object)) = (words.first(), words.get(from + 1)) else {
        return Err(malformed());
    };
    if !select.eq_ignore_ascii_case("select") || from < 2 {
        return Err(malformed());
    }
    if !object.eq_ignore_ascii_case("Organization") {
        let message = format!("sObject type '{object}' is not supported.");
        return Err(ApiError::new(400, "INVALID_TYPE", &message));
    }
    let known = organization(&app);
    let url = format!("/services/data/{version}/sobjects/Organization/{ORG_ID}");
    let mut record = Map::new();
    record.insert(
        "attributes".to_owned(),
        json!({"type": "Organization", "url": url}),
    );
    for name in &words[1..from] {
        let field = known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (name, value) = field.ok_or_else(|| {
            let message = format!("No such column '{name}' on entity 'Organization'.");
            ApiError::new(400, "INVALID_FIELD", &message)
        })?;
        record.insert((*name).to_owned(), value.clone());
    }
    Ok(Json(
        json!({"totalSize": 1, "done": true, "records": [record]}),
    ))
}

fn organization(app: &App) -> [(&'static str, Value); 7] {
    let sandbox = app.options().sandbox;
    let kind = if sandbox {
        "Developer Edition"
    } else {
        "Enterprise Edition"
    };
    [
        ("Id", json!(ORG_ID)),
        ("Name", json!("Simulated")),
        ("InstanceName", json!("SIM1")),
        ("IsSandbox", json!(sandbox)),
        ("TrialExpirationDate", Value::Null),
        ("NamespacePrefix", Value::Null),
        ("OrganizationType", json!(kind)),
    ]
}

/// `GET …/sobjects/{object}/{id}`: one record as it is stored, without lookups by other fields.
pub(super) async fn record(
    State(app): State<Arc<App>>,
    Path((version, name, id)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let object = app.org().object(&name).ok_or_else(ApiError::not_found)?;
    let table = app
        .org()
        .table(&object.name)
        .ok_or_else(ApiError::not_found)?;
    let number = table.by_id(&id).ok_or_else(ApiError::not_found)?;
    let id = table.id(number);
    let url = format!("/services/data/{version}/sobjects/{}/{id}", object.name);
    let mut record = Map::new();
    record.insert(
        "attributes".to_owned(),
        json!({"type": object.name, "url": url}),
    );
    record.insert("Id".to_owned(), json!(id));
    for (field, stored) in table.values(number) {
        let value = match stored {
            Stored::Text(text) => typed(object.fields[field].kind, text),
            Stored::Null => Value::Null,
            Stored::Lookup { .. } => continue,
        };
        record.insert(object.fields[field].name.clone(), value);
    }
    Ok(Json(Value::Object(record)))
}

/// A value in JSON, where booleans and numbers are no texts.
fn typed(kind: Kind, text: String) -> Value {
    match kind {
        Kind::Boolean => json!(text.eq_ignore_ascii_case("true") || text == "1"),
        Kind::Int | Kind::Long | Kind::Double => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        _ => json!(text),
    }
}
