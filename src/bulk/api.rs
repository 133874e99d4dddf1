//! Answers that are errors -> [`BulkError`].

use std::time::Duration;

use serde::Deserialize;

use super::error::BulkError;
use crate::error::ErrorKind;

/// One entry of `[{"errorCode":"X","message":"…"}]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ApiError {
    error_code: String,
    message: String,
}

/// An answer whose status is an error.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    /// What was being done.
    pub(crate) action: &'a str,
    /// HTTP status.
    pub(crate) status: u16,
    /// How long Salesforce asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// Body, whatever it is.
    pub(crate) body: &'a [u8],
}

impl Failure<'_> {
    /// Sorts the answer by its status and code. `clean` shortens a text and blots secrets out.
    pub(crate) fn into_error(self, clean: impl Fn(&str) -> String) -> BulkError {
        let ApiError {
            error_code,
            message,
        } = parse(self.body);
        let (code, detail) = (clean(&error_code), clean(&message));
        let action = self.action.to_owned();
        let status = self.status;
        if code == "REQUEST_LIMIT_EXCEEDED" && detail.contains("TotalRequests") {
            return BulkError::DailyLimit { action, detail };
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
        if status >= 500 || status == 408 || code == "SERVER_UNAVAILABLE" {
            return BulkError::Unavailable {
                action,
                status,
                detail,
                retry_after,
            };
        }
        let (kind, cure) = cure(status, &code, &detail);
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

/// The first error of the body. Gateways answer HTML, whose text helps nobody.
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
            Some(b'<') => "an HTML or XML page",
            Some(_) => "an answer that is not JSON",
            None => "an empty answer",
        }
        .to_owned(),
    })
}

fn cure(status: u16, code: &str, detail: &str) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, System};
    if code == "INVALIDENTITY" || detail.contains("is not supported by the Bulk API") {
        return (
            Config,
            "check the object's API name; some objects cannot be loaded with the Bulk API",
        );
    }
    match code {
        "FEATURENOTENABLED"
        | "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "FUNCTIONALITY_NOT_ENABLED" => (
            Config,
            "the org's edition or settings do not allow the Bulk API: enable API access, or ask \
             Salesforce",
        ),
        "CLIENT_NOT_ACCESSIBLE_FOR_USER" => (
            Config,
            "the user may not use this app: give the profile or a permission set access to it",
        ),
        "INSUFFICIENT_ACCESS" => (
            Config,
            "grant the integration user API Enabled, and the object permissions of the load",
        ),
        "INVALIDJOB" | "INVALIDFIELD" | "INVALIDOPERATION" | "INVALID_TYPE" => (
            Config,
            "check the object, the operation and the external ID field of the stream",
        ),
        _ => match status {
            403 => (
                Config,
                "check the permissions of the integration user and the IP ranges of the org",
            ),
            404 => (
                Config,
                "the object or job is not there: check the API name; jobs are kept for 7 days",
            ),
            300..400 => (Config, "the instance redirects: check login_url"),
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
            body: body.as_bytes(),
        }
        .into_error(str::to_owned)
    }

    fn told(status: u16, body: &str) -> String {
        let error = error(status, body);
        format!(
            "{:?}, {}: {error}",
            error.kind(),
            if error.may_pass() { "again" } else { "end" }
        )
    }

    #[test]
    fn texts_by_code() {
        let list = |code: &str, message: &str| {
            format!(r#"[{{"errorCode":"{code}","message":"{message}","fields":[]}}]"#)
        };
        let body = list(
            "INVALIDENTITY",
            "Entity 'X' is not supported by the Bulk API.",
        );
        insta::assert_snapshot!(told(400, &body), @"");
        let body = list("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
        insta::assert_snapshot!(told(403, &body), @"");
        let body = list(
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests Limit exceeded.",
        );
        insta::assert_snapshot!(told(403, &body), @"");
        insta::assert_snapshot!(told(403, &list("INSUFFICIENT_ACCESS", "no")), @"");
        insta::assert_snapshot!(told(400, &list("FEATURENOTENABLED", "no")), @"");
        insta::assert_snapshot!(told(404, &list("NOT_FOUND", "The requested resource does not exist")), @"");
        insta::assert_snapshot!(told(400, &list("JSON_PARSER_ERROR", "bad")), @"");
    }

    #[test]
    fn bodies_that_are_no_json_list() {
        insta::assert_snapshot!(told(503, "<!DOCTYPE html><html>maintenance</html>"), @"");
        insta::assert_snapshot!(told(502, ""), @"");
        insta::assert_snapshot!(told(500, "oops"), @"");
        insta::assert_snapshot!(told(500, r#"{"errorCode":"UNKNOWN_EXCEPTION","message":"An unexpected error"}"#), @"");
        insta::assert_snapshot!(told(429, "[]"), @"");
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
