//! Where the tests of stores keep their objects.

use testkit::s3::ACCESS_KEY;

use super::{Location, S3Credentials, S3Location};

/// A bucket of a server, under `rejected/`.
pub(crate) fn s3_location(endpoint: &str, bucket: &str, secret: &str) -> Location {
    Location::S3(S3Location {
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: S3Credentials::Key {
            id: ACCESS_KEY.into(),
            secret: secret.into(),
        },
        prefix: "rejected/".to_owned(),
    })
}
