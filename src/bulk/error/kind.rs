//! Whose fault an error is, and what is known of a call that ended in it.

use std::time::Duration;

use super::BulkError;
use crate::error::{Error, ErrorKind};

impl BulkError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LoginUrl { .. }
            | Self::PrivateKey { .. }
            | Self::TokenKept { .. }
            | Self::Callback { .. }
            | Self::LoginRedirect { .. }
            | Self::Instance { .. }
            | Self::InstanceHosts { .. }
            | Self::Environment { .. }
            | Self::Obstacle { .. }
            | Self::ObjectNotFound { .. }
            | Self::Soql { .. }
            | Self::NotForBulk { .. }
            | Self::Value { .. }
            | Self::Session { .. } => ErrorKind::Config,
            Self::Login(refused) => refused.kind,
            Self::Refused { kind, .. } | Self::QueryFailed { kind, .. } => *kind,
            // The user's to cure only where the login, or Salesforce in its own words, says so.
            Self::JobGoesOn { source, .. }
            | Self::ResultsUnread { source, .. }
            | Self::QueryUnread { source, .. } => match (source.kind(), source.passing()) {
                (ErrorKind::Config, None) => ErrorKind::Config,
                _ => ErrorKind::Transient,
            },
            Self::Network { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::DailyLimit { .. }
            | Self::Moved { .. }
            | Self::JobTimeout { .. }
            | Self::StayedOpen { .. }
            | Self::WrongState { .. }
            | Self::CloseUnclear { .. }
            | Self::SubmitUnclear { .. }
            | Self::Stopped { .. }
            | Self::NoSession { .. }
            | Self::QueryTimeout { .. }
            | Self::QueryGone { .. }
            | Self::QueryRows { .. }
            | Self::JobGone { .. } => ErrorKind::Transient,
            Self::Answer { .. }
            | Self::UnknownState { .. }
            | Self::Results { .. }
            | Self::Spool { .. }
            | Self::Serialize { .. }
            | Self::NotSmall { .. }
            | Self::NoApiName { .. }
            | Self::Setup { .. } => ErrorKind::System,
        }
    }

    /// Id of the job that failed, where one did.
    fn job(&self) -> Option<&str> {
        match self {
            Self::UnknownState { id, .. }
            | Self::WrongState { id, .. }
            | Self::JobGoesOn { id, .. }
            | Self::JobTimeout { id, .. }
            | Self::StayedOpen { id, .. }
            | Self::ResultsUnread { id, .. }
            | Self::CloseUnclear { id, .. }
            | Self::QueryFailed { id, .. }
            | Self::QueryTimeout { id, .. }
            | Self::QueryGone { id }
            | Self::QueryUnread { id, .. }
            | Self::QueryRows { id, .. }
            | Self::JobGone { id } => Some(id),
            _ => None,
        }
    }

    /// The error of a call whose login failed like this. The login had all the patience that there
    /// is, so that the call has none of its own.
    pub(in crate::bulk) fn without_session(self, action: &str) -> Self {
        if self.passing().is_none() {
            return self;
        }
        Self::NoSession {
            action: action.to_owned(),
            source: Box::new(self),
        }
    }

    /// Whether it is certain that Salesforce has not acted on the call.
    pub(in crate::bulk) fn not_done(&self) -> bool {
        match self {
            Self::Network { unsent, .. } => *unsent,
            // Something before Salesforce has answered: what it knows of the call is not known.
            Self::Refused { code, .. } => !code.is_empty(),
            Self::Unavailable { .. }
            | Self::Answer { .. }
            | Self::UnknownState { .. }
            | Self::CloseUnclear { .. }
            | Self::SubmitUnclear { .. }
            | Self::JobGoesOn { .. }
            | Self::JobTimeout { .. }
            | Self::StayedOpen { .. }
            | Self::ResultsUnread { .. }
            | Self::JobGone { .. } => false,
            _ => true,
        }
    }

    /// Whether it is about a job whose rows may be loaded, now or later.
    pub(crate) fn leaves_rows_in_doubt(&self) -> bool {
        match self {
            Self::StayedOpen { aborted, .. } => !aborted,
            Self::CloseUnclear { .. }
            | Self::SubmitUnclear { .. }
            | Self::JobGoesOn { .. }
            | Self::JobTimeout { .. }
            | Self::JobGone { .. }
            | Self::ResultsUnread { .. } => true,
            _ => false,
        }
    }

    /// How long Salesforce asks to wait.
    pub(in crate::bulk) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Throttled { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The error of a call about this job: a resource that is not there is the job.
    pub(in crate::bulk) fn of_job(self, id: &str) -> Self {
        match self {
            Self::Refused {
                status: 404, code, ..
            } if !code.is_empty() => Self::JobGone { id: id.to_owned() },
            other => other,
        }
    }

    /// The error of a call about this query job: a resource that is not there is the job.
    pub(in crate::bulk) fn of_query_job(self, id: &str) -> Self {
        match self.of_job(id) {
            Self::JobGone { id } => Self::QueryGone { id },
            other => other,
        }
    }

    /// The error of a call for the results of this query job.
    pub(in crate::bulk) fn of_query_results(self, id: &str) -> Self {
        match self.of_query_job(id) {
            error @ (Self::QueryGone { .. }
            | Self::Spool { .. }
            | Self::Stopped { .. }
            | Self::Value { .. }) => error,
            error => Self::QueryUnread {
                id: id.to_owned(),
                source: Box::new(error),
            },
        }
    }

    /// The error of a call that creates a query job.
    pub(in crate::bulk) fn of_query(self) -> Self {
        match self {
            Self::Refused {
                action,
                status: 400,
                code,
                detail,
                ..
            } if !code.is_empty() && code != "LIMIT_EXCEEDED" => Self::Refused {
                action,
                status: 400,
                code,
                detail,
                cure: "correct the query, or give the user access to what it selects",
                kind: ErrorKind::Config,
            },
            Self::Refused {
                action,
                code,
                detail,
                ..
            } if code == "LIMIT_EXCEEDED" => Self::DailyLimit {
                action,
                allocation: "Bulk API 2.0 query jobs of 24 hours (DailyBulkV2QueryJobs)",
                detail,
            },
            other => other,
        }
    }

    /// Whether Salesforce said that the job's state does not allow the call.
    pub(in crate::bulk) fn is_state_conflict(&self) -> bool {
        matches!(self, Self::Refused { status, code, .. }
            if *status == 409 || code == "INVALIDJOBSTATE")
    }
}

impl From<BulkError> for Error {
    fn from(error: BulkError) -> Self {
        let converted = Self::new(error.kind(), error.to_string());
        let converted = match error.job() {
            Some(id) => converted.with_context(Self::JOB, id),
            None => converted,
        };
        let converted = match error {
            BulkError::Stopped { .. } => converted.with_stopped(),
            _ => converted,
        };
        converted.with_source(error)
    }
}
