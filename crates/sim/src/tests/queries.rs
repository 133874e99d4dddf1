//! Queries.

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
async fn fields_come_in_the_order_of_the_query() {
    let client = Client::start(SimOptions::default()).await;
    let soql = "SELECT Username, Name, Id FROM User WHERE Username = 'loader@sim.example'";
    let call = client.call(Method::GET, "/query").query(&[("q", soql)]);
    let text = call.send().await.unwrap().text().await.unwrap();
    let record = text.split_once("\"records\":").unwrap().1;
    let begin = format!(
        "[{{\"attributes\":{{\"type\":\"User\",\"url\":\"/services/data/v62.0/sobjects/User/{USER_ID}\"}},\
         \"Username\":\"loader@sim.example\",\"Name\":\"Lena Loader\",\"Id\":\"{USER_ID}\"}}]"
    );
    assert!(record.starts_with(&begin), "{text}");
}

#[tokio::test]
async fn all_types_are_compared() {
    let client = Client::start(SimOptions::default()).await;
    let csv = "Name,Multi__c,Time__c,Double__c\na,A;B,10:00:00.000Z,1.5\nb,B,10:30:00Z,\nc,,,-2\n";
    assert_eq!(
        client.insert("Everything__c", csv).await["numberRecordsFailed"],
        0
    );
    let (_, page) = query(&client, "SELECT Id FROM Everything__c ORDER BY Name").await;
    let id = |at: usize| page["records"][at]["Id"].as_str().unwrap();
    let find = async |condition: &str| {
        let soql = format!("SELECT Name FROM Everything__c WHERE {condition} ORDER BY Name");
        let (_, page) = query(&client, &soql).await;
        let Some(records) = page["records"].as_array() else {
            return page[0]["errorCode"].as_str().unwrap().to_owned();
        };
        let names = records
            .iter()
            .map(|record| record["Name"].as_str().unwrap());
        names.collect::<String>()
    };
    // How clients read all records in pages of their own.
    let mut ids = [id(0), id(1), id(2)];
    ids.sort_unstable();
    assert_eq!(find(&format!("Id > '{}'", ids[0])).await.len(), 2);
    assert_eq!(
        find(&format!("Id >= '{}' AND Id < '{}'", ids[0], &ids[2][..15]))
            .await
            .len(),
        2
    );
    assert_eq!(find("OwnerId > '000000000000000'").await, "abc");
    for (condition, expected) in [
        ("Multi__c = 'B;A'", "a"),
        ("Multi__c != 'b'", "ac"),
        ("Multi__c IN ('B', null)", "bc"),
        ("Multi__c > 'A'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("Multi__c LIKE 'A%'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("Time__c = 10:00:00Z", "a"),
        ("Time__c > 10:00:00.000Z", "b"),
        ("Time__c = 10:00", "INVALID_FIELD"),
        ("Double__c = NaN", "INVALID_FIELD"),
        ("Double__c < inf", "INVALID_FIELD"),
        ("Double__c < 1e3", "ac"),
        ("Flag__c > false", "INVALID_QUERY_FILTER_OPERATOR"),
    ] {
        assert_eq!(find(condition).await, expected, "{condition}");
    }
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
        ("Ext_Id__c NOT IN ('a1', 'T1')", &["B2", "null"]),
        ("LastName LIKE 'o_neil%' AND DoNotCall = false", &["a1"]),
        (
            "Contact.CreatedDate = TODAY AND LastName LIKE '%LINES'",
            &["B2"],
        ),
        ("Birthdate <= 1999-12-31", &["null"]),
        (
            "Birthdate >= LAST_N_YEARS:90 AND Birthdate < 2000-01-31",
            &["null"],
        ),
        ("Birthdate IN (2000-01-31, TODAY)", &["a1"]),
        ("CreatedDate < TODAY OR Birthdate = TOMORROW", &[]),
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
        ("SELECT Id, id FROM Contact", 400, "INVALID_FIELD"),
        ("SELECT Account FROM Contact", 400, "INVALID_FIELD"),
        ("SELECT Account.Nope FROM Contact", 400, "INVALID_FIELD"),
        ("SELECT AccountId.Name FROM Contact", 400, "INVALID_FIELD"),
        (
            "SELECT Account.Nope.Name FROM Contact",
            400,
            "INVALID_FIELD",
        ),
        ("SELECT Owner.CreatedDate FROM Case", 400, "INVALID_FIELD"),
        ("SELECT Owner.Manager.Name FROM Case", 400, "INVALID_FIELD"),
        ("SELECT What.Industry FROM Task", 400, "INVALID_FIELD"),
        (
            "SELECT Account.Name, account.NAME FROM Contact",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Parent.Parent.Parent.Parent.Parent.Owner.Name FROM Account",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE Account.Description = 'a'",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact ORDER BY Account.Description",
            400,
            "INVALID_FIELD",
        ),
        ("SELECT Nope.Name FROM Contact", 400, "INVALID_FIELD"),
        (
            "SELECT Id FROM Contact WHERE Email INCLUDES ('a')",
            400,
            "INVALID_FIELD",
        ),
        (
            "SELECT Id FROM Contact WHERE Id LIKE '003%'",
            400,
            "INVALID_QUERY_FILTER_OPERATOR",
        ),
        (
            "SELECT Id FROM Contact WHERE CreatedDate > 2020-01-01",
            400,
            "INVALID_FIELD",
        ),
        ("SELECT FIELDS(ALL) FROM Contact", 400, "MALFORMED_QUERY"),
        (
            "SELECT Id FROM Contact OFFSET 2001",
            400,
            "NUMBER_OUTSIDE_VALID_RANGE",
        ),
        ("", 400, "MALFORMED_QUERY"),
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

/// The values of a field, in the order of the records that a query finds.
async fn column(client: &Client, field: &str, rest: &str) -> Vec<Value> {
    let (status, page) = query(client, &format!("SELECT {field} FROM {rest}")).await;
    assert_eq!(status, StatusCode::OK, "{rest}: {page}");
    let records = page["records"].as_array().unwrap().clone();
    records
        .into_iter()
        .map(|mut record| record[field].take())
        .collect()
}

#[tokio::test]
async fn records_come_in_the_order_of_fields() {
    let client = Client::start(SimOptions::default()).await;
    let csv =
        "Ext_Id__c,Int__c,Text__c,Multi__c\n1,9,b,Red;Blue\n2,10,B,Red\n3,,a,\n4,-1,,Blue;Green\n";
    let job = client.insert("Everything__c", csv).await;
    assert_eq!(job["numberRecordsFailed"], 0, "{job}");
    for (rest, expected) in [
        ("ORDER BY Int__c", json!(["3", "4", "1", "2"])),
        ("ORDER BY Int__c NULLS LAST", json!(["4", "1", "2", "3"])),
        (
            "ORDER BY Int__c DESC NULLS LAST",
            json!(["2", "1", "4", "3"]),
        ),
        (
            "ORDER BY Text__c ASC NULLS LAST, Int__c DESC",
            json!(["3", "2", "1", "4"]),
        ),
        ("ORDER BY Int__c DESC LIMIT 2 OFFSET 1", json!(["2", "1"])),
        (
            "WHERE Multi__c INCLUDES ('red;blue', 'Green') ORDER BY Ext_Id__c",
            json!(["1", "4"]),
        ),
        (
            "WHERE Multi__c EXCLUDES ('Red') ORDER BY Ext_Id__c",
            json!(["3", "4"]),
        ),
        (
            "WHERE Int__c >= -1.0 AND Int__c < 1e1 ORDER BY Ext_Id__c",
            json!(["1", "4"]),
        ),
        ("LIMIT 0", json!([])),
    ] {
        let found = column(&client, "Ext_Id__c", &format!("Everything__c e {rest}")).await;
        assert_eq!(json!(found), expected, "{rest}");
    }
    let soql = "SELECT COUNT(Id), COUNT(Int__c) numbers FROM Everything__c";
    let (_, counts) = query(&client, soql).await;
    assert_eq!(
        counts["records"][0],
        json!({"attributes": {"type": "AggregateResult"}, "expr0": 4, "numbers": 3})
    );
    let soql = "SELECT COUNT() FROM Everything__c WHERE Int__c != null LIMIT 2";
    assert_eq!(query(&client, soql).await.1["totalSize"], 2);
    let soql = "SELECT Id, FIELDS(CUSTOM) FROM Everything__c LIMIT 1";
    let record = query(&client, soql).await.1["records"][0].take();
    assert_eq!(record["Flag__c"], false);
    assert!(record.get("OwnerId").is_none() && record["Id"].is_string());
}

#[tokio::test]
async fn records_in_the_bin_are_found_by_query_all() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(3)).await;
    let ids = column(&client, "Id", "Contact").await;
    let gone = format!("Id\n{}\n", ids[1].as_str().unwrap());
    let settings = json!({"object": "Contact", "operation": "delete", "lineEnding": "LF"});
    client.run(&settings, &gone).await;
    assert_eq!(column(&client, "Id", "Contact").await.len(), 2);
    let all = client
        .get("/queryAll?q=SELECT Id, IsDeleted FROM Contact")
        .await;
    assert_eq!(all["totalSize"], 3);
    let is_gone = |record: &&Value| record["IsDeleted"] == true;
    let records = all["records"].as_array().unwrap();
    let found: Vec<_> = records.iter().filter(is_gone).collect();
    assert_eq!((found.len(), &found[0]["Id"]), (1, &ids[1]));
    let one = client
        .get(&format!(
            "/sobjects/Contact/{}?fields=Id,LastName",
            ids[0].as_str().unwrap()
        ))
        .await;
    assert_eq!((&one["Id"], one.as_object().unwrap().len()), (&ids[0], 3));
    let path = format!("/sobjects/Contact/{}?fields=Nope", ids[0].as_str().unwrap());
    assert_eq!(client.get(&path).await[0]["errorCode"], "INVALID_FIELD");
}

