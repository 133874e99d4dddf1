//! Profiles: what an org is like, as a named file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contention::Contention;
use crate::faults::{Action, Call, Fault};

/// The embedded profiles.
const EMBEDDED: [(&str, &str); 6] = [
    ("null", include_str!("profiles/null.json")),
    ("quiet", include_str!("profiles/quiet.json")),
    ("busy", include_str!("profiles/busy.json")),
    ("limited", include_str!("profiles/limited.json")),
    ("flaky", include_str!("profiles/flaky.json")),
    ("contended", include_str!("profiles/contended.json")),
];

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is neither an embedded profile nor a file of this name.
    #[error("there is no profile {name}: give {} or the path of a file ({cause})", names().join(", "))]
    Unknown {
        /// What was given.
        name: String,
        /// Why it cannot be read as a file.
        cause: std::io::Error,
    },
    /// It is no JSON object.
    #[error("a profile is a JSON object: {0}")]
    NotJson(#[from] serde_json::Error),
    /// The value of a key is not what it must be, or there is no such key.
    #[error("key {key} of the profile: {cause}")]
    Key {
        /// The key. An entry of a list has its place, from 0: `faults[2]`.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// What an org is like: its times, limits and faults.
///
/// All times are those of the org, in seconds. Of these, `speed` pass in a real one. A profile
/// without `speed` takes all at once, and has no other times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it stands for, and where its numbers are from.
    pub about: String,
    /// How many seconds of the org pass in a real one. Without it the org takes no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// How many internal batches of 10,000 rows run at once, of all jobs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<usize>,
    /// How long a closed job waits before its batches do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_seconds: Option<f64>,
    /// How long a transaction of up to 200 rows takes, besides its rows. A full batch has 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_seconds: Option<f64>,
    /// How long each row takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_seconds: Option<f64>,
    /// How long a transaction waits for records that others have locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_wait_seconds: Option<f64>,
    /// A batch with more rows than this that failed for locks is put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_failures: Option<usize>,
    /// How long a batch that was put back waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put_back_seconds: Option<f64>,
    /// A batch that takes longer is put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_limit_seconds: Option<f64>,
    /// How often a batch is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// Objects with a trigger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<String>,
    /// Lookups that lock their parent besides those that always do, as `Object.Field`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locking_lookups: Vec<String>,
    /// How long requests take besides the work that they cause, by the name of the call; `any` is
    /// added to all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub request_seconds: BTreeMap<String, f64>,
    /// API calls that the org allows in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_calls: Option<u64>,
    /// API calls of that day that others have used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_calls_used: Option<u64>,
    /// Internal batches that the org allows in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<u64>,
    /// Internal batches of that day that others have used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches_used: Option<u64>,
    /// The share of valid rows, 0 to 1, that a rule of the org refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_rate: Option<f64>,
    /// Whether half of the identical rows of an insert are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_duplicates: Option<bool>,
    /// What goes wrong. Their milliseconds are real.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// The names of the embedded profiles.
fn names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, _)| *name).collect()
}

impl Profile {
    /// The embedded profile of a name, or that of a file.
    ///
    /// # Errors
    /// If there is no such profile, or it cannot be used.
    pub fn load(name: &str) -> Result<Profile, ProfileError> {
        if let Some((_, text)) = EMBEDDED.iter().find(|(known, _)| *known == name) {
            return Profile::parse(text);
        }
        match std::fs::read_to_string(Path::new(name)) {
            Ok(text) => Profile::parse(&text),
            Err(cause) => Err(ProfileError::Unknown {
                name: name.to_owned(),
                cause,
            }),
        }
    }

