//! The config file: whose org, and where rejected records go.
//!
//! Whatever works with Airbyte's own connector works here unchanged; keys it does not know are left
//! alone. Errors name the key and what is allowed, never a value: it may be a secret.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::bulk::Credentials;
use crate::error::{Error, Result};
use crate::reject::{Format, Place, RejectConfig, RejectStore, S3Place};
use crate::settings::{NullHandling, OnTooLong, Settings, Timezone, Validate};

/// A config that has been checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Whose org it is.
    pub(crate) credentials: Credentials,
    /// How loads run.
    pub(crate) settings: Settings,
    /// Whether records of `soft_delete` streams bypass the recycle bin.
    pub(crate) hard_delete: bool,
    /// Where rejected records go; they are only counted if absent.
    pub(crate) rejects: Option<RejectConfig>,
    /// The text of the file.
    text: SecretString,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// A config error that names the path, or the key and what is allowed.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(&super::read_file("config", path)?)
    }

    fn parse(json: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::config(format!(
                "the config is not JSON: see line {line}, column {column} of the file"
            ))
        })?;
        let file: ConfigFile = typed(value, "")?;
        let settings = file.settings()?;
        let credentials = Credentials {
            login_url: login_url(file.login_url, file.is_sandbox.unwrap_or_default())?,
            client_id: required("client_id", file.client_id)?,
            client_secret: required("client_secret", file.client_secret)?.into(),
            refresh_token: required("refresh_token", file.refresh_token)?.into(),
        };
        let rejects = match absent_if_empty(file.rejected_records_url) {
            Some(url) => Some(RejectConfig {
                place: Place::Url(parse_url("rejected_records_url", &url)?),
                format: Format::default(),
                path_format: None,
                file_name_format: None,
            }),
            None => storage(file.object_storage_config)?,
        };
        Ok(Self {
            credentials,
            settings,
            hard_delete: file.hard_delete.unwrap_or_default(),
            rejects,
            text: String::from_utf8_lossy(json).into_owned().into(),
        })
    }

    /// The config as it came, but for the refresh token.
    ///
    /// # Errors
    /// A system error if the text is not the config that was read.
    pub(crate) fn with_refresh_token(&self, token: &SecretString) -> Result<Box<RawValue>> {
        let broken = |_| Error::system("the config cannot be written again");
        let mut file: Map<String, Value> =
            serde_json::from_str(self.text.expose_secret()).map_err(broken)?;
        file.insert("refresh_token".to_owned(), token.expose_secret().into());
        to_raw_value(&file).map_err(broken)
    }

    /// Opens the place for rejected records, if there is one, and proves that it takes them.
    ///
    /// # Errors
    /// A config error if it is no place or refuses; a transient one if it cannot be reached.
    pub(crate) async fn reject_store(&self) -> Result<Option<Arc<RejectStore>>> {
        let Some(config) = &self.rejects else {
            return Ok(None);
        };
        let store = RejectStore::open(config, Utc::now())?;
        store.prove().await?;
        Ok(Some(Arc::new(store)))
    }
}

