//! Org files: the documented example, and what is wrong with others.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, Sim, SimOptions, counts, ended};

fn example() -> SimOptions {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/org.json");
    SimOptions {
        org: Some(PathBuf::from(path)),
        ..SimOptions::default()
    }
}

/// Logs in as the reader of the example.
async fn log_in(client: &mut Client, form: &[(&str, &str)]) -> Value {
    let url = format!("{}/services/oauth2/token", client.sim.url());
    let response = client.http.post(url).form(form).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    client.token = body["access_token"].as_str().unwrap_or_default().to_owned();
    body
}

const READER: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "reader-client"),
    ("client_secret", "reader-secret"),
];

#[tokio::test]
async fn rules_refuse_what_records_would_hold() {
    let client = Client::start(example()).await;
    let csv = "Email,Consent__c,Score__c,LastName\na@b.com,Yes,5,A\na@b.com,No,5,B\n,No,101,C\n\
               ,,,D\n";
    let job = client.insert("Contact", csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 4, 2));
    let errors = client.errors(&job).await;
    assert_eq!(
        errors["B"],
        "FIELD_CUSTOM_VALIDATION_EXCEPTION:A contact with an e-mail address needs consent.:\
         Consent__c --"
    );
    assert_eq!(
        errors["C"],
        "FIELD_CUSTOM_VALIDATION_EXCEPTION:The score is from 0 to 100.:--"
    );
    // A change is checked together with what the record holds already.
    let page = client
        .get("/query?q=SELECT Id FROM Contact WHERE LastName IN ('A', 'D') ORDER BY LastName")
        .await;
    let id = |at: usize| page["records"][at]["Id"].as_str().unwrap();
    let csv = format!("Consent__c,Id\nNo,{}\nNo,{}\n", id(0), id(1));
    let settings = json!({"object": "Contact", "operation": "update", "lineEnding": "LF"});
    let job = client.run(&settings, &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
    let errors = client.errors(&job).await;
    assert!(errors[id(0)].contains("needs consent"), "{errors:?}");
}

