//! Describes, rights and the org itself.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions};

#[tokio::test]
async fn objects_are_described_alone_and_together() {
    let client = Client::start(SimOptions::default()).await;
    assert_eq!(
        client.get("/sobjects").await["sobjects"]
            .as_array()
            .unwrap()
            .len(),
        11
    );
    let contact = client.get("/sobjects/Contact/describe").await;
    let fields = contact["fields"].as_array().unwrap();
    assert!(
        fields
            .iter()
            .any(|field| field["name"] == "Ext_Id__c" && field["externalId"] == true)
    );
    let missing = client
        .call(Method::GET, "/sobjects/Nope/describe")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json::<Value>().await.unwrap()[0]["errorCode"],
        "NOT_FOUND"
    );
    let describe = |name: &str| {
        json!({"method": "GET", "referenceId": name,
            "url": format!("/services/data/v62.0/sobjects/{name}/describe")})
    };
    let both = json!({"compositeRequest": [describe("Lead"), describe("Nope")]});
    let before = client.inspect("state").await["api_calls"].as_u64().unwrap();
    let (_, response) = client.json(Method::POST, "/composite", &both).await;
    assert_eq!(response["compositeResponse"][0]["body"]["name"], "Lead");
    assert_eq!(response["compositeResponse"][1]["httpStatusCode"], 404);
    let batch = json!({"batchRequests": [describe("Lead"), describe("Account")]});
    let (_, response) = client.json(Method::POST, "/composite/batch", &batch).await;
    assert_eq!(response["results"][1]["result"]["name"], "Account");
    let after = client.inspect("state").await["api_calls"].as_u64().unwrap();
    assert_eq!(after - before, 3);
}

fn describe_of(name: &str) -> Value {
    json!({"method": "GET", "referenceId": name,
        "url": format!("/services/data/v62.0/sobjects/{name}/describe")})
}

#[tokio::test]
async fn an_org_can_be_large() {
    let client = Client::start(SimOptions {
        extra_objects: 1_200,
        ..SimOptions::default()
    })
    .await;
    let global = client.get("/sobjects").await;
    let objects = global["sobjects"].as_array().unwrap();
    assert_eq!(objects.len(), 1_211);
    let of_type = |kind: &str| {
        let of_type = |object: &&Value| object["associateEntityType"] == kind;
        objects.iter().filter(of_type).count()
    };
    for kind in ["History", "Share", "Feed", "ChangeEvent"] {
        assert_eq!(of_type(kind), 150);
    }
    let feed = objects
        .iter()
        .find(|object| object["name"] == "Extra_00008__Feed");
    let feed = feed.unwrap();
    assert_eq!(
        (&feed["createable"], &feed["custom"]),
        (&json!(false), &json!(false))
    );
    let names = objects
        .iter()
        .rev()
        .take(25)
        .map(|object| object["name"].as_str().unwrap());
    let requests: Vec<Value> = names.map(describe_of).collect();
    let before = client.inspect("state").await["api_calls"].as_u64().unwrap();
    let asked = json!({"compositeRequest": requests});
    let (_, response) = client.json(Method::POST, "/composite", &asked).await;
    let responses = response["compositeResponse"].as_array().unwrap();
    assert!(
        responses
            .iter()
            .all(|response| response["httpStatusCode"] == 200)
    );
    let after = client.inspect("state").await["api_calls"].as_u64().unwrap();
    assert_eq!((responses.len(), after - before), (25, 1));
    let odd = client.get("/sobjects/Extra_00000__c/describe").await;
    let fields = odd["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["type"] == "hologram"));
    let job = client
        .insert("Extra_00000__c", "Name,Flag__c\nA,true\n")
        .await;
    assert_eq!(job["numberRecordsFailed"], 0);
}

#[tokio::test]
async fn a_describe_inside_a_request_can_fail() {
    let client = Client::start(SimOptions::default()).await;
    let fault = json!([{"path": "*/Lead/describe", "do": {"api_error":
        {"status": 500, "code": "UNKNOWN_EXCEPTION", "message": "x"}}}]);
    client.post("faults", &fault).await;
    let asked = json!({"compositeRequest": [describe_of("Account"), describe_of("Lead")]});
    let (_, response) = client.json(Method::POST, "/composite", &asked).await;
    assert_eq!(response["compositeResponse"][0]["httpStatusCode"], 200);
    let lead = &response["compositeResponse"][1];
    assert_eq!(lead["httpStatusCode"], 500);
    assert_eq!(lead["body"][0]["errorCode"], "UNKNOWN_EXCEPTION");
    let fault = json!([{"do": {"api_error": {"code": "API_DISABLED_FOR_ORG"}}}]);
    client.post("faults", &fault).await;
    let response = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body[0]["errorCode"], "API_DISABLED_FOR_ORG");
}

