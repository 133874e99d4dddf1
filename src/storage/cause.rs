//! Why a store refused a request, and whose fault that is.

use std::error::Error as StdError;
use std::fmt;

use super::role::RoleError;
use crate::error::ErrorKind;
use crate::network::Obstacle;

/// Why a store refused, without the text of its response: S3 repeats the access key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The credentials are wrong, or may not do this; with the code of the response, if it had one.
    AccessDenied(Option<String>),
    /// There is no such bucket.
    NoBucket,
    /// There is no such object or directory.
    NotFound,
    /// The bucket is in another region, or the request was signed for another one.
    WrongRegion,
    /// The clock of this machine is too far from the store's.
    Clock,
    /// The role of the bucket cannot be assumed.
    Role(RoleError),
    /// No keys are set, and the environment offers no others.
    NoCredentials,
    /// The endpoint does not respond; with the system's words.
    NotReachable(String),
    /// A proxy, or a certificate that is not trusted, stands before the endpoint; with what to do.
    Obstacle(String),
    /// A file system refused; with the system's words.
    Files(String),
    /// Anything else; with the code of the response, or its status if it had none.
    Other(Option<String>),
}

impl Cause {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AccessDenied(_)
            | Self::NoBucket
            | Self::WrongRegion
            | Self::Clock
            | Self::NoCredentials => ErrorKind::Config,
            Self::NotFound | Self::Files(_) | Self::Obstacle(_) => ErrorKind::Config,
            Self::Role(error) => error.kind(),
            Self::NotReachable(_) | Self::Other(_) => ErrorKind::Transient,
        }
    }

    /// The cause of an error of object_store.
    pub(super) fn of(error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        if let Some(role) = sources(error).find_map(|error| error.downcast_ref::<RoleError>()) {
            return Self::Role(role.clone());
        }
        if let Some(obstacle) = obstacle(error) {
            let reason = obstacle.reason.clone();
            return match obstacle.lasting {
                true => Self::Obstacle(reason),
                false => Self::NotReachable(reason),
            };
        }
        let text = error.to_string();
        let code = between(&text, "<Code>", "</Code>").map(str::to_owned);
        match code.as_deref() {
            Some("NoSuchBucket") => return Self::NoBucket,
            Some("RequestTimeTooSkewed") => return Self::Clock,
            Some(
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => return Self::WrongRegion,
            Some(
                "AccessDenied"
                | "AllAccessDisabled"
                | "ExpiredToken"
                | "InvalidAccessKeyId"
                | "InvalidToken"
                | "SignatureDoesNotMatch"
                | "TokenRefreshRequired",
            ) => return Self::AccessDenied(code),
            _ => {}
        }
        if text.contains("incorrectly configured region") {
            return Self::WrongRegion;
        }
        if let Some(io) = io_error(error) {
            return match error {
                Store::Generic { store, .. } if *store == "S3" => reach(&text, io),
                _ => Self::Files(io.to_string()),
            };
        }
        match error {
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
                Self::AccessDenied(code)
            }
            Store::NotFound { .. } => Self::NotFound,
            _ => {
                let status = status_and_body(&text).map(|(status, _)| format!("HTTP {status}"));
                Self::Other(code.or(status))
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied(code) => write!(
                f,
                "access denied{}; check access_key_id and secret_access_key, and that the key may \
                 put, get, list and delete objects under this prefix",
                Code(code)
            ),
            Self::NoBucket => {
                f.write_str("no such bucket; check s3_bucket_name, or create the bucket")
            }
            Self::NotFound => f.write_str("no such place; check the bucket, the endpoint and path"),
            Self::WrongRegion => f.write_str(
                "the bucket is in another region; set s3_bucket_region to the bucket's own",
            ),
            Self::Clock => f.write_str(
                "the clock of this machine is more than 15 minutes off, so that nothing it signs is \
                 taken (RequestTimeTooSkewed); correct the clock",
            ),
            Self::Role(error) => error.fmt(f),
            Self::NoCredentials => f.write_str(
                "no credentials; set access_key_id and secret_access_key, or run where the \
                 environment offers a role",
            ),
            Self::NotReachable(reason) => write!(
                f,
                "not reachable ({reason}); check s3_endpoint, s3_bucket_region and the network"
            ),
            Self::Obstacle(reason) => f.write_str(reason),
            Self::Files(reason) => write!(f, "{reason}; choose a directory that can be written"),
            Self::Other(code) => write!(
                f,
                "the store answered with an error{}; try again later",
                Code(code)
            ),
        }
    }
}

struct Code<'a>(&'a Option<String>);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

/// The instance metadata address: asked only where no other credentials are set.
const METADATA_HOST: &str = "169.254.169.254";

fn reach(text: &str, io: &std::io::Error) -> Cause {
    if text.contains(METADATA_HOST) {
        Cause::NoCredentials
    } else {
        Cause::NotReachable(io.to_string())
    }
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    Some(text.split_once(open)?.1.split_once(close)?.0)
}

