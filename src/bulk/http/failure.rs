//! Answers that are errors -> [`BulkError`].

use std::time::Duration;

use serde::Deserialize;

use crate::bulk::error::BulkError;
use crate::error::ErrorKind;

/// One entry of `[{"errorCode":"X","message":"…"}]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ApiError {
    error_code: String,
    message: String,
}

/// Codes that pass, whatever the status is. Whether the call was done is not known.
const PASSING: [&str; 10] = [
    "INTERNAL_SERVER_ERROR",
    "InternalServerError",
    "QUERY_TIMEOUT",
    "REQUEST_RUNNING_TOO_LONG",
    "SERVER_UNAVAILABLE",
    "SERVICE_UNAVAILABLE",
    "TXN_SECURITY_METERING_ERROR",
    "Timeout",
    "UNABLE_TO_LOCK_ROW",
    "UNKNOWN_EXCEPTION",
];

/// Begins codes such as `CONCURRENT_BATCH_JOB`: too much runs at once.
const CONCURRENT: &str = "CONCURRENT";

/// An answer whose status is an error.
#[derive(Debug)]
pub(in crate::bulk) struct Failure<'a> {
    /// What was being done.
    pub(in crate::bulk) action: &'a str,
    /// HTTP status.
    pub(in crate::bulk) status: u16,
    /// How long Salesforce asks to wait.
    pub(in crate::bulk) retry_after: Option<Duration>,
    /// Scheme and host that it redirects to.
    pub(in crate::bulk) target: Option<String>,
    /// Whether the call brought rows along.
    pub(in crate::bulk) is_upload: bool,
    /// Body, whatever it is.
    pub(in crate::bulk) body: &'a [u8],
}

impl Failure<'_> {
    /// Sorts the answer by its status and code. `clean` shortens a text and takes secrets out of it.
    pub(in crate::bulk) fn to_error(&self, clean: impl Fn(&str) -> String) -> BulkError {
        let ApiError {
            error_code,
            message,
        } = parse(self.body);
        let (code, detail) = (clean(&error_code), clean(&message));
        let action = self.action.to_owned();
        let status = self.status;
        if status == 401 || code == "INVALID_SESSION_ID" {
            return BulkError::Session { action };
        }
        if (300..400).contains(&status) {
            let target = self.target.clone();
            return BulkError::Moved {
                action,
                status,
                target,
            };
        }
        if let Some(allocation) = allocation(&code, &detail) {
            return BulkError::DailyLimit {
                action,
                allocation,
                detail,
            };
        }
        let retry_after = self.retry_after;
        if matches!(status, 420 | 429) || code == "REQUEST_LIMIT_EXCEEDED" {
            return BulkError::Throttled {
                action,
                status,
                detail,
                retry_after,
            };
        }
        // Salesforce's own 501 is for good: it does not know the call.
        let is_of_server = status >= 500 && (status != 501 || code.is_empty());
        if is_of_server || status == 408 || passes(&code) {
            return BulkError::Unavailable {
                action,
                status,
                detail,
                retry_after,
            };
        }
        let (kind, cure) = cure(status, &code, &detail, self.is_upload);
        BulkError::Refused {
            action,
            status,
            code,
            detail,
            cure,
            kind,
        }
    }
}

fn passes(code: &str) -> bool {
    PASSING.contains(&code) || code.starts_with(CONCURRENT)
}

/// The daily allocation that is used up, in words and by its name in the list of limits.
fn allocation(code: &str, detail: &str) -> Option<&'static str> {
    match code {
        "REQUEST_LIMIT_EXCEEDED" if detail.contains("TotalRequests") => {
            Some("API requests of 24 hours (DailyApiRequests)")
        }
        "ExceededQuota" | "EXCEEDED_QUOTA" if detail.contains("ApiBatchItems") => {
            Some("Bulk API batches of 24 hours (DailyBulkApiBatches)")
        }
        "ExceededQuota" | "EXCEEDED_QUOTA" => Some("Bulk API jobs or batches of 24 hours"),
        _ => None,
    }
}

/// What a gateway sends in place of an answer.
pub(in crate::bulk) const PAGE: &str = "an HTML or XML page";

