//! The config file: whose org, and where rejected records go.
//!
//! Whatever works with Airbyte's own connector works here unchanged; keys it does not know are left
//! alone. Errors name the key and what is allowed, never a value: it may be a secret.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::{Host, Url};

use crate::error::{Error, Result};
use crate::settings::{NullHandling, Settings};

/// A config that has been checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the refresh token is exchanged.
    pub(crate) login_url: Url,
    /// Consumer key of the connected app.
    pub(crate) client_id: String,
    /// Consumer secret of the connected app.
    pub(crate) client_secret: SecretString,
    /// OAuth refresh token of the integration user.
    pub(crate) refresh_token: SecretString,
    /// How loads run.
    pub(crate) settings: Settings,
    /// Where rejected records go; nowhere if absent.
    pub(crate) rejects: Option<RejectPlace>,
}

/// Where rejected records go.
#[derive(Debug)]
pub(crate) enum RejectPlace {
    /// Any URL that object_store opens.
    Url(Url),
    /// `object_storage_config` with storage type S3.
    S3(Box<S3>),
}

/// An S3 bucket, or one like it.
#[derive(Debug)]
pub(crate) struct S3 {
    pub(crate) bucket: String,
    /// Absent only with an endpoint.
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<Url>,
    /// Access key id and its secret; the environment's credentials if absent.
    pub(crate) keys: Option<(SecretString, SecretString)>,
    /// Prefix of every object.
    pub(crate) path: String,
    pub(crate) format: FormatType,
    pub(crate) path_format: Option<String>,
    pub(crate) file_name_format: Option<String>,
}

/// Format of the files of rejected records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum FormatType {
    #[default]
    #[serde(rename = "CSV")]
    Csv,
    #[serde(rename = "JSONL")]
    Jsonl,
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
        let rejects = match absent_if_empty(file.rejected_records_url) {
            Some(url) => Some(RejectPlace::Url(parse_url("rejected_records_url", &url)?)),
            None => storage(file.object_storage_config)?
                .map(Box::new)
                .map(RejectPlace::S3),
        };
        Ok(Self {
            login_url: login_url(file.login_url, file.is_sandbox.unwrap_or_default())?,
            client_id: required("client_id", file.client_id)?,
            client_secret: required("client_secret", file.client_secret)?.into(),
            refresh_token: required("refresh_token", file.refresh_token)?.into(),
            settings,
            rejects,
        })
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
    null_handling: Option<String>,
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
            null_handling: null_handling(self.null_handling.as_deref())?,
        };
        settings.validate()?;
        Ok(settings)
    }
}

