//! Records that are there from the start, or from the run before.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Client, Sim, SimOptions, counts, ended};

/// A directory of a test.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sim-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// All contacts, those in the bin too, with what the org says of them.
async fn contacts(client: &Client) -> Vec<Value> {
    let soql = "SELECT Id, LastName, Ext_Id__c, Description, AccountId, IsDeleted, CreatedDate, \
                LastModifiedDate, CreatedById FROM Contact";
    let call = client.call(reqwest::Method::GET, "/queryAll");
    let page = call.query(&[("q", soql)]).send().await.unwrap();
    let page: Value = page.json().await.unwrap();
    page["records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn records_are_kept_from_one_run_to_the_next() {
    let directory = directory("kept");
    let options = SimOptions {
        state: Some(directory.join("state")),
        shuffle_processing: false,
        ..SimOptions::default()
    };
    let client = Client::start(options.clone()).await;
    client.insert("Account", "Name,Ext_Id__c\nAcme,A1\n").await;
    let csv = "LastName,Ext_Id__c,Description,Account.Ext_Id__c\n\"A \"\"q\"\"\",1,\"two\nlines\",A1\n\
               B,2,,\nC,3,,\nD,4,x,\n";
    client.insert("Contact", csv).await;
    let ids: Vec<Value> = contacts(&client)
        .await
        .into_iter()
        .map(|c| c["Id"].clone())
        .collect();
    let settings = |operation: &str| json!({"object": "Contact", "operation": operation});
    let gone = format!("Id\n{}\n", ids[1].as_str().unwrap());
    client.run(&settings("delete"), &gone).await;
    client.post("options", &json!({"hard_delete": true})).await;
    let gone = format!("Id\n{}\n", ids[2].as_str().unwrap());
    client.run(&settings("hardDelete"), &gone).await;
    let change = format!("Id,Description\n{},#N/A\n", ids[3].as_str().unwrap());
    client.run(&settings("update"), &change).await;
    let before = contacts(&client).await;
    assert_eq!(before.len(), 3);
    client.sim.shutdown().await;

    let client = Client::start(options.clone()).await;
    assert_eq!(contacts(&client).await, before);
    // Keys find the records, those of deleted ones are free, and Ids go on.
    let upsert = json!({"object": "Contact", "operation": "upsert",
        "externalIdFieldName": "Ext_Id__c"});
    let job = client
        .run(&upsert, "Ext_Id__c,LastName\n1,A2\n2,B2\n")
        .await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 0));
    let after = contacts(&client).await;
    assert_eq!(after.len(), 4);
    assert_eq!(
        (&after[0]["Id"], &after[0]["LastName"]),
        (&ids[0], &json!("A2"))
    );
    assert!(!ids.contains(&after[3]["Id"]));
    client.sim.shutdown().await;
    let client = Client::start(options).await;
    assert_eq!(contacts(&client).await, after);
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_named() {
    let directory = directory("broken");
    std::fs::write(directory.join("Contact.jsonl"), "{}\n").unwrap();
    let mut options = SimOptions {
        state: Some(directory.clone()),
        ..SimOptions::default()
    };
    let error = Sim::start(options.clone()).await.unwrap_err().to_string();
    assert!(
        error.contains("Contact.jsonl: line 1: missing field"),
        "{error}"
    );
    options.forget = true;
    let error = Sim::start(options).await.unwrap_err().to_string();
    assert!(error.contains("exclude each other"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn records_of_files_are_there_from_the_start() {
    let directory = directory("data");
    let path = directory.join("contacts.csv");
    std::fs::write(&path, "LastName,Ext_Id__c\nA,1\nB,2\n").unwrap();
    let mut options = SimOptions::default();
    options.data.insert("contact".to_owned(), path.clone());
    let client = Client::start(options.clone()).await;
    client.insert("Contact", "LastName\nC\n").await;
    assert_eq!(client.inspect("objects/Contact").await["count"], 3);
    let reset = format!("{}/sim/reset", client.sim.url());
    client.http.post(reset).send().await.unwrap();
    assert_eq!(client.inspect("objects/Contact").await["count"], 2);
    std::fs::write(&path, "LastName,Nope\nA,1\n").unwrap();
    let error = Sim::start(options.clone()).await.unwrap_err().to_string();
    assert!(error.contains("the records of Contact"), "{error}");
    options.data.insert("Nope".to_owned(), path);
    let error = Sim::start(options).await.unwrap_err().to_string();
    assert!(error.contains("there is no object Nope"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}