#[tokio::test]
async fn pages_have_the_size_that_is_asked_for() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", &many(450)).await;
    let call = client.call(Method::GET, "/query?q=SELECT Id FROM Contact");
    let call = call.header("Sforce-Query-Options", "batchSize=200");
    let page: Value = call.send().await.unwrap().json().await.unwrap();
    let next = page["nextRecordsUrl"].as_str().unwrap();
    assert!(next.ends_with("-200"), "{next}");
    let path = next.strip_prefix("/services/data/v62.0").unwrap();
    let second = client.get(path).await;
    assert_eq!(second["records"].as_array().unwrap().len(), 200);
    let (good, _) = path.rsplit_once('-').unwrap();
    for wrong in ["/query/nope", "/query/01g5g000000zzzzAAA-1", good] {
        let error = client.get(wrong).await;
        assert_eq!(error[0]["errorCode"], "INVALID_QUERY_LOCATOR", "{wrong}");
    }
}

#[tokio::test]
async fn the_columns_of_a_query_can_be_asked_for() {
    let client = Client::start(SimOptions::default()).await;
    let names = |answer: &Value| -> Vec<Value> {
        let columns = answer["columnMetadata"].as_array().unwrap().iter();
        columns.map(|column| column["columnName"].clone()).collect()
    };
    let query = "/query?columns=true&q=SELECT+Id,+lastname+FROM+Contact";
    let found = client.get(query).await;
    assert_eq!(names(&found), ["Id", "LastName"]);
    let query = "/query?columns=true&q=SELECT+COUNT(Id)+many+FROM+Contact";
    let found = client.get(query).await;
    assert_eq!(names(&found), ["many"]);
    assert_eq!(found["columnMetadata"][0]["aggregate"], true);
}
