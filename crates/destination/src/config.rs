//! The config file: whose org, and where rejected records go.
//!
//! Whatever works with Airbyte's own connector works here unchanged; keys it does not know are left
//! alone. Errors name the key and what is allowed, never a value: it may be a secret.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use url::Url;

use self::login::AuthType;
use crate::platform::{null_is_default, read_file};
use arrow_salesforce::bulk::Credentials;
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::options::{
    Concurrency, LoadOptions, NullHandling, OnTooLong, OrgOptions, Timezone, Validate,
    ValueOptions, Waits,
};
use arrow_salesforce::reject::{RejectConfig, RejectStore};
use arrow_salesforce::storage::Location;

mod ledger;
mod login;
mod receipts;
mod storage;

use ledger::{LedgerConfig, LedgerFile};
use receipts::ReceiptsConfig;
use storage::{encryption, storage};

/// A config that has been checked.
#[derive(Debug)]
pub struct Config {
    /// Whose org it is.
    pub credentials: Credentials,
    /// Whether the org is said to be a sandbox.
    pub(crate) is_sandbox: Option<bool>,
    /// What the loads share.
    pub org: OrgOptions,
    /// How each load runs.
    pub load: LoadOptions,
    /// How values are written.
    pub values: ValueOptions,
    /// Whether records of `soft_delete` streams bypass the recycle bin.
    pub(crate) hard_delete: bool,
    /// Whether `discover` lists histories, shares, feeds and change events too.
    pub(crate) discover_system_objects: bool,
    /// Where rejected records go; they are only counted if absent.
    pub(crate) rejects: Option<RejectConfig>,
    /// Where rows that are inserted are noted, so that an attempt can be repeated.
    pub(crate) ledger: LedgerConfig,
    /// Where receipts of accepted records go.
    pub(crate) receipts: ReceiptsConfig,
    /// The text of the file.
    pub text: ConfigText,
}

/// The text of a config file, secrets included.
#[derive(Debug, Clone)]
pub struct ConfigText(SecretString);

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// A config error that names the path, or the key and what is allowed.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_file("config", path)?)
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        let mut value: Value = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::config(format!(
                "the config is not JSON: see line {line}, column {column} of the file"
            ))
        })?;
        if !value.is_object() {
            return Err(Error::config("the config must be a JSON object"));
        }
        let wait_permille = with_units(&mut value);
        let mut file: ConfigFile = typed(value, "")?;
        let values = file.values()?;
        let load = file.load()?;
        let org = file.org(wait_permille)?;
        let encryption = encryption(
            file.rejected_records_encryption.take(),
            file.rejected_records_kms_key_id.take(),
        )?;
        let ledger = LedgerConfig::of(file.ledger, file.ledger_url.take(), file.ledger_id.take())?;
        let columns = std::mem::take(&mut file.receipt_columns);
        let receipts = ReceiptsConfig::of(file.receipts_url.take(), columns)?;
        let credentials = login::credentials(&mut file)?;
        let rejects = match absent_if_empty(file.rejected_records_url) {
            Some(url) => {
                let url = parse_url("rejected_records_url", &url)?;
                Some(RejectConfig::new(Location::Url(url)))
            }
            None => storage(file.object_storage_config)?,
        };
        let rejects = rejects.map(|rejects| RejectConfig {
            encryption,
            waits: org.waits,
            ..rejects
        });
        Ok(Self {
            credentials,
            is_sandbox: file.is_sandbox,
            org,
            load,
            values,
            hard_delete: file.hard_delete.unwrap_or_default(),
            discover_system_objects: file.discover_system_objects.unwrap_or_default(),
            rejects,
            ledger,
            receipts,
            text: ConfigText(String::from_utf8_lossy(json).into_owned().into()),
        })
    }

    /// Opens the location of rejected records, if there is one; nothing is sent yet.
    ///
    /// # Errors
    /// A config error if it is no location.
    pub(crate) fn reject_store(&self) -> Result<Option<RejectStore>> {
        let open = |config| RejectStore::open(config, Utc::now());
        Ok(self.rejects.as_ref().map(open).transpose()?)
    }
}

impl ConfigText {
    /// The config as it came, but for the refresh token.
    ///
    /// # Errors
    /// A system error if the text is not the config that was read.
    pub fn with_refresh_token(&self, token: &SecretString) -> Result<Box<RawValue>> {
        let broken = |_| Error::system("the config cannot be written again");
        let mut file: Map<String, Value> =
            serde_json::from_str(self.0.expose_secret()).map_err(broken)?;
        file.insert("refresh_token".to_owned(), token.expose_secret().into());
        to_raw_value(&file).map_err(broken)
    }
}

