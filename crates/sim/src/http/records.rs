//! Single records, and lists of up to 200: created, changed, deleted and read by the REST API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parameters::Parameters;
use super::{App, body, query};
use crate::error::ApiError;
use crate::jobs::{Refusal, Saved, Settings};
use crate::org::user::User;
use crate::org::{Object, records};

/// Records of a list, [at
/// most](https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections.htm).
const MOST: usize = 200;

/// The code with which jobs are refused that the user has no right to. Single records have others.
const NO_RIGHT: &str = "INVALIDENTITY";

type Path3 = Path<(String, String, String)>;
type Path4 = Path<(String, String, String, String)>;

/// The fields of a record that is read.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    fields: Option<String>,
    ids: Option<String>,
    #[serde(rename = "allOrNone", default)]
    all_or_none: bool,
}

fn known<'a>(user: &'a User, name: &str) -> Result<&'a Arc<Object>, ApiError> {
    user.schema.object(name).ok_or_else(ApiError::not_found)
}

fn settings(
    app: &App,
    user: &User,
    object: &Object,
    operation: &str,
    external_id: Option<&str>,
) -> Result<Arc<Settings>, ApiError> {
    let settings = app.jobs.may_save(user, object, operation, external_id);
    settings.map(Arc::new).map_err(|error| {
        if error.code() != NO_RIGHT {
            return error;
        }
        let name = &object.name;
        match operation {
            "insert" | "upsert" => {
                let message = format!("entity type cannot be inserted: {name}");
                ApiError::new(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", &message)
            }
            _ => {
                let message = "insufficient access rights on object id";
                ApiError::new(403, "INSUFFICIENT_ACCESS_OR_READONLY", message)
            }
        }
    })
}

/// `POST …/sobjects/{object}`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((_, name)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let object = known(&user, &name)?;
    let record: Map<String, Value> = body::parse(&body::read(body).await?)?;
    let saved = app
        .jobs
        .save(&settings(&app, &user, object, "insert", None)?, &record)?;
    single(saved)
}

/// `PATCH …/sobjects/{object}/{id}`.
pub(super) async fn update(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((_, name, id)): Path3,
    body: Body,
) -> Result<Response, ApiError> {
    let object = known(&user, &name)?;
    let mut record: Map<String, Value> = body::parse(&body::read(body).await?)?;
    record.insert("Id".to_owned(), Value::String(id));
    single(
        app.jobs
            .save(&settings(&app, &user, object, "update", None)?, &record)?,
    )
}

/// `DELETE …/sobjects/{object}/{id}`.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((_, name, id)): Path3,
) -> Result<Response, ApiError> {
    let object = known(&user, &name)?;
    let record = Map::from_iter([("Id".to_owned(), Value::String(id))]);
    single(
        app.jobs
            .save(&settings(&app, &user, object, "delete", None)?, &record)?,
    )
}

/// The Ids of the records with a value of an external ID.
fn found(app: &App, object: &Object, field: &str, value: &str) -> Result<Vec<String>, ApiError> {
    let index = object.field(field).filter(|index| {
        let field = &object.fields[*index];
        field.external_id || field.id_lookup
    });
    let index = index.ok_or_else(|| {
        let message =
            format!("Provided external ID field does not exist or is not accessible: {field}");
        ApiError::new(404, "NOT_FOUND", &message)
    })?;
    let table = app
        .org()
        .table(&object.name)
        .ok_or_else(ApiError::not_found)?;
    let described = &object.fields[index];
    let wanted = crate::org::table::key_digest(described, value);
    let has_key = |number: &u32| {
        let held = table.value(*number, index);
        held.is_some_and(|held| crate::org::table::key_digest(described, &held) == wanted)
    };
    Ok(table
        .live()
        .filter(has_key)
        .map(|number| table.id(number))
        .collect())
}

/// The Id of the only record with a value of an external ID, if there is one.
///
/// # Errors
/// If there are several: as Salesforce does, the answer lists their addresses.
fn one(
    app: &App,
    user: &User,
    (version, name): (&str, &str),
    field: &str,
    value: &str,
) -> Result<Option<String>, Box<Response>> {
    let refused = |error: ApiError| Box::new(error.into_response());
    let object = known(user, name).map_err(refused)?;
    let mut ids = found(app, object, field, value).map_err(refused)?;
    if ids.len() > 1 {
        let address = |id: &String| format!("/services/data/{version}/sobjects/{name}/{id}");
        let addresses: Vec<String> = ids.iter().map(address).collect();
        let response = (StatusCode::MULTIPLE_CHOICES, Json(addresses)).into_response();
        return Err(Box::new(response));
    }
    Ok(ids.pop())
}

