//! Where rejected records go: `object_storage_config`, and our own keys beside it.

use serde::Deserialize;
use serde_json::Value;

use super::{absent_if_empty, empty, parse_url, required, typed};
use crate::platform::null_is_default;
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::reject::airbyte::{Envelope, FileType, Flattening};
use arrow_salesforce::reject::{Compression, RejectConfig, RejectFormat};
use arrow_salesforce::storage::{Encryption, Location, S3Credentials, S3Location};

const STORAGE: &str = "object_storage_config";

/// `object_storage_config`, of which nothing is kept for the storage type `None`.
pub(super) fn storage(config: Option<Value>) -> Result<Option<RejectConfig>> {
    let Some(config) = config else {
        return Ok(None);
    };
    let kind: Storage = typed(config.clone(), STORAGE)?;
    match kind.storage_type {
        StorageType::None => Ok(None),
        StorageType::S3 => typed::<S3File>(config, STORAGE)?.check().map(Some),
    }
}

/// `rejected_records_encryption` and the key that it may have.
pub(super) fn encryption(kind: Option<String>, key_id: Option<String>) -> Result<Encryption> {
    let kind = absent_if_empty(kind).map(|kind| typed(kind.into(), "rejected_records_encryption"));
    let key_id = absent_if_empty(key_id).map(|id| id.trim().to_owned());
    match (kind.transpose()?.unwrap_or_default(), key_id) {
        (EncryptionFile::SseKms, key_id) => Ok(Encryption::SseKms { key_id }),
        (_, Some(_)) => Err(Error::config(
            "rejected_records_kms_key_id is for the rejected_records_encryption \"SSE-KMS\"; \
             choose that, or leave the key out",
        )),
        (EncryptionFile::None, None) => Ok(Encryption::BucketDefault),
        (EncryptionFile::SseS3, None) => Ok(Encryption::SseS3),
    }
}

/// `rejected_records_encryption`, as written.
#[derive(Clone, Copy, Default, Deserialize)]
enum EncryptionFile {
    #[default]
    #[serde(rename = "none")]
    None,
    #[serde(rename = "SSE-S3")]
    SseS3,
    #[serde(rename = "SSE-KMS")]
    SseKms,
}

#[derive(Deserialize)]
struct Storage {
    storage_type: StorageType,
}

#[derive(Deserialize)]
enum StorageType {
    None,
    S3,
}

/// `object_storage_config` of storage type S3, as written.
#[derive(Deserialize)]
pub(super) struct S3File {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    role_arn: Option<String>,
    s3_bucket_name: String,
    s3_bucket_region: Option<String>,
    s3_endpoint: Option<String>,
    bucket_path: String,
    #[serde(default, deserialize_with = "null_is_default")]
    format: FormatFile,
    #[serde(default, deserialize_with = "null_is_default")]
    compression: CompressionFile,
    path_format: Option<String>,
    file_name_format: Option<String>,
}

#[derive(Default, Deserialize)]
struct FormatFile {
    format_type: FormatType,
    #[serde(default, deserialize_with = "null_is_default")]
    flattening: FlatteningFile,
}

#[derive(Default, Deserialize)]
enum FormatType {
    #[default]
    #[serde(rename = "CSV")]
    Csv,
    #[serde(rename = "JSONL")]
    Jsonl,
}

#[derive(Default, Deserialize)]
enum FlatteningFile {
    #[default]
    #[serde(rename = "No flattening")]
    No,
    #[serde(rename = "Root level flattening")]
    RootLevel,
}

#[derive(Default, Deserialize)]
struct CompressionFile {
    compression_type: CompressionType,
}

#[derive(Default, Deserialize)]
enum CompressionType {
    #[default]
    #[serde(rename = "No Compression")]
    No,
    #[serde(rename = "GZIP")]
    Gzip,
}

impl S3File {
    fn check(self) -> Result<RejectConfig> {
        let role = absent_if_empty(self.role_arn).map(|arn| arn.trim().to_owned());
        let credentials = match (
            absent_if_empty(self.access_key_id),
            absent_if_empty(self.secret_access_key),
            role,
        ) {
            (Some(id), Some(secret), role) => {
                if role.is_some() {
                    tracing::warn!(
                        "role_arn is not used, since access_key_id and secret_access_key are set: \
                         leave them out to assume it with the environment's credentials"
                    );
                }
                S3Credentials::Key {
                    id: id.into(),
                    secret: secret.into(),
                }
            }
            (None, None, Some(arn)) => S3Credentials::Role(arn),
            (None, None, None) => S3Credentials::Environment,
            _ => {
                return Err(Error::config(format!(
                    "{STORAGE}: access_key_id and secret_access_key come together; give both, or \
                     neither to use the credentials of the environment"
                )));
            }
        };
        let endpoint = absent_if_empty(self.s3_endpoint);
        if let Some(text) = &endpoint {
            parse_url("object_storage_config.s3_endpoint", text)?;
        }
        let region = absent_if_empty(self.s3_bucket_region).unwrap_or_default();
        if region.is_empty() && endpoint.is_none() {
            return Err(empty("object_storage_config.s3_bucket_region"));
        }
        let location = Location::S3(S3Location {
            bucket: required("object_storage_config.s3_bucket_name", self.s3_bucket_name)?,
            region,
            endpoint,
            credentials,
            prefix: self.bucket_path,
        });
        Ok(RejectConfig {
            format: RejectFormat::Airbyte(Envelope {
                file_type: match self.format.format_type {
                    FormatType::Csv => FileType::Csv,
                    FormatType::Jsonl => FileType::Jsonl,
                },
                flattening: match self.format.flattening {
                    FlatteningFile::No => Flattening::No,
                    FlatteningFile::RootLevel => Flattening::RootLevel,
                },
                compression: match self.compression.compression_type {
                    CompressionType::No => Compression::No,
                    CompressionType::Gzip => Compression::Gzip,
                },
            }),
            path_format: absent_if_empty(self.path_format),
            file_name_format: absent_if_empty(self.file_name_format),
            ..RejectConfig::new(location)
        })
    }
}
