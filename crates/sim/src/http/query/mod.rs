//! Queries of one object, and single records.

mod filter;
mod soql;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::filter::Record;
use self::soql::{Select, What};
use super::App;
use crate::error::ApiError;
use crate::org::table::{Stamp, Stored};
use crate::org::{Kind, ORG_ID, Object, reference};

/// Records on a page.
const PAGE_RECORDS: usize = 2_000;
/// How the locators of further pages begin.
const LOCATOR: &str = "01g5g0000000000AAA";

/// The parameter of a query.
#[derive(Debug, Deserialize)]
pub(super) struct Soql {
    q: String,
}

/// `GET …/query?q=SELECT … FROM …`.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Path(version): Path<String>,
    Query(Soql { q }): Query<Soql>,
) -> Result<Json<Value>, ApiError> {
    let select = soql::parse(&q)?;
    let is_of_org = select.object.eq_ignore_ascii_case("Organization");
    let mut records = if is_of_org {
        vec![organization_record(&app, &version, &select)?]
    } else {
        found(&app, &version, &select)?
    };
    records.truncate(select.limit.unwrap_or(usize::MAX));
    if matches!(select.what, What::Count) {
        let count = json!({"totalSize": records.len(), "done": true, "records": []});
        return Ok(Json(count));
    }
    let mut cursors = app.cursors.lock();
    cursors.push(records);
    let cursor = cursors.len() - 1;
    Ok(Json(page(&cursors[cursor], &version, cursor, 0)))
}

/// `GET …/query/{locator}`: a further page.
pub(super) async fn more(
    State(app): State<Arc<App>>,
    Path((version, locator)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let invalid = || ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let (cursor, first) = locator
        .strip_prefix(LOCATOR)
        .and_then(|locator| locator.split_once('-'))
        .ok_or_else(invalid)?;
    let cursor: usize = cursor.parse().map_err(|_| invalid())?;
    let first = first.parse().map_err(|_| invalid())?;
    let cursors = app.cursors.lock();
    let records = cursors.get(cursor).ok_or_else(invalid)?;
    Ok(Json(page(records, &version, cursor, first)))
}

/// A page of records, with the address of the next one.
fn page(records: &[Value], version: &str, cursor: usize, first: usize) -> Value {
    let end = records.len().min(first + PAGE_RECORDS);
    let mut page = json!({"totalSize": records.len(), "done": end == records.len(),
        "records": records[first.min(end)..end]});
    if end < records.len() {
        let locator = format!("{LOCATOR}{cursor}-{end}");
        page["nextRecordsUrl"] = json!(format!("/services/data/{version}/query/{locator}"));
    }
    page
}

fn attributes(version: &str, object: &str, id: &str) -> Value {
    let url = format!("/services/data/{version}/sobjects/{object}/{id}");
    json!({"type": object, "url": url})
}

/// The records that a query asks for.
fn found(app: &App, version: &str, select: &Select) -> Result<Vec<Value>, ApiError> {
    let object = app.org().object(&select.object).ok_or_else(|| {
        let message = format!("sObject type '{}' is not supported.", select.object);
        ApiError::new(400, "INVALID_TYPE", &message)
    })?;
    let fields: Vec<usize> = match &select.what {
        What::Count => Vec::new(),
        What::Fields(names) => names
            .iter()
            .map(|name| filter::field(object, name))
            .collect::<Result<_, _>>()?,
    };
    let wanted = select
        .filter
        .as_ref()
        .map(|filter| filter::check(object, filter))
        .transpose()?;
    let order = select.order.as_ref();
    let order = order
        .map(|(name, down)| filter::field(object, name).map(|field| (field, *down)))
        .transpose()?;
    let mut records = records(app, object);
    records.retain(|record| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.holds(object, record))
    });
    if let Some((field, down)) = order {
        records.sort_by(|a, b| a.get(&field).cmp(&b.get(&field)));
        if down {
            records.reverse();
        }
    }
    let id = object.field("Id").unwrap_or_default();
    let shown = |record: Record| {
        let own = record.get(&id).map_or("", String::as_str);
        let mut shown = Map::new();
        shown.insert(
            "attributes".to_owned(),
            attributes(version, &object.name, own),
        );
        for field in &fields {
            let described = &object.fields[*field];
            let value = record.get(field).cloned();
            let value = value.map_or(Value::Null, |text| typed(described.kind, text));
            shown.insert(described.name.clone(), value);
        }
        Value::Object(shown)
    };
    Ok(records.into_iter().map(shown).collect())
}

/// All records of an object, with the fields that the org itself writes.
fn records(app: &App, object: &Object) -> Vec<Record> {
    let Some(table) = app.org().table(&object.name) else {
        return Vec::new();
    };
    let stored: Vec<_> = table
        .live()
        .map(|number| {
            let stamps = table.stamps(number).map(|stamps| stamps.map(Stamp::clone));
            (table.id(number), table.values(number), stamps)
        })
        .collect();
    // The Ids of parents are looked up without the lock: they may be in the same table.
    drop(table);
    let records = stored.into_iter().map(|(id, values, stamps)| {
        let values = values.into_iter();
        let mut record: Record = values
            .filter_map(|(field, stored)| {
                Some((field, reference::id_of(app.org(), object, &stored)?))
            })
            .collect();
        let mut set = |name: &str, text: String| {
            if let Some(field) = object.field(name) {
                record.entry(field).or_insert(text);
            }
        };
        set("Id", id);
        set("IsDeleted", "false".to_owned());
        if let Some([created, changed]) = stamps {
            let moment = |stamp: &Stamp| stamp.at.format("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
            set("CreatedDate", moment(&created));
            set("LastModifiedDate", moment(&changed));
            set("SystemModstamp", moment(&changed));
            set("CreatedById", created.user);
            set("LastModifiedById", changed.user);
        }
        record
    });
    records.collect()
}

/// The record of the org itself.
fn organization_record(app: &App, version: &str, select: &Select) -> Result<Value, ApiError> {
    let known = organization(app);
    let mut record = Map::new();
    record.insert(
        "attributes".to_owned(),
        attributes(version, "Organization", ORG_ID),
    );
    let names = match &select.what {
        What::Count => &[][..],
        What::Fields(names) => names,
    };
    for name in names {
        let field = known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (name, value) = field.ok_or_else(|| {
            let message = format!("No such column '{name}' on entity 'Organization'.");
            ApiError::new(400, "INVALID_FIELD", &message)
        })?;
        record.insert((*name).to_owned(), value.clone());
    }
    Ok(Value::Object(record))
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