/// `GET …/sobjects/{object}/{field}/{value}`: a record by an external ID.
pub(super) async fn read_by_key(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name, field, value)): Path4,
    Parameters(asked): Parameters<Asked>,
) -> Response {
    match one(&app, &user, (&version, &name), &field, &value) {
        Err(response) => *response,
        Ok(None) => ApiError::not_found().into_response(),
        Ok(Some(id)) => query::shown(&app, &user, &version, &name, &id, asked.fields.as_deref())
            .map(Json)
            .into_response(),
    }
}

/// `PATCH …/sobjects/{object}/{field}/{value}`: an upsert.
pub(super) async fn upsert(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name, field, value)): Path4,
    body: Body,
) -> Response {
    if field.eq_ignore_ascii_case("Id") {
        return update(
            State(app),
            Extension(user),
            Path((version, name, value)),
            body,
        )
        .await
        .into_response();
    }
    if let Err(response) = one(&app, &user, (&version, &name), &field, &value) {
        return *response;
    }
    upserted(&app, &user, &name, &field, value, body)
        .await
        .into_response()
}

async fn upserted(
    app: &App,
    user: &User,
    name: &str,
    field: &str,
    value: String,
    body: Body,
) -> Result<Response, ApiError> {
    let object = known(user, name)?;
    let mut record: Map<String, Value> = body::parse(&body::read(body).await?)?;
    record.retain(|key, _| !key.eq_ignore_ascii_case(field));
    record.insert(field.to_owned(), Value::String(value));
    let saved = app.jobs.save(
        &settings(app, user, object, "upsert", Some(field))?,
        &record,
    )?;
    Ok(match saved {
        Saved::Changed(id) => {
            let answer = json!({"id": id, "success": true, "errors": [], "created": false});
            Json(answer).into_response()
        }
        Saved::Created(id) => {
            let answer = json!({"id": id, "success": true, "errors": [], "created": true});
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        failed @ Saved::Failed(_) => single(failed)?,
    })
}

/// `DELETE …/sobjects/{object}/{field}/{value}`.
pub(super) async fn delete_by_key(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name, field, value)): Path4,
) -> Response {
    match one(&app, &user, (&version, &name), &field, &value) {
        Err(response) => *response,
        Ok(None) => ApiError::not_found().into_response(),
        Ok(Some(id)) => delete(State(app), Extension(user), Path((version, name, id)))
            .await
            .into_response(),
    }
}

/// The answer to a request about one record.
fn single(saved: Saved) -> Result<Response, ApiError> {
    match saved {
        Saved::Created(id) => {
            let answer = json!({"id": id, "success": true, "errors": []});
            Ok((StatusCode::CREATED, Json(answer)).into_response())
        }
        Saved::Changed(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Saved::Failed(Refusal {
            code,
            message,
            fields,
        }) => {
            let is_gone = code == "ENTITY_IS_DELETED" || code == "INVALID_CROSS_REFERENCE_KEY";
            let status = if is_gone {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::BAD_REQUEST
            };
            let error = json!([{"message": message, "errorCode": code, "fields": fields}]);
            Ok((status, Json(error)).into_response())
        }
    }
}

/// A list of records to save.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    #[serde(default)]
    all_or_none: bool,
    records: Vec<Map<String, Value>>,
}

/// `POST …/composite/sobjects`.
pub(super) async fn create_list(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    save_list(&app, &user, body, "insert", None).await
}

/// `PATCH …/composite/sobjects`.
pub(super) async fn update_list(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    save_list(&app, &user, body, "update", None).await
}

/// `PATCH …/composite/sobjects/{object}/{field}`.
pub(super) async fn upsert_list(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((_, _, field)): Path3,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    save_list(&app, &user, body, "upsert", Some(field)).await
}

