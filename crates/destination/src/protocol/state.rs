//! STATE messages: kept as they came until all records before them have their end, then given back
//! with what became of those records.
//!
//! A state is worked on as text. Its members keep their bytes, their order and their unknown keys;
//! only the statistics of this destination are added, or replaced where the source sent some.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::StreamDescriptor;
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::load::Counts;

/// Members of a state that say what became of the records before it.
const STATISTICS: [&str; 4] = [
    "destinationStats",
    "committedRecordsCount",
    "committedBytesCount",
    "rejectedRecordsCount",
];

/// What became of the records before a state, over all streams that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    /// Records accepted since the state before it.
    pub(crate) accepted: u64,
    /// Records rejected since the state before it.
    pub(crate) rejected: u64,
    /// Records accepted since the sync began.
    pub(crate) total_accepted: u64,
    /// Records rejected since the sync began.
    pub(crate) total_rejected: u64,
    /// Bytes of record messages since the sync began, rejected ones included.
    pub(crate) total_bytes: u64,
}

/// The streams whose records a state stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One stream: a state of type STREAM.
    Stream(StreamDescriptor),
    /// All streams: a state of type GLOBAL or LEGACY.
    All,
}

/// A state, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The streams it stands for.
    pub(crate) scope: Scope,
    /// Records that the source counted before it since the last state, if it did.
    pub(crate) counted: Option<u64>,
    /// The text of the object under `state`.
    text: String,
}

impl State {
    /// Reads a STATE message; none if the line is no message of that type.
    ///
    /// A state without a type is what its payload says: of one stream with `stream`, of all with
    /// `global`, `global_` or `data`.
    ///
    /// # Errors
    /// A system error if the line is no state.
    pub(crate) fn read(line: &[u8]) -> Result<Option<Self>> {
        let message: Object<'_> = serde_json::from_slice(line).map_err(|_| malformed())?;
        if message.present("type").is_none() {
            return Ok(None);
        }
        let text = message.present("state").ok_or_else(malformed)?;
        let state = parse(text)?;
        let kind: Option<String> = state.last("type").map(value).transpose()?.flatten();
        let of_all = |key| state.present(key).is_some();
        let scope = match (kind.as_deref(), state.present("stream")) {
            (Some("GLOBAL" | "LEGACY"), _) => Scope::All,
            (None, None) if ["global", "global_", "data"].into_iter().any(of_all) => Scope::All,
            (Some("STREAM") | None, Some(stream)) => {
                let descriptor = parse(stream)?.last("stream_descriptor");
                Scope::Stream(value(descriptor.ok_or_else(malformed)?)?)
            }
            _ => return Err(malformed()),
        };
        Ok(Some(Self {
            scope,
            counted: counted(&state),
            text: text.get().to_owned(),
        }))
    }

    /// Bytes that it takes while it waits, roughly.
    pub(crate) fn size(&self) -> usize {
        const BESIDE_THE_TEXT: usize = 256;
        BESIDE_THE_TEXT + self.text.len()
    }

    /// The state to print: every member as it came, then the statistics. It takes the text's place,
    /// which may be long.
    ///
    /// # Errors
    /// A system error if the text is not the state that [`State::read`] read.
    pub(crate) fn with_statistics(self, statistics: &Statistics) -> Result<Box<RawValue>> {
        let state: Object<'_> = serde_json::from_str(&self.text).map_err(|_| malformed())?;
        let mut text = String::with_capacity(self.text.len() + 256);
        text.push('{');
        for (key, member) in &state.0 {
            if !STATISTICS.contains(&name(key)?.as_str()) {
                text.extend([key.get(), ":", member.get(), ","]);
            }
        }
        text.push_str(&statistics.members());
        text.push('}');
        RawValue::from_string(text).map_err(|_| malformed())
    }
}

impl Statistics {
    /// Adds what became of the records of one stream.
    pub(crate) fn add(&mut self, counts: Counts) {
        self.accepted += counts.accepted;
        self.rejected += counts.rejected;
        self.total_accepted += counts.total_accepted;
        self.total_rejected += counts.total_rejected;
        self.total_bytes += counts.total_bytes;
    }

    /// The members of a state, without braces. Counts in `destinationStats` must have a decimal
    /// point; counts of rejected records are left out at 0.
    fn members(&self) -> String {
        let mut text = format!("\"destinationStats\":{{\"recordCount\":{}.0", self.accepted);
        if self.rejected > 0 {
            text += &format!(",\"rejectedRecordCount\":{}.0", self.rejected);
        }
        text += &format!(
            "}},\"committedRecordsCount\":{},\"committedBytesCount\":{}",
            self.total_accepted, self.total_bytes
        );
        if self.total_rejected > 0 {
            text += &format!(",\"rejectedRecordsCount\":{}", self.total_rejected);
        }
        text
    }
}

/// `sourceStats.recordCount`, a whole number with or without a decimal point.
fn counted(state: &Object<'_>) -> Option<u64> {
    let stats = parse(state.present("sourceStats")?).ok()?;
    let count = stats.last("recordCount")?.get();
    let whole = count.split_once('.').map_or(count, |(whole, _)| whole);
    whole.parse().ok()
}

fn malformed() -> Error {
    Error::system("a STATE message of the source cannot be read; no state may be left out")
}

fn parse(text: &RawValue) -> Result<Object<'_>> {
    serde_json::from_str(text.get()).map_err(|_| malformed())
}

fn value<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Result<T> {
    serde_json::from_str(text.get()).map_err(|_| malformed())
}

fn name(key: &RawValue) -> Result<String> {
    value(key)
}

/// A JSON object as the texts of its keys and values, in order, repeated keys included.
#[derive(Debug)]
struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The value of a key; of a repeated key, the last.
    fn last(&self, wanted: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter().rev();
        let (_, value) = members.find(|(key, _)| name(key).is_ok_and(|name| name == wanted))?;
        Some(value)
    }

    /// The same, if it is not null.
    fn present(&self, wanted: &str) -> Option<&'a RawValue> {
        self.last(wanted).filter(|value| value.get() != "null")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests;
