//! What a job loads into, and what Salesforce says about a job.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

use crate::bulk::error::BulkError;
use crate::bulk::http::api_date;
use crate::object::{Operation, RecordId};

/// What a job loads into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTarget {
    /// API name of the object.
    pub object: String,
    /// What is done with each row.
    pub operation: Operation,
    /// Id of the assignment rule to run, for Lead and Case.
    pub assignment_rule_id: Option<String>,
}

impl JobTarget {
    /// The body of the call that creates a job.
    pub(super) fn to_json(&self) -> String {
        let mut job = serde_json::json!({
            "object": self.object,
            "operation": self.operation.as_str(),
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        });
        if let Operation::Upsert { external_id } = &self.operation {
            job["externalIdFieldName"] = external_id.as_str().into();
        }
        if let Some(rule) = &self.assignment_rule_id {
            job["assignmentRuleId"] = rule.as_str().into();
        }
        job.to_string()
    }
}

/// State of an ingest job, in Salesforce's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Created; data may be uploaded.
    Open,
    /// Closed; waits to be processed.
    UploadComplete,
    /// Being processed.
    InProgress,
    /// Processed; rows may have failed.
    JobComplete,
    /// Given up as a whole; rows processed before stay processed.
    Failed,
    /// Aborted; rows processed before stay processed.
    Aborted,
}

impl JobState {
    /// Salesforce's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::UploadComplete => "UploadComplete",
            Self::InProgress => "InProgress",
            Self::JobComplete => "JobComplete",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
        }
    }

    pub(in crate::bulk) fn parse(id: &str, word: &str) -> Result<Self, BulkError> {
        [
            Self::Open,
            Self::UploadComplete,
            Self::InProgress,
            Self::JobComplete,
            Self::Failed,
            Self::Aborted,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| BulkError::UnknownState {
            id: id.to_owned(),
            state: word.chars().take(40).collect(),
        })
    }

    /// Whether the job changes no more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::JobComplete | Self::Failed | Self::Aborted)
    }
}

/// What Salesforce says about a job. POST and PATCH return less than GET.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::bulk) struct JobInfo {
    pub(in crate::bulk) id: String,
    #[serde(default)]
    pub(in crate::bulk) object: String,
    #[serde(default)]
    pub(in crate::bulk) operation: String,
    pub(in crate::bulk) state: String,
    pub(in crate::bulk) created_by_id: Option<String>,
    pub(in crate::bulk) created_date: Option<String>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(in crate::bulk) number_records_processed: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(in crate::bulk) number_records_failed: Option<u64>,
    pub(in crate::bulk) error_message: Option<String>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(in crate::bulk) total_processing_time: Option<u64>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(in crate::bulk) apex_processing_time: Option<u64>,
}

impl JobInfo {
    /// Whether it does this to this object.
    pub(super) fn is_for(&self, target: &JobTarget) -> bool {
        self.object.eq_ignore_ascii_case(&target.object)
            && self.operation == target.operation.as_str()
    }

    /// When it was created, by Salesforce's clock, if that is given.
    pub(in crate::bulk) fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_date.as_deref().and_then(api_date)
    }
}

/// A number of another form counts as none: an answer that cannot be read would cost the job.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_u64())
}

/// Whether both can be the Id of one record; yes, where one is not given or is no Id: to wait for a job
/// of someone else costs time only.
pub(in crate::bulk) fn can_be_one_record(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return true;
    };
    match (RecordId::parse(one), RecordId::parse(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_another_form_are_left_out() {
        let info: JobInfo = serde_json::from_str(
            r#"{"id":"750A","state":"JobComplete","numberRecordsProcessed":7,
                "numberRecordsFailed":"2","totalProcessingTime":1.5,"apexProcessingTime":null}"#,
        )
        .unwrap();
        assert_eq!(info.number_records_processed, Some(7));
        assert_eq!(info.number_records_failed, None);
        assert_eq!(info.total_processing_time, None);
        assert_eq!(info.apex_processing_time, None);
    }

    #[test]
    fn users_are_told_apart_by_their_ids_alone() {
        let user = Some("0055g0000000001AAA");
        for same in [user, Some("0055g0000000001"), None, Some("no id")] {
            assert!(can_be_one_record(user, same), "{same:?}");
            assert!(can_be_one_record(same, user), "{same:?}");
        }
        assert!(!can_be_one_record(user, Some("0055g0000000002AAA")));
        assert!(!can_be_one_record(user, Some("0055G0000000001")));
    }
}