async fn save_list(
    app: &App,
    user: &User,
    body: Body,
    operation: &str,
    external_id: Option<String>,
) -> Result<Json<Value>, ApiError> {
    let list: List = body::parse(&body::read(body).await?)?;
    check_list(list.records.len(), list.all_or_none)?;
    let mut answers = Vec::new();
    for mut record in list.records {
        let name = record.get("attributes").map(|about| &about["type"]);
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(id) = record.remove("id") {
            record.insert("Id".to_owned(), id);
        }
        // The records before it are saved already: what is wrong is said of this one.
        let saved = known(user, &name)
            .and_then(|object| settings(app, user, object, operation, external_id.as_deref()))
            .and_then(|settings| app.jobs.save(&settings, &record));
        answers.push(listed(saved, external_id.is_some()));
    }
    Ok(Json(Value::Array(answers)))
}

/// Checks how many records a list has. Those before one that fails stay saved here, so a client
/// that wants all or none cannot be served.
fn check_list(records: usize, all_or_none: bool) -> Result<(), ApiError> {
    if records > MOST {
        let message = format!("The request has more than {MOST} records");
        return Err(ApiError::new(400, "EXCEEDED_ID_LIMIT", &message));
    }
    if all_or_none && records > 1 {
        let message = "The simulator does not undo records that are saved: allOrNone must be false";
        return Err(ApiError::new(501, "NOT_IMPLEMENTED", message));
    }
    Ok(())
}

/// An entry of the answer to a list.
fn listed(saved: Result<Saved, ApiError>, says_created: bool) -> Value {
    let (id, is_new) = match saved {
        Ok(Saved::Created(id)) => (id, true),
        Ok(Saved::Changed(id)) => (id, false),
        Ok(Saved::Failed(refusal)) => {
            let error = json!({"statusCode": refusal.code, "message": refusal.message,
                "fields": refusal.fields});
            return json!({"success": false, "errors": [error]});
        }
        Err(error) => {
            let body = &error.body()[0];
            let error = json!({"statusCode": body["errorCode"], "message": body["message"],
                "fields": []});
            return json!({"success": false, "errors": [error]});
        }
    };
    let mut answer = json!({"id": id, "success": true, "errors": []});
    if says_created {
        answer["created"] = json!(is_new);
    }
    answer
}

/// `DELETE …/composite/sobjects?ids=`.
pub(super) async fn delete_list(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<Value>, ApiError> {
    let ids = asked.ids.unwrap_or_default();
    let ids: Vec<&str> = ids.split(',').collect();
    check_list(ids.len(), asked.all_or_none)?;
    let mut answers = Vec::new();
    for id in ids {
        let mut objects = user.schema.objects.iter();
        let object = objects.find(|object| id.starts_with(&object.key_prefix));
        let record = Map::from_iter([("Id".to_owned(), json!(id))]);
        let saved = object
            .ok_or_else(ApiError::not_found)
            .and_then(|object| settings(&app, &user, object, "delete", None))
            .and_then(|settings| app.jobs.save(&settings, &record));
        answers.push(listed(saved, false));
    }
    Ok(Json(Value::Array(answers)))
}

/// `GET …/composite/sobjects/{object}?ids=&fields=`.
pub(super) async fn read_list(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name)): Path<(String, String)>,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<Value>, ApiError> {
    let ids = asked.ids.unwrap_or_default();
    let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
    shown_list(&app, &user, &version, &name, &ids, asked.fields.as_deref())
}

/// Which records are read.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    ids: Vec<String>,
    fields: Vec<String>,
}

/// `POST …/composite/sobjects/{object}`, with Ids and fields in the body.
pub(super) async fn read_list_by_body(
    State(app): State<Arc<App>>,
    Extension(user): Extension<Arc<User>>,
    Path((version, name)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let Which { ids, fields } = body::parse(&body::read(body).await?)?;
    shown_list(&app, &user, &version, &name, &ids, Some(&fields.join(",")))
}

/// Records by their Ids; null for one that does not exist.
fn shown_list(
    app: &App,
    user: &User,
    version: &str,
    name: &str,
    ids: &[String],
    fields: Option<&str>,
) -> Result<Json<Value>, ApiError> {
    let object = known(user, name)?;
    let records = ids.iter().map(|id| {
        records::one(app.org(), object, id, false).map_or(Ok(Value::Null), |_| {
            query::shown(app, user, version, name, id, fields)
        })
    });
    records
        .collect::<Result<Vec<Value>, ApiError>>()
        .map(|records| Json(Value::Array(records)))
}
