//! What a client asks for when it creates a job, checked against the org.

use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::SimOptions;
use super::csv;
use super::http::ApiError;
use super::job::Operation;
use super::org::{Object, Org};

/// Key prefix of assignment rules.
const ASSIGNMENT_RULES: &str = "01Q";

/// What a client asks for when it creates a job.
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

/// The settings of a job, valid for its object.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) object: Arc<Object>,
    pub(crate) operation: Operation,
    /// For upsert: the field's index, the Id's for `Id`.
    pub(crate) external_id: Option<usize>,
    pub(crate) delimiter: u8,
    pub(crate) delimiter_name: String,
    pub(crate) crlf: bool,
    pub(crate) assignment_rule_id: Option<String>,
    pub(crate) api_version: f64,
}

impl Request {
    /// Checks the request against the org.
    pub(crate) fn settings(
        self,
        org: &Org,
        options: &SimOptions,
        api_version: f64,
    ) -> Result<Settings, ApiError> {
        let invalid = |message: &str| ApiError::new(400, "INVALIDJOB", message);
        let name = self
            .object
            .ok_or_else(|| invalid("InvalidJob : No object specified"))?;
        let object = org.object(&name).ok_or_else(|| {
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
            Operation::Insert | Operation::Upsert => object.createable,
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
        })
    }
}

/// Checks that an assignment rule is one that the object's jobs may have.
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
    } else if super::id::normal(&id).is_none_or(|id| !id.starts_with(ASSIGNMENT_RULES)) {
        "InvalidJob : assignmentRuleId is no Id of an assignment rule"
    } else {
        return Ok(Some(id));
    };
    Err(ApiError::new(400, "INVALIDJOB", message))
}

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

/// The number of a version in a path, `v62.0`.
pub(crate) fn api_version(path: &str) -> Option<f64> {
    path.strip_prefix('v')
        .and_then(|number| f64::from_str(number).ok())
        .filter(|n| *n >= 20.0)
}
