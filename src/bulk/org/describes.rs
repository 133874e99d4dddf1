//! Describes of objects, many of them in few calls.

use std::collections::HashMap;

use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{API_VERSION, Call, Failure, Patience, Payload, Policy, parse_json};

/// Requests in one composite request, at most (REST API Developer Guide, "Composite").
pub const COMPOSITE_REQUESTS: usize = 25;

const ACTION: &str = "describing objects";

/// The describe of one object among many.
#[derive(Debug)]
pub struct Described {
    /// API name, as asked for.
    pub object: String,
    /// Salesforce's JSON, or why there is none.
    pub describe: Result<Box<RawValue>, BulkError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Composite {
    composite_response: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    body: Box<RawValue>,
    http_status_code: u16,
    reference_id: String,
}

/// What each describe has.
#[derive(Deserialize)]
struct Describe {
    #[serde(rename = "fields")]
    _fields: Vec<IgnoredAny>,
}

/// See [`Client::sobjects`](crate::bulk::Client::sobjects).
pub(in crate::bulk) async fn sobjects(connection: &Connection) -> Result<Vec<u8>, BulkError> {
    let call = Call::get("listing the objects", &["sobjects"], Policy::Start);
    connection.read_document::<IgnoredAny>(&call).await
}

/// See [`Client::describe`](crate::bulk::Client::describe).
pub(in crate::bulk) async fn describe(
    connection: &Connection,
    object: &str,
) -> Result<Vec<u8>, BulkError> {
    let action = format!("describing {object}");
    let path = ["sobjects", object, "describe"];
    let call = Call::get(&action, &path, Policy::Start);
    let described = connection.read_document::<Describe>(&call).await;
    described.map_err(|error| error.of_object(object))
}

/// See [`Client::describe_many`](crate::bulk::Client::describe_many).
pub(in crate::bulk) async fn describe_many(
    connection: &Connection,
    objects: &[String],
) -> Result<Vec<Described>, BulkError> {
    if objects.len() < 2 {
        return one_by_one(connection, objects).await;
    }
    let mut described = match composite(connection, objects).await {
        Err(error) if is_not_known(&error) => return one_by_one(connection, objects).await,
        described => described?,
    };
    let mut patience = Patience::new(Policy::Start);
    loop {
        let mut errors = described
            .iter()
            .filter_map(|one| one.describe.as_ref().err());
        let Some(error) = errors.find(|error| error.is_retryable()) else {
            return Ok(described);
        };
        if !patience.again(connection.clock(), ACTION, error).await {
            return Ok(described);
        }
        let failed: Vec<&mut Described> = described
            .iter_mut()
            .filter(|one| one.describe.as_ref().is_err_and(BulkError::is_retryable))
            .collect();
        let names: Vec<String> = failed.iter().map(|one| one.object.clone()).collect();
        for (one, again) in failed.into_iter().zip(composite(connection, &names).await?) {
            *one = again;
        }
    }
}

/// Whether the org knows no composite requests.
fn is_not_known(error: &BulkError) -> bool {
    matches!(
        error,
        BulkError::Refused {
            status: 400 | 404 | 405 | 501,
            ..
        }
    )
}

async fn composite(
    connection: &Connection,
    objects: &[String],
) -> Result<Vec<Described>, BulkError> {
    let mut patience = Patience::new(Policy::Start);
    loop {
        match composite_once(connection, objects).await {
            Err(error) if !is_not_known(&error) => {
                patience.wait(connection.clock(), ACTION, error).await?;
            }
            described => return described,
        }
    }
}

async fn composite_once(
    connection: &Connection,
    objects: &[String],
) -> Result<Vec<Described>, BulkError> {
    let requests: Vec<_> = objects
        .iter()
        .enumerate()
        .map(|(index, object)| {
            json!({
                "method": "GET",
                "url": format!("/services/data/{API_VERSION}/sobjects/{object}/describe"),
                "referenceId": format!("describe{index}"),
            })
        })
        .collect();
    let body = json!({"allOrNone": false, "compositeRequest": requests}).to_string();
    let action = format!("describing {} objects", objects.len());
    let call = Call::send(&action, Method::POST, &["composite"], Payload::Json(&body));
    let answer: Composite = connection.read_json(&call).await?;
    let mut parts: HashMap<String, Part> = answer
        .composite_response
        .into_iter()
        .map(|part| (part.reference_id.clone(), part))
        .collect();
    let described = objects.iter().enumerate().map(|(index, object)| Described {
        object: object.clone(),
        describe: describe_of(
            connection,
            object,
            parts.remove(&format!("describe{index}")),
        ),
    });
    Ok(described.collect())
}

fn describe_of(
    connection: &Connection,
    object: &str,
    part: Option<Part>,
) -> Result<Box<RawValue>, BulkError> {
    let action = format!("describing {object}");
    let Some(part) = part else {
        return Err(BulkError::Answer {
            action,
            reason: "it is not among the answers to the composite request".to_owned(),
        });
    };
    if part.http_status_code == 200 {
        parse_json::<Describe>(&action, part.body.get().as_bytes())?;
        return Ok(part.body);
    }
    let failure = Failure {
        action: &action,
        status: part.http_status_code,
        retry_after: None,
        target: None,
        is_upload: false,
        body: part.body.get().as_bytes(),
    };
    Err(connection.error_of(&failure).of_object(object))
}

async fn one_by_one(
    connection: &Connection,
    objects: &[String],
) -> Result<Vec<Described>, BulkError> {
    let mut described = Vec::with_capacity(objects.len());
    for object in objects {
        let describe = match describe(connection, object).await {
            Ok(body) => parse_json(&format!("describing {object}"), &body),
            Err(error) if error.is_of_one_object() => Err(error),
            Err(error) => return Err(error),
        };
        described.push(Described {
            object: object.clone(),
            describe,
        });
    }
    Ok(described)
}

impl BulkError {
    /// The error of a describe: what is not there is the object.
    fn of_object(self, object: &str) -> Self {
        match self {
            Self::Refused { status, code, .. }
                if code == "NOT_FOUND" || status == 404 && !code.is_empty() =>
            {
                Self::ObjectNotFound {
                    object: object.to_owned(),
                }
            }
            other => other,
        }
    }

    /// Whether a describe failed for what its object is, so that others may not fail. Salesforce
    /// answers 500 to the describes of some objects, always.
    fn is_of_one_object(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::ObjectNotFound { .. }
                | Self::Answer { .. }
                | Self::Unavailable { status: 500, .. }
        )
    }
}
