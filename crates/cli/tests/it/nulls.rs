//! A field that a record of JSON lines lacks stays as it is, whatever becomes of nulls.

use super::desk::Desk;

#[tokio::test]
async fn only_a_null_that_is_there_clears_a_field() {
    let desk = Desk::new().await;
    desk.write(
        "all.jsonl",
        r#"{"key":"1","LastName":"Ng","mail":"a@example.com","Title":"Dr"}
{"key":"2","LastName":"Oe","mail":"b@example.com","Title":"Prof"}
"#,
    );
    desk.write(
        "some.jsonl",
        r#"{"key":"1","mail":null}
{"key":"2","Title":null}
"#,
    );
    let map = ["--map", "Ext_Id__c=key,Email=mail"];
    let load = |file| {
        [
            &["load", file, "--object", "Contact", "--upsert", "Ext_Id__c"],
            &map[..],
        ]
        .concat()
    };
    desk.run_args(&load("all.jsonl")).await.with_code(0);
    let fields = ["Ext_Id__c", "Email", "Title"];
    desk.run_args(&load("some.jsonl")).await.with_code(0);
    let whole = [["1", "a@example.com", "Dr"], ["2", "b@example.com", "Prof"]];
    assert_eq!(desk.rows("Contact", &fields).await, whole);
    let clear = [load("some.jsonl"), vec!["--nulls", "clear"]].concat();
    desk.run_args(&clear).await.with_code(0);
    let cleared = [["1", "", "Dr"], ["2", "b@example.com", ""]];
    assert_eq!(desk.rows("Contact", &fields).await, cleared);
}
