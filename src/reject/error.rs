//! What can go wrong with rejected records, and whose fault it is.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, ErrorKind};

/// Rejected records that could not be rendered or stored.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// A template names a variable that does not exist.
    #[error("{setting} has the unknown variable {{{variable}}}; it may use {allowed}")]
    Variable {
        /// The setting that holds the template.
        setting: &'static str,
        /// The name between the braces.
        variable: String,
        /// All names that the setting may use.
        allowed: String,
    },
    /// A key that no object can have.
    #[error(
        "rejected records cannot be stored under the key {key:?}: {reason}; change bucket_path, \
         path_format or file_name_format"
    )]
    Key {
        /// The key as the templates gave it.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A place that cannot be opened.
    #[error("rejected records cannot be stored in {place}: {reason}")]
    Place {
        /// Bucket or URL, without secrets.
        place: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The store refused or could not be reached.
    #[error("cannot {action} {object} for rejected records: {cause}")]
    Store {
        /// What was tried: `write`, `list`, `delete`.
        action: &'static str,
        /// The object or directory, bucket included.
        object: String,
        /// Why it failed.
        cause: Cause,
    },
    /// The test object was written, and the listing does not show it.
    #[error(
        "{object} was written, but listing its directory does not show it; allow the key to list \
         the bucket (s3:ListBucket) under this prefix"
    )]
    NotListed {
        /// The test object.
        object: String,
    },
    /// Another process made an object of the same name during an upload in parts.
    #[error(
        "{object} came into being while rejected records were uploaded under this name; nothing \
         was overwritten, try again (or put {{timestamp}} into file_name_format)"
    )]
    Taken {
        /// The object.
        object: String,
    },
    /// An object that is to be read back is not as this version writes it.
    #[error("rejected record {record} of the file cannot be read: {reason}")]
    Read {
        /// Number of the record in its file, from 1; 0 for the header.
        record: u64,
        /// What does not fit, without the record's values, and what to do.
        reason: String,
    },
    /// A column of a type that cannot be read back.
    #[error(
        "column {column} cannot be read from rejected records: they hold no values of the type \
         {data_type}; leave the column out of the schema"
    )]
    Type {
        /// Name of the column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// The temporary file that an object is read by way of failed.
    #[error(
        "rejected records could not be kept in a temporary file ({0}); give the directory of TMPDIR \
         more space"
    )]
    Temporary(String),
    /// Source rows and reasons that do not belong together, or a batch of another schema.
    #[error("this is not a batch of rejected records: {reason}; report it, it is a defect")]
    Batch {
        /// What does not fit.
        reason: String,
    },
    /// Arrow refused to build or to print the rows.
    #[error("rejected records could not be rendered: {0}; report it, it is a defect")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl RejectError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Variable { .. }
            | Self::Key { .. }
            | Self::Place { .. }
            | Self::NotListed { .. }
            | Self::Read { .. }
            | Self::Type { .. } => ErrorKind::Config,
            Self::Taken { .. } | Self::Temporary(_) => ErrorKind::Transient,
            Self::Store { cause, .. } => cause.kind(),
            Self::Batch { .. } | Self::Arrow(_) => ErrorKind::System,
        }
    }
}

impl From<RejectError> for Error {
    fn from(error: RejectError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

/// A role that could not be assumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// STS says no.
    #[error(
        "role_arn {arn} cannot be assumed ({code}); allow the environment's credentials \
         sts:AssumeRole on the role, let the role's trust policy name them, and set \
         AWS_ASSUME_ROLE_EXTERNAL_ID where it asks for an external id"
    )]
    Refused {
        /// The role.
        arn: String,
        /// Code of the answer.
        code: String,
    },
    /// STS gave no answer, or none that can be read.
    #[error(
        "role_arn {arn} cannot be assumed for now ({reason}); check the network, try again later"
    )]
    Unavailable {
        /// The role.
        arn: String,
        /// What failed.
        reason: String,
    },
}

impl RoleError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } => ErrorKind::Config,
            Self::Unavailable { .. } => ErrorKind::Transient,
        }
    }
}

/// Why a store refused, without the answer's text: S3 repeats the access key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The credentials are wrong, or may not do this; with the code of the answer, if it had one.
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
    /// The endpoint does not answer; with the system's words.
    NotReachable(String),
    /// A file system refused; with the system's words.
    Files(String),
    /// Anything else; with the code of the answer, if it had one.
    Other(Option<String>),
}

impl Cause {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AccessDenied(_) | Self::NoBucket | Self::WrongRegion | Self::NoCredentials => {
                ErrorKind::Config
            }
            Self::NotFound | Self::Files(_) => ErrorKind::Config,
            Self::Role(error) => error.kind(),
            Self::NotReachable(_) | Self::Other(_) => ErrorKind::Transient,
        }
    }

    /// Reads what an object store says.
    pub(crate) fn of(error: &object_store::Error) -> Self {
        use object_store::Error as Store;
        if let Some(role) = sources(error).find_map(|error| error.downcast_ref::<RoleError>()) {
            return Self::Role(role.clone());
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

/// An error and what caused it.
pub(super) fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
