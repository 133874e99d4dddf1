//! The life cycle of ingest jobs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended};

#[tokio::test]
async fn an_insert_goes_through_its_life_cycle() {
    let options = SimOptions {
        shuffle_processing: false,
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let csv = "lastname,\"Revenue_Share__c\",Email,Ext_Id__c\nAda,12.345,a@x.org,1\n\
        \"Bob \"\"B\"\"\",,nope,2\n,1,,3\nEve,,,1\n";
    let job = client.insert("Contact", csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 4, 3));
    let failed = client.result(&job, "failedResults/").await;
    assert_eq!(
        failed,
        [
            "\"sf__Id\",\"sf__Error\",lastname,\"Revenue_Share__c\",Email,Ext_Id__c".to_owned(),
            "\"\",\"DUPLICATE_VALUE:duplicate value found: Ext_Id__c duplicates value on record \
             with id: 0035g0000000000AAA:--\",\"Eve\",\"\",\"\",\"1\""
                .to_owned(),
            "\"\",\"INVALID_EMAIL_ADDRESS:Email: invalid email address: nope:Email --\",\
             \"Bob \"\"B\"\"\",\"\",\"nope\",\"2\""
                .to_owned(),
            "\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --\",\
             \"\",\"1.0\",\"\",\"3\""
                .to_owned(),
        ]
    );
    let successful = client.result(&job, "successfulResults").await;
    assert_eq!(
        successful[1],
        "\"0035g0000000000AAA\",\"true\",\"Ada\",\"12.345\",\"a@x.org\",\"1\""
    );
    let unprocessed = client.result(&job, "unprocessedrecords").await;
    assert_eq!(
        unprocessed,
        ["lastname,\"Revenue_Share__c\",Email,Ext_Id__c"]
    );
    let rows = client.inspect("objects/Contact/rows").await;
    assert_eq!(
        rows,
        json!([{"LastName": "Ada", "Revenue_Share__c": "12.35", "Email": "a@x.org",
            "Ext_Id__c": "1", "Id": "0035g0000000000AAA"}])
    );
    let state = client.inspect("state").await;
    assert_eq!(
        (&state["batches"], &state["max_in_flight"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn only_legal_transitions_are_made() {
    let client = Client::start(SimOptions::default()).await;
    let insert = json!({"object": "Contact", "operation": "insert"});
    let id = client.create(&insert).await;
    assert_eq!(
        client.upload(&id, "LastName\nAda\n").await,
        StatusCode::CREATED
    );
    assert_eq!(
        client.upload(&id, "LastName\nAda\n").await,
        StatusCode::BAD_REQUEST
    );
    client.post("hold", &json!({"hold": true})).await;
    client.enter(&id, "UploadComplete").await;
    let (status, body) = client.enter(&id, "UploadComplete").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body[0]["errorCode"], "INVALIDJOBSTATE");
    assert_eq!(
        body[0]["message"],
        "Closing already Completed Job not allowed"
    );
    assert_ne!(
        client.get(&format!("/jobs/ingest/{id}")).await["state"],
        "JobComplete"
    );
    client.post("hold", &json!({"hold": false})).await;
    assert_eq!(counts(&client.ended(&id).await), ended("JobComplete", 1, 0));
    let (_, body) = client.enter(&id, "Aborted").await;
    assert_eq!(
        body[0]["message"],
        "Aborting already Completed Job not allowed"
    );
    let deleted = client
        .call(Method::DELETE, &format!("/jobs/ingest/{id}"))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let open = client.create(&insert).await;
    assert_eq!(client.enter(&open, "Aborted").await.1["state"], "Aborted");
    for (settings, code) in [
        (
            json!({"object": "Nope", "operation": "insert"}),
            "INVALIDJOB",
        ),
        (
            json!({"object": "User", "operation": "insert"}),
            "INVALIDENTITY",
        ),
        (
            json!({"object": "Contact", "operation": "upsert"}),
            "INVALIDJOB",
        ),
        (
            json!({"object": "Contact", "operation": "insert", "lineEnding": "CR"}),
            "INVALIDJOB",
        ),
    ] {
        let (status, body) = client.json(Method::POST, "/jobs/ingest", &settings).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body[0]["errorCode"], code, "{settings}");
    }
}

#[tokio::test]
async fn an_empty_file_has_no_rows() {
    for contention in [None, Some(crate::Contention::default())] {
        let options = SimOptions {
            contention,
            ..SimOptions::default()
        };
        let client = Client::start(options).await;
        let job = client.insert("Contact", "").await;
        assert_eq!(counts(&job), ended("JobComplete", 0, 0));
        for which in ["successfulResults", "failedResults", "unprocessedrecords"] {
            assert!(client.result(&job, which).await.len() <= 1, "{which}");
        }
    }
}

#[tokio::test]
async fn a_bad_file_fails_the_whole_job() {
    let client = Client::start(SimOptions::default()).await;
    for (csv, message) in [
        (
            "LastName,Foo__c,Bar\nAda,1,2\n",
            "InvalidBatch : Field name not found : Foo__c",
        ),
        (
            "LastName\r\nAda\r\n",
            "ClientInputError : LineEnding is invalid on user data.",
        ),
        ("LastName\n", "InvalidBatch : Records not found"),
        (
            "\u{feff}LastName\nAda\n",
            "InvalidBatch : Field name not found : \u{feff}LastName",
        ),
    ] {
        let job = client.insert("Contact", csv).await;
        assert_eq!(counts(&job), ended("Failed", 0, 0));
        let text = job["errorMessage"].as_str().unwrap();
        assert!(text.starts_with(message), "{text}");
        assert_eq!(client.result(&job, "failedResults").await.len(), 1);
    }
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused() {
    let client = Client::start(SimOptions {
        max_upload_bytes: 20,
        ..SimOptions::default()
    })
    .await;
    let id = client
        .create(&json!({"object": "Contact", "operation": "insert"}))
        .await;
    let long = "LastName\nAda\nBob\nEve\n";
    assert_eq!(
        client.upload(&id, long).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        client.upload(&id, "LastName\nAda\n").await,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn upsert_changes_what_is_known_and_refuses_repeated_keys() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Account", "Name,Ext_Id__c\nAcme,A\n").await;
    let upsert = json!({"object": "Account", "operation": "upsert",
        "externalIdFieldName": "Ext_Id__c"});
    let csv = "Ext_Id__c,Name,Phone\na,,1\nB,Bolt,2\nC,,3\nD,Dup,4\nD,Dup,5\n,Blank,6\n";
    let job = client.run(&upsert, csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 6, 4));
    let failed = client.result(&job, "failedResults").await.join("\n");
    for error in [
        "DUPLICATE_VALUE:Duplicate external id specified: D:Ext_Id__c --",
        "MISSING_ARGUMENT:Ext_Id__c not specified",
        "Required fields are missing: [Name]",
    ] {
        assert!(failed.contains(error), "{failed}");
    }
    let successful = client.result(&job, "successfulResults").await;
    assert!(successful[1].contains("\"false\",\"a\"") && successful[2].contains("\"true\",\"B\""));
    let rows = client.inspect("objects/Account/rows").await;
    assert_eq!(
        (&rows[0]["Name"], &rows[0]["Phone"]),
        (&json!("Acme"), &json!("1"))
    );
    let contacts = "LastName,Account.Ext_Id__c,Owner.Email\nAda,B,seller@sim.example\nBob,X,\n";
    let job = client.insert("Contact", contacts).await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
    let failed = client.result(&job, "failedResults").await.join("\n");
    let error = "INVALID_FIELD:Foreign key external ID: X not found for field Ext_Id__c in \
        entity Account:--";
    assert!(failed.contains(error), "{failed}");
    let contact = &client.inspect("objects/Contact/rows").await[0];
    assert_eq!(contact["AccountId"], rows[1]["Id"]);
    let delete = json!({"object": "Account", "operation": "delete"});
    let id = rows[1]["Id"].as_str().unwrap();
    let job = client
        .run(&delete, &format!("Id\n{id}\n0015g00000zzzzz\n"))
        .await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 1));
    assert_eq!(client.inspect("objects/Account").await["count"], 1);
}

#[tokio::test]
async fn a_job_can_come_with_its_data() {
    let client = Client::start(SimOptions::default()).await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"job\"\r\n\
        Content-Type: application/json\r\n\r\n\
        {\"object\":\"Lead\",\"operation\":\"insert\",\"columnDelimiter\":\"PIPE\"}\r\n--b\r\n\
        Content-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n\
        Content-Type: text/csv\r\n\r\nLastName|Company\nAda|Acme\n\r\n--b--\r\n";
    let post = client.call(Method::POST, "/jobs/ingest");
    let post = post
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    let job: Value = post.send().await.unwrap().json().await.unwrap();
    assert_eq!(job["state"], "UploadComplete");
    let job = client.ended(job["id"].as_str().unwrap()).await;
    assert_eq!(counts(&job), ended("JobComplete", 1, 0));
    let successful = client.result(&job, "successfulResults").await;
    assert_eq!(successful[0], "\"sf__Id\"|\"sf__Created\"|LastName|Company");
}
