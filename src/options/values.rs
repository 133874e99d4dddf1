//! Options of how the values of one load are written.

use std::fmt;

use chrono::FixedOffset;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a null in the source does to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NullHandling {
    /// The cell is empty, and Salesforce leaves the field as it is.
    #[default]
    Leave,
    /// The cell is `#N/A`, which clears the field. A key that is missing from a record still
    /// leaves the field as it is.
    Clear,
}

/// What is done with a text that is longer than its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnTooLong {
    /// Its record is rejected: by Salesforce, or here with [`Validate::Strict`].
    #[default]
    Reject,
    /// It is cut to the length of the field. Never done to a key.
    Truncate,
}

/// How much is judged here, before Salesforce does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Validate {
    /// Only what no job can hold.
    #[default]
    Minimal,
    /// Also lengths of texts, required fields of inserts, and restricted picklists, as the object's
    /// describe states them.
    Strict,
}

/// How the values of one load are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ValueOptions {
    /// What nulls do; by default they leave the field alone.
    pub null_handling: NullHandling,
    /// What is done with a text longer than its field.
    pub on_too_long: OnTooLong,
    /// How much is judged before Salesforce does.
    pub validate: Validate,
    /// Zone of dates made of timestamps, and of timestamps without an offset: UTC by default.
    pub timezone: Timezone,
}

impl ValueOptions {
    /// Sets [`ValueOptions::null_handling`].
    #[must_use]
    pub fn with_null_handling(mut self, null_handling: NullHandling) -> Self {
        self.null_handling = null_handling;
        self
    }

    /// Sets [`ValueOptions::on_too_long`].
    #[must_use]
    pub fn with_on_too_long(mut self, on_too_long: OnTooLong) -> Self {
        self.on_too_long = on_too_long;
        self
    }

    /// Sets [`ValueOptions::validate`].
    #[must_use]
    pub fn with_validate(mut self, validate: Validate) -> Self {
        self.validate = validate;
        self
    }

    /// Sets [`ValueOptions::timezone`].
    #[must_use]
    pub fn with_timezone(mut self, timezone: Timezone) -> Self {
        self.timezone = timezone;
        self
    }
}

/// A time zone: a name such as `Europe/Berlin`, or an offset such as `+05:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Timezone {
    /// A zone of the IANA database, with its daylight saving time.
    Named(chrono_tz::Tz),
    /// The same offset from UTC at all times.
    Offset(FixedOffset),
}

impl Timezone {
    /// Reads a name of the IANA database or an offset.
    ///
    /// # Errors
    /// A config error that names the setting.
    pub fn parse(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Ok(Self::default());
        }
        let named = text.parse().map(Self::Named);
        let zone = named.or_else(|_| text.parse().map(Self::Offset));
        zone.map_err(|_| {
            Error::config(
                "timezone is not known; give a name such as Europe/Berlin, or an offset such as \
                 +05:30",
            )
        })
    }
}

impl fmt::Display for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name()),
            Self::Offset(offset) => offset.fmt(f),
        }
    }
}

impl From<Timezone> for String {
    fn from(zone: Timezone) -> Self {
        zone.to_string()
    }
}

impl TryFrom<String> for Timezone {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self::Named(chrono_tz::UTC)
    }
}
