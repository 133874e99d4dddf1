//! Each type of field, in each format and into another org.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

use super::{Desk, desk, expected, parquet};

/// An org with an object that has a field of each type, and records of values that are hard to write.
async fn org_of_kinds() -> TestSim {
    let folder = tempfile::TempDir::new().unwrap();
    let field = |name: &str, kind: &str, more: &Value| {
        let mut field = json!({"name": name, "type": kind, "custom": true});
        for (key, value) in more.as_object().unwrap() {
            field[key] = value.clone();
        }
        field
    };
    let text = json!({"length": 255});
    let fields = json!([
        {"name": "Name", "type": "string", "length": 80, "nameField": true, "nillable": false},
        field("Key__c", "string", &json!({"length": 20, "externalId": true, "idLookup": true, "unique": true})),
        field("Yes__c", "boolean", &json!({"nillable": false, "defaultedOnCreate": true})),
        field("Day__c", "date", &json!({})),
        field("Moment__c", "datetime", &json!({})),
        field("Time__c", "time", &json!({})),
        field("Int__c", "int", &json!({"digits": 9})),
        field("Double__c", "double", &json!({"precision": 18, "scale": 4})),
        field("Money__c", "currency", &json!({"precision": 18, "scale": 2})),
        field("Share__c", "percent", &json!({"precision": 5, "scale": 1})),
        field("Pick__c", "picklist", &json!({"length": 255, "values": ["a", "b"]})),
        field("Picks__c", "multipicklist", &json!({"length": 4099, "values": ["a", "b", "c,d"]})),
        field("Long__c", "textarea", &json!({"length": 32768})),
        field("Mail__c", "email", &json!({"length": 80})),
        field("Phone__c", "phone", &json!({"length": 40})),
        field("Url__c", "url", &text),
    ]);
    let records = "Name,Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c\n\
        all,k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999Z,-2147483,1234567890.5678,-0.01,99.9,a,\"a;c,d\",\"two\nlines, \"\"quoted\"\" ✓\",x@example.com,+49 1,https://example.com/?a=b\n\
        none,k2,false,,,,,,,,,,,,,\n\
        odd,k3,false,1700-01-01,1700-01-01T00:00:00.000Z,00:00:00.000Z,0,0,912260031,0,b,b,#N/A,,,\n";
    let org = json!({"extends": "builtin", "objects": [
        {"name": "Kind__c", "keyPrefix": "a99", "custom": true, "label": "Kind", "fields": fields, "records": records},
    ]});
    let file = folder.path().join("org.json");
    fs::write(&file, org.to_string()).unwrap();
    let mut options = TestSim::options(Duration::ZERO);
    options.org = Some(file);
    TestSim::with_options(options).await
}

