//! Why a store refused a request, and whose fault that is.

use std::error::Error as StdError;
use std::fmt;

use object_store::client::{HttpError, HttpErrorKind};

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
    /// Anything else; with the code of the response, if it had one.
    Other(Option<String>),
}

impl Cause {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AccessDenied(_) | Self::NoBucket | Self::WrongRegion | Self::NoCredentials => {
                ErrorKind::Config
            }
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
            _ => Self::Other(code),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied(code) => write!(
                f,
                "access denied{}; check access_key_id and secret_access_key, and that the key may \
                 put, list and delete objects under this prefix",
                Code(code)
            ),
            Self::NoBucket => {
                f.write_str("no such bucket; check s3_bucket_name, or create the bucket")
            }
            Self::NotFound => f.write_str("no such place; check the bucket, the endpoint and path"),
            Self::WrongRegion => f.write_str(
                "the bucket is in another region; set s3_bucket_region to the bucket's own",
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

/// Whether a request was sent and nothing is known of its end.
pub(super) fn is_lost(error: &object_store::Error) -> bool {
    if obstacle(error).is_some() {
        return false;
    }
    sources(error)
        .filter_map(|source| source.downcast_ref::<HttpError>())
        .any(|http| !matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Request))
}