#[tokio::test]
async fn a_user_may_write_some_objects_or_none() {
    let client = Client::start(SimOptions::default()).await;
    client
        .post("options", &json!({"writable_objects": ["Lead"]}))
        .await;
    let global = client.get("/sobjects").await;
    for object in global["sobjects"].as_array().unwrap() {
        let writable = object["name"] == "Lead";
        assert_eq!(object["createable"], writable, "{}", object["name"]);
        assert!(object.get("fields").is_none());
    }
    let contact = client.get("/sobjects/Contact/describe").await;
    let fields = contact["fields"].as_array().unwrap();
    assert!(fields.iter().all(|field| field["createable"] == false));
    let insert = json!({"object": "Contact", "operation": "insert"});
    let (status, body) = client.json(Method::POST, "/jobs/ingest", &insert).await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (StatusCode::BAD_REQUEST, &json!("INVALIDENTITY"))
    );
    assert!(client.get("/sobjects/Lead/describe").await["createable"] == true);
}

#[tokio::test]
async fn clients_ask_about_the_org_and_the_user() {
    let client = Client::start(SimOptions {
        sandbox: true,
        ..SimOptions::default()
    })
    .await;
    let select = "/query?q=SELECT Name, InstanceName, IsSandbox, TrialExpirationDate, \
        NamespacePrefix, OrganizationType FROM Organization";
    let response = client.get(select).await;
    let org = &response["records"][0];
    assert_eq!(
        (&response["totalSize"], &org["IsSandbox"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(org["attributes"]["type"], "Organization");
    let scratch = client
        .get("/query?q=SELECT Id FROM ScratchOrgInfo limit 1")
        .await;
    assert_eq!(scratch[0]["errorCode"], "INVALID_TYPE");
    let wrong = client.get("/query?q=SELECT Foo FROM Organization").await;
    assert_eq!(wrong[0]["errorCode"], "INVALID_FIELD");
    let user = client.get("/sobjects/User/0055g0000000000AAA").await;
    assert_eq!(user["Username"], "loader@sim.example");
    assert_eq!(user["IsActive"], true);
    let csv = "Name,NumberOfEmployees\nAcme,7\n";
    let job = client.insert("Account", csv).await;
    let account = client.result(&job, "successfulResults").await;
    let id = account[1].split('"').nth(1).unwrap();
    let account = client.get(&format!("/sobjects/Account/{id}")).await;
    assert_eq!(account["NumberOfEmployees"], 7);
}

#[tokio::test]
async fn slashes_around_a_path_do_not_matter() {
    let client = Client::start(SimOptions::default()).await;
    for path in ["/limits/", "/limits", "/limits/?a=b"] {
        assert!(
            client.get(path).await["DailyApiRequests"].is_object(),
            "{path}"
        );
    }
    let url = format!("{}//services/data", client.sim.url());
    let versions: Value = client
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(versions[4]["version"], "62.0");
    // A session is asked for all the same.
    let limits = client
        .http
        .get(format!("{url}/v62.0/limits"))
        .send()
        .await
        .unwrap();
    assert_eq!(limits.status(), StatusCode::UNAUTHORIZED);
}
