use std::io::{self, Cursor};

use serde_json::json;

use super::*;
use crate::protocol::{StreamDescriptor, StreamSchema};
use arrow_salesforce::error::ErrorKind;

/// A router of the streams `a` and `n.b` that have both ended.
fn router() -> Router {
    let descriptors = [
        StreamDescriptor {
            name: "a".into(),
            namespace: None,
        },
        StreamDescriptor {
            name: "b".into(),
            namespace: Some("n".into()),
        },
    ];
    let json_schema = json!({"properties": {"LastName": {"type": "string"}}}).to_string();
    let schemas = descriptors.each_ref().map(|stream| {
        let namespace = stream.namespace.as_deref();
        StreamSchema::from_json_schema(&stream.name, namespace, &json_schema).unwrap()
    });
    let streams = descriptors.into_iter().zip(&schemas);
    let streams = streams.map(|(descriptor, schema)| {
        let mut stream = InputStream::new(descriptor, Arc::clone(schema.schema()), None);
        stream.ended = true;
        stream
    });
    let decoder = MessageDecoder::new(&schemas).unwrap();
    Router::new(decoder, streams.collect(), Arc::default())
}

/// What the two threads make of `text`.
fn ended(text: &str) -> Option<Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let (sender, blocks) = sync_channel(BLOCKS);
    let (spare_sender, spares) = sync_channel(2);
    for _ in 0..2 {
        spare_sender.send(vec![0; 16]).unwrap();
    }
    let source = Cursor::new(text.to_owned().into_bytes());
    let reader = std::thread::spawn(move || read_blocks(source, &sender, &spares));
    let ended = router().run(&blocks, &spare_sender);
    drop((blocks, spare_sender));
    reader.join().unwrap();
    ended
}

fn complaint_of(text: &str) -> (ErrorKind, String, Option<String>) {
    let Failure { error, stream } = ended(text).unwrap();
    let stream = stream.map(|stream| stream.to_string());
    (error.kind(), error.to_string(), stream)
}

#[test]
fn a_record_after_the_end_of_its_stream_is_an_error() {
    let line = r#"{"type":"RECORD","record":{"stream":"a","data":{"LastName":"Ng"}}}"#;
    let (kind, message, stream) = complaint_of(line);
    assert_eq!(kind, ErrorKind::System);
    insta::assert_snapshot!(message, @"the source sent a record of stream a after the end of the stream");
    assert_eq!(stream.as_deref(), Some("a"));
}

#[test]
fn what_belongs_to_no_stream_of_the_catalog_is_a_config_error() {
    let record = r#"{"type":"RECORD","record":{"stream":"b","data":{}}}"#;
    let state =
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"x"}}}}"#;
    let status = r#"{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"stream_descriptor":{"name":"a","namespace":"n"},"status":"COMPLETE"}}}"#;
    let complaints = [record, state, status].map(complaint_of);
    let lines = complaints.map(|(kind, message, stream)| format!("{kind:?}: {message} {stream:?}"));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Config: the source sent a record of stream b, which is not in the catalog Some("b")
    Config: the source sent a state of stream x, which is not in the catalog Some("x")
    Config: the source sent a stream status of stream n.a, which is not in the catalog Some("n.a")
    "#);
}

#[test]
fn what_means_nothing_is_passed_over() {
    let lines = [
        "",
        "not json",
        r#"{"type":"LOG","log":{"level":"INFO","message":"hello"}}"#,
        r#"{"type":"TRACE","trace":{"type":"ANALYTICS","analytics":{}}}"#,
        r#"{"type":"TRACE","trace":7}"#,
        r#"{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"stream_descriptor":{"name":"a"},"status":"RUNNING","reasons":null}}}"#,
    ];
    assert!(ended(&lines.join("\r\n")).is_none());
}

#[test]
fn states_of_one_and_of_all_streams_do_not_mix() {
    let one =
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"}}}}"#;
    let all = r#"{"type":"STATE","state":{"type":"GLOBAL","global":{"shared_state":{}}}}"#;
    assert!(ended(&[all, all].join("\n")).is_none());
    let complaints = [[one, all], [all, one]].map(|lines| complaint_of(&lines.join("\n")));
    assert_eq!(complaints[0], complaints[1]);
    let (kind, message, _) = &complaints[0];
    assert_eq!(*kind, ErrorKind::System);
    insta::assert_snapshot!(message, @"the source sent states of single streams and states of all streams in one sync, which cannot be put in order; this is a defect of the source");
}

#[test]
fn a_source_that_breaks_ends_the_input() {
    struct Broken(bool);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            Err(if self.0 {
                io::ErrorKind::Interrupted.into()
            } else {
                io::Error::other("cable cut")
            })
        }
    }
    let (sender, blocks) = sync_channel(1);
    let (spare_sender, spares) = sync_channel(1);
    spare_sender.send(vec![0; 16]).unwrap();
    read_blocks(Broken(false), &sender, &spares);
    let Block::End(Err(error)) = blocks.recv().unwrap() else {
        panic!("no error");
    };
    assert_eq!(error.to_string(), "cable cut");
}
