//! The simulator over HTTP, as a client sees it.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Action, Fault, Sim, SimOptions};

/// A client with a session.
struct Client {
    sim: Sim,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn start(options: SimOptions) -> Client {
        let sim = Sim::start(options).await.unwrap();
        let mut client = Client {
            sim,
            http: reqwest::Client::new(),
            token: String::new(),
        };
        client.log_in().await;
        client
    }

    async fn log_in(&mut self) {
        let (status, body) = self
            .ask_token("sim-client-secret", "sim-refresh-token")
            .await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["instance_url"], self.sim.url());
        assert!(body.get("expires_in").is_none());
        self.token = body["access_token"].as_str().unwrap().to_owned();
    }

    async fn ask_token(&self, secret: &str, refresh_token: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "sim-client-id"),
            ("client_secret", secret),
            ("refresh_token", refresh_token),
        ];
        let url = format!("{}/services/oauth2/token", self.sim.url());
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/services/data/v62.0{path}", self.sim.url());
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.call(method, path).json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn create(&self, settings: &Value) -> String {
        let (status, job) = self.json(Method::POST, "/jobs/ingest", settings).await;
        assert_eq!(
            (status, &job["state"]),
            (StatusCode::OK, &json!("Open")),
            "{job}"
        );
        assert!(job.get("numberRecordsProcessed").is_none());
        job["id"].as_str().unwrap().to_owned()
    }

    async fn upload(&self, id: &str, csv: &str) -> StatusCode {
        let put = self.call(Method::PUT, &format!("/jobs/ingest/{id}/batches"));
        let put = put.header("content-type", "text/csv").body(csv.to_owned());
        put.send().await.unwrap().status()
    }

    async fn enter(&self, id: &str, state: &str) -> (StatusCode, Value) {
        let path = format!("/jobs/ingest/{id}");
        self.json(Method::PATCH, &path, &json!({"state": state}))
            .await
    }

    async fn ended(&self, id: &str) -> Value {
        loop {
            let job = self.get(&format!("/jobs/ingest/{id}")).await;
            if ["JobComplete", "Failed", "Aborted"].contains(&job["state"].as_str().unwrap()) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn run(&self, settings: &Value, csv: &str) -> Value {
        let id = self.create(settings).await;
        assert_eq!(self.upload(&id, csv).await, StatusCode::CREATED);
        let (status, job) = self.enter(&id, "UploadComplete").await;
        assert_eq!(
            (status, &job["state"]),
            (StatusCode::OK, &json!("UploadComplete"))
        );
        self.ended(&id).await
    }

    async fn insert(&self, object: &str, csv: &str) -> Value {
        self.run(
            &json!({"object": object, "operation": "insert", "lineEnding": "LF"}),
            csv,
        )
        .await
    }

    /// The lines of a result, those after the header sorted.
    async fn result(&self, job: &Value, which: &str) -> Vec<String> {
        let path = format!("/jobs/ingest/{}/{which}", job["id"].as_str().unwrap());
        let text = self
            .call(Method::GET, &path)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.get_mut(1..).unwrap_or_default().sort();
        lines
    }

    async fn inspect(&self, path: &str) -> Value {
        let url = format!("{}/sim/{path}", self.sim.url());
        self.http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn post(&self, path: &str, body: &Value) {
        let url = format!("{}/sim/{path}", self.sim.url());
        let answer = self.http.post(url).json(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
}

fn counts(job: &Value) -> (String, u64, u64) {
    let count = |key: &str| job[key].as_u64().unwrap();
    let state = job["state"].as_str().unwrap().to_owned();
    (
        state,
        count("numberRecordsProcessed"),
        count("numberRecordsFailed"),
    )
}

fn ended(state: &str, processed: u64, failed: u64) -> (String, u64, u64) {
    (state.to_owned(), processed, failed)
}

fn fault(action: Action) -> Fault {
    Fault {
        method: None,
        path: None,
        object: None,
        skip: 0,
        times: 1,
        chance: 1.0,
        action,
    }
}

#[tokio::test]
async fn sessions_are_given_refused_and_expire() {
    let client = Client::start(SimOptions::default()).await;
    let (status, body) = client.ask_token("sim-client-secret", "other").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body,
        json!({"error": "invalid_grant", "error_description": "expired access/refresh token"})
    );
    assert_eq!(
        client.ask_token("x", "sim-refresh-token").await.1["error"],
        "invalid_client"
    );
    let limits = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(limits.headers()["Sforce-Limit-Info"], "api-usage=1/100000");
    client
        .post("faults", &json!([{"do": {"expire_tokens": {}}}]))
        .await;
    let answer = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        body,
        json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    );
    client.sim.shutdown().await;
}

#[tokio::test]
async fn objects_are_described_alone_and_together() {
    let client = Client::start(SimOptions::default()).await;
    assert_eq!(
        client.get("/sobjects").await["sobjects"]
            .as_array()
            .unwrap()
            .len(),
        7
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
    let (_, answer) = client.json(Method::POST, "/composite", &both).await;
    assert_eq!(answer["compositeResponse"][0]["body"]["name"], "Lead");
    assert_eq!(answer["compositeResponse"][1]["httpStatusCode"], 404);
    let batch = json!({"batchRequests": [describe("Lead"), describe("Account")]});
    let (_, answer) = client.json(Method::POST, "/composite/batch", &batch).await;
    assert_eq!(answer["results"][1]["result"]["name"], "Account");
    let after = client.inspect("state").await["api_calls"].as_u64().unwrap();
    assert_eq!(after - before, 3);
}

#[tokio::test]
async fn an_insert_goes_through_its_life_cycle() {
    let client = Client::start(SimOptions::default()).await;
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
        let told = job["errorMessage"].as_str().unwrap();
        assert!(told.starts_with(message), "{told}");
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

#[tokio::test]
async fn requests_meet_faults() {
    let client = Client::start(SimOptions::default()).await;
    let faults = json!([
        {"path": "*/limits", "do": {"status": {"code": 503, "retry_after": 7}}},
        {"path": "*/limits", "skip": 1, "do": {"close": {}}},
        {"method": "PATCH", "do": {"lose": {}}},
    ]);
    client.post("faults", &faults).await;
    let answer = client.call(Method::GET, "/limits").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert!(client.call(Method::GET, "/limits").send().await.is_err());
    let id = client
        .create(&json!({"object": "Contact", "operation": "insert"}))
        .await;
    client.upload(&id, "LastName\nAda\n").await;
    let patch = client.call(Method::PATCH, &format!("/jobs/ingest/{id}"));
    assert!(
        patch
            .json(&json!({"state": "UploadComplete"}))
            .send()
            .await
            .is_err()
    );
    assert_eq!(counts(&client.ended(&id).await), ended("JobComplete", 1, 0));
}

fn many(rows: usize) -> String {
    (0..rows).fold("LastName,Ext_Id__c\n".to_owned(), |csv, row| {
        format!("{csv}N{row},{row}\n")
    })
}

#[tokio::test]
async fn a_job_can_fail_half_way() {
    let fail = Action::FailJob {
        after_batches: 1,
        message: "TooManyLockFailure : x".to_owned(),
    };
    let options = SimOptions {
        faults: vec![fault(fail)],
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let job = client.insert("Contact", &many(10_003)).await;
    assert_eq!(counts(&job), ended("Failed", 10_000, 0));
    assert_eq!(job["errorMessage"], "TooManyLockFailure : x");
    let unprocessed = client.result(&job, "unprocessedrecords").await;
    assert_eq!(
        unprocessed[1..],
        ["N10000,10000", "N10001,10001", "N10002,10002"]
    );
    assert_eq!(client.inspect("objects/Contact").await["count"], 10_000);
}

#[tokio::test]
async fn jobs_and_results_meet_faults() {
    let faults = [
        Action::LockRows { share: 1.0 },
        Action::WrongCounts {
            processed: 0,
            failed: -1,
        },
        Action::WithholdRows { count: 1 },
        Action::AlterRows { count: 1 },
        Action::OtherHeader {},
        Action::EmptyBody {},
        Action::Pages { rows: 2 },
    ];
    let options = SimOptions {
        faults: faults.map(fault).to_vec(),
        shuffle: false,
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let job = client.insert("Contact", &many(5)).await;
    assert_eq!(counts(&job), ended("JobComplete", 5, 4));
    assert!(client.result(&job, "successfulResults").await.is_empty());
    let path = format!("/jobs/ingest/{}/failedResults", job["id"].as_str().unwrap());
    let first = client.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(first.headers()["Sforce-Locator"], "row-2");
    let text = first.text().await.unwrap();
    let lock = "\"\",\"UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--\"";
    let expected = format!(
        "\"sf__Id\",\"sf__Error\",EXT_ID__C,LASTNAME\n{lock},\"0~altered\",\"N0~altered\"\n\
         {lock},\"1\",\"N1\"\n"
    );
    assert_eq!(text, expected);
    let path = format!("{path}?locator=row-2");
    let last = client.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(last.headers()["Sforce-Locator"], "null");
    assert_eq!(last.text().await.unwrap().lines().count(), 3);
    let clean = client.insert("Contact", &many(5)).await;
    assert_eq!(counts(&clean), ended("JobComplete", 5, 0));
}

#[tokio::test]
async fn rows_are_refused_and_shuffled_as_the_seed_says() {
    let options = || SimOptions {
        fail_rate: 0.3,
        ..SimOptions::default()
    };
    let client = Client::start(options()).await;
    let mut csv = "Name,Currency__c\n".to_owned();
    for row in 0..100 {
        csv.push_str(&format!("N{row},91226003{row}\nTwin,1\n"));
    }
    let job = client.insert("Everything__c", &csv).await;
    let failed = client.result(&job, "failedResults").await;
    let refused = failed
        .iter()
        .filter(|line| line.contains("Refused by a rule"))
        .count();
    let twins = failed
        .iter()
        .filter(|line| line.contains("DUPLICATES_DETECTED"))
        .count();
    assert!((20..60).contains(&refused), "{refused} refused");
    assert!(twins > 0 || failed.iter().any(|line| line.contains("Twin")));
    let path = format!(
        "/jobs/ingest/{}/successfulResults",
        job["id"].as_str().unwrap()
    );
    let text = client
        .call(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let first: Vec<&str> = text.lines().skip(1).collect();
    assert!(!first.is_sorted(), "the order was kept");
    assert!(first.iter().any(|line| line.contains("E9\"")));
    let again = Client::start(options()).await;
    let job = again.insert("Everything__c", &csv).await;
    assert_eq!(again.result(&job, "failedResults").await, failed);
}

#[tokio::test]
async fn rows_are_counted_and_forgotten() {
    let client = Client::start(SimOptions {
        forget: true,
        ..SimOptions::default()
    })
    .await;
    let csv = format!("{}Late,3\n,9999999\n", many(1_000));
    let job = client.insert("Contact", &csv).await;
    assert_eq!(counts(&job), ended("JobComplete", 1_002, 2));
    let failed = client.result(&job, "failedResults").await;
    assert!(
        failed[1].contains("\"Late\",\"3\"") && failed[2].contains("\"9999999\""),
        "{failed:?}"
    );
    let held = client.inspect("objects/Contact").await;
    assert_eq!(
        held,
        json!({"count": 1_000, "distinct": 1_000, "duplicates": 0})
    );
    client.post("reset", &json!({})).await;
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
    assert_eq!(client.inspect("state").await["jobs"], json!([]));
}

#[tokio::test]
async fn the_days_batches_can_be_used_up() {
    let client = Client::start(SimOptions {
        max_batches: 1,
        ..SimOptions::default()
    })
    .await;
    let job = client.insert("Contact", &many(10_001)).await;
    assert_eq!(counts(&job), ended("Failed", 10_000, 0));
    assert_eq!(
        job["errorMessage"],
        "ExceededQuota : ApiBatchItems Limit exceeded"
    );
    assert_eq!(client.result(&job, "unprocessedrecords").await.len(), 1);
}

#[test]
fn options_are_read_from_json() {
    let options: SimOptions = serde_json::from_str(
        r#"{"seed":7,"fail_rate":0.1,"listen":"127.0.0.1:8080","faults":[
            {"object":"Contact","do":{"pages":{"rows":2}}}]}"#,
    )
    .unwrap();
    assert_eq!(
        (options.seed, options.listen.port(), options.shuffle),
        (7, 8080, true)
    );
    assert!(serde_json::from_str::<SimOptions>(r#"{"sed":7}"#).is_err());
}