/// The file as written.
#[derive(Deserialize)]
struct ConfigFile {
    client_id: String,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    is_sandbox: Option<bool>,
    #[serde(default, deserialize_with = "null_is_default")]
    auth_type: AuthType,
    object_storage_config: Option<Value>,
    login_url: Option<String>,
    #[serde(default, deserialize_with = "listed")]
    instance_hosts: Vec<String>,
    rejected_records_url: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    max_job_bytes: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    max_job_rows: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    max_jobs_in_flight: Option<usize>,
    #[serde(default, deserialize_with = "whole")]
    memory_limit_bytes: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    flush_interval_seconds: Option<u64>,
    #[serde(default, deserialize_with = "empty_is_default")]
    null_handling: NullHandling,
    timezone: Option<String>,
    #[serde(default, deserialize_with = "empty_is_default")]
    on_too_long: OnTooLong,
    #[serde(default, deserialize_with = "empty_is_default")]
    validate: Validate,
    #[serde(default, deserialize_with = "whole")]
    max_attempts: Option<u32>,
    group_by: Option<String>,
    #[serde(default, deserialize_with = "empty_is_default")]
    concurrency: Concurrency,
    #[serde(default, deserialize_with = "whole")]
    patience_seconds: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    limit_wait_seconds: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    job_timeout_seconds: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    stop_grace_seconds: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    limit_reserve_percent: Option<u8>,
    assignment_rule_id: Option<String>,
    hard_delete: Option<bool>,
    #[serde(default, deserialize_with = "whole")]
    max_rejected_percent: Option<u8>,
    #[serde(default, deserialize_with = "whole")]
    held_rows: Option<u64>,
    log_values: Option<bool>,
    discover_system_objects: Option<bool>,
    #[serde(default, deserialize_with = "empty_is_default")]
    ledger: LedgerFile,
    ledger_url: Option<String>,
    ledger_id: Option<String>,
    receipts_url: Option<String>,
    #[serde(default, deserialize_with = "listed")]
    receipt_columns: Vec<String>,
    rejected_records_encryption: Option<String>,
    rejected_records_kms_key_id: Option<String>,
    username: Option<String>,
    private_key: Option<String>,
}

impl ConfigFile {
    fn org(&self, wait_permille: Option<u32>) -> Result<OrgOptions> {
        let mut org = OrgOptions::default().with_waits(self.waits());
        org.waits.wait_permille = wait_permille.unwrap_or(org.waits.wait_permille);
        if let Some(jobs) = self.max_jobs_in_flight {
            org.max_jobs_in_flight = jobs;
        }
        if let Some(bytes) = self.memory_limit_bytes {
            org.memory_limit_bytes = bytes;
        }
        if let Some(percent) = self.limit_reserve_percent {
            org.limit_reserve_percent = percent;
        }
        org.validate()?;
        Ok(org)
    }

    fn waits(&self) -> Waits {
        let mut waits =
            Waits::default().with_limit_wait(self.limit_wait_seconds.map(Duration::from_secs));
        for (seconds, wait) in [
            (self.patience_seconds, &mut waits.patience),
            (self.job_timeout_seconds, &mut waits.job_timeout),
            (self.stop_grace_seconds, &mut waits.stop_grace),
        ] {
            if let Some(seconds) = seconds {
                *wait = Duration::from_secs(seconds);
            }
        }
        waits
    }

    fn load(&self) -> Result<LoadOptions> {
        let mut load = LoadOptions::default()
            .with_max_job_rows(self.max_job_rows)
            .with_max_rejected_percent(self.max_rejected_percent)
            .with_group_by(absent_if_empty(self.group_by.clone()))
            .with_concurrency(self.concurrency)
            .with_log_values(self.log_values.unwrap_or_default());
        if let Some(bytes) = self.max_job_bytes {
            load.max_job_bytes = bytes;
        }
        if let Some(attempts) = self.max_attempts {
            load.max_attempts = attempts;
        }
        if let Some(seconds) = self.flush_interval_seconds {
            load.flush_interval = Duration::from_secs(seconds);
        }
        if let Some(rows) = self.held_rows {
            load.held_rows = rows;
        }
        load.assignment_rule_id = absent_if_empty(self.assignment_rule_id.clone());
        load.validate()?;
        Ok(load)
    }

    fn values(&self) -> Result<ValueOptions> {
        let values = ValueOptions::default()
            .with_null_handling(self.null_handling)
            .with_on_too_long(self.on_too_long)
            .with_validate(self.validate);
        match absent_if_empty(self.timezone.clone()) {
            Some(zone) => Ok(values.with_timezone(Timezone::parse(zone.trim())?)),
            None => Ok(values),
        }
    }
}

/// Lengths of time are whole seconds, also under a name that does not say so. Returns the length of
/// pauses in thousandths, which tests set.
fn with_units(config: &mut Value) -> Option<u32> {
    let file = config.as_object_mut()?;
    for name in ["patience", "limit_wait", "job_timeout", "stop_grace"] {
        if let Some(seconds) = file.remove(name) {
            file.entry(format!("{name}_seconds")).or_insert(seconds);
        }
    }
    u32::try_from(file.remove("wait_permille")?.as_u64()?).ok()
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

/// A list of texts, also as one text with commas between them.
fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let wrong = || D::Error::invalid_value(Unexpected::Other("it"), &"a list of texts");
    let entries: Vec<String> = match Option::<Value>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
        Some(list) => serde_json::from_value(list).map_err(|_| wrong())?,
    };
    let entries = entries.iter().map(|entry| entry.trim().to_owned());
    Ok(entries.filter(|entry| !entry.is_empty()).collect())
}

/// A whole number, also as `5e7` or `1000.0`: not every language writes them apart.
fn whole<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    // Beyond 2^53 a double is not exact, and no setting goes that far.
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and in range"
    )]
    let whole = exact.then_some(number as u64);
    let whole = whole.and_then(|whole| T::try_from(whole).ok());
    let wrong = || D::Error::invalid_value(Unexpected::Float(number), &"u64");
    whole.map(Some).ok_or_else(wrong)
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
        Some((_, "f64" | "u64")) => "must be a whole number, 0 or more".to_owned(),
        Some((_, expected)) if expected.starts_with("struct ") => "must be an object".to_owned(),
        Some((_, expected)) => format!("must be {expected}"),
        None => "cannot be read".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
