//! The inspection API: what the org holds and what was requested of it, for tests and demos. It
//! needs no session and is not counted as API calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures::stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::App;
use super::parameters::Parameters;
use crate::error::ApiError;
use crate::faults::Fault;
use crate::org::table::{Stamp, Stored, Table};
use crate::org::{OTHER_USER_ID, Object, reference};

/// The routes below `/sim`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/objects/{object}", get(object))
        .route("/sim/objects/{object}/rows", get(rows).post(add_rows))
        .route("/sim/objects/{object}/deleted", get(deleted))
        .route("/sim/objects/{object}/column/{field}", get(column))
        .route(
            "/sim/faults",
            get(faults).post(add_faults).delete(clear_faults),
        )
        .route("/sim/options", get(options).post(change_options))
        .route("/sim/log", get(log))
        .route("/sim/profile", get(profile))
        .route("/sim/hold", post(hold))
        .route("/sim/reset", post(reset))
}

async fn state(State(app): State<Arc<App>>) -> Json<Value> {
    let mut state = app.jobs.inspected();
    state["query_jobs"] = app.exports.inspected();
    state["api_calls"] = json!(app.api_calls.lock().total());
    state["charged"] = json!(*app.charged.lock());
    state["requests"] = json!(*app.requests.lock());
    let sessions = app.sessions.lock();
    state["token_requests"] = json!(sessions.requests);
    state["tokens_issued"] = json!(sessions.issued);
    Json(state)
}

fn known<'a>(app: &'a App, name: &str) -> Result<&'a Arc<Object>, ApiError> {
    app.org().object(name).ok_or_else(ApiError::not_found)
}

async fn object(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&app, &name)?;
    let table = app
        .org()
        .table(&object.name)
        .ok_or_else(ApiError::not_found)?;
    let (count, distinct) = (table.len(), table.distinct());
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
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Parameters(window): Parameters<Window>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&app, &name)?;
    let records = {
        let table = app
            .org()
            .table(&object.name)
            .ok_or_else(ApiError::not_found)?;
        let window = table.live().skip(window.offset).take(window.limit);
        records_of(&table, window)
    };
    Ok(Json(shown(&app, object, records)))
}

/// Adds records from CSV as another user.
async fn add_rows(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    records: String,
) -> Result<StatusCode, ApiError> {
    let object = known(&app, &name)?;
    let mut table = app
        .org()
        .table(&object.name)
        .ok_or_else(ApiError::not_found)?;
    table
        .seed(&records, Stamp::now(OTHER_USER_ID))
        .map_err(|error| ApiError::new(400, "INVALID_FIELD", &error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records in the recycle bin.
async fn deleted(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let object = known(&app, &name)?;
    let records = {
        let table = app
            .org()
            .table(&object.name)
            .ok_or_else(ApiError::not_found)?;
        records_of(&table, table.recycled())
    };
    Ok(Json(shown(&app, object, records)))
}

/// Records: the Id of each, and its values by field.
type Records = Vec<(String, BTreeMap<usize, Stored>)>;

fn records_of(table: &Table, numbers: impl Iterator<Item = u32>) -> Records {
    numbers
        .map(|number| (table.id(number), table.values(number)))
        .collect()
}

/// Records as JSON, with the Ids of the parents that their lookups find.
fn shown(app: &App, object: &Object, records: Records) -> Value {
    let rows = records.into_iter().map(|(id, values)| {
        let mut row = Map::new();
        for (field, stored) in values {
            let value = match &stored {
                Stored::Text(text) => Value::String(text.clone()),
                Stored::Null => Value::Null,
                Stored::Lookup { .. } => reference::id_of(app.org(), object, &stored).into(),
            };
            row.insert(object.fields[field].name.clone(), value);
        }
        row.insert("Id".to_owned(), Value::String(id));
        Value::Object(row)
    });
    rows.collect()
}

#[derive(Debug, Deserialize)]
struct Column {
    /// Each value comes with the moments when its record was created and written last.
    #[serde(default)]
    times: bool,
}

/// Records of a column that are written at once: a table is not locked for long, and the lines of
/// all its records are never held.
const PIECE: u32 = 50_000;

async fn column(
    State(app): State<Arc<App>>,
    Path((name, field)): Path<(String, String)>,
    Parameters(Column { times }): Parameters<Column>,
) -> Result<Response, ApiError> {
    let object = known(&app, &name)?;
    let field = object.field(&field).ok_or_else(ApiError::not_found)?;
    let name = object.name.clone();
    if app.org().table(&name).is_none() {
        return Err(ApiError::not_found());
    }
    let pieces = stream::unfold(0_u32, move |from| {
        let piece = app.org().table(&name).and_then(|table| {
            let to = table.total().min(from.saturating_add(PIECE));
            (from < to).then(|| (lines_of(&table, field, times, from..to), to))
        });
        ready(piece.map(|(lines, to)| (Ok::<_, Infallible>(lines), to)))
    });
    let head = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((head, Body::from_stream(pieces)).into_response())
}

/// A field of the records of some numbers, a line each.
fn lines_of(table: &Table, field: usize, times: bool, numbers: Range<u32>) -> String {
    let is_id = table.field_name(field) == "Id";
    let mut lines = String::new();
    for number in numbers.filter(|number| table.is_live(*number)) {
        let value = if is_id {
            Some(table.id(number))
        } else {
            table.value(number, field)
        };
        let line = if times {
            let (created, written) = table.times(number);
            json!([value, created, written])
        } else {
            json!(value)
        };
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines
}

fn json_lines(lines: String) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

#[derive(Debug, Deserialize)]
struct From {
    #[serde(default)]
    from: usize,
}

/// What was written and when, a line per transaction.
async fn log(State(app): State<Arc<App>>, Parameters(From { from }): Parameters<From>) -> Response {
    json_lines(app.jobs.log.lines(from))
}

/// The profile in use; null without one.
async fn profile(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!(app.options().profile))
}

async fn faults(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.jobs.faults.inspected())
}

async fn add_faults(State(app): State<Arc<App>>, Json(faults): Json<Vec<Fault>>) -> StatusCode {
    app.jobs.faults.add(&faults);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(app): State<Arc<App>>) -> StatusCode {
    app.jobs.faults.clear();
    StatusCode::NO_CONTENT
}

async fn options(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!(*app.options()))
}

async fn change_options(
    State(app): State<Arc<App>>,
    Json(changes): Json<Map<String, Value>>,
) -> Result<StatusCode, ApiError> {
    let before = app.options();
    app.jobs
        .options
        .change(changes)
        .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))?;
    if app.options().refresh_token != before.refresh_token {
        app.sessions.lock().forget_given();
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Hold {
    hold: bool,
}

async fn hold(State(app): State<Arc<App>>, Json(wanted): Json<Hold>) -> StatusCode {
    app.jobs.hold(wanted.hold);
    StatusCode::NO_CONTENT
}

async fn reset(State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    app.reset()
        .map_err(|error| ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}