/// The file as written.
#[derive(Deserialize)]
struct ConfigFile {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    is_sandbox: Option<bool>,
    #[serde(rename = "auth_type")]
    _auth_type: Option<AuthType>,
    object_storage_config: Option<Value>,
    login_url: Option<String>,
    rejected_records_url: Option<String>,
    max_job_bytes: Option<u64>,
    max_job_rows: Option<u64>,
    max_jobs_in_flight: Option<usize>,
    memory_limit_bytes: Option<u64>,
    flush_interval_seconds: Option<u64>,
    #[serde(default, deserialize_with = "empty_is_default")]
    null_handling: NullsFile,
    timezone: Option<String>,
    #[serde(default, deserialize_with = "empty_is_default")]
    on_too_long: TooLongFile,
    #[serde(default, deserialize_with = "empty_is_default")]
    validate: ValidateFile,
    assignment_rule_id: Option<String>,
    hard_delete: Option<bool>,
    max_rejected_percent: Option<u8>,
    log_values: Option<bool>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NullsFile {
    #[default]
    Leave,
    Clear,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TooLongFile {
    #[default]
    Reject,
    Truncate,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ValidateFile {
    #[default]
    Minimal,
    Strict,
}

#[derive(Deserialize)]
enum AuthType {
    Client,
}

impl ConfigFile {
    fn settings(&self) -> Result<Settings> {
        let defaults = Settings::default();
        let settings = Settings {
            max_job_bytes: self.max_job_bytes.unwrap_or(defaults.max_job_bytes),
            max_job_rows: self.max_job_rows,
            max_jobs_in_flight: self
                .max_jobs_in_flight
                .unwrap_or(defaults.max_jobs_in_flight),
            memory_limit_bytes: self
                .memory_limit_bytes
                .unwrap_or(defaults.memory_limit_bytes),
            flush_interval: self
                .flush_interval_seconds
                .map_or(defaults.flush_interval, Duration::from_secs),
            null_handling: match self.null_handling {
                NullsFile::Leave => NullHandling::Leave,
                NullsFile::Clear => NullHandling::Clear,
            },
            on_too_long: match self.on_too_long {
                TooLongFile::Reject => OnTooLong::Reject,
                TooLongFile::Truncate => OnTooLong::Truncate,
            },
            validate: match self.validate {
                ValidateFile::Minimal => Validate::Minimal,
                ValidateFile::Strict => Validate::Strict,
            },
            timezone: match absent_if_empty(self.timezone.clone()) {
                Some(zone) => Timezone::parse(zone.trim())?,
                None => defaults.timezone,
            },
            assignment_rule_id: absent_if_empty(self.assignment_rule_id.clone()),
            max_rejected_percent: self.max_rejected_percent,
            log_values: self.log_values.unwrap_or(defaults.log_values),
        };
        settings.validate()?;
        Ok(settings)
    }
}

fn login_url(setting: Option<String>, is_sandbox: bool) -> Result<Url> {
    let default = if is_sandbox {
        "https://test.salesforce.com"
    } else {
        "https://login.salesforce.com"
    };
    let text = absent_if_empty(setting);
    let url = parse_url("login_url", text.as_deref().unwrap_or(default))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config(
            "login_url must not hold a user name or a password",
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(Error::config(
            "login_url must begin with https:// (http:// is for a server on this machine only, \
             such as http://localhost:8080)",
        )),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// `object_storage_config`, of which nothing is kept for the storage type `None`.
fn storage(config: Option<Value>) -> Result<Option<RejectConfig>> {
    let Some(config) = config else {
        return Ok(None);
    };
    let kind: Storage = typed(config.clone(), STORAGE)?;
    match kind.storage_type {
        StorageType::None => Ok(None),
        StorageType::S3 => typed::<S3File>(config, STORAGE)?.check().map(Some),
    }
}

const STORAGE: &str = "object_storage_config";

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
struct S3File {
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
    compression: Compression,
    path_format: Option<String>,
    file_name_format: Option<String>,
}

#[derive(Default, Deserialize)]
struct FormatFile {
    format_type: FormatType,
    #[serde(default, deserialize_with = "null_is_default")]
    flattening: Flattening,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum FormatType {
    #[default]
    #[serde(rename = "CSV")]
    Csv,
    #[serde(rename = "JSONL")]
    Jsonl,
}

#[derive(Default, Deserialize)]
enum Flattening {
    #[default]
    #[serde(rename = "No flattening")]
    No,
    #[serde(rename = "Root level flattening")]
    RootLevel,
}

#[derive(Default, Deserialize)]
struct Compression {
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
        if absent_if_empty(self.role_arn).is_some() {
            return Err(later(
                "role_arn",
                "does not assume roles: leave it empty and give keys",
            ));
        }
        if let Flattening::RootLevel = self.format.flattening {
            return Err(later("format.flattening", "writes \"No flattening\" only"));
        }
        if let CompressionType::Gzip = self.compression.compression_type {
            return Err(later("compression", "writes \"No Compression\" only"));
        }
        let keys = match (
            absent_if_empty(self.access_key_id),
            absent_if_empty(self.secret_access_key),
        ) {
            (Some(id), Some(secret)) => Some((id.into(), secret.into())),
            (None, None) => None,
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
        Ok(RejectConfig {
            place: Place::S3(S3Place {
                bucket: required("object_storage_config.s3_bucket_name", self.s3_bucket_name)?,
                region,
                endpoint,
                keys,
                bucket_path: self.bucket_path,
            }),
            format: match self.format.format_type {
                FormatType::Csv => Format::Csv,
                FormatType::Jsonl => Format::Jsonl,
            },
            path_format: absent_if_empty(self.path_format),
            file_name_format: absent_if_empty(self.file_name_format),
        })
    }
}

fn later(key: &str, what: &str) -> Error {
    Error::config(format!("{STORAGE}.{key}: this version {what}"))
}

fn empty(key: &str) -> Error {
    Error::config(format!("{key} is empty; it is required"))
}

fn required(key: &str, value: String) -> Result<String> {
    if value.trim().is_empty() {
        return Err(empty(key));
    }
    Ok(value)
}

/// A form sends an empty text for a setting that was left out.
fn absent_if_empty(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.trim().is_empty())
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// As [`absent_if_empty`], for a choice among words.
fn empty_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    match absent_if_empty(Option::deserialize(deserializer)?) {
        Some(word) => T::deserialize(word.into_deserializer()),
        None => Ok(T::default()),
    }
}

fn parse_url(key: &str, text: &str) -> Result<Url> {
    Url::parse(text.trim()).map_err(|error| Error::config(format!("{key} is not a URL: {error}")))
}

/// Reads `value` as a `T`; `parent` is the key that holds it, empty for the file itself.
fn typed<T: DeserializeOwned>(value: Value, parent: &str) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let key = match (parent, path.as_str()) {
            ("", ".") => "the config".to_owned(),
            (parent, ".") => parent.to_owned(),
            ("", path) => path.to_owned(),
            (parent, path) => format!("{parent}.{path}"),
        };
        Error::config(format!("{key} {}", complaint(&error.inner().to_string())))
    })
}

/// What serde says, without the value that it found.
fn complaint(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("lacks the key {field}");
    }
    match message.rsplit_once(", expected ") {
        Some((_, "u8" | "u64" | "usize")) => "must be a whole number, 0 or more".to_owned(),
        Some((_, expected)) if expected.starts_with("struct ") => "must be an object".to_owned(),
        Some((_, expected)) => format!("must be {expected}"),
        None => "cannot be read".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
