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
    let state = read(r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"c"}}}"#).unwrap();
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
    let state = read(r#"{"type":"GLOBAL","global_":{"shared_state":{"a":1.10}},"global_":null}"#);
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
