//! Query jobs of Bulk API 2.0.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions, many};

async fn create(client: &Client, request: &Value) -> (StatusCode, Value) {
    client.json(Method::POST, "/jobs/query", request).await
}

/// Runs a query to its end. Returns the path of the job and the job.
async fn run(client: &Client, request: &Value) -> (String, Value) {
    let (status, job) = create(client, request).await;
    assert_eq!(
        (status, &job["state"]),
        (StatusCode::OK, &json!("UploadComplete")),
        "{job}"
    );
    let path = format!("/jobs/query/{}", job["id"].as_str().unwrap());
    loop {
        let job = client.get(&path).await;
        if ["JobComplete", "Failed", "Aborted"].contains(&job["state"].as_str().unwrap()) {
            return (path, job);
        }
        tokio::task::yield_now().await;
    }
}

/// A page of results: its text, its locator and its number of records.
async fn results(client: &Client, path: &str) -> (String, String, String) {
    let response = client.call(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let [locator, records] = ["Sforce-Locator", "Sforce-NumberOfRecords"].map(header);
    (response.text().await.unwrap(), locator, records)
}

#[tokio::test]
async fn results_come_in_pages() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(5)).await;
    let soql = "select ext_id__c, Name, DoNotCall from contact";
    let (path, job) = run(&client, &json!({"operation": "query", "query": soql})).await;
    for (key, value) in [
        ("object", json!("Contact")),
        ("jobType", json!("V2Query")),
        ("numberRecordsProcessed", json!(5)),
        ("lineEnding", json!("LF")),
        ("columnDelimiter", json!("COMMA")),
        ("isPkChunkingSupported", json!(true)),
    ] {
        assert_eq!(job[key], value, "{key}");
    }
    let (text, locator, records) = results(&client, &format!("{path}/results")).await;
    assert_eq!((locator.as_str(), records.as_str()), ("null", "5"));
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].sort_unstable();
    let header = "\"Ext_Id__c\",\"Name\",\"DoNotCall\"";
    assert_eq!(lines[..2], [header, "\"0\",\"N0\",\"false\""]);
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    let mut next = format!("{path}/results?maxRecords=2");
    loop {
        let (text, locator, records) = results(&client, &next).await;
        assert_eq!(text.lines().next(), Some(header));
        found.extend(text.lines().skip(1).map(str::to_owned));
        sizes.push(records);
        if locator == "null" {
            break;
        }
        next = format!("{path}/results?maxRecords=2&locator={locator}");
    }
    found.sort_unstable();
    assert_eq!(sizes, ["2", "2", "1"]);
    assert_eq!(found, lines[1..]);
    let pages = client.get(&format!("{path}/resultPages")).await;
    assert_eq!(pages["done"], true);
    let first = pages["resultPages"][0]["resultUrl"].as_str().unwrap();
    let first = first.strip_prefix("/services/data/v62.0").unwrap();
    assert_eq!(results(&client, first).await.2, "5");
    let wrong = client.get(&format!("{path}/results?locator=null")).await;
    assert_eq!(wrong[0]["errorCode"], "INVALID_QUERY_LOCATOR");
}

