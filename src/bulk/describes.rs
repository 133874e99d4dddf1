//! Many describes in few calls.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::API_VERSION;
use super::call::{Call, Payload};
use super::client::Client;
use super::error::BulkError;
use super::retry::Policy;
use super::wire::parse_json;

/// Requests in one composite request, at most (REST API Developer Guide, "Composite").
pub const COMPOSITE_REQUESTS: usize = 25;

/// The describe of one object among many.
#[derive(Debug)]
pub struct Described {
    /// API name, as asked for.
    pub object: String,
    /// Salesforce's JSON; or why there is none: its code and message.
    pub describe: Result<Box<RawValue>, String>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartError {
    error_code: String,
    message: String,
}

impl Client {
    /// Describes up to [`COMPOSITE_REQUESTS`] objects in one call, in their order. Where the org
    /// knows no composite requests, each takes a call of its own.
    ///
    /// # Errors
    /// Any of a call's; what is wrong with one object is told in its [`Described`].
    pub async fn describe_many(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
        match self.composite(objects).await {
            Err(BulkError::Refused {
                status: 400 | 404 | 405,
                ..
            }) => self.one_by_one(objects).await,
            described => described,
        }
    }

    async fn composite(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
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
        let answer = self
            .read(&Call {
                action: &action,
                method: Method::POST,
                path: &["composite"],
                query: &[],
                payload: Payload::Json(&body),
                policy: Policy::READ,
            })
            .await?;
        let Composite { composite_response } = parse_json(&action, &answer)?;
        let mut parts: Vec<Option<Part>> = composite_response.into_iter().map(Some).collect();
        let described = objects.iter().enumerate().map(|(index, object)| {
            let reference = format!("describe{index}");
            let mut parts = parts.iter_mut();
            let part = parts.find(|part| {
                let part = part.as_ref();
                part.is_some_and(|part| part.reference_id == reference)
            });
            Described {
                object: object.clone(),
                describe: describe_of(part.and_then(Option::take)),
            }
        });
        Ok(described.collect())
    }

    async fn one_by_one(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
        let mut described = Vec::with_capacity(objects.len());
        for object in objects {
            let describe = match self.describe(object).await {
                Ok(body) => Ok(parse_json(&format!("describing {object}"), &body)?),
                Err(error @ (BulkError::Refused { .. } | BulkError::ObjectNotFound { .. })) => {
                    Err(error.to_string())
                }
                Err(error) => return Err(error),
            };
            described.push(Described {
                object: object.clone(),
                describe,
            });
        }
        Ok(described)
    }
}

fn describe_of(part: Option<Part>) -> Result<Box<RawValue>, String> {
    let Some(part) = part else {
        return Err("Salesforce answered nothing for it".to_owned());
    };
    if part.http_status_code == 200 {
        return Ok(part.body);
    }
    let errors = serde_json::from_str::<Vec<PartError>>(part.body.get()).unwrap_or_default();
    let status = part.http_status_code;
    Err(errors.first().map_or_else(
        || format!("HTTP {status}"),
        |error| format!("HTTP {status} {}: {}", error.error_code, error.message),
    ))
}
