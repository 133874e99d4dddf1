//! Many describes in few calls.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::API_VERSION;
use super::api::Failure;
use super::call::{Call, Payload};
use super::client::Client;
use super::error::BulkError;
use super::retry::Policy;
use super::wire::parse_json;

/// Requests in one composite request, at most (REST API Developer Guide, "Composite").
pub const COMPOSITE_REQUESTS: usize = 25;

/// Pause before the describes that failed for a passing reason are asked for once more.
const SECOND_TRY: Duration = Duration::from_secs(1);

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

impl Client {
    /// Describes up to [`COMPOSITE_REQUESTS`] objects in one call, in their order; those that fail
    /// for a passing reason are asked for once more. Where the org knows no composite requests,
    /// each takes a call of its own.
    ///
    /// # Errors
    /// Any of a call's; what is wrong with one object is told in its [`Described`].
    pub async fn describe_many(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
        if objects.len() < 2 {
            return self.one_by_one(objects).await;
        }
        let mut described = match self.composite(objects).await {
            Err(BulkError::Refused {
                status: 400 | 404 | 405 | 501,
                ..
            }) => return self.one_by_one(objects).await,
            described => described?,
        };
        let failed = |one: &&mut Described| one.describe.as_ref().is_err_and(BulkError::may_pass);
        let failed: Vec<&mut Described> = described.iter_mut().filter(failed).collect();
        if !failed.is_empty() {
            self.inner.clock.pause(SECOND_TRY).await;
            let names: Vec<String> = failed.iter().map(|one| one.object.clone()).collect();
            for (one, again) in failed.into_iter().zip(self.composite(&names).await?) {
                *one = again;
            }
        }
        Ok(described)
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
        let answer: Composite = self
            .read_json(&Call {
                action: &action,
                method: Method::POST,
                path: &["composite"],
                query: &[],
                payload: Payload::Json(&body),
                policy: Policy::READ,
            })
            .await?;
        let mut parts: HashMap<String, Part> = answer
            .composite_response
            .into_iter()
            .map(|part| (part.reference_id.clone(), part))
            .collect();
        let described = objects.iter().enumerate().map(|(index, object)| Described {
            object: object.clone(),
            describe: self.describe_of(object, parts.remove(&format!("describe{index}"))),
        });
        Ok(described.collect())
    }

    fn describe_of(&self, object: &str, part: Option<Part>) -> Result<Box<RawValue>, BulkError> {
        let action = format!("describing {object}");
        let Some(part) = part else {
            return Err(BulkError::Answer {
                action,
                reason: "it is not among the answers to the composite request".to_owned(),
            });
        };
        if part.http_status_code == 200 {
            return Ok(part.body);
        }
        let failure = Failure {
            action: &action,
            status: part.http_status_code,
            retry_after: None,
            body: part.body.get().as_bytes(),
        };
        Err(self.failed(&failure).of_object(object))
    }

    async fn one_by_one(&self, objects: &[String]) -> Result<Vec<Described>, BulkError> {
        let mut described = Vec::with_capacity(objects.len());
        for object in objects {
            let describe = match self.describe(object).await {
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
}

impl BulkError {
    /// The error of a describe: what is not there is the object.
    pub(crate) fn of_object(self, object: &str) -> Self {
        match self {
            Self::Refused { status, code, .. } if status == 404 || code == "NOT_FOUND" => {
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