/// The innermost I/O error of a chain.
fn io_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    sources(error)
        .filter_map(|error| error.downcast_ref())
        .last()
}

/// What stood between this process and the endpoint, if that is the cause.
fn obstacle<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Obstacle> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// An error and what caused it.
fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Codes of S3, and parts of such, that pass though their status is that of a client's fault.
const PASSING_CODES: [&str; 11] = [
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttl",
    "TooManyRequests",
    "XAmzContentSHA256Mismatch",
];

/// Whether the same request may succeed later, with nothing changed: the store is busy or cannot be
/// reached, or a page of something before it came in place of its response.
pub(super) fn passes(error: &object_store::Error) -> bool {
    let text = error.to_string();
    let code = match Cause::of(error) {
        Cause::Role(error) => return error.kind() == ErrorKind::Transient,
        Cause::NotReachable(_) => return true,
        Cause::NoBucket
        | Cause::WrongRegion
        | Cause::Clock
        | Cause::NoCredentials
        | Cause::Obstacle(_)
        | Cause::Files(_) => return false,
        Cause::AccessDenied(_) | Cause::NotFound | Cause::Other(_) => {
            between(&text, "<Code>", "</Code>")
        }
    };
    if code.is_some_and(|code| PASSING_CODES.iter().any(|passing| code.contains(passing))) {
        return true;
    }
    match status_and_body(&text) {
        Some((408 | 420 | 429 | 500 | 502.., _)) => true,
        // S3's own say why.
        Some((300..=399 | 501, _)) => code.is_none(),
        // S3 says why it refuses; only to a request for the head of an object it says nothing.
        Some((_, body)) => code.is_none() && !body.trim().is_empty(),
        None => !matches!(
            error,
            object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotFound { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotImplemented { .. }
                | object_store::Error::NotSupported { .. }
                | object_store::Error::InvalidPath { .. }
        ),
    }
}

/// Whether it is a redirect to no place. At first it says that the bucket is in another region; a bucket
/// that was reached before does not move.
pub(super) fn is_bare_redirect(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("redirect without LOCATION") && between(&text, "<Code>", "</Code>").is_none()
}

/// Whether the store says that the credentials of a session have expired.
pub(super) fn has_expired(error: &object_store::Error) -> bool {
    matches!(Cause::of(error), Cause::AccessDenied(Some(code))
        if ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"].contains(&code.as_str()))
}

/// A response that was refused, as object_store words it.
pub(super) fn refused(status: http::StatusCode) -> String {
    format!("Server returned non-2xx status code: {status}: ")
}

/// Of a response that was refused, as object_store words it.
fn status_and_body(text: &str) -> Option<(u16, &str)> {
    let (_, response) = text.split_once("status code: ")?;
    let status = response.get(..3)?.parse().ok()?;
    let body = response.split_once(": ").map_or("", |(_, body)| body);
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, body: &str) -> object_store::Error {
        let source = format!(
            "Error performing PUT http://s3/b/k in 1ms - Server returned non-2xx status code: \
             {status}: {body}"
        );
        object_store::Error::Generic {
            store: "S3",
            source: source.into(),
        }
    }

    #[test]
    fn what_passes() {
        let code = |code: &str| format!("<Error><Code>{code}</Code></Error>");
        for (status, body) in [
            ("503 Service Unavailable", code("SlowDown")),
            ("500 Internal Server Error", String::new()),
            ("429 Too Many Requests", String::new()),
            ("400 Bad Request", code("RequestTimeout")),
            ("409 Conflict", code("ConditionalRequestConflict")),
            ("400 Bad Request", code("KMS.ThrottlingException")),
            ("403 Forbidden", "<html>a proxy</html>".to_owned()),
            ("501 Not Implemented", "<html>a proxy</html>".to_owned()),
            ("501 Not Implemented", String::new()),
            ("302 Found", String::new()),
            ("307 Temporary Redirect", String::new()),
        ] {
            assert!(passes(&answered(status, &body)), "{status} {body}");
        }
        for (status, body) in [
            ("403 Forbidden", code("AccessDenied")),
            ("403 Forbidden", String::new()),
            ("404 Not Found", code("NoSuchBucket")),
            ("404 Not Found", code("NoSuchKey")),
            ("404 Not Found", String::new()),
            ("400 Bad Request", code("KMS.DisabledException")),
            ("501 Not Implemented", code("NotImplemented")),
        ] {
            assert!(!passes(&answered(status, &body)), "{status} {body}");
        }
        let page = Cause::of(&answered("405 Method Not Allowed", "<html>a proxy</html>"));
        assert_eq!(
            page.to_string(),
            "the store answered with an error (HTTP 405); try again later"
        );
        let skewed = answered("403 Forbidden", &code("RequestTimeTooSkewed"));
        assert!(Cause::of(&skewed) == Cause::Clock && !passes(&skewed));
        let expired = answered("400 Bad Request", &code("ExpiredToken"));
        assert!(has_expired(&expired) && !passes(&expired));
    }
}
