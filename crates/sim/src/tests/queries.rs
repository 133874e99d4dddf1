//! Queries of one object.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions, many};
use crate::org::{OTHER_USER_ID, USER_ID};

async fn query(client: &Client, soql: &str) -> (StatusCode, Value) {
    let call = client.call(Method::GET, "/query").query(&[("q", soql)]);
    let response = call.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The external Ids that a condition finds, sorted.
async fn found(client: &Client, condition: &str) -> Vec<String> {
    let soql = format!("SELECT Ext_Id__c FROM Contact WHERE {condition}");
    let (status, page) = query(client, &soql).await;
    assert_eq!(status, StatusCode::OK, "{condition}: {page}");
    let records = page["records"].as_array().unwrap();
    let mut found: Vec<String> = records
        .iter()
        .map(|record| record["Ext_Id__c"].as_str().unwrap_or("null").to_owned())
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn records_are_found_by_their_values() {
    let client = Client::start(SimOptions::default()).await;
    let url = format!("{}/sim/objects/Contact/rows", client.sim.url());
    let others = client
        .http
        .post(url)
        .body("LastName,Ext_Id__c\nTheirs,T1\n");
    assert_eq!(
        others.send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    let account = client.insert("Account", "Name,Ext_Id__c\nAcme,A1\n").await;
    assert_eq!(account["state"], "JobComplete");
    let csv = "LastName,Ext_Id__c,Birthdate,Account.Ext_Id__c\nO'Neil\\,a1,2000-01-31,A1\n\
               \"Two\nlines\",B2,,\nNone,,1999-12-31,\n";
    let job = client.insert("Contact", csv).await;
    assert_eq!(job["numberRecordsFailed"], 0);
    for (condition, expected) in [
        ("Ext_Id__c = 'A1'", &["a1"][..]),
        ("ext_id__c IN ('A1', 'b2','c3')", &["B2", "a1"]),
        (r"LastName = 'o\'neil\\'", &["a1"]),
        (r"LastName = 'Two\nlines'", &["B2"]),
        ("Ext_Id__c = null", &["null"]),
        ("Ext_Id__c != null AND LastName != 'Theirs'", &["B2", "a1"]),
        (
            "Birthdate < 2000-01-01 OR Birthdate = 2000-01-31",
            &["a1", "null"],
        ),
        (
            "NOT (LastName = 'None' OR LastName = 'Theirs')",
            &["B2", "a1"],
        ),
    ] {
        assert_eq!(found(&client, condition).await, expected, "{condition}");
    }
    let created = format!("CreatedById = '{USER_ID}' AND CreatedDate >= 2020-01-01T00:00:00Z");
    assert_eq!(found(&client, &created).await.len(), 3);
    let theirs = format!("CreatedById = '{}'", &OTHER_USER_ID[..15]);
    assert_eq!(found(&client, &theirs).await, ["T1"]);
    let soql = "SELECT Id, AccountId, CreatedById, CreatedDate, SystemModstamp, DoNotCall \
                FROM Contact WHERE Ext_Id__c = 'a1'";
    let record = query(&client, soql).await.1["records"][0].take();
    assert!(record["AccountId"].as_str().unwrap().starts_with("001"));
    assert!(record["Id"].as_str().unwrap().starts_with("003"));
    assert_eq!(record["CreatedById"], USER_ID);
    assert!(
        record["CreatedDate"]
            .as_str()
            .unwrap()
            .ends_with(".000+0000")
    );
    assert_eq!(record["attributes"]["type"], "Contact");
    let state = client.inspect("state").await;
    assert_eq!(state["charged"]["query"], state["requests"]["query"]);
}

#[tokio::test]
async fn mistakes_have_their_codes() {
    let client = Client::start(SimOptions::default()).await;
    let long = format!(
        "SELECT Id FROM Contact WHERE LastName = '{}'",
        "x".repeat(17_000)
    );
    for (soql, status, code) in [
        ("SELECT Id FROM Contact WHERE", 400, "MALFORMED_QUERY"),
        (
            "SELECT Id FROM Contact WHERE LastName = 'it's'",
            400,
            "MALFORMED_QUERY",
        ),
        ("SELECT Nope FROM Contact", 400, "INVALID_FIELD"),
        (
            "SELECT Id FROM Contact WHERE Nope = 'a'",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE LastName = 5",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE Birthdate = '2000-01-31'",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE Description = 'a'",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE Id = 'a'",
            400,
            "INVALID_QUERY_FILTER_OPERATOR",
        ),
        ("SELECT Id FROM Nope", 400, "INVALID_TYPE"),
        (&long, 414, "URI_TOO_LONG"),
    ] {
        let (found, body) = query(&client, soql).await;
        assert_eq!(
            (found.as_u16(), &body[0]["errorCode"]),
            (status, &json!(code)),
            "{soql}"
        );
    }
}

#[tokio::test]
async fn records_come_in_pages() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(4_100)).await;
    let (_, count) = query(&client, "SELECT COUNT() FROM Contact").await;
    assert_eq!(count["totalSize"], 4_100);
    let (_, mut page) = query(&client, "SELECT Id FROM Contact").await;
    let mut counts = vec![page["records"].as_array().unwrap().len()];
    while let Some(next) = page["nextRecordsUrl"].as_str() {
        assert_eq!(page["done"], false);
        let path = next.strip_prefix("/services/data/v62.0").unwrap();
        page = client.get(path).await;
        counts.push(page["records"].as_array().unwrap().len());
    }
    assert_eq!(
        (counts, &page["done"]),
        (vec![2_000, 2_000, 100], &json!(true))
    );
    let (_, few) = query(
        &client,
        "SELECT Ext_Id__c FROM Contact ORDER BY Ext_Id__c DESC LIMIT 2",
    )
    .await;
    assert_eq!(few["records"][0]["Ext_Id__c"], "999");
    assert_eq!(few["totalSize"], 2);
    let faults =
        json!([{"calls": ["query"], "object": "Contact", "do": {"status": {"code": 503}}}]);
    client.post("faults", &faults).await;
    assert_eq!(
        query(&client, "SELECT Name FROM Organization").await.0,
        StatusCode::OK
    );
    let soql = "SELECT Id FROM Contact";
    assert_eq!(
        query(&client, soql).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
