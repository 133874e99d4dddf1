//! Queries of groups, and those that an index answers.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, SimOptions};

async fn query(client: &Client, soql: &str) -> Value {
    let call = client.call(Method::GET, "/query").query(&[("q", soql)]);
    call.send().await.unwrap().json().await.unwrap()
}

/// Two accounts, one the parent of the other, and contacts of them and of nobody.
async fn family() -> Client {
    let client = Client::start(SimOptions {
        refuse_duplicates: false,
        ..SimOptions::default()
    })
    .await;
    let accounts = "Name,Ext_Id__c,AnnualRevenue\nTop,t,10\nBelow,b,5\n";
    assert_eq!(
        client.insert("Account", accounts).await["numberRecordsFailed"],
        0
    );
    let update = json!({"object": "Account", "operation": "upsert", "lineEnding": "LF",
        "externalIdFieldName": "Ext_Id__c"});
    client
        .run(&update, "Ext_Id__c,Parent.Ext_Id__c\nb,t\n")
        .await;
    let contacts = "LastName,Account.Ext_Id__c\nA,b\nB,b\nC,t\nD,\n";
    assert_eq!(
        client.insert("Contact", contacts).await["numberRecordsFailed"],
        0
    );
    client
}

#[tokio::test]
async fn groups_are_counted_and_summed() {
    let client = family().await;
    let soql = "SELECT Account.Name, COUNT(Id) many, MAX(LastName) FROM Contact \
                GROUP BY Account.Name ORDER BY COUNT(Id) DESC, Account.Name NULLS LAST";
    let page = query(&client, soql).await;
    assert_eq!(page["totalSize"], 3);
    let shown = |at: usize| {
        let record = &page["records"][at];
        ["Name", "many", "expr0"].map(|name| record[name].clone())
    };
    assert_eq!(shown(0), [json!("Below"), json!(2), json!("B")]);
    assert_eq!(shown(1), [json!("Top"), json!(1), json!("C")]);
    assert_eq!(shown(2), [Value::Null, json!(1), json!("D")]);
    assert_eq!(
        page["records"][0]["attributes"],
        json!({"type": "AggregateResult"})
    );
    let soql = "SELECT SUM(AnnualRevenue), AVG(AnnualRevenue) mean, MIN(AnnualRevenue), \
                COUNT_DISTINCT(OwnerId), COUNT(ParentId) FROM Account";
    let record = &query(&client, soql).await["records"][0];
    assert_eq!(
        ["expr0", "mean", "expr1", "expr2", "expr3"].map(|name| record[name].clone()),
        [json!(15.0), json!(7.5), json!(5), json!(1), json!(1)]
    );
    let soql = "SELECT SUM(AnnualRevenue) FROM Account WHERE Name = 'nobody'";
    assert_eq!(
        query(&client, soql).await["records"][0]["expr0"],
        Value::Null
    );
    for (soql, text) in [
        (
            "SELECT LastName, COUNT(Id) FROM Contact",
            "Field must be grouped or aggregated: LastName",
        ),
        (
            "SELECT SUM(LastName) FROM Contact",
            "DOES NOT SUPPORT AGGREGATE OPERATOR SUM",
        ),
        (
            "SELECT COUNT(Id) FROM Contact GROUP BY",
            "unexpected token: '<EOF>'",
        ),
        (
            "SELECT COUNT(Id) FROM Contact GROUP BY LastName HAVING COUNT(Id) > 1",
            "HAVING",
        ),
    ] {
        let error = query(&client, soql).await;
        let message = error[0]["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn conditions_on_keys_and_ids_find_the_same_with_an_index() {
    let client = family().await;
    let all = query(&client, "SELECT Id, LastName FROM Contact ORDER BY Id").await;
    let ids: Vec<&str> = all["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["Id"].as_str().unwrap())
        .collect();
    let down = query(&client, "SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1").await;
    assert_eq!(down["records"][0]["Id"], ids[3]);
    assert_eq!(down["totalSize"], 1);
    for (condition, count) in [
        (format!("Id > '{}' AND Id <= '{}'", ids[0], ids[2]), 2),
        (format!("Id >= '{}'", ids[1]), 3),
        (format!("Id < '{}' AND LastName != 'zz'", &ids[1][..15]), 1),
        (format!("Id IN ('{}','{}','{}')", ids[3], ids[0], ids[0]), 2),
        (format!("(Id = '{}') AND LastName = 'nobody'", ids[0]), 0),
        (format!("Id = '{}' OR Id = '{}'", ids[0], ids[1]), 2),
        ("Id IN ('003000000000000AAA')".to_owned(), 0),
    ] {
        let soql = format!("SELECT Id FROM Contact WHERE {condition}");
        assert_eq!(
            query(&client, &soql).await["totalSize"],
            count,
            "{condition}"
        );
    }
    let soql = "SELECT Name FROM Account WHERE Ext_Id__c IN ('T','b','x') ORDER BY Name";
    assert_eq!(query(&client, soql).await["totalSize"], 2);
}