#[tokio::test]
async fn a_file_brings_limits_record_types_and_records() {
    let client = Client::start(example()).await;
    let limits = client.get("/limits").await;
    assert_eq!(limits["DailyApiRequests"]["Max"], 15_000);
    assert_eq!(limits["DailyBulkV2QueryJobs"]["Max"], 100);
    let contact = client.get("/sobjects/Contact/describe").await;
    assert_eq!(contact["recordTypeInfos"][1]["developerName"], "Minor");
    let shipments = client
        .get("/query?q=SELECT Number__c FROM Shipment__c")
        .await;
    assert_eq!(shipments["records"][0]["Number__c"], "S-1");
    let csv = "LastName,RecordType.DeveloperName,Consent__c\nA,Minor,Yes\nB,Minor,No\n";
    let job = client.insert("Contact", csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
}

#[tokio::test]
async fn users_see_and_write_what_they_may() {
    let mut client = Client::start(example()).await;
    client.insert("Contact", "LastName,Phone\nA,1\n").await;
    let wrong = [READER[0], READER[1], ("client_secret", "x")];
    assert_eq!(log_in(&mut client, &wrong).await["error"], "invalid_client");
    let refresh = [
        ("grant_type", "refresh_token"),
        READER[1],
        READER[2],
        ("refresh_token", "reader-token"),
    ];
    let body = log_in(&mut client, &refresh).await;
    let identity = client.http.get(body["id"].as_str().unwrap());
    let identity = identity.bearer_auth(&client.token).send().await.unwrap();
    let identity: Value = identity.json().await.unwrap();
    assert_eq!(identity["username"], "reader@sim.example");
    log_in(&mut client, &READER).await;

    let contact = client.get("/sobjects/Contact/describe").await;
    let field = |object: &Value, name: &str| {
        let fields = object["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).cloned()
    };
    assert_eq!(contact["createable"], false);
    assert!(field(&contact, "Email").is_none() && field(&contact, "Phone").is_some());
    let shipment = client.get("/sobjects/Shipment__c/describe").await;
    assert_eq!(field(&shipment, "Sent__c").unwrap()["createable"], false);
    let hidden = client.call(Method::GET, "/sobjects/Account/describe");
    assert_eq!(hidden.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let global = client.get("/sobjects").await;
    let names = global["sobjects"].as_array().unwrap().iter();
    assert!(names.clone().all(|object| object["name"] != "Account"));
    assert!(names.clone().any(|object| object["name"] == "Contact"));

    let code = |body: Value| body[0]["errorCode"].clone();
    let found = client.get("/query?q=SELECT Phone FROM Contact").await;
    assert_eq!(found["totalSize"], 1);
    let email = client.get("/query?q=SELECT Email FROM Contact").await;
    assert_eq!(code(email), "INVALID_FIELD");
    let account = client.get("/query?q=SELECT Id FROM Account").await;
    assert_eq!(code(account), "INVALID_TYPE");
    let all = client
        .get("/query?q=SELECT FIELDS(ALL) FROM Contact LIMIT 1")
        .await;
    assert!(all["records"][0].get("Email").is_none());

    let refused = json!({"object": "Contact", "operation": "insert"});
    let (_, body) = client.json(Method::POST, "/jobs/ingest", &refused).await;
    assert_eq!(code(body), "INVALIDENTITY");
    let one = json!({"LastName": "x"});
    let (status, body) = client.json(Method::POST, "/sobjects/Contact", &one).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(code(body), "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY");
    let path = "/sobjects/Contact/0035g0000000000AAA";
    let (status, body) = client.json(Method::PATCH, path, &one).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(code(body), "INSUFFICIENT_ACCESS_OR_READONLY");
    let list = json!({"records": [{"attributes": {"type": "Shipment__c"}, "Name": "C"},
        {"attributes": {"type": "Contact"}, "LastName": "x"}]});
    let (_, saved) = client
        .json(Method::POST, "/composite/sobjects", &list)
        .await;
    assert_eq!(
        (&saved[0]["success"], &saved[1]["success"]),
        (&json!(true), &json!(false)),
        "{saved}"
    );
    let csv = "Sent__c,Name\n2024-01-01,A\n,B\n";
    let job = client.insert("Shipment__c", csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
    let errors = client.errors(&job).await;
    assert!(errors["A"].contains("check the security settings of this field"));
    let mine = "/query?q=SELECT CreatedById FROM Shipment__c WHERE Name = 'B'";
    let mine = client.get(mine).await["records"][0]["CreatedById"].clone();
    assert_eq!(mine, identity["user_id"]);
    let found = format!("/sobjects/User/{}", mine.as_str().unwrap());
    assert_eq!(client.get(&found).await["Username"], "reader@sim.example");
    let gone = json!({"object": "Shipment__c", "operation": "delete"});
    let (_, body) = client.json(Method::POST, "/jobs/ingest", &gone).await;
    assert_eq!(code(body), "INVALIDENTITY");
}

#[tokio::test]
async fn errors_of_a_file_name_the_place() {
    let path = std::env::temp_dir().join(format!("org-{}.json", std::process::id()));
    for (text, place) in [
        (
            json!({"extends": "builtin", "objects": [{"name": "Contact", "validationRules":
                [{"name": "R", "condition": "Nope = 1", "message": "m"}]}]}),
            "object Contact: validation rule R: \nNope = 1",
        ),
        (
            json!({"extends": "builtin", "objects": [{"name": "Contact", "validationRules":
                [{"name": "R", "condition": "Email = null", "message": "m", "field": "X"}]}]}),
            "validation rule R: there is no field X",
        ),
        (
            json!({"objects": [], "users": [{"username": "u", "clientId": "c",
                "clientSecret": "s", "objects": {"Nope": []}}]}),
            "user u: there is no object Nope",
        ),
        (
            json!({"extends": "builtin", "objects": [{"name": "Contact",
                "records": "LastName,Birthdate\nA,2024-02-29\nB,2023-02-29\n"}]}),
            "the records of Contact: row 2: INVALID_FIELD:Failed to deserialize field at col 1",
        ),
        (
            json!({"objects": [{"name": "X"}]}),
            "object \"X\" needs name, keyPrefix and fields",
        ),
    ] {
        std::fs::write(&path, text.to_string()).unwrap();
        let options = SimOptions {
            org: Some(path.clone()),
            ..SimOptions::default()
        };
        let error = Sim::start(options).await.unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}
