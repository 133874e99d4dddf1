//! What the org holds and what was asked of it, for tests and demos: no session is needed and
//! nothing is charged.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::faults::Fault;
use super::http::ApiError;
use super::job::Job;
use super::org::Object;
use super::reference;
use super::state::{Shared, lock};
use super::table::{Held, Table};

/// The routes below `/sim`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/objects/{object}", get(object))
        .route("/sim/objects/{object}/rows", get(rows))
        .route("/sim/objects/{object}/deleted", get(deleted))
        .route("/sim/objects/{object}/column/{field}", get(column))
        .route("/sim/faults", post(add_faults).delete(clear_faults))
        .route("/sim/options", get(options).post(change_options))
        .route("/sim/hold", post(hold))
        .route("/sim/reset", post(reset))
}

async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let state = shared.state();
    let job = |job: &Job| {
        json!({
            "id": job.id, "object": job.settings.object.name,
            "operation": job.settings.operation.name(), "state": job.state.name(),
            "rows": job.rows, "processed": job.processed, "failed": job.failed,
            "bytes": job.bytes, "message": job.message,
            "assignment_rule_id": job.settings.assignment_rule_id,
        })
    };
    Json(json!({
        "api_calls": state.api_calls, "batches": state.batches,
        "max_in_flight": state.max_in_flight, "max_uploads": state.max_uploads,
        "token_requests": state.token_requests, "tokens_issued": state.tokens_issued,
        "held": *shared.hold.borrow(),
        "jobs": state.jobs.values().map(job).collect::<Vec<_>>(),
    }))
}

fn known<'a>(shared: &'a Shared, name: &str) -> Result<&'a Arc<Object>, ApiError> {
    shared.org.object(name).ok_or_else(ApiError::not_found)
}

async fn object(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&shared, &name)?;
    let table = shared.table(&object.name).ok_or_else(ApiError::not_found)?;
    let (count, distinct) = (table.count(), table.distinct());
    Ok(Json(
        json!({"count": count, "distinct": distinct, "duplicates": count - distinct}),
    ))
}

#[derive(Debug, Deserialize)]
struct Window {
    #[serde(default)]
    offset: usize,
    #[serde(default = "thousand")]
    limit: usize,
}

fn thousand() -> usize {
    1_000
}

async fn rows(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(window): Query<Window>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&shared, &name)?;
    let held = {
        let table = shared.table(&object.name).ok_or_else(ApiError::not_found)?;
        let window = table.live().skip(window.offset).take(window.limit);
        held(&table, window)
    };
    Ok(Json(shown(&shared, object, held)))
}

/// Records in the recycle bin.
async fn deleted(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&shared, &name)?;
    let held = {
        let table = shared.table(&object.name).ok_or_else(ApiError::not_found)?;
        held(&table, table.recycled())
    };
    Ok(Json(shown(&shared, object, held)))
}

/// Records by their Ids, as the table holds them.
type HeldRows = Vec<(String, BTreeMap<usize, Held>)>;

fn held(table: &Table, numbers: impl Iterator<Item = u32>) -> HeldRows {
    numbers
        .map(|number| (table.id(number), table.values(number)))
        .collect()
}

/// Records with the Ids of the parents that their lookups found.
fn shown(shared: &Shared, object: &Object, held: HeldRows) -> Value {
    let rows = held.into_iter().map(|(id, values)| {
        let mut row = Map::new();
        for (field, held) in values {
            let value = match &held {
                Held::Text(text) => Value::String(text.clone()),
                Held::Null => Value::Null,
                Held::Lookup { .. } => reference::id_of(shared, object, &held).into(),
            };
            row.insert(object.fields[field].name.clone(), value);
        }
        row.insert("Id".to_owned(), Value::String(id));
        Value::Object(row)
    });
    rows.collect()
}

async fn column(
    State(shared): State<Arc<Shared>>,
    Path((name, field)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let object = known(&shared, &name)?;
    let field = object.field(&field).ok_or_else(ApiError::not_found)?;
    let table = shared.table(&object.name).ok_or_else(ApiError::not_found)?;
    let is_id = object.fields[field].name == "Id";
    let mut lines = String::new();
    for number in table.live() {
        let value = if is_id {
            Some(table.id(number))
        } else {
            table.value(number, field)
        };
        lines.push_str(&json!(value).to_string());
        lines.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

async fn add_faults(
    State(shared): State<Arc<Shared>>,
    Json(faults): Json<Vec<Fault>>,
) -> StatusCode {
    lock(&shared.faults).add(&faults);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    lock(&shared.faults).clear();
    StatusCode::NO_CONTENT
}

async fn options(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!(*shared.options()))
}

async fn change_options(
    State(shared): State<Arc<Shared>>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<StatusCode, ApiError> {
    shared
        .change_options(changes)
        .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Hold {
    hold: bool,
}

async fn hold(State(shared): State<Arc<Shared>>, Json(asked): Json<Hold>) -> StatusCode {
    shared.hold.send_replace(asked.hold);
    StatusCode::NO_CONTENT
}

async fn reset(State(shared): State<Arc<Shared>>) -> Result<StatusCode, ApiError> {
    shared
        .reset()
        .map_err(|error| ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}
