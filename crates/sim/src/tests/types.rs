//! The org of `examples/types.json`: an object with a field of each type, and awkward records.

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Client, SimOptions};
use crate::csv;

/// The types that a describe can name for a field, but `id` and `complexvalue`.
const TYPES: [&str; 24] = [
    "address",
    "anyType",
    "base64",
    "boolean",
    "combobox",
    "currency",
    "datacategorygroupreference",
    "date",
    "datetime",
    "double",
    "email",
    "encryptedstring",
    "int",
    "location",
    "long",
    "multipicklist",
    "percent",
    "phone",
    "picklist",
    "reference",
    "string",
    "textarea",
    "time",
    "url",
];

async fn start() -> Client {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/types.json");
    Client::start(SimOptions {
        org: Some(PathBuf::from(path)),
        ..SimOptions::default()
    })
    .await
}

#[tokio::test]
async fn there_is_a_field_of_each_type() {
    let client = start().await;
    let described = client.get("/sobjects/Type__c/describe").await;
    let fields = described["fields"].as_array().unwrap();
    let types: BTreeSet<&str> = fields.iter().map(|f| f["type"].as_str().unwrap()).collect();
    for wanted in TYPES {
        assert!(types.contains(wanted), "{wanted}");
    }
}

#[tokio::test]
async fn all_fields_but_binary_and_compound_ones_come_out_as_they_are() {
    let client = start().await;
    let described = client.get("/sobjects/Type__c/describe").await;
    let fields = described["fields"].as_array().unwrap();
    let names = fields.iter().filter(|field| {
        !["base64", "address", "location"].contains(&field["type"].as_str().unwrap())
    });
    let names: Vec<&str> = names.map(|field| field["name"].as_str().unwrap()).collect();
    let soql = format!(
        "SELECT {}, Twin__r.Ext_Id__c FROM Type__c ORDER BY Id",
        names.join(", ")
    );
    let request = json!({"operation": "query", "query": soql});
    let (status, job) = client.json(Method::POST, "/jobs/query", &request).await;
    assert_eq!(status, StatusCode::OK, "{job}");
    let path = format!("/jobs/query/{}", job["id"].as_str().unwrap());
    while client.get(&path).await["state"] != "JobComplete" {
        tokio::task::yield_now().await;
    }
    let results = client.call(Method::GET, &format!("{path}/results"));
    let text = results.send().await.unwrap().text().await.unwrap();
    let file = csv::File::parse(text, b',', false).unwrap();
    let mut header = Vec::new();
    csv::split(file.header(), b',', &mut header);
    let of = |row: usize, name: &str| {
        let mut values = Vec::new();
        file.split(row, &mut values);
        let at = header.iter().position(|known| known == name).unwrap();
        values[at].clone().into_owned()
    };
    assert_eq!(file.rows(), 6);
    for (row, name, value) in [
        (0, "Currency__c", "250.0"),
        (0, "Date_Time__c", "2024-01-31T10:00:00.000Z"),
        (0, "Formula_Date__c", "2024-02-29"),
        (1, "Text__c", ""),
        (1, "Flag__c", "false"),
        (2, "Name", "Quotes \" and , commas"),
        (2, "Text_Area__c", "line one\nline two\nline three\nend"),
        (2, "Whole__c", "9.12260031E8"),
        (2, "Double__c", "-1.0E-6"),
        (2, "Int__c", "-2147483648"),
        (2, "Date__c", "1700-01-01"),
        (2, "Multi__c", "A;B b;C"),
        (2, "Twin__r.Ext_Id__c", "t-1"),
        (3, "Long__c", "999999999999999999"),
        (3, "Text__c", "null"),
        (3, "Date_Time__c", "4000-12-31T23:59:59.999Z"),
        (3, "Twin__r.Ext_Id__c", "größe"),
        (4, "Long__c", "9007199254740993"),
        (4, "Time__c", "12:00:00.001Z"),
        (5, "Ext_Id__c", "00123"),
    ] {
        assert_eq!(of(row, name), value, "{name} of row {row}");
    }
}