fn null_handling(setting: Option<&str>) -> Result<NullHandling> {
    match setting.unwrap_or_default() {
        "" | "leave" => Ok(NullHandling::Leave),
        _ => Err(Error::config(
            "null_handling: this version leaves a field untouched where the record has a null; \
             set \"leave\", or remove the setting",
        )),
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
fn storage(config: Option<Value>) -> Result<Option<S3>> {
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
    format: Format,
    #[serde(default, deserialize_with = "null_is_default")]
    compression: Compression,
    path_format: Option<String>,
    file_name_format: Option<String>,
}

#[derive(Default, Deserialize)]
struct Format {
    format_type: FormatType,
    #[serde(default, deserialize_with = "null_is_default")]
    flattening: Flattening,
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
    fn check(self) -> Result<S3> {
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
        let endpoint = absent_if_empty(self.s3_endpoint)
            .map(|text| parse_url("object_storage_config.s3_endpoint", &text))
            .transpose()?;
        let region = absent_if_empty(self.s3_bucket_region);
        if region.is_none() && endpoint.is_none() {
            return Err(empty("object_storage_config.s3_bucket_region"));
        }
        Ok(S3 {
            bucket: required("object_storage_config.s3_bucket_name", self.s3_bucket_name)?,
            region,
            endpoint,
            keys,
            path: self.bucket_path,
            format: self.format.format_type,
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
        Some((_, "u64" | "usize")) => "must be a whole number, 0 or more".to_owned(),
        Some((_, expected)) if expected.starts_with("struct ") => "must be an object".to_owned(),
        Some((_, expected)) => format!("must be {expected}"),
        None => "cannot be read".to_owned(),
    }
}

/// Configs that tests of this and other files start from, and the keys that are read.
#[cfg(test)]
pub(crate) mod testing {
    use serde::de::{Error as _, Visitor, value::Error as ValueError};
    use serde_json::json;

    use super::*;

    pub(crate) fn valid() -> Value {
        json!({
            "client_id": "id", "client_secret": "s3cret", "refresh_token": "t0ken",
            "is_sandbox": false, "auth_type": "Client",
        })
    }

    pub(crate) fn parse(config: &Value) -> Result<Config> {
        Config::parse(config.to_string().as_bytes())
    }

    /// Keys of the config, Airbyte's own first.
    pub(crate) fn config_keys() -> &'static [&'static str] {
        keys_of::<ConfigFile>()
    }

    /// Keys of an object storage of type S3, but for `storage_type`.
    pub(crate) fn s3_keys() -> &'static [&'static str] {
        keys_of::<S3File>()
    }

    fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
        let mut keys = Keys(&[]);
        assert!(T::deserialize(&mut keys).is_err());
        keys.0
    }

    /// A deserializer that only hears which keys a struct asks for.
    struct Keys(&'static [&'static str]);

    impl<'de> Deserializer<'de> for &mut Keys {
        type Error = ValueError;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, ValueError> {
            self.0 = fields;
            Err(ValueError::custom("only the keys were asked for"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
            Err(ValueError::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::testing::{parse, valid};
    use super::*;
    use crate::error::ErrorKind;

    fn with(key: &str, value: Value) -> Value {
        let mut config = valid();
        config[key] = value;
        config
    }

    fn s3(more: &Value) -> Value {
        let mut storage = json!({
            "storage_type": "S3", "s3_bucket_name": "bucket", "s3_bucket_region": "eu-west-1",
            "bucket_path": "rejected/", "format": {"format_type": "CSV", "flattening": "No flattening"},
        });
        for (key, value) in more.as_object().unwrap() {
            storage[key] = value.clone();
        }
        with("object_storage_config", storage)
    }

    fn complaint_of(config: &Value) -> String {
        let error = parse(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    fn s3_of(config: &Value) -> S3 {
        match parse(config).unwrap().rejects {
            Some(RejectPlace::S3(s3)) => *s3,
            other => panic!("not S3: {other:?}"),
        }
    }

    #[test]
    fn the_example_of_the_docs_page_runs_as_it_stands() {
        let config = Config::parse(
            br#"{"client_id":"your_consumer_key","client_secret":"your_consumer_secret",
            "refresh_token":"your_refresh_token","is_sandbox":false,"object_storage_config":{
            "storage_type":"S3","access_key_id":"your_access_key_id",
            "secret_access_key":"your_secret_access_key","s3_bucket_name":"your_bucket_name",
            "s3_bucket_region":"us-east-1","bucket_path":"rejected_records/"}}"#,
        )
        .unwrap();
        assert_eq!(config.login_url.as_str(), "https://login.salesforce.com/");
        assert_eq!(config.client_secret.expose_secret(), "your_consumer_secret");
        assert_eq!(config.settings, Settings::default());
        let Some(RejectPlace::S3(s3)) = config.rejects else {
            panic!("no S3");
        };
        assert_eq!(s3.format, FormatType::Csv);
        assert_eq!(s3.path, "rejected_records/");
        let (id, _) = s3.keys.unwrap();
        assert_eq!(id.expose_secret(), "your_access_key_id");
    }

    #[test]
    fn what_may_be_left_out() {
        let config = parse(&json!({
            "client_id": "id", "client_secret": "s", "refresh_token": "t", "is_sandbox": null,
            "auth_type": null, "object_storage_config": null, "login_url": "",
            "max_job_rows": null, "a_key_of_tomorrow": {"x": 1},
        }))
        .unwrap();
        assert!(config.rejects.is_none());
        assert_eq!(config.login_url.host_str(), Some("login.salesforce.com"));
        assert!(
            parse(&with(
                "object_storage_config",
                json!({"storage_type": "None"})
            ))
            .is_ok()
        );
    }

    #[test]
    fn a_sandbox_has_its_own_host() {
        let config = parse(&with("is_sandbox", json!(true))).unwrap();
        assert_eq!(config.login_url.host_str(), Some("test.salesforce.com"));
    }

    #[test]
    fn http_is_for_this_machine_only() {
        for url in [
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "https://x.my.salesforce.com",
        ] {
            parse(&with("login_url", json!(url))).unwrap();
        }
        for url in [
            "http://login.salesforce.com",
            "ftp://localhost",
            "http://127.0.0.1.example.com",
        ] {
            assert!(complaint_of(&with("login_url", json!(url))).starts_with("login_url must"));
        }
        insta::assert_snapshot!(
            complaint_of(&with("login_url", json!("login.salesforce.com"))),
            @"login_url is not a URL: relative URL without a base"
        );
    }

    #[test]
    fn errors_name_the_key_and_what_is_allowed() {
        let mut config = valid();
        config.as_object_mut().unwrap().remove("refresh_token");
        insta::assert_snapshot!(complaint_of(&config), @"the config lacks the key `refresh_token`");
        insta::assert_snapshot!(complaint_of(&with("client_id", json!(" "))), @"client_id is empty; it is required");
        insta::assert_snapshot!(complaint_of(&with("is_sandbox", json!("yes"))), @"is_sandbox must be a boolean");
        insta::assert_snapshot!(complaint_of(&with("auth_type", json!("Basic"))), @"auth_type must be `Client`");
        insta::assert_snapshot!(complaint_of(&with("max_job_bytes", json!(-1))), @"max_job_bytes must be a whole number, 0 or more");
        insta::assert_snapshot!(complaint_of(&with("max_job_bytes", json!(1))), @"max_job_bytes is 1; it must be between 10000 and 112500000");
        insta::assert_snapshot!(complaint_of(&with("flush_interval_seconds", json!(0))), @"flush_interval_seconds is 0; it must be between 1 and 86400");
        insta::assert_snapshot!(complaint_of(&with("null_handling", json!("clear"))), @r#"null_handling: this version leaves a field untouched where the record has a null; set "leave", or remove the setting"#);
        insta::assert_snapshot!(complaint_of(&json!([])), @"the config must be an object");
        insta::assert_snapshot!(Config::parse(b"{\n,").unwrap_err(), @"the config is not JSON: see line 2, column 1 of the file");
    }

    #[test]
    fn errors_of_the_object_storage_name_its_keys() {
        insta::assert_snapshot!(complaint_of(&with("object_storage_config", json!({}))), @"object_storage_config lacks the key `storage_type`");
        insta::assert_snapshot!(complaint_of(&with("object_storage_config", json!("S3"))), @"object_storage_config must be an object");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"storage_type": "GCS"}))), @"object_storage_config.storage_type must be `None` or `S3`");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"s3_bucket_name": 7}))), @"object_storage_config.s3_bucket_name must be a string");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"s3_bucket_region": ""}))), @"object_storage_config.s3_bucket_region is empty; it is required");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"format": {"format_type": "XML"}}))), @"object_storage_config.format.format_type must be `CSV` or `JSONL`");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"access_key_id": "A0"}))), @"object_storage_config: access_key_id and secret_access_key come together; give both, or neither to use the credentials of the environment");
    }

    #[test]
    fn what_this_version_does_not_do_is_refused() {
        insta::assert_snapshot!(complaint_of(&s3(&json!({"role_arn": "arn:aws:iam::1:role/x"}))), @"object_storage_config.role_arn: this version does not assume roles: leave it empty and give keys");
        insta::assert_snapshot!(complaint_of(&s3(&json!({"compression": {"compression_type": "GZIP"}}))), @r#"object_storage_config.compression: this version writes "No Compression" only"#);
        insta::assert_snapshot!(complaint_of(&s3(&json!({"format": {"format_type": "JSONL", "flattening": "Root level flattening"}}))), @r#"object_storage_config.format.flattening: this version writes "No flattening" only"#);
    }

    #[test]
    fn a_store_like_s3_needs_no_region() {
        let s3 = s3_of(&s3(
            &json!({"s3_bucket_region": "", "s3_endpoint": "http://localhost:9000"}),
        ));
        assert_eq!(s3.region, None);
        assert_eq!(s3.endpoint.unwrap().port(), Some(9000));
    }

    #[test]
    fn a_url_takes_the_place_of_the_object_storage() {
        let mut config = s3(&json!({"storage_type": "unread"}));
        config["rejected_records_url"] = json!("file:///data/rejected");
        let Some(RejectPlace::Url(url)) = parse(&config).unwrap().rejects else {
            panic!("no URL");
        };
        assert_eq!(url.path(), "/data/rejected");
    }

    #[test]
    fn no_secret_in_an_error_or_in_debug() {
        let config = s3(&json!({"access_key_id": "AKIASECRET", "secret_access_key": "s3cret"}));
        let debug = format!("{:?}", parse(&config).unwrap());
        let mut wrong = config;
        wrong["client_secret"] = json!({"s3cret": "t0ken"});
        let error = complaint_of(&wrong);
        for secret in ["s3cret", "t0ken", "AKIASECRET"] {
            assert!(!debug.contains(secret), "{debug}");
            assert!(!error.contains(secret), "{error}");
        }
    }
}
