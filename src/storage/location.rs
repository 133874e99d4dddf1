//! Buckets, directories and other locations of objects.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::connect::Connector;
use super::delete::DeleteOne;
use super::role::AssumedRole;
use super::{Cause, S3, Storage, StorageError};
use crate::network::Network;

/// A bucket, or any URL.
#[derive(Debug, Clone)]
pub enum Location {
    /// A bucket of S3, or of a server that speaks S3.
    S3(S3Location),
    /// `file:///directory`, `s3://bucket/prefix` with the environment's credentials, or another
    /// URL that object_store takes.
    Url(Url),
}

/// A bucket, its keys and the prefix.
#[derive(Debug, Clone)]
pub struct S3Location {
    /// Name of the bucket.
    pub bucket: String,
    /// Region; empty takes the environment's.
    pub region: String,
    /// Address of a server that is not Amazon's, such as `http://localhost:9000`; empty is absent.
    pub endpoint: Option<String>,
    /// Who asks for the bucket.
    pub credentials: S3Credentials,
    /// Prefix of every key.
    pub prefix: String,
}

/// Who asks for a bucket.
#[derive(Debug, Clone, Default)]
pub enum S3Credentials {
    /// Whatever the environment offers: keys, web identity, pod identity, container role, instance
    /// profile.
    #[default]
    Environment,
    /// A key, in place of whatever the environment offers.
    Key {
        /// Access key id.
        id: SecretString,
        /// Secret access key.
        secret: SecretString,
    },
    /// ARN of a role, assumed with what the environment offers, and with the external id of
    /// `AWS_ASSUME_ROLE_EXTERNAL_ID` if that is set.
    Role(String),
}

/// What S3 is asked to encrypt objects with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// Nothing is asked: the bucket's own setting holds.
    #[default]
    BucketDefault,
    /// SSE-S3: keys that S3 manages.
    SseS3,
    /// SSE-KMS.
    SseKms {
        /// Id or ARN of the key; the account's own key for S3 if absent.
        key_id: Option<String>,
    },
}

impl Location {
    pub(super) fn open(&self, encryption: &Encryption) -> Result<Storage, StorageError> {
        match self {
            Self::S3(s3) => s3.open(encryption),
            Self::Url(url) => open_url(url, encryption),
        }
    }
}

impl S3Location {
    fn open(&self, encryption: &Encryption) -> Result<Storage, StorageError> {
        let root = format!("s3://{}", self.bucket);
        let mut builder = match &self.credentials {
            S3Credentials::Key { id, secret } => AmazonS3Builder::new()
                .with_access_key_id(id.expose_secret())
                .with_secret_access_key(secret.expose_secret()),
            S3Credentials::Environment | S3Credentials::Role(_) => AmazonS3Builder::from_env(),
        };
        let connector = connector(&root)?;
        builder = builder
            .with_bucket_name(&self.bucket)
            .with_http_connector(connector.clone());
        if !self.region.is_empty() {
            builder = builder.with_region(&self.region);
        }
        let endpoint = self.endpoint.as_deref().map(str::trim).unwrap_or_default();
        if !endpoint.is_empty() {
            builder = builder
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_allow_http(endpoint.starts_with("http://"))
                .with_virtual_hosted_style_request(false);
        }
        let mut assumed = None;
        if let S3Credentials::Role(arn) = &self.credentials {
            let role = AssumedRole::new(arn, signed_for(&builder), builder.clone(), &connector);
            let role = role.map_err(|error| StorageError::Location {
                location: root.clone(),
                reason: format!(
                    "role_arn: {error}; check it, and AWS_ENDPOINT_URL_STS if it is set"
                ),
            })?;
            let role = Arc::new(role);
            builder = builder.with_credentials(Arc::clone(&role) as _);
            assumed = Some(role);
        }
        let (store, mut s3) = s3_client(builder, &connector, encryption, &root)?;
        s3.role = assumed;
        Ok(Storage::new(store, Some(s3), root, &self.prefix))
    }
}

