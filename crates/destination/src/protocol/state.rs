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

    /// The state to print: every member as it came, then the statistics.
    ///
    /// # Errors
    /// A system error if the text is not the state that [`State::read`] read.
    pub(crate) fn with_statistics(&self, statistics: &Statistics) -> Result<Box<RawValue>> {
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
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use arrow_salesforce::error::ErrorKind;

    fn read(state: &str) -> Result<State> {
        let line = format!(r#"{{"type":"STATE","log":null,"state":{state}}}"#);
        State::read(line.as_bytes()).map(Option::unwrap)
    }

    fn stream(name: &str, namespace: Option<&str>) -> StreamDescriptor {
        StreamDescriptor {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
        }
    }

    fn counts(accepted: u64, rejected: u64) -> Statistics {
        Statistics {
            accepted,
            rejected,
            total_accepted: accepted,
            total_rejected: rejected,
            total_bytes: 1242,
        }
    }

    #[test]
    fn the_example_of_the_protocol() {
        let state = read(
            r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c","namespace":"n"},"stream_state":{"cur":"x"}},"sourceStats":{"recordCount":9.0},"id":1}"#,
        )
        .unwrap();
        assert_eq!(state.scope, Scope::Stream(stream("c", Some("n"))));
        assert_eq!(state.counted, Some(9));
        insta::assert_snapshot!(state.with_statistics(&counts(5, 4)).unwrap(), @r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c","namespace":"n"},"stream_state":{"cur":"x"}},"sourceStats":{"recordCount":9.0},"id":1,"destinationStats":{"recordCount":5.0,"rejectedRecordCount":4.0},"committedRecordsCount":5,"committedBytesCount":1242,"rejectedRecordsCount":4}"#);
    }

    #[test]
    fn no_rejected_record_no_count_of_them() {
        let state =
            read(r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c"}}}"#).unwrap();
        insta::assert_snapshot!(state.with_statistics(&counts(0, 0)).unwrap(), @r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c"}},"destinationStats":{"recordCount":0.0},"committedRecordsCount":0,"committedBytesCount":1242}"#);
    }

    #[test]
    fn statistics_that_came_with_it_are_replaced() {
        let state = read(
            r#"{"destinationStats":null,"type":"STREAM","stream":{"stream_descriptor":{"name":"c","namespace":null},"stream_state":{"c":2}},"rejectedRecordsCount":7,"global_":null,"global_":null,"committed\u0052ecordsCount":1}"#,
        )
        .unwrap();
        assert_eq!(state.scope, Scope::Stream(stream("c", None)));
        insta::assert_snapshot!(state.with_statistics(&counts(1, 0)).unwrap(), @r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c","namespace":null},"stream_state":{"c":2}},"global_":null,"global_":null,"destinationStats":{"recordCount":1.0},"committedRecordsCount":1,"committedBytesCount":1242}"#);
    }

    #[test]
    fn a_stream_without_a_type_is_understood() {
        let state = read(r#"{"type":null,"stream":{"stream_descriptor":{"name":"c"}}}"#).unwrap();
        assert_eq!(state.scope, Scope::Stream(stream("c", None)));
    }

    #[test]
    fn a_source_may_count_its_records() {
        for (stats, expected) in [
            (r#""sourceStats":{"recordCount":12}"#, Some(12)),
            (r#""sourceStats":{"recordCount":10.0,"x":1}"#, Some(10)),
            (r#""sourceStats":{"recordCount":null}"#, None),
            (r#""sourceStats":{}"#, None),
            (r#""sourceStats":7"#, None),
            (r#""sourceStats":null"#, None),
            (r#""id":1"#, None),
        ] {
            let state = read(&format!(r#"{{"data":{{}},{stats}}}"#)).unwrap();
            assert_eq!(state.counted, expected, "{stats}");
        }
    }

    #[test]
    fn states_of_all_streams() {
        for state in [
            r#"{"type":"GLOBAL","stream":null,"global_":{"shared_state":{}}}"#,
            r#"{"global":{"shared_state":{}}}"#,
            r#"{"type":"LEGACY","data":{}}"#,
            r#"{"type":null,"data":{"a":1}}"#,
        ] {
            assert_eq!(read(state).unwrap().scope, Scope::All, "{state}");
        }
        let state =
            read(r#"{"type":"GLOBAL","global_":{"shared_state":{"a":1.10}},"global_":null}"#);
        insta::assert_snapshot!(state.unwrap().with_statistics(&counts(2, 0)).unwrap(), @r#"{"type":"GLOBAL","global_":{"shared_state":{"a":1.10}},"global_":null,"destinationStats":{"recordCount":2.0},"committedRecordsCount":2,"committedBytesCount":1242}"#);
    }

    #[test]
    fn what_is_no_state_is_a_system_error() {
        for state in [
            "7",
            "{}",
            "{\"type\":\"OTHER\",\"data\":{}}",
            "{\"type\":\"STREAM\"}",
            "{\"type\":\"STREAM\",\"stream\":{}}",
        ] {
            assert_eq!(read(state).unwrap_err().kind(), ErrorKind::System);
        }
        assert!(State::read(b"{\"type\":\"STATE\"}").is_err());
        assert!(State::read(b"\xff").is_err());
        assert_eq!(State::read(b"{\"data\":{}}").unwrap(), None);
    }

    fn blob() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1.10".to_owned()),
            Just("1e400".to_owned()),
            Just("12345678901234567890123".to_owned()),
            Just(r#""\u00e9 \" { } , : é""#.to_owned()),
            any::<String>().prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[ {} ]", items.join(" , "))),
                prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|members| {
                    let members: Vec<String> = members
                        .iter()
                        .map(|(key, value)| format!("\"{key}\" :{value}"))
                        .collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_blob_keeps_its_bytes(blob in blob(), id in any::<u64>(), extra in blob()) {
            let stream = format!(
                r#"{{"stream_descriptor": {{"name":"c"}} , "stream_state":{blob}}}"#
            );
            let members = [
                format!(r#""stream":{stream}"#),
                format!(r#""x":{extra}"#),
                format!(r#""id":{id}"#),
            ];
            let came = format!(r#"{{"type":"STREAM",{},"committedBytesCount":1}}"#, members.join(","));
            let printed = read(&came).unwrap().with_statistics(&counts(2, 1)).unwrap();
            let expected = format!(
                r#"{{"type":"STREAM",{},{}}}"#, members.join(","), counts(2, 1).members()
            );
            prop_assert_eq!(printed.get(), expected);
        }
    }
}
