//! The request to create a job, checked against the org.

use std::sync::Arc;

use serde::Deserialize;

use super::job::{Operation, Settings};
use crate::SimOptions;
use crate::csv;
use crate::error::ApiError;
use crate::org::user::User;
use crate::org::{Object, id};

/// Key prefix of assignment rules.
const ASSIGNMENT_RULES: &str = "01Q";

/// The request to create a job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    object: Option<String>,
    operation: Option<String>,
    external_id_field_name: Option<String>,
    content_type: Option<String>,
    line_ending: Option<String>,
    column_delimiter: Option<String>,
    assignment_rule_id: Option<String>,
}

impl Request {
    /// Checks the request against the org.
    ///
    /// # Errors
    /// If Salesforce would refuse it.
    pub(crate) fn settings(
        self,
        user: &User,
        options: &SimOptions,
        api_version: f64,
    ) -> Result<Settings, ApiError> {
        let invalid = |message: &str| ApiError::new(400, "INVALIDJOB", message);
        let name = self
            .object
            .ok_or_else(|| invalid("InvalidJob : No object specified"))?;
        let object = user.schema.object(&name).ok_or_else(|| {
            let message = format!("InvalidJob : Unable to find object: {name}");
            ApiError::new(400, "INVALIDJOB", &message)
        })?;
        let operation = match self.operation.as_deref() {
            Some("insert") => Operation::Insert,
            Some("update") => Operation::Update,
            Some("upsert") => Operation::Upsert,
            Some("delete") => Operation::Delete,
            Some("hardDelete") if options.hard_delete => Operation::HardDelete,
            Some("hardDelete") => {
                let message = "hardDelete operation requires special user profile permission";
                return Err(ApiError::new(400, "FEATURENOTENABLED", message));
            }
            _ => return Err(invalid("InvalidJob : operation is missing or unknown")),
        };
        let allowed = match operation {
            Operation::Delete | Operation::HardDelete => object.deletable,
            Operation::Update => object.updateable,
            Operation::Insert => object.createable,
            // It creates and changes: [both rights are
            // needed](https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_upsert.htm).
            Operation::Upsert => object.createable && object.updateable,
        };
        if !allowed || !options.may_write(&object.name) {
            let message = format!("Entity '{}' is not supported by the Bulk API.", object.name);
            return Err(ApiError::new(400, "INVALIDENTITY", &message));
        }
        if self
            .content_type
            .as_deref()
            .is_some_and(|content_type| content_type != "CSV")
        {
            return Err(invalid(
                "InvalidJob : Unsupported content type, only CSV is",
            ));
        }
        let crlf = match self.line_ending.as_deref() {
            None | Some("LF") => false,
            Some("CRLF") => true,
            Some(_) => return Err(invalid("InvalidJob : lineEnding is LF or CRLF")),
        };
        let delimiter_name = self.column_delimiter.unwrap_or_else(|| "COMMA".to_owned());
        Ok(Settings {
            external_id: external_id(object, operation, self.external_id_field_name.as_deref())?,
            object: Arc::clone(object),
            operation,
            delimiter: csv::delimiter(&delimiter_name)
                .ok_or_else(|| invalid("InvalidJob : unknown columnDelimiter"))?,
            delimiter_name,
            crlf,
            assignment_rule_id: assignment_rule(object, self.assignment_rule_id, api_version)?,
            api_version,
            user: user.id.clone(),
        })
    }
}

/// Checks that jobs of the object may have an assignment rule, and that the Id is one.
fn assignment_rule(
    object: &Object,
    id: Option<String>,
    api_version: f64,
) -> Result<Option<String>, ApiError> {
    let Some(id) = id else {
        return Ok(None);
    };
    let message = if !["Case", "Lead"].contains(&object.name.as_str()) {
        "InvalidJob : assignmentRuleId is for Case and Lead only"
    } else if api_version < 49.0 {
        "InvalidJob : assignmentRuleId needs API version 49.0 or later"
    } else if id::normal(&id).is_none_or(|id| !id.starts_with(ASSIGNMENT_RULES)) {
        "InvalidJob : assignmentRuleId is no Id of an assignment rule"
    } else {
        return Ok(Some(id));
    };
    Err(ApiError::new(400, "INVALIDJOB", message))
}

/// The index of the field that finds the records of an upsert.
fn external_id(
    object: &Object,
    operation: Operation,
    name: Option<&str>,
) -> Result<Option<usize>, ApiError> {
    let invalid = |message: &str| ApiError::new(400, "INVALIDJOB", message);
    match (operation, name) {
        (Operation::Upsert, None) => {
            Err(invalid("InvalidJob : External ID was blank for upsert job"))
        }
        (Operation::Upsert, Some(name)) => {
            let field = object.field(name).filter(|&index| {
                let field = &object.fields[index];
                field.external_id || field.id_lookup
            });
            field.map(Some).ok_or_else(|| {
                invalid(&format!(
                    "InvalidJob : Field name provided, {name} does not match an External ID, \
                     Salesforce Id, or indexed field for {}",
                    object.name
                ))
            })
        }
        (_, Some(_)) => Err(invalid(
            "InvalidJob : externalIdFieldName is for upsert only",
        )),
        (_, None) => Ok(None),
    }
}