/// The first error of the body. Gateways send HTML, whose text helps nobody.
fn parse(body: &[u8]) -> ApiError {
    let start = body.trim_ascii_start().first();
    let found = match start {
        Some(b'[') => serde_json::from_slice::<Vec<ApiError>>(body)
            .ok()
            .and_then(|errors| errors.into_iter().next()),
        Some(b'{') => serde_json::from_slice(body).ok(),
        _ => None,
    };
    found.unwrap_or_else(|| ApiError {
        error_code: String::new(),
        message: match start {
            Some(b'<') => PAGE,
            Some(_) => "an answer of another form",
            None => "an empty answer",
        }
        .to_owned(),
    })
}

fn cure(status: u16, code: &str, detail: &str, is_upload: bool) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, System, Transient};
    if code == "INVALIDENTITY" || detail.contains("is not supported by the Bulk API") {
        return (
            Config,
            "check the object's API name; some objects cannot be loaded with the Bulk API",
        );
    }
    match code {
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => (
            Config,
            "the API is switched off for the user or the whole org: give the integration user the \
             permission API Enabled, or ask Salesforce to enable the API of the org",
        ),
        "FEATURENOTENABLED" | "FUNCTIONALITY_NOT_ENABLED" => (
            Config,
            "the edition of the org does not include it: the API is part of the Enterprise, \
             Unlimited, Performance and Developer Editions, others can buy it from Salesforce",
        ),
        "CLIENT_NOT_ACCESSIBLE_FOR_USER" => (
            Config,
            "the app is not approved for the user: in Setup, give the user's profile or a \
             permission set access to it",
        ),
        "INSUFFICIENT_ACCESS" => (
            Config,
            "grant the integration user API Enabled, and the object permissions of the load",
        ),
        "INVALIDJOB" | "INVALIDFIELD" | "INVALIDOPERATION" | "INVALID_TYPE" => (
            Config,
            "check the object, the operation and the external ID field of the stream",
        ),
        "LIMIT_EXCEEDED" => (
            Transient,
            "an allowance of the org is used up: start again later, with larger jobs or fewer \
             syncs, or ask Salesforce for more",
        ),
        _ => match status {
            413 if is_upload => (
                Config,
                "Salesforce, or a proxy before it, takes no upload as large as this: lower \
                 max_job_bytes",
            ),
            _ if code.is_empty() => (
                match status {
                    403 | 404 => Config,
                    _ => Transient,
                },
                "the answer is not of Salesforce's form, so something before it, such as a proxy, \
                 may have refused the call: check the network and the login URL, then start again",
            ),
            403 => (
                Config,
                "check the permissions of the integration user and the IP ranges of the org",
            ),
            404 => (
                Config,
                "the object or job is not there: check the API name; jobs are kept for 7 days",
            ),
            _ => (
                System,
                "this should not happen: please report it with this text",
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> BulkError {
        Failure {
            action: "creating a job",
            status,
            retry_after: Some(Duration::from_secs(3)),
            target: Some("https://acme.my.salesforce.com".to_owned()),
            is_upload: status == 413,
            body: body.as_bytes(),
        }
        .to_error(str::to_owned)
    }

    fn shown(status: u16, body: &str) -> String {
        let error = error(status, body);
        format!(
            "{:?}, {}: {error}",
            error.kind(),
            if error.is_retryable() { "again" } else { "end" }
        )
    }

    fn list(code: &str, message: &str) -> String {
        format!(r#"[{{"errorCode":"{code}","message":"{message}","fields":[]}}]"#)
    }

    #[test]
    fn texts_by_code() {
        let unsupported = "Entity 'X' is not supported by the Bulk API.";
        let daily = "TotalRequests Limit exceeded.";
        let at_once = "ConcurrentRequests Limit exceeded.";
        let texts = [
            shown(400, &list("INVALIDENTITY", unsupported)),
            shown(403, &list("REQUEST_LIMIT_EXCEEDED", daily)),
            shown(403, &list("REQUEST_LIMIT_EXCEEDED", at_once)),
            shown(403, &list("INSUFFICIENT_ACCESS", "no")),
            shown(400, &list("FEATURENOTENABLED", "no")),
            shown(403, &list("API_DISABLED_FOR_ORG", "no")),
            shown(400, &list("CLIENT_NOT_ACCESSIBLE_FOR_USER", "no")),
            shown(404, &list("NOT_FOUND", "It does not exist")),
            shown(400, &list("JSON_PARSER_ERROR", "bad")),
            shown(400, &list("ExceededQuota", "ApiBatchItems Limit exceeded")),
            shown(413, "<html>Request Entity Too Large</html>"),
            shown(302, ""),
            shown(
                400,
                &list("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
            ),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Config, end: creating a job: Salesforce refused it (HTTP 400 INVALIDENTITY: Entity 'X' is not supported by the Bulk API.); check the object's API name; some objects cannot be loaded with the Bulk API
        Transient, end: creating a job: the org's API requests of 24 hours (DailyApiRequests) are used up (TotalRequests Limit exceeded.); each is free again a day after it was used: start again later, wait for that by a longer limit_wait_seconds, or ask Salesforce for more
        Transient, again: creating a job: Salesforce takes no more requests for now (HTTP 403: ConcurrentRequests Limit exceeded.); use fewer jobs in flight, or start again later
        Config, end: creating a job: Salesforce refused it (HTTP 403 INSUFFICIENT_ACCESS: no); grant the integration user API Enabled, and the object permissions of the load
        Config, end: creating a job: Salesforce refused it (HTTP 400 FEATURENOTENABLED: no); the edition of the org does not include it: the API is part of the Enterprise, Unlimited, Performance and Developer Editions, others can buy it from Salesforce
        Config, end: creating a job: Salesforce refused it (HTTP 403 API_DISABLED_FOR_ORG: no); the API is switched off for the user or the whole org: give the integration user the permission API Enabled, or ask Salesforce to enable the API of the org
        Config, end: creating a job: Salesforce refused it (HTTP 400 CLIENT_NOT_ACCESSIBLE_FOR_USER: no); the app is not approved for the user: in Setup, give the user's profile or a permission set access to it
        Config, end: creating a job: Salesforce refused it (HTTP 404 NOT_FOUND: It does not exist); the object or job is not there: check the API name; jobs are kept for 7 days
        System, end: creating a job: Salesforce refused it (HTTP 400 JSON_PARSER_ERROR: bad); this should not happen: please report it with this text
        Transient, end: creating a job: the org's Bulk API batches of 24 hours (DailyBulkApiBatches) are used up (ApiBatchItems Limit exceeded); each is free again a day after it was used: start again later, wait for that by a longer limit_wait_seconds, or ask Salesforce for more
        Config, end: creating a job: Salesforce refused it (HTTP 413: an HTML or XML page); Salesforce, or a proxy before it, takes no upload as large as this: lower max_job_bytes
        Transient, end: creating a job: Salesforce redirects to https://acme.my.salesforce.com (HTTP 302), after a new login too; the org may be moving to another host: start again later, and check login_url
        Transient, again: creating a job: Salesforce is unavailable (HTTP 400: An unexpected error occurred); start again later
        ");
    }

    #[test]
    fn bodies_that_are_no_json_list() {
        let single = r#"{"errorCode":"UNKNOWN_EXCEPTION","message":"An unexpected error"}"#;
        let texts = [
            shown(503, "<!DOCTYPE html><html>maintenance</html>"),
            shown(502, ""),
            shown(500, "oops"),
            shown(500, single),
            shown(429, "[]"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        Transient, again: creating a job: Salesforce is unavailable (HTTP 503: an HTML or XML page); start again later
        Transient, again: creating a job: Salesforce is unavailable (HTTP 502: an empty answer); start again later
        Transient, again: creating a job: Salesforce is unavailable (HTTP 500: an answer of another form); start again later
        Transient, again: creating a job: Salesforce is unavailable (HTTP 500: An unexpected error); start again later
        Transient, again: creating a job: Salesforce takes no more requests for now (HTTP 429: an answer of another form); use fewer jobs in flight, or start again later
        ");
    }

    #[test]
    fn what_is_certainly_not_done() {
        assert!(!error(503, "").not_done());
        assert!(error(429, "").not_done());
        assert_eq!(error(429, "").retry_after(), Some(Duration::from_secs(3)));
        assert!(error(409, "").is_state_conflict());
        let body = r#"[{"errorCode":"INVALIDJOBSTATE","message":"Closing already Completed Job"}]"#;
        assert!(error(400, body).is_state_conflict());
    }
}