fn open_url(url: &Url, encryption: &Encryption) -> Result<Storage, StorageError> {
    let shown = without_secrets(url);
    let refused = |reason: &str| StorageError::Location {
        location: shown.clone(),
        reason: reason.to_owned(),
    };
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|_| {
        refused("this is no URL of an object store; use file:///directory or s3://bucket")
    })?;
    let prefix = path.to_string();
    if scheme == ObjectStoreScheme::AmazonS3 {
        let connector = connector(&shown)?;
        let builder = AmazonS3Builder::from_env()
            .with_url(url.as_str())
            .with_http_connector(connector.clone());
        let (store, s3) = s3_client(builder, &connector, encryption, &shown)?;
        let root = root_of(&shown, &prefix);
        return Ok(Storage::new(store, Some(s3), root, prefix));
    }
    if *encryption != Encryption::BucketDefault {
        return Err(StorageError::Encryption { location: shown });
    }
    if scheme == ObjectStoreScheme::Local {
        let directory = url
            .to_file_path()
            .map_err(|()| refused("a file URL needs an absolute path"))?;
        let store = std::fs::create_dir_all(&directory)
            .map_err(|error| refused(&format!("{error}; choose another directory")))
            .and_then(|()| {
                LocalFileSystem::new_with_prefix(&directory)
                    .map_err(|error| refused(&Cause::of(&error).to_string()))
            })?;
        let store = Arc::new(store.with_automatic_cleanup(true));
        return Ok(Storage::new(store, None, shown, ""));
    }
    let (store, _) = object_store::parse_url(url)
        .map_err(|_| refused("this kind of store is not built in; use file:/// or s3://"))?;
    let root = root_of(&shown, &prefix);
    Ok(Storage::new(Arc::from(store), None, root, prefix))
}

fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that cannot hold a user name holds no secret either.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// A URL without the path in its store.
fn root_of(url: &str, prefix: &str) -> String {
    let root = url.strip_suffix(prefix).unwrap_or(url);
    root.trim_end_matches('/').to_owned()
}

/// Makes the HTTP clients that reach a location.
fn connector(location: &str) -> Result<Connector, StorageError> {
    let network = Network::from_environment().map_err(|error| StorageError::Location {
        location: location.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Connector::new(network))
}

fn s3_client(
    builder: AmazonS3Builder,
    connector: &Connector,
    encryption: &Encryption,
    location: &str,
) -> Result<(Arc<dyn ObjectStore>, S3), StorageError> {
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    let signed_for = signed_for(&builder);
    let client = encrypted(builder, encryption)
        .and_then(|builder| builder.with_retry(retry()).build())
        .and_then(|store| Ok((DeleteOne::new(store.clone(), signed_for, connector)?, store)));
    let (delete_one, store) = client.map_err(|_| StorageError::Client {
        location: location.to_owned(),
        region: region.unwrap_or_else(|| "not set".to_owned()),
    })?;
    let store = Arc::new(store);
    let s3 = S3 {
        delete_one,
        parts: Arc::clone(&store) as Arc<dyn MultipartStore>,
        role: None,
    };
    Ok((store, s3))
}

/// The region that requests are signed for: object_store's default if none is set.
fn signed_for(builder: &AmazonS3Builder) -> String {
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    region.unwrap_or_else(|| "us-east-1".to_owned())
}

/// None by the client itself, which would be silent: see `patience`.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

fn encrypted(
    builder: AmazonS3Builder,
    encryption: &Encryption,
) -> object_store::Result<AmazonS3Builder> {
    let kind: AmazonS3ConfigKey = "aws_server_side_encryption".parse()?;
    let key: AmazonS3ConfigKey = "aws_sse_kms_key_id".parse()?;
    Ok(match encryption {
        Encryption::BucketDefault => builder,
        Encryption::SseS3 => builder.with_config(kind, "AES256"),
        Encryption::SseKms { key_id: None } => builder.with_config(kind, "aws:kms"),
        Encryption::SseKms { key_id: Some(id) } => {
            builder.with_config(kind, "aws:kms").with_config(key, id)
        }
    })
}