#[tokio::test]
async fn fields_of_parents_are_columns() {
    let client = Client::start(SimOptions::default()).await;
    client
        .insert("Account", "Name,Ext_Id__c\n\"Acme, \"\"Inc\"\"\",A1\n")
        .await;
    let contacts = "LastName,Account.Ext_Id__c\nOne,A1\nTwo,\n";
    client.insert("Contact", contacts).await;
    let soql = "SELECT account.name, LASTNAME, Account.Owner.Email, account.Id FROM Contact \
                ORDER BY LastName";
    let (path, job) = run(&client, &json!({"operation": "query", "query": soql})).await;
    assert_eq!(job["numberRecordsProcessed"], 2, "{job}");
    let (text, ..) = results(&client, &format!("{path}/results")).await;
    let account = client.inspect("objects/Account/rows").await[0]["Id"].clone();
    let expected = format!(
        "\"Account.Name\",\"LastName\",\"Account.Owner.Email\",\"Account.Id\"\n\
         \"Acme, \"\"Inc\"\"\",\"One\",\"loader@sim.example\",{account}\n\"\",\"Two\",\"\",\"\"\n"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn all_settings_of_a_job_hold() {
    let client = Client::start(SimOptions::default()).await;
    client
        .insert("Account", "Name,AnnualRevenue\n\"a^b\",912260031\n")
        .await;
    let gone = client.get("/query?q=SELECT Id FROM Account").await;
    let gone = gone["records"][0]["Id"].as_str().unwrap();
    let settings = json!({"object": "Account", "operation": "delete", "lineEnding": "LF"});
    client.run(&settings, &format!("Id\n{gone}\n")).await;
    let mut request = json!({"operation": "query", "contentType": "CSV", "lineEnding": "CRLF",
        "columnDelimiter": "CARET", "query": "SELECT Name, AnnualRevenue FROM Account"});
    let (path, _) = run(&client, &request).await;
    let empty = results(&client, &format!("{path}/results")).await;
    assert_eq!(
        (empty.0.as_str(), empty.2.as_str()),
        ("\"Name\"^\"AnnualRevenue\"\r\n", "0")
    );
    request["operation"] = json!("queryAll");
    let (path, _) = run(&client, &request).await;
    let (text, _, _) = results(&client, &format!("{path}/results")).await;
    assert!(text.ends_with("\r\n\"a^b\"^\"9.12260031E8\"\r\n"), "{text}");
}

#[tokio::test]
async fn jobs_are_listed_aborted_and_deleted() {
    let client = Client::start(SimOptions {
        max_query_jobs: 2,
        ..SimOptions::default()
    })
    .await;
    let request = json!({"operation": "query", "query": "SELECT Id FROM Contact ORDER BY Id"});
    let (done, job) = run(&client, &request).await;
    assert_eq!(job["isPkChunkingSupported"], false);
    client.post("hold", &json!({"hold": true})).await;
    let (_, held) = create(&client, &request).await;
    let path = format!("/jobs/query/{}", held["id"].as_str().unwrap());
    let early = client.call(Method::GET, &format!("{path}/results"));
    assert_eq!(early.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let early = client.call(Method::DELETE, &path).send().await.unwrap();
    let error: Value = early.json().await.unwrap();
    assert_eq!(error[0]["errorCode"], "API_ERROR");
    let list = client.get("/jobs/query?jobType=V2Query").await;
    assert_eq!(list["records"].as_array().unwrap().len(), 2);
    let none = client.get("/jobs/query?jobType=Classic").await;
    assert_eq!(none["records"], json!([]));
    let ingest = client.get("/jobs/ingest").await;
    assert_eq!(ingest["records"], json!([]));
    let limits = client.get("/limits").await;
    assert_eq!(
        limits["DailyBulkV2QueryJobs"],
        json!({"Max": 2, "Remaining": 0})
    );
    let (status, error) = create(&client, &request).await;
    assert_eq!(
        (status.as_u16(), &error[0]["errorCode"]),
        (400, &json!("LIMIT_EXCEEDED"))
    );
    let abort = json!({"state": "Aborted"});
    let (status, aborted) = client.json(Method::PATCH, &path, &abort).await;
    assert_eq!(
        (status, &aborted["state"]),
        (StatusCode::OK, &json!("Aborted"))
    );
    let (status, error) = client.json(Method::PATCH, &done, &abort).await;
    assert_eq!(
        (status.as_u16(), &error[0]["errorCode"]),
        (400, &json!("INVALIDJOBSTATE"))
    );
    assert_eq!(client.get(&path).await["state"], "Aborted");
    let requests = client.inspect("state").await["requests"].clone();
    assert_eq!(
        [
            &requests["query_create"],
            &requests["query_abort"],
            &requests["query_list"]
        ],
        [&json!(3), &json!(2), &json!(2)]
    );
    let deleted = client.call(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let gone = client.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mistakes_have_their_codes() {
    let client = Client::start(SimOptions::default()).await;
    for (request, code, text) in [
        (
            json!({"operation": "insert", "query": "SELECT Id FROM Contact"}),
            "INVALIDJOB",
            "operation",
        ),
        (json!({"operation": "query"}), "INVALIDJOB", "query"),
        (
            json!({"operation": "query", "query": "SELECT"}),
            "API_ERROR",
            "unexpected token: '<EOF>'",
        ),
        (
            json!({"operation": "query", "query": "SELECT Nope FROM Contact"}),
            "API_ERROR",
            "No such column 'Nope' on entity 'Contact'",
        ),
        (
            json!({"operation": "query", "query": "SELECT COUNT() FROM Contact"}),
            "API_ERROR",
            "Aggregate Relationships not supported",
        ),
        (
            json!({"operation": "query", "query": "SELECT Id, MailingAddress FROM Contact"}),
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        (
            json!({"operation": "query", "query": "SELECT Id, Account.BillingAddress FROM Contact"}),
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        (
            json!({"operation": "query", "query": "SELECT Parent__r.Data__c FROM Child__c"}),
            "API_ERROR",
            "Blob field not supported",
        ),
        (
            json!({"operation": "query", "query": "SELECT Data__c FROM Everything__c"}),
            "API_ERROR",
            "Blob field not supported",
        ),
        (
            json!({"operation": "query", "query": "SELECT Id FROM Contact", "columnDelimiter": "X"}),
            "INVALIDJOB",
            "columnDelimiter",
        ),
    ] {
        let (status, body) = create(&client, &request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{request}");
        assert_eq!(body[0]["errorCode"], code, "{request}");
        let message = body[0]["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
    }
    let (status, _) = client
        .json(
            Method::PATCH,
            "/jobs/query/nope",
            &json!({"state": "Aborted"}),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn faults_hit_query_jobs_that_they_name() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(1)).await;
    let faults = json!([
        {"calls": ["query_results"], "object": "Contact", "do": {"status": {"code": 503}}},
        {"calls": ["query_create"], "object": "contact", "skip": 1,
            "do": {"end_job": {"message": "InternalServerError : try later"}}},
        // Of ingest jobs alone.
        {"do": {"end_job": {}}},
    ]);
    client.post("faults", &faults).await;
    let request = json!({"operation": "query", "query": "SELECT Id FROM Contact"});
    let (path, job) = run(&client, &request).await;
    assert_eq!(job["state"], "JobComplete");
    let results_path = format!("{path}/results");
    let first = client
        .call(Method::GET, &results_path)
        .send()
        .await
        .unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(results(&client, &results_path).await.2, "1");
    let (_, job) = run(&client, &request).await;
    assert_eq!(
        (&job["state"], &job["errorMessage"]),
        (&json!("Failed"), &json!("InternalServerError : try later"))
    );
    let ingest = client.insert("Contact", &many(1)).await;
    assert_eq!(ingest["state"], "Failed");
}

/// All pages of results as a client reads them, at most ten: the records that each says it has, and
/// all lines.
async fn pages(client: &Client, path: &str) -> (Vec<String>, Vec<String>) {
    let (mut sizes, mut lines) = (Vec::new(), Vec::new());
    let mut next = format!("{path}/results?maxRecords=2");
    while sizes.len() < 10 {
        let (text, locator, records) = results(client, &next).await;
        lines.extend(text.lines().map(str::to_owned));
        sizes.push(records);
        if locator == "null" {
            break;
        }
        next = format!("{path}/results?maxRecords=2&locator={locator}");
    }
    (sizes, lines)
}

#[tokio::test]
async fn each_page_of_results_can_be_spoiled() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(5)).await;
    let soql = "SELECT Ext_Id__c, Name FROM Contact ORDER BY Ext_Id__c";
    let (path, _) = run(&client, &json!({"operation": "query", "query": soql})).await;
    let header = "\"Ext_Id__c\",\"Name\"";
    let row = |n: usize| format!("\"{n}\",\"N{n}\"");
    let whole = |rows: &[usize]| {
        let mut lines = Vec::new();
        for page in rows.chunks(2) {
            lines.push(header.to_owned());
            lines.extend(page.iter().map(|n| row(*n)));
        }
        lines
    };
    for (fault, sizes, lines) in [
        (json!({"no_count": {}}), vec![], vec![]),
        (json!({"no_locator": {}}), vec![], vec![]),
        (
            json!({"cut": {}}),
            vec!["2", "2", "1"],
            [&whole(&[0, 1])[..], &whole(&[2]), &whole(&[4])].concat(),
        ),
        (
            json!({"cut": {"share": 0.0, "counted": true}}),
            vec!["2", "0", "1"],
            [&whole(&[0, 1])[..], &[header.to_owned()], &whole(&[4])].concat(),
        ),
        (
            json!({"repeat": {}}),
            vec!["2", "2", "1"],
            whole(&[0, 1, 0, 1, 4]),
        ),
        (
            json!({"repeat": {"locator": true}}),
            vec!["2", "2", "2", "1"],
            whole(&[0, 1, 0, 1, 2, 3, 4]),
        ),
        (
            json!({"circle": {}}),
            vec!["2", "2", "2", "1"],
            whole(&[0, 1, 2, 3, 2, 3, 4]),
        ),
        (
            json!({"circle": {"to_first": true}}),
            vec!["2", "2", "2", "2", "1"],
            whole(&[0, 1, 2, 3, 0, 1, 2, 3, 4]),
        ),
        (
            json!({"other_header": {}}),
            vec!["2", "2", "1"],
            [
                &whole(&[0, 1])[..],
                &["\"Name\",\"Ext_Id__c\"", "\"N2\",\"2\"", "\"N3\",\"3\""].map(str::to_owned),
                &whole(&[4]),
            ]
            .concat(),
        ),
        (
            json!({"no_header": {}}),
            vec!["2", "2", "1"],
            [&whole(&[0, 1])[..], &[row(2), row(3)], &whole(&[4])].concat(),
        ),
    ] {
        let armed = json!([{"calls": ["query_results"], "skip": 1, "do": {"result_page": fault}}]);
        client.post("faults", &armed).await;
        if sizes.is_empty() {
            results(&client, &format!("{path}/results")).await;
            let page = client.call(Method::GET, &format!("{path}/results"));
            let page = page.send().await.unwrap();
            let absent = ["Sforce-Locator", "Sforce-NumberOfRecords"]
                .map(|name| page.headers().get(name).is_none());
            assert_eq!(
                absent,
                [
                    fault == json!({"no_locator": {}}),
                    fault == json!({"no_count": {}})
                ]
            );
            continue;
        }
        let found = pages(&client, &path).await;
        assert_eq!(found.0, sizes, "{fault}");
        assert_eq!(found.1, lines, "{fault}");
    }
}

#[tokio::test]
async fn jobs_show_wrong_counts_small_pages_and_lose_their_results() {
    let client = Client::start(SimOptions {
        query_page_records: 3,
        ..SimOptions::default()
    })
    .await;
    client.insert("Contact", &many(5)).await;
    let fault = |what: Value| json!([{"calls": ["query_create"], "do": what}]);
    let request = json!({"operation": "query", "query": "SELECT Id FROM Contact"});
    for (what, counts) in [
        (
            json!({"lag_counts": {"readings": 2}}),
            [json!(0), json!(0), json!(5)],
        ),
        (
            json!({"wrong_counts": {"processed": -1}}),
            [json!(4), json!(4), json!(4)],
        ),
        (
            json!({"no_counts": {}}),
            [Value::Null, Value::Null, Value::Null],
        ),
    ] {
        client.post("faults", &fault(what)).await;
        let (path, first) = run(&client, &request).await;
        let (second, third) = (client.get(&path).await, client.get(&path).await);
        let shown = [&first, &second, &third].map(|job| job["numberRecordsProcessed"].clone());
        assert_eq!(shown, counts);
    }
    client
        .post("faults", &fault(json!({"pages": {"rows": 1}})))
        .await;
    let (path, _) = run(&client, &request).await;
    let listed = client.get(&format!("{path}/resultPages")).await;
    assert_eq!(listed["resultPages"].as_array().unwrap().len(), 5);
    let (path, _) = run(&client, &request).await;
    let listed = client.get(&format!("{path}/resultPages")).await;
    assert_eq!(listed["resultPages"].as_array().unwrap().len(), 2);
    client
        .post("faults", &fault(json!({"expire_results": {"pages": 1}})))
        .await;
    let (path, _) = run(&client, &request).await;
    assert_eq!(results(&client, &format!("{path}/results")).await.2, "3");
    for part in ["results", "resultPages"] {
        let gone = client.get(&format!("{path}/{part}")).await;
        assert_eq!(gone[0]["errorCode"], "NOT_FOUND");
    }
    assert_eq!(client.get(&path).await["state"], "JobComplete");
    // A job that finds too much ends so, a smaller one does not.
    let slow = json!({"end_job": {"after_rows": 4, "message": "QUERY_TIMEOUT: too long"}});
    let fault = json!([{"calls": ["query_create"], "times": 0, "do": slow}]);
    client.post("faults", &fault).await;
    let (_, job) = run(&client, &request).await;
    assert_eq!(job["errorMessage"], "QUERY_TIMEOUT: too long");
    let small = json!({"operation": "query", "query": "SELECT Id FROM Contact LIMIT 4"});
    let (_, job) = run(&client, &small).await;
    assert_eq!(job["state"], "JobComplete");
}

#[tokio::test]
async fn an_empty_result_has_a_header_or_nothing() {
    let client = Client::start(SimOptions::default()).await;
    let fault = json!([{"calls": ["query_create"], "do": {"empty_body": {}}}]);
    client.post("faults", &fault).await;
    let request = json!({"operation": "query", "query": "SELECT Id FROM Contact"});
    for text in ["", "\"Id\"\n"] {
        let (path, _) = run(&client, &request).await;
        let page = results(&client, &format!("{path}/results")).await;
        assert_eq!(page, (text.to_owned(), "null".to_owned(), "0".to_owned()));
    }
}