    /// Reads a profile from JSON.
    ///
    /// # Errors
    /// If it is no JSON object, or a key of it is wrong.
    pub fn parse(text: &str) -> Result<Profile, ProfileError> {
        let keys: Map<String, Value> = serde_json::from_str(text)?;
        // Each key by itself: so its error has its name.
        for (key, value) in &keys {
            let one = Map::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = serde_json::from_value::<Profile>(Value::Object(one)) {
                return Err(wrong_key(key, value, &error));
            }
        }
        let profile: Profile = serde_json::from_value(Value::Object(keys))?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let wrong = |key: &str, cause: &str| {
            Err(ProfileError::Key {
                key: key.to_owned(),
                cause: cause.to_owned(),
            })
        };
        let times = self.times();
        for (key, value) in &times {
            if Duration::try_from_secs_f64(*value).is_err() {
                return wrong(key, "must be a number of seconds, 0 or more");
            }
        }
        for call in self.request_seconds.keys() {
            if call != "any" && call_of(call).is_none() {
                return wrong(&format!("request_seconds.{call}"), "there is no such call");
            }
        }
        match self.speed {
            Some(speed) if speed <= 0.0 || !speed.is_finite() => {
                return wrong("speed", "must be more than 0");
            }
            None if !times.is_empty() || self.slots.is_some() => {
                return wrong(
                    "speed",
                    "is missing: an org that takes time needs the seconds of it that pass in a \
                     real one",
                );
            }
            _ => {}
        }
        if self.slots == Some(0) {
            return wrong("slots", "must be 1 or more");
        }
        if self
            .fail_rate
            .is_some_and(|rate| !(0.0..=1.0).contains(&rate))
        {
            return wrong("fail_rate", "must be between 0 and 1");
        }
        let lookups = self.locking_lookups.iter();
        if lookups.clone().any(|lookup| !lookup.contains('.')) {
            return wrong("locking_lookups", "each must be Object.Field");
        }
        Ok(())
    }

    /// The times that it has, by their keys.
    fn times(&self) -> Vec<(String, f64)> {
        let own = [
            ("job_seconds", self.job_seconds),
            ("chunk_seconds", self.chunk_seconds),
            ("row_seconds", self.row_seconds),
            ("lock_wait_seconds", self.lock_wait_seconds),
            ("put_back_seconds", self.put_back_seconds),
            ("batch_limit_seconds", self.batch_limit_seconds),
        ];
        let own = own
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let requests = self.request_seconds.iter();
        own.chain(requests.map(|(call, value)| (format!("request_seconds.{call}"), *value)))
            .collect()
    }

    /// How the org's clock and locks behave; nothing if it takes no time.
    pub(crate) fn contention(&self) -> Option<Contention> {
        let speed = self.speed?;
        let usual = Contention::default();
        let time = |seconds: Option<f64>, usual: Duration| {
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or(usual)
        };
        Some(Contention {
            slots: self.slots.unwrap_or(usual.slots),
            job_time: time(self.job_seconds, usual.job_time),
            chunk_time: time(self.chunk_seconds, usual.chunk_time),
            row_time: time(self.row_seconds, usual.row_time),
            lock_wait: time(self.lock_wait_seconds, usual.lock_wait),
            lock_failures: self.lock_failures.unwrap_or(usual.lock_failures),
            put_back_time: time(self.put_back_seconds, usual.put_back_time),
            batch_limit: time(self.batch_limit_seconds, usual.batch_limit),
            tries: self.tries.unwrap_or(usual.tries),
            triggers: self.triggers.clone(),
            locking_lookups: self.locking_lookups.clone(),
            quiet: usual.quiet,
            speed: Some(speed),
            real_time: true,
        })
    }

    /// Its faults, and those that make requests take their time.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let speed = self.speed.unwrap_or(1.0);
        let waits = self.request_seconds.iter().filter_map(|(call, seconds)| {
            let wait = Duration::try_from_secs_f64(seconds / speed).ok()?;
            let ms = u64::try_from(wait.as_millis()).ok()?;
            (ms > 0).then(|| Fault {
                name: Some(format!("time of {call}")),
                calls: call_of(call).into_iter().collect(),
                times: 0,
                ..Fault::new(Action::Delay { ms })
            })
        });
        waits.chain(self.faults.iter().cloned()).collect()
    }
}

/// The call of a name.
fn call_of(name: &str) -> Option<Call> {
    serde_json::from_value(Value::String(name.to_owned())).ok()
}

/// The error of a key; of a list, that of its first wrong entry.
fn wrong_key(key: &str, value: &Value, error: &serde_json::Error) -> ProfileError {
    let entries = value.as_array().map_or(&[][..], Vec::as_slice);
    let wrong = entries.iter().enumerate().find_map(|(place, entry)| {
        let one = Map::from_iter([(key.to_owned(), Value::Array(vec![entry.clone()]))]);
        let error = serde_json::from_value::<Profile>(Value::Object(one)).err()?;
        Some((format!("{key}[{place}]"), error.to_string()))
    });
    let (key, cause) = wrong.unwrap_or_else(|| (key.to_owned(), error.to_string()));
    ProfileError::Key { key, cause }
}

#[cfg(test)]
mod tests;
