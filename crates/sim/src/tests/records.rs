//! Records that a client saves one by one, and the logins by password that such clients use.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions};

impl Client {
    /// A call with a body; the status and the answer, null without one.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.call(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }
}

#[tokio::test]
async fn a_record_lives_and_is_deleted() {
    let client = Client::start(SimOptions::default()).await;
    let new = json!({"LastName": "O \"N\", x", "Department": null, "DoNotCall": true,
        "attributes": {"type": "Contact"}});
    let (status, made) = client
        .ask(Method::POST, "/sobjects/Contact", Some(new))
        .await;
    assert_eq!((status, &made["success"]), (201, &json!(true)), "{made}");
    let path = format!("/sobjects/Contact/{}", made["id"].as_str().unwrap());
    let (_, found) = client.ask(Method::GET, &path, None).await;
    assert_eq!(
        (&found["LastName"], &found["DoNotCall"]),
        (&json!("O \"N\", x"), &json!(true))
    );
    let change = json!({"Department": "Sales", "Title": ""});
    let (status, _) = client.ask(Method::PATCH, &path, Some(change)).await;
    assert_eq!(status, 204);
    let (_, found) = client.ask(Method::GET, &path, None).await;
    assert_eq!(found["Department"], "Sales");
    let (status, _) = client
        .ask(Method::PATCH, &path, Some(json!({"Department": ""})))
        .await;
    let (_, found) = client.ask(Method::GET, &path, None).await;
    assert_eq!((status, &found["Department"]), (204, &Value::Null));
    assert_eq!(client.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(client.ask(Method::GET, &path, None).await.0, 404);
    let (status, error) = client.ask(Method::DELETE, &path, None).await;
    assert_eq!(
        (status, &error[0]["errorCode"]),
        (404, &json!("ENTITY_IS_DELETED"))
    );
    // It is in the log and in no list of jobs.
    assert_eq!(client.inspect("state").await["jobs"], json!([]));
}

#[tokio::test]
async fn a_bad_record_is_refused() {
    let client = Client::start(SimOptions::default()).await;
    for (object, record, status, code) in [
        (
            "Contact",
            json!({"FirstName": "A"}),
            400,
            "REQUIRED_FIELD_MISSING",
        ),
        (
            "Contact",
            json!({"LastName": "A", "Nope": 1}),
            400,
            "INVALID_FIELD",
        ),
        (
            "Contact",
            json!({"LastName": "A", "Email": "x"}),
            400,
            "INVALID_EMAIL_ADDRESS",
        ),
        ("Nope", json!({"LastName": "A"}), 404, "NOT_FOUND"),
    ] {
        let path = format!("/sobjects/{object}");
        let (found, error) = client.ask(Method::POST, &path, Some(record)).await;
        assert_eq!(
            (found, &error[0]["errorCode"]),
            (status, &json!(code)),
            "{error}"
        );
    }
    let (_, error) = client
        .ask(
            Method::POST,
            "/sobjects/Contact",
            Some(json!({"FirstName": "A"})),
        )
        .await;
    assert_eq!(error[0]["fields"], json!(["LastName"]));
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
}

#[tokio::test]
async fn a_record_is_found_by_its_key() {
    let client = Client::start(SimOptions::default()).await;
    let path = "/sobjects/Contact/Ext_Id__c/K%201";
    let body = || Some(json!({"LastName": "A"}));
    let (status, made) = client.ask(Method::PATCH, path, body()).await;
    assert_eq!((status, &made["created"]), (201, &json!(true)), "{made}");
    let (status, again) = client.ask(Method::PATCH, path, body()).await;
    assert_eq!((status, &again["created"]), (200, &json!(false)), "{again}");
    assert_eq!(made["id"], again["id"]);
    let (_, found) = client.ask(Method::GET, path, None).await;
    assert_eq!(
        (&found["Id"], &found["Ext_Id__c"]),
        (&made["id"], &json!("K 1"))
    );
    let wrong = "/sobjects/Contact/Title/x";
    assert_eq!(client.ask(Method::PATCH, wrong, body()).await.0, 404);
    assert_eq!(client.ask(Method::DELETE, path, None).await.0, 204);
    assert_eq!(client.ask(Method::GET, path, None).await.0, 404);
}

#[tokio::test]
async fn records_come_in_lists() {
    let client = Client::start(SimOptions::default()).await;
    let contact = |name: &str| json!({"attributes": {"type": "Contact"}, "LastName": name});
    let list = json!({"allOrNone": false, "records": [contact("A"), contact(""), contact("C")]});
    let (status, made) = client
        .ask(Method::POST, "/composite/sobjects", Some(list))
        .await;
    assert_eq!(status, 200);
    let successes: Vec<&Value> = (0..3).map(|place| &made[place]["success"]).collect();
    assert_eq!(successes, [&json!(true), &json!(false), &json!(true)]);
    assert_eq!(made[1]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    let (a, c) = (
        made[0]["id"].as_str().unwrap(),
        made[2]["id"].as_str().unwrap(),
    );
    let mut change = contact("AA");
    change["Id"] = json!(a);
    let list = json!({"records": [change]});
    let (_, changed) = client
        .ask(Method::PATCH, "/composite/sobjects", Some(list))
        .await;
    assert_eq!(changed, json!([{"id": a, "success": true, "errors": []}]));
    let asked = json!({"ids": [a, "003000000000000AAA"], "fields": ["LastName"]});
    let (_, found) = client
        .ask(Method::POST, "/composite/sobjects/Contact", Some(asked))
        .await;
    assert_eq!(
        (&found[0]["LastName"], &found[1]),
        (&json!("AA"), &Value::Null)
    );
    let path = format!("/composite/sobjects?ids={a},{c}");
    let (_, deleted) = client.ask(Method::DELETE, &path, None).await;
    assert_eq!(
        (&deleted[0]["success"], &deleted[1]["success"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(client.inspect("objects/Contact").await["count"], 0);
    let list = json!({"allOrNone": true, "records": [contact("A"), contact("")]});
    let (status, _) = client
        .ask(Method::POST, "/composite/sobjects", Some(list))
        .await;
    assert_eq!(status, 501);
}

#[tokio::test]
async fn a_user_logs_in_with_a_password() {
    let client = Client::start(SimOptions::default()).await;
    let url = client.sim.url();
    let login = |password: &str| {
        let body = format!(
            "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"x\"><e:Body><n1:login xmlns:n1=\"u\">\
             <n1:username>loader@sim.example</n1:username><n1:password>{password}</n1:password>\
             </n1:login></e:Body></e:Envelope>"
        );
        client
            .http
            .post(format!("{url}/services/Soap/u/62.0"))
            .body(body)
    };
    let answer = login("sim-passwordTOKEN").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let text = answer.text().await.unwrap();
    let (_, token) = text.split_once("<sessionId>").unwrap();
    let (token, _) = token.split_once("</sessionId>").unwrap();
    assert!(
        text.contains(&format!("<serverUrl>{url}/services/Soap/u/62.0/")),
        "{text}"
    );
    let limits = client.http.get(format!("{url}/services/data/v62.0/limits"));
    let limits = limits.bearer_auth(token).send().await.unwrap();
    assert!(limits.status().is_success());
    let refused = login("wrong").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(refused.text().await.unwrap().contains("INVALID_LOGIN"));
    for (password, expected) in [
        ("sim-password", StatusCode::OK),
        ("x", StatusCode::BAD_REQUEST),
    ] {
        let form = [
            ("grant_type", "password"),
            ("client_id", "sim-client-id"),
            ("client_secret", "sim-client-secret"),
            ("username", "loader@sim.example"),
            ("password", password),
        ];
        let request = client.http.post(format!("{url}/services/oauth2/token"));
        assert_eq!(request.form(&form).send().await.unwrap().status(), expected);
    }
}
