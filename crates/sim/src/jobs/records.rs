//! Records that a client saves one by one over the REST API, by the rules of the rows of jobs.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::job::{Operation, Outcome, Settings};
use super::process::transaction;
use super::read;
use super::request::Request;
use super::rows::{Rules, Task};
use super::store::Jobs;
use crate::csv::Refused;
use crate::error::ApiError;
use crate::org::Object;
use crate::org::table::Stamp;
use crate::org::user::User;

/// In the log, what is saved by the REST API has this in place of a job.
const NO_JOB: &str = "rest";

/// What became of a record.
#[derive(Debug)]
pub(crate) enum Saved {
    /// It is new, and this is its Id.
    Created(String),
    /// It was known by this Id, and is changed or deleted.
    Changed(String),
    /// It was refused.
    Failed(Refusal),
}

/// Why a record was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) fields: Vec<String>,
}

impl Refusal {
    /// Takes the error of a row apart: `CODE:message:Field --`.
    fn of(error: &str) -> Refusal {
        let (code, rest) = error
            .split_once(':')
            .unwrap_or(("UNKNOWN_EXCEPTION", error));
        let (message, fields) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let fields = fields.trim_end_matches('-').split(',').map(str::trim);
        Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
            fields: fields
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}

impl Jobs {
    /// What may be done with the records of an object.
    ///
    /// # Errors
    /// If Salesforce would refuse it for all of its records.
    pub(crate) fn may_save(
        &self,
        user: &User,
        object: &Object,
        operation: &str,
        external_id: Option<&str>,
    ) -> Result<Settings, ApiError> {
        let request = serde_json::json!({"object": object.name, "operation": operation,
            "externalIdFieldName": external_id});
        let request: Request = serde_json::from_value(request)
            .map_err(|error| ApiError::new(400, "JSON_PARSER_ERROR", &error.to_string()))?;
        request.settings(user, &self.options(), 0.0)
    }

    /// Saves a record.
    pub(crate) fn save(
        &self,
        settings: &Arc<Settings>,
        record: &Map<String, Value>,
    ) -> Result<Saved, ApiError> {
        let text = file(record, settings.operation);
        let upload = read::upload(&self.org.schema, settings, text.into_bytes());
        let upload = match upload {
            Ok(upload) => Arc::new(upload),
            Err(Refused { reason, .. }) => {
                let name = reason.strip_prefix("InvalidBatch : Field name not found : ");
                return Err(match name {
                    Some(name) => {
                        let object = &settings.object.name;
                        let message =
                            format!("No such column '{name}' on sobject of type {object}");
                        ApiError::new(400, "INVALID_FIELD", &message)
                    }
                    None => ApiError::new(400, "JSON_PARSER_ERROR", &reason),
                });
            }
        };
        let mut table = self
            .org
            .table(&settings.object.name)
            .ok_or_else(ApiError::not_found)?;
        let number = table.add_upload(&upload, Stamp::now(&settings.user));
        drop(table);
        let task = Task {
            job_id: NO_JOB.to_owned(),
            settings: Arc::clone(settings),
            faults: Vec::new(),
            options: self.options(),
        };
        let rules = Rules::new(
            task,
            &upload,
            number,
            self.validation_of(&settings.object.name),
        );
        let mut values = Vec::new();
        upload.file.split(0, &mut values);
        let mut checked = rules.check(self, 0, &values);
        let mut table = self
            .org
            .table(&settings.object.name)
            .ok_or_else(ApiError::not_found)?;
        let rows = std::iter::once((0, &mut checked));
        let outcome = transaction(self, &rules, &mut table, rows).pop();
        Ok(match outcome {
            Some((_, Outcome::Created(number))) => Saved::Created(table.id(number)),
            Some((_, Outcome::Changed(number))) => Saved::Changed(table.id(number)),
            Some((_, Outcome::Failed { error, .. })) => Saved::Failed(Refusal::of(&error)),
            Some((_, Outcome::Vanished)) | None => {
                Saved::Failed(Refusal::of("UNKNOWN_EXCEPTION:the record vanished:--"))
            }
        })
    }
}

/// A record as a file of one row.
fn file(record: &Map<String, Value>, operation: Operation) -> String {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (name, value) in record {
        let (name, value) = match value {
            _ if name == "attributes" => continue,
            // A new record has no value to clear.
            Value::Null if operation == Operation::Insert => continue,
            Value::Null => (name.clone(), "#N/A".to_owned()),
            // The parent of a lookup, by another field than its Id.
            Value::Object(parent) => {
                let mut known = parent.iter().filter(|(key, _)| *key != "attributes");
                let Some((key, value)) = known.next() else {
                    continue;
                };
                (format!("{name}.{key}"), text(value))
            }
            value => (name.clone(), text(value)),
        };
        // In JSON an empty text clears a field, in CSV it leaves it as it is.
        let value = if value.is_empty() && operation != Operation::Insert {
            "#N/A".to_owned()
        } else {
            value
        };
        names.push(name);
        values.push(format!(
            "\"{}\"",
            value.replace('"', "\"\"").replace("\r\n", "\n")
        ));
    }
    format!("{}\n{}\n", names.join(","), values.join(","))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_taken_apart() {
        let refusal = Refusal::of("A_CODE:Name: too long: x (max length=80):LastName --");
        assert_eq!(refusal.code, "A_CODE");
        assert_eq!(refusal.message, "Name: too long: x (max length=80)");
        assert_eq!(refusal.fields, ["LastName"]);
        let refusal = Refusal::of("GONE:entity is deleted:--");
        assert_eq!(
            (refusal.message.as_str(), refusal.fields.len()),
            ("entity is deleted", 0)
        );
    }
}
