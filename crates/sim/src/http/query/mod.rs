//! Queries, and single records.

mod columns;
mod cursors;

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::cursors::{Cell, Cursor, Page, Shown, attributes};
use super::parameters::Parameters;
use super::{App, body};
use crate::error::ApiError;
use crate::org::user::User;
use crate::org::{ORG_ID, records};
use crate::soql::{self, Query};

pub(super) use self::cursors::Cursors;

/// The most and the fewest records on a page, [by the header
/// `Sforce-Query-Options`](https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm).
const PAGE_RECORDS: (usize, usize) = (200, 2_000);

/// The object of the org itself, which has no table.
const ORGANIZATION: &str = "Organization";

/// The parameter of a query.
#[derive(Debug, Deserialize)]
pub(super) struct Soql {
    q: Option<String>,
    /// The columns are asked for, not the records.
    #[serde(default)]
    columns: bool,
}

/// `GET …/query?q=SELECT … FROM …`.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path(version): Path<String>,
    Parameters(soql): Parameters<Soql>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    first_page(app, &user, version, soql, &headers, "query").await
}

/// `GET …/queryAll?q=SELECT … FROM …`: with the records in the recycle bin.
pub(super) async fn query_all(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path(version): Path<String>,
    Parameters(soql): Parameters<Soql>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    first_page(app, &user, version, soql, &headers, "queryAll").await
}

async fn first_page(
    app: Arc<App>,
    user: &User,
    version: String,
    Soql { q, columns }: Soql,
    headers: &HeaderMap,
    resource: &'static str,
) -> Result<Response, ApiError> {
    let soql = q.unwrap_or_default();
    if let Some(names) = soql::fields_of(&soql, ORGANIZATION) {
        let page = Page {
            total_size: 1,
            done: true,
            next_records_url: None,
            records: vec![organization_record(&app, &version, &names)?],
        };
        return Ok(Json(page).into_response());
    }
    let page = page_records(headers);
    let query = Query::read(&soql, &user.schema)?;
    if columns {
        return Ok(Json(columns::columns(&query)).into_response());
    }
    let answered = tokio::task::spawn_blocking(move || {
        let found = query.run(app.org(), resource == "queryAll");
        let cursor = Cursor::new(query, found, version, resource, page);
        app.cursors.lock().first(cursor)
    });
    let page = answered.await;
    page.map(|page| Json(page).into_response())
        .map_err(|error| ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()))
}

/// How many records a page has.
fn page_records(headers: &HeaderMap) -> usize {
    let (fewest, most) = PAGE_RECORDS;
    let options = body::header(headers, "sforce-query-options");
    let size = options.and_then(|options| {
        let options = options
            .split([',', ';'])
            .filter_map(|part| part.split_once('='));
        let mut sizes = options.filter(|(name, _)| name.trim().eq_ignore_ascii_case("batchSize"));
        sizes.next()?.1.trim().parse().ok()
    });
    size.map_or(most, |size: usize| size.clamp(fewest, most))
}

/// `GET …/query/{locator}`, `GET …/queryAll/{locator}`: a further page.
pub(super) async fn more(
    State(app): State<Arc<App>>,
    Path((_, locator)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let page = app.cursors.lock().more(&locator)?;
    Ok(Json(page).into_response())
}

/// The record of the org itself.
fn organization_record(app: &App, version: &str, names: &[String]) -> Result<Shown, ApiError> {
    let known = organization(app);
    let about = attributes(version, ORGANIZATION, ORG_ID);
    let mut record = vec![("attributes".to_owned(), Cell::Value(about))];
    for name in names {
        let field = known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (name, value) = field.ok_or_else(|| {
            let message = format!("No such column '{name}' on entity '{ORGANIZATION}'.");
            ApiError::new(400, "INVALID_FIELD", &message)
        })?;
        record.push(((*name).to_owned(), Cell::Value(value.clone())));
    }
    Ok(Shown(record))
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

/// The parameter of a record.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    fields: Option<String>,
}

/// `GET …/sobjects/{object}/{id}`: one record, with all fields or those that `fields` names.
pub(super) async fn record(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name, id)): Path<(String, String, String)>,
    Parameters(Fields { fields }): Parameters<Fields>,
) -> Result<Json<Value>, ApiError> {
    shown(&app, &user, &version, &name, &id, fields.as_deref()).map(Json)
}

/// A record by its Id, with the fields that are asked for, all if none are.
pub(super) fn shown(
    app: &App,
    user: &User,
    version: &str,
    name: &str,
    id: &str,
    fields: Option<&str>,
) -> Result<Value, ApiError> {
    let object = user.schema.object(name).ok_or_else(ApiError::not_found)?;
    let record = records::one(app.org(), object, id, false).ok_or_else(ApiError::not_found)?;
    let named = fields.into_iter().flat_map(|fields| fields.split(','));
    for field in named.map(str::trim).filter(|field| !field.is_empty()) {
        if object.field(field).is_none() {
            let message = format!(
                "No such column '{field}' on sobject of type {}",
                object.name
            );
            return Err(ApiError::new(400, "INVALID_FIELD", &message));
        }
    }
    let is_asked = |name: &str| {
        fields.is_none_or(|fields| {
            let mut fields = fields.split(',');
            fields.any(|field| field.trim().eq_ignore_ascii_case(name))
        })
    };
    let own = object.field("Id").and_then(|field| record[field].clone());
    let mut shown = Map::new();
    let about = attributes(version, &object.name, &own.unwrap_or_default());
    shown.insert("attributes".to_owned(), about);
    for (field, value) in object.fields.iter().zip(&record) {
        if is_asked(&field.name) && !field.hidden {
            let value = value.as_deref();
            let value = value.map_or(Value::Null, |text| records::json(field.kind, text));
            shown.insert(field.name.clone(), value);
        }
    }
    Ok(Value::Object(shown))
}
