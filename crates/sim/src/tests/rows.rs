//! What becomes of rows: keys, deletes, the order of processing, rows that fail for a while.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended, many};

fn upsert(object: &str, field: &str) -> Value {
    json!({"object": object, "operation": "upsert", "externalIdFieldName": field})
}

fn delete(object: &str) -> Value {
    json!({"object": object, "operation": "delete"})
}

/// A client whose org processes rows in the order of their upload.
async fn orderly() -> Client {
    Client::start(SimOptions {
        shuffle_processing: false,
        ..SimOptions::default()
    })
    .await
}

#[tokio::test]
async fn keys_compare_as_their_fields_say() {
    let client = orderly().await;
    client
        .insert("Everything__c", "Name,Ext_Id__c\nE,e1\n")
        .await;
    // Unique and blind to letter case, unique and not blind, not unique, a number.
    let accounts = upsert("Account", "Ext_Id__c");
    let job = client.run(&accounts, "Ext_Id__c,Name\na,A\nA,B\n").await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 2));
    let error = &client.errors(&job).await["A"];
    assert_eq!(
        error,
        "DUPLICATE_VALUE:Duplicate external id specified: a:Ext_Id__c --"
    );
    for (field, keys, failed) in [
        ("Key__c", ["k", "K"], 0),
        ("Code__c", ["c", "C"], 0),
        ("Number__c", ["01", "1.0"], 2),
    ] {
        let [first, second] = keys;
        let csv = format!("{field},Parent__r.Ext_Id__c\n{first},e1\n{second},e1\n");
        let job = client.run(&upsert("Child__c", field), &csv).await;
        assert_eq!(counts(&job), ended("JobComplete", 2, failed), "{field}");
    }
    let children = upsert("Child__c", "Number__c");
    let csv = "Number__c,Parent__r.Ext_Id__c,Amount__c\n7,e1,1\n";
    client.run(&children, csv).await;
    let job = client.run(&children, &csv.replace("7,", "007,")).await;
    let successful = client.result(&job, "successfulResults").await;
    assert!(successful[1].contains("\"false\""), "{successful:?}");
}

#[tokio::test]
async fn an_id_comes_once_in_200_rows() {
    let client = orderly().await;
    client.insert("Contact", &many(300)).await;
    let rows = client.inspect("objects/Contact/rows").await;
    let id = |row: usize| rows[row]["Id"].as_str().unwrap().to_owned();
    let update = json!({"object": "Contact", "operation": "update"});
    let csv = format!("Id,Title\n{},A\n{},B\n", id(0), &id(0)[..15]);
    let job = client.run(&update, &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 2));
    let error = client.errors(&job).await["A"].clone();
    assert!(error.starts_with("DUPLICATE_VALUE:Duplicate id specified: 003"));
    let mut csv = "Id,Title\n".to_owned();
    for row in 0..300 {
        csv.push_str(&format!("{},T\n", id(row % 250)));
    }
    let job = client.run(&update, &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 300, 0));
}

#[tokio::test]
async fn blank_keys_insert_fail_or_vanish() {
    let client = Client::start(SimOptions::default()).await;
    let by_id = client
        .run(&upsert("Contact", "Id"), "Id,LastName\n,New\n")
        .await;
    let successful = client.result(&by_id, "successfulResults").await;
    assert!(successful[1].contains("\"true\",\"\",\"New\""));
    let without_id = client
        .run(&upsert("Contact", "Id"), "LastName\nNew\n")
        .await;
    assert_eq!(counts(&without_id), ended("JobComplete", 1, 0));
    let by_key = upsert("Contact", "Ext_Id__c");
    let csv = "LastName,Ext_Id__c\nA,\nB,#N/A\nC,\"  \"\nD,d\n";
    let job = client.run(&by_key, csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 4, 3));
    client
        .post("options", &json!({"blank_keys_vanish": true}))
        .await;
    let job = client.run(&by_key, csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 4, 0));
    assert_eq!(client.result(&job, "successfulResults").await.len(), 2);
    assert_eq!(client.result(&job, "failedResults").await.len(), 1);
}

