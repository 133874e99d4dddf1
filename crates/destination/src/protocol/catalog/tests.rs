use serde_json::{Value, json};

use super::*;
use arrow_salesforce::error::ErrorKind;

fn stream(name: &str, namespace: &Value, mode: &str) -> Value {
    json!({
        "stream": {"name": name, "namespace": namespace,
                   "json_schema": {"properties": {"Id": {}, "Ext__c": {}}},
                   "supported_sync_modes": ["full_refresh"]},
        "sync_mode": "incremental", "destination_sync_mode": mode, "primary_key": [["Id"]],
    })
}

fn complaint_of(catalog: &Value) -> String {
    let error = parse(catalog.to_string().as_bytes()).unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

#[test]
fn a_stream_has_its_object_and_generation() {
    let mut configured = stream("crm_contacts", &json!("marts"), "append");
    configured["destination_object_name"] = json!("Contact");
    configured["generation_id"] = json!(3);
    configured["sync_id"] = json!(42);
    let catalog = json!({"streams": [configured]});
    let streams = parse(catalog.to_string().as_bytes()).unwrap();
    let [stream] = streams.as_slice() else {
        panic!("{streams:?}");
    };
    assert_eq!(stream.descriptor.to_string(), "marts.crm_contacts");
    assert_eq!(stream.object, "Contact");
    assert_eq!(stream.operation, Operation::Insert);
    assert_eq!((stream.sync_id, stream.generation_id), (42, 3));
}

#[test]
fn without_an_object_the_stream_is_named_after_it() {
    let catalog = json!({"streams": [stream("Contact", &Value::Null, "append")]});
    let streams = parse(catalog.to_string().as_bytes()).unwrap();
    assert_eq!(streams[0].object, "Contact");
    assert_eq!(streams[0].descriptor.namespace, None);
    assert_eq!((streams[0].sync_id, streams[0].generation_id), (0, 0));
}

#[test]
fn one_name_in_two_namespaces_is_two_streams() {
    let catalog = json!({"streams": [
        stream("c", &Value::Null, "append"), stream("c", &json!("n"), "append"),
    ]});
    assert_eq!(parse(catalog.to_string().as_bytes()).unwrap().len(), 2);
}

#[test]
fn errors_name_the_stream() {
    insta::assert_snapshot!(
        complaint_of(&json!({"streams": []})),
        @"the catalog has no streams; select at least one stream of the source"
    );
    insta::assert_snapshot!(
        complaint_of(&json!({"streams": [
            stream("c", &Value::Null, "append"), stream("c", &Value::Null, "append"),
        ]})),
        @"stream c: it appears more than once in the catalog; give one of them another name or namespace"
    );
    insta::assert_snapshot!(
        complaint_of(&json!({"streams": [stream("c", &json!("n"), "overwrite")]})),
        @"stream n.c: destination sync mode overwrite is not supported; choose append to insert, append_dedup to upsert, update, or soft_delete"
    );
    insta::assert_snapshot!(
        complaint_of(&json!({"streams": [{"stream": {"name": "c"}}]})),
        @"the catalog cannot be read: streams[0].stream: missing field `json_schema` at line 1 column 34"
    );
    insta::assert_snapshot!(parse(b"{").unwrap_err().error, @"the catalog cannot be read: EOF while parsing an object at line 1 column 1");
}

#[test]
fn sync_modes_are_operations() {
    let with = |mode: &str, key: Value| {
        let mut stream = stream("c", &Value::Null, mode);
        stream["primary_key"] = key;
        let catalog = json!({"streams": [stream]});
        parse(catalog.to_string().as_bytes()).map(|mut streams| streams.remove(0).operation)
    };
    let upsert = Operation::Upsert {
        external_id: "Ext__c".into(),
    };
    assert_eq!(with("append_dedup", json!([["Ext__c"]])).unwrap(), upsert);
    assert_eq!(with("update", Value::Null).unwrap(), Operation::Update);
    assert_eq!(
        with("soft_delete", json!([["Id"]])).unwrap(),
        Operation::Delete
    );
    let complaint = |key: Value| with("append_dedup", key).unwrap_err().error.to_string();
    insta::assert_snapshot!(complaint(json!([])), @"stream c: append_dedup needs a matching key; choose one matching key for the stream: an external ID field of the object, or Id");
    insta::assert_snapshot!(complaint(json!([["A__c"], ["B__c"]])), @"stream c: append_dedup takes one matching key, not 2; choose one matching key for the stream: an external ID field of the object, or Id");
    insta::assert_snapshot!(complaint(json!([["A__c"]])), @"stream c: primary key column A__c is not in the schema of the stream; map a column of the source to it, or choose another primary key");
    insta::assert_snapshot!(complaint(json!([["A__c", "b"]])), @"stream c: the matching key is not the name of one field; choose one matching key for the stream: an external ID field of the object, or Id");
}

#[test]
fn a_cursor_matters_for_upserts_alone() {
    let with = |mode: &str| {
        let mut stream = stream("c", &json!("n"), mode);
        stream["cursor_field"] = json!(["updated_at"]);
        let catalog = json!({"streams": [stream]});
        parse(catalog.to_string().as_bytes())
    };
    with("append").unwrap();
    let failure = with("append_dedup").unwrap_err();
    insta::assert_snapshot!(failure.error, @"stream n.c: cursor column updated_at is not in the schema of the stream; map a column of the source to it, or choose another cursor");
    let stream = failure.stream.unwrap();
    assert_eq!(stream.namespace.as_deref(), Some("n"), "{stream}");
}

#[test]
fn hard_delete_takes_the_place_of_delete_alone() {
    let catalog = json!({"streams": [
        stream("a", &Value::Null, "soft_delete"), stream("b", &Value::Null, "update"),
    ]});
    let mut streams = parse(catalog.to_string().as_bytes()).unwrap();
    delete_for_good(&mut streams);
    assert_eq!(streams[0].operation, Operation::HardDelete);
    assert_eq!(streams[1].operation, Operation::Update);
}

#[test]
fn an_unreadable_file_is_named() {
    let error = read(Path::new("/no/such/catalog.json")).unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Config);
    insta::assert_snapshot!(error, @"the file of --catalog cannot be read: /no/such/catalog.json: No such file or directory (os error 2)");
}