#[tokio::test]
async fn each_type_of_field_is_written_as_it_is() {
    let desk = Desk::of(org_of_kinds().await);
    let fields = "Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c";
    let query = [
        "query", "--object", "Kind__c", "--fields", fields, "--quiet",
    ];
    let with = |more: &[&'static str]| [&query, more].concat();
    let before = desk.org.rows("Kind__c").await;
    let csv = desk.run_args(&query).await.with_code(0).stdout;
    let texts = desk.run_args(&with(&["--texts"])).await.with_code(0).stdout;
    let jsonl = with(&["--format", "jsonl"]);
    let jsonl = desk.run_args(&jsonl).await.with_code(0).stdout;
    // All of it comes back as it went out, and so it does in another org.
    for name in ["out.parquet", "out.csv", "out.jsonl", "out.arrow"] {
        desk.run_args(&with(&["-o", name])).await.with_code(0);
        let load =
            format!("load {name} --object Kind__c --upsert Key__c --nulls clear --yes --quiet");
        desk.run(&load).await.with_code(0);
        let after = desk.org.rows("Kind__c").await;
        assert_eq!(values(&after), values(&before), "{name}");
    }
    let other = org_of_kinds().await;
    desk.write("other.json", config(&other).to_string());
    let named = format!("Name,{fields}");
    let copy = [
        "copy",
        "Kind__c",
        "--from",
        "org.json",
        "--to",
        "other.json",
        "--key",
        "Key__c",
        "--fields",
        &named,
        "--yes",
    ];
    desk.run_args(&copy).await.with_code(0);
    assert_eq!(values(&other.rows("Kind__c").await), values(&before));

    let schema = parquet(&desk.path("out.parquet")).schema();
    let columns = schema.fields().iter();
    let columns: Vec<_> = columns
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    let columns = columns.join("\n");
    insta::assert_snapshot!(format!("{csv}\n{texts}\n{jsonl}\n{columns}"), @r#"
    Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c
    k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999,-2147483,1234567890.5678,-0.01,99.9,a,"a;c,d","two
    lines, ""quoted"" ✓",x@example.com,+49 1,https://example.com/?a=b
    k2,false,,,,,,,,,,,,,
    k3,false,1700-01-01,1700-01-01T00:00:00Z,00:00:00,0,0.0000,912260031.00,0.0,b,b,,,,

    Key__c,Yes__c,Day__c,Moment__c,Time__c,Int__c,Double__c,Money__c,Share__c,Pick__c,Picks__c,Long__c,Mail__c,Phone__c,Url__c
    k1,true,2024-02-29,2024-12-31T23:59:59.999Z,23:59:59.999Z,-2147483,1.2345678905678E9,-0.01,99.9,a,"a;c,d","two
    lines, ""quoted"" ✓",x@example.com,+49 1,https://example.com/?a=b
    k2,false,,,,,,,,,,,,,
    k3,false,1700-01-01,1700-01-01T00:00:00.000Z,00:00:00.000Z,0,0.0,9.12260031E8,0.0,b,b,,,,

    {"Key__c":"k1","Yes__c":true,"Day__c":"2024-02-29","Moment__c":"2024-12-31T23:59:59.999Z","Time__c":"23:59:59.999","Int__c":-2147483,"Double__c":1234567890.5678,"Money__c":-0.01,"Share__c":99.9,"Pick__c":"a","Picks__c":["a","c,d"],"Long__c":"two\nlines, \"quoted\" ✓","Mail__c":"x@example.com","Phone__c":"+49 1","Url__c":"https://example.com/?a=b"}
    {"Key__c":"k2","Yes__c":false,"Day__c":null,"Moment__c":null,"Time__c":null,"Int__c":null,"Double__c":null,"Money__c":null,"Share__c":null,"Pick__c":null,"Picks__c":null,"Long__c":null,"Mail__c":null,"Phone__c":null,"Url__c":null}
    {"Key__c":"k3","Yes__c":false,"Day__c":"1700-01-01","Moment__c":"1700-01-01T00:00:00Z","Time__c":"00:00:00","Int__c":0,"Double__c":0.0000,"Money__c":912260031.00,"Share__c":0.0,"Pick__c":"b","Picks__c":["b"],"Long__c":null,"Mail__c":null,"Phone__c":null,"Url__c":null}

    Key__c Utf8
    Yes__c Boolean
    Day__c Date32
    Moment__c Timestamp(ms, "UTC")
    Time__c Time32(ms)
    Int__c Int32
    Double__c Decimal128(18, 4)
    Money__c Decimal128(18, 2)
    Share__c Decimal128(5, 1)
    Pick__c Utf8
    Picks__c List(Utf8)
    Long__c Utf8
    Mail__c Utf8
    Phone__c Utf8
    Url__c Utf8
    "#);
}

/// Records by their keys, without what differs from org to org.
fn values(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        row.retain(|name, value| (name.ends_with("__c") || name == "Name") && !value.is_null());
    }
    rows.sort_by_key(|row| row["Key__c"].to_string());
    rows
}

/// A config file for an org.
fn config(org: &TestSim) -> Value {
    json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN,
        "is_sandbox": true, "login_url": org.url(), "wait_permille": 5,
    })
}

#[tokio::test]
async fn records_are_copied_to_another_org() {
    let desk = desk(30).await;
    let other = TestSim::start().await;
    desk.write("other.json", config(&other).to_string());
    let copy = [
        "copy",
        "Contact",
        "--from",
        "org.json",
        "--to",
        "other.json",
        "--key",
        "Ext_Id__c",
        "--yes",
    ];
    let copied = desk.run_args(&copy).await.with_code(0);
    assert!(
        copied.stdout.contains("30 read, 30 accepted, 0 rejected"),
        "{}",
        copied.stdout
    );
    let fields = [
        "Ext_Id__c",
        "LastName",
        "Email",
        "Birthdate",
        "HasOptedOutOfEmail",
    ];
    let rows = other.rows("Contact").await;
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            fields
                .iter()
                .map(|field| text(&row[*field]).replace("null", ""))
                .collect()
        })
        .collect();
    rows.sort();
    assert_eq!(rows, expected(&desk).await);
    assert!(
        copied
            .stderr
            .contains("AccountId (a lookup; add Account.FIELD to --fields"),
        "{}",
        copied.stderr
    );
    let same = [
        "copy",
        "Contact",
        "--from",
        "org.json",
        "--to",
        "org.json",
        "--key",
        "Ext_Id__c",
    ];
    let same = desk.run_args(&same).await.with_code(2);
    assert!(same.stderr.contains("are the same org"), "{}", same.stderr);
}