#[tokio::test]
async fn deleted_rows_are_remembered() {
    let client = orderly().await;
    client
        .insert("Contact", "LastName,Ext_Id__c\nA,a\nB,b\n")
        .await;
    let rows = client.inspect("objects/Contact/rows").await;
    let [a, b] = [0, 1].map(|row| rows[row]["Id"].as_str().unwrap().to_owned());
    let hard = json!({"object": "Contact", "operation": "hardDelete"});
    let (status, body) = client.json(Method::POST, "/jobs/ingest", &hard).await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (StatusCode::BAD_REQUEST, &json!("FEATURENOTENABLED"))
    );
    client.post("options", &json!({"hard_delete": true})).await;
    client.run(&delete("Contact"), &format!("Id\n{a}\n")).await;
    client.run(&hard, &format!("Id\n{b}\n")).await;
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
    let bin = client.inspect("objects/Contact/deleted").await;
    assert_eq!(
        (bin.as_array().unwrap().len(), &bin[0]["Id"]),
        (1, &json!(a))
    );
    let csv = format!("Id\n{a}\n{b}\n0035g00000zzzzz\n0013\n0015g0000000000AAA\n");
    let job = client.run(&delete("Contact"), &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 5, 5));
    let errors = client.errors(&job).await;
    assert_eq!(errors[&a], "ENTITY_IS_DELETED:entity is deleted:--");
    for id in [b.as_str(), "0035g00000zzzzz"] {
        let error = &errors[id];
        assert_eq!(
            error,
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
        );
    }
    for id in ["0013", "0015g0000000000AAA"] {
        let error = &errors[id];
        assert!(error.starts_with("MALFORMED_ID:Contact ID: id value of incorrect type"));
    }
    let wide = client.run(&delete("Contact"), "Id,LastName\nx,y\n").await;
    assert_eq!(counts(&wide), ended("Failed", 0, 0));
}

#[tokio::test]
async fn rules_assign_cases_and_leads() {
    let client = Client::start(SimOptions::default()).await;
    let job = |object: &str, rule: &str| {
        json!({"object": object, "operation": "insert",
            "assignmentRuleId": rule})
    };
    let rule = "01Q5g0000000001";
    for (object, rule, status) in [
        ("Lead", rule, StatusCode::OK),
        ("Case", rule, StatusCode::OK),
        ("Contact", rule, StatusCode::BAD_REQUEST),
        ("Lead", "Standard", StatusCode::BAD_REQUEST),
    ] {
        let (found, _) = client
            .json(Method::POST, "/jobs/ingest", &job(object, rule))
            .await;
        assert_eq!(found, status, "{object} {rule}");
    }
    let state = client.inspect("state").await;
    assert_eq!(state["jobs"][1]["assignment_rule_id"], rule);
    let url = format!("{}/services/data/v48.0/jobs/ingest", client.sim.url());
    let post = client.http.post(url).bearer_auth(&client.token);
    let old = post.json(&job("Lead", rule)).send().await.unwrap();
    assert_eq!(old.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn rows_and_jobs_are_processed_in_an_order_of_their_own() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(1_000)).await;
    let rows = client.inspect("objects/Contact/rows").await;
    let keys: Vec<u64> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["Ext_Id__c"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(!keys.is_sorted());
    // Of many pairs of jobs that are closed one right after the other, some end the wrong way.
    client.insert("Account", "Name,Ext_Id__c\nOld,A\n").await;
    let mut wrong = 0;
    for _ in 0..10 {
        let mut ids = Vec::new();
        for name in ["First", "Second"] {
            let id = client.create(&upsert("Account", "Ext_Id__c")).await;
            client
                .upload(&id, &format!("Name,Ext_Id__c\n{name},A\n"))
                .await;
            ids.push(id);
        }
        for id in &ids {
            client.enter(id, "UploadComplete").await;
        }
        for id in &ids {
            client.ended(id).await;
        }
        let stored = client.inspect("objects/Account/rows").await;
        wrong += u32::from(stored[0]["Name"] == "First");
    }
    assert!(wrong > 0, "all jobs ended in the order of their close");
}

#[tokio::test]
async fn rows_fail_for_a_number_of_times() {
    let client = Client::start(SimOptions::default()).await;
    let lock = json!([{"times": 0, "do": {"lock_rows": {"share": 0.5, "attempts": 2}}}]);
    client.post("faults", &lock).await;
    let mut rows: Vec<String> = (0..100).map(|row| format!("N{row},{row}")).collect();
    let mut left = Vec::new();
    for _ in 0..3 {
        let csv = format!("LastName,Ext_Id__c\n{}\n", rows.join("\n"));
        let job = client.insert("Contact", &csv).await;
        let errors = client.errors(&job).await;
        assert!(errors.values().all(|e| e.starts_with("UNABLE_TO_LOCK_ROW")));
        rows.retain(|row| errors.contains_key(row.split_once(',').unwrap().1));
        left.push(rows.len());
    }
    assert!((25..75).contains(&left[0]), "{left:?}");
    assert_eq!((left[1], left[2]), (left[0], 0));
}

#[tokio::test]
async fn bad_rows_make_good_ones_fail() {
    let client = Client::start(SimOptions::default()).await;
    let fault = json!([{"do": {"too_many_retries": {}}}]);
    client.post("faults", &fault).await;
    let csv = format!("{}Bad,5\n", many(400)).replace("N5,", ",");
    let job = client.insert("Contact", &csv).await;
    let errors = client.errors(&job).await;
    let spread = errors
        .values()
        .filter(|error| error.contains("Too many retries of batch save"));
    assert_eq!(spread.count(), 199);
    assert!(errors["5"].starts_with("REQUIRED_FIELD_MISSING"));
    let timeout = json!([{"do": {"fail_rows": {"share": 1.0, "error": "QUERY_TIMEOUT:x:--"}}}]);
    client.post("faults", &timeout).await;
    let job = client.insert("Contact", "LastName\nA\n").await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 1));
}

#[tokio::test]
async fn nulls_clear_what_they_may_clear() {
    let client = Client::start(SimOptions::default()).await;
    let csv = "Name,Text__c,Int__c,Flag__c,Ext_Id__c\nA,x,5,true,1\n";
    client.insert("Everything__c", csv).await;
    let by_key = upsert("Everything__c", "Ext_Id__c");
    let csv = "Name,Text__c,Int__c,Flag__c,Ext_Id__c\n,#N/A,,,1\n";
    let job = client.run(&by_key, csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    let row = &client.inspect("objects/Everything__c/rows").await[0];
    let stored = ["Name", "Text__c", "Int__c", "Flag__c"].map(|field| row[field].clone());
    assert_eq!(stored, [json!("A"), Value::Null, json!("5"), json!("true")]);
    let csv = "Name,Flag__c,Ext_Id__c\n#N/A,,1\n,#N/A,2\n";
    let job = client.run(&by_key, csv).await;
    let errors = client.errors(&job).await;
    assert!(errors["1"].starts_with("REQUIRED_FIELD_MISSING"));
    assert!(errors["2"].contains("xsd:boolean"));
}

#[tokio::test]
async fn details_keep_their_master() {
    let client = Client::start(SimOptions::default()).await;
    let masters = "Name,Ext_Id__c\nA,a\nB,b\n";
    client.insert("Everything__c", masters).await;
    let by_key = upsert("Child__c", "Key__c");
    let header = "Parent__r.Ext_Id__c,Amount__c,Key__c\n";
    client.run(&by_key, &format!("{header}a,1,k\n")).await;
    let job = client.run(&by_key, &format!("{header}A,2,k\n")).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    let job = client.run(&by_key, &format!("{header}b,3,k\n")).await;
    let error = &client.errors(&job).await["k"];
    assert!(
        error.starts_with(
            "INVALID_FIELD_FOR_INSERT_UPDATE:Attempting to update (as part of an upsert) parent \
             field Parent__c with new value "
        ),
        "{error}"
    );
    let master = client.inspect("objects/Child__c/rows").await[0]["Parent__c"].clone();
    let job = client
        .run(
            &by_key,
            &format!(
                "Parent__c,Amount__c,Key__c\n{},4,k\n",
                master.as_str().unwrap()
            ),
        )
        .await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    assert_eq!(
        client.inspect("objects/Child__c/rows").await[0]["Amount__c"],
        "4"
    );
}

#[tokio::test]
async fn keys_that_are_gone_are_free() {
    let client = orderly().await;
    let accounts = "Name,Ext_Id__c,Legacy_Id__c\nA,a,old\nB,b,old\n";
    client.insert("Account", accounts).await;
    let rows = client.inspect("objects/Account/rows").await;
    let [a, b] = [0, 1].map(|row| rows[row]["Id"].as_str().unwrap().to_owned());
    let update = json!({"object": "Account", "operation": "update"});
    client
        .run(&update, &format!("Id,Ext_Id__c\n{a},#N/A\n"))
        .await;
    let by_key = upsert("Account", "Ext_Id__c");
    let job = client.run(&by_key, "Name,Ext_Id__c\nNew,a\n").await;
    let successful = client.result(&job, "successfulResults").await;
    assert!(successful[1].contains("\"true\",\"New\""));
    let by_legacy = upsert("Account", "Legacy_Id__c");
    let csv = "Name,Legacy_Id__c\nX,old\n";
    assert_eq!(
        counts(&client.run(&by_legacy, csv).await),
        ended("JobComplete", 1, 1)
    );
    client.run(&delete("Account"), &format!("Id\n{b}\n")).await;
    let job = client.run(&by_legacy, csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    assert!(client.result(&job, "successfulResults").await[1].starts_with(&format!("\"{a}\"")));
}
