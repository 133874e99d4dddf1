//! Fields of parents in queries.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Client, SimOptions};

/// An org with two accounts, one of which is the other's parent, and three contacts, one of them
/// without an account.
async fn client() -> Client {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Account", "Name,Ext_Id__c\nAcme,A1\n").await;
    let account = "Name,Ext_Id__c,Industry,ParentId\nBolt,B2,Media,";
    let parent = first(&client, "SELECT Id FROM Account").await["Id"].clone();
    let account = format!("{account}{}\n", parent.as_str().unwrap());
    client.insert("Account", &account).await;
    let contacts = "LastName,Ext_Id__c,Account.Ext_Id__c,Owner.Email\nOne,1,A1,\n\
                    Two,2,B2,agent@sim.example\nNone,3,,\n";
    let job = client.insert("Contact", contacts).await;
    assert_eq!(job["numberRecordsFailed"], 0, "{job}");
    client
}

async fn text(client: &Client, resource: &str, soql: &str) -> String {
    let call = client.call(Method::GET, resource).query(&[("q", soql)]);
    let response = call.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{soql}: {text}");
    text
}

async fn rows(client: &Client, resource: &str, soql: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(&text(client, resource, soql).await).unwrap();
    page["records"].as_array().unwrap().clone()
}

async fn first(client: &Client, soql: &str) -> Value {
    rows(client, "/query", soql).await[0].clone()
}

/// The external Ids of the contacts that a query finds, in its order.
async fn found(client: &Client, rest: &str) -> String {
    let soql = format!("SELECT Ext_Id__c FROM Contact {rest}");
    let rows = rows(client, "/query", &soql).await;
    let ids = rows.iter().map(|row| row["Ext_Id__c"].as_str().unwrap());
    ids.collect()
}

#[tokio::test]
async fn a_parent_is_a_record_within_its_child() {
    let client = client().await;
    let soql = "SELECT account.NAME, Id, Account.parent.Owner.Username, c.Account.Ext_Id__c, \
                Account.Id, Owner.Email, ReportsTo.LastName FROM Contact c ORDER BY Ext_Id__c";
    let page = text(&client, "/query", soql).await;
    let rows = rows(&client, "/query", soql).await;
    let account = rows[1]["Account"].clone();
    let (id, parent) = (account["Id"].as_str().unwrap(), &account["Parent"]);
    let url = |object: &str, id: &str| format!("/services/data/v62.0/sobjects/{object}/{id}");
    assert_eq!(
        account["attributes"],
        json!({"type": "Account", "url": url("Account", id)})
    );
    assert_eq!(
        (&account["Name"], &account["Ext_Id__c"]),
        (&json!("Bolt"), &json!("B2"))
    );
    // The parent's Id was not asked for.
    assert_eq!(parent.as_object().unwrap().len(), 2);
    let of_parent = rows[0]["Account"]["Id"].as_str().unwrap();
    assert_eq!(parent["attributes"]["url"], url("Account", of_parent));
    assert_eq!(parent["Owner"]["Username"], "loader@sim.example");
    assert_eq!(rows[1]["Owner"]["Email"], "agent@sim.example");
    assert_eq!(rows[1]["Owner"]["attributes"]["type"], "User");
    assert_eq!(rows[0]["Account"]["Parent"], Value::Null);
    assert_eq!(
        (&rows[2]["Account"], &rows[2]["ReportsTo"]),
        (&Value::Null, &Value::Null)
    );
    // Names come as they are described, and in the order in which they are first named.
    let keys = [
        "\"Account\":{\"attributes\"",
        "\"Name\":\"Acme\"",
        "\"Parent\":null",
        "\"Ext_Id__c\":\"A1\"",
        "\"Id\":\"001",
        "\"Id\":\"003",
        "\"Owner\":{",
        "\"ReportsTo\":null",
    ];
    let places: Vec<_> = keys.iter().map(|key| page.find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{page}");
}

#[tokio::test]
async fn up_to_five_levels_are_followed() {
    let client = Client::start(SimOptions::default()).await;
    for (name, parent) in [
        ("a", ""),
        ("b", "a"),
        ("c", "b"),
        ("d", "c"),
        ("e", "d"),
        ("f", "e"),
    ] {
        let parents = rows(
            &client,
            "/query",
            &format!("SELECT Id FROM Account WHERE Name = '{parent}'"),
        )
        .await;
        let id = parents
            .first()
            .map_or("", |parent| parent["Id"].as_str().unwrap());
        client
            .insert("Account", &format!("Name,ParentId\n{name},{id}\n"))
            .await;
    }
    let soql = "SELECT Parent.Parent.Parent.Parent.Parent.Name, Name FROM Account \
                WHERE Parent.Parent.Parent.Parent.Parent.Name = 'a'";
    let row = first(&client, soql).await;
    assert_eq!(row["Name"], "f");
    assert_eq!(
        row["Parent"]["Parent"]["Parent"]["Parent"]["Parent"]["Name"],
        "a"
    );
}

#[tokio::test]
async fn conditions_and_order_are_of_parents_too() {
    let client = client().await;
    for (rest, expected) in [
        ("WHERE Account.Name = 'acme'", "1"),
        (
            "WHERE Contact.Account.Name != 'Acme' ORDER BY Ext_Id__c",
            "23",
        ),
        ("WHERE Account.Name = null", "3"),
        ("WHERE Account.Id != null AND Account.Parent.Id = null", "1"),
        (
            "WHERE LastName = 'None' OR Account.Parent.Name LIKE 'Ac%' ORDER BY LastName",
            "32",
        ),
        (
            "WHERE Account.Industry IN ('Media') AND Owner.Username = 'agent@sim.example'",
            "2",
        ),
        (
            "WHERE Account.CreatedDate = TODAY ORDER BY Account.Name DESC",
            "21",
        ),
        ("ORDER BY Account.Name", "312"),
        ("ORDER BY Account.Name DESC NULLS LAST", "213"),
        // A checkbox is never null, not even that of a parent that is not there.
        (
            "WHERE ReportsTo.DoNotCall = false ORDER BY Ext_Id__c",
            "123",
        ),
        ("WHERE ReportsTo.DoNotCall = null ORDER BY Ext_Id__c", "123"),
        ("WHERE ReportsTo.DoNotCall != null", ""),
    ] {
        assert_eq!(found(&client, rest).await, expected, "{rest}");
    }
    let soql = "SELECT COUNT(Account.Industry) media, COUNT(Account.Name) FROM Contact";
    let counts = first(&client, soql).await;
    assert_eq!((&counts["media"], &counts["expr0"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn parents_of_several_objects_are_seen_by_name() {
    let client = Client::start(SimOptions::default()).await;
    client
        .insert(
            "Lead",
            "LastName,FirstName,Company,Email\nLee,Ada,Acme,lee@x.org\n",
        )
        .await;
    client
        .insert(
            "Case",
            "Subject,Group:Owner.Name,Ext_Id__c\nHelp,Support Queue,1\nMine,,2\n",
        )
        .await;
    let tasks = "Subject,Lead:Who.Email,Case:What.Ext_Id__c\nCall,lee@x.org,1\nRest,,\n";
    let job = client.insert("Task", tasks).await;
    assert_eq!(job["numberRecordsFailed"], 0, "{job}");
    let soql = "SELECT Owner.Name, owner.type, Owner.Username, Owner.Email, Owner.Alias, Owner.Id \
                FROM Case ORDER BY Ext_Id__c";
    let cases = rows(&client, "/query", soql).await;
    let queue = &cases[0]["Owner"];
    assert_eq!(queue["attributes"]["type"], "Name");
    let id = queue["Id"].as_str().unwrap();
    let url = format!("/services/data/v62.0/sobjects/Group/{id}");
    assert_eq!(queue["attributes"]["url"], url);
    assert_eq!(
        (&queue["Name"], &queue["Type"]),
        (&json!("Support Queue"), &json!("Group"))
    );
    assert_eq!(
        (&queue["Username"], &queue["Alias"]),
        (&Value::Null, &Value::Null)
    );
    let user = &cases[1]["Owner"];
    assert_eq!(
        (&user["Name"], &user["Type"]),
        (&json!("Lena Loader"), &json!("User"))
    );
    assert_eq!(user["Email"], "loader@sim.example");
    let soql = "SELECT Id FROM Case WHERE Owner.Type = 'Group'";
    assert_eq!(rows(&client, "/query", soql).await.len(), 1);
    let soql = "SELECT Who.Name, Who.FirstName, Who.Email, What.Name, What.Type FROM Task \
                ORDER BY Subject";
    let tasks = rows(&client, "/query", soql).await;
    assert_eq!(
        (&tasks[1]["Who"], &tasks[1]["What"]),
        (&Value::Null, &Value::Null)
    );
    let (who, what) = (&tasks[0]["Who"], &tasks[0]["What"]);
    assert_eq!(
        (&who["Name"], &who["FirstName"]),
        (&json!("Ada Lee"), &json!("Ada"))
    );
    // Of owners alone.
    assert_eq!(who["Email"], Value::Null);
    assert_eq!(what["Type"], "Case");
}

#[tokio::test]
async fn parents_in_the_bin_are_seen_by_query_all() {
    let client = client().await;
    let account = first(&client, "SELECT Id FROM Account WHERE Name = 'Acme'").await;
    let id = account["Id"].as_str().unwrap();
    let contact = format!("LastName,Ext_Id__c,AccountId\nFour,4,{id}\n");
    client.insert("Contact", &contact).await;
    let gone = format!("Id\n{id}\n");
    let settings = json!({"object": "Account", "operation": "delete", "lineEnding": "LF"});
    client.run(&settings, &gone).await;
    let soql = "SELECT Account.Name, Account.IsDeleted FROM Contact WHERE Ext_Id__c = '4'";
    assert_eq!(first(&client, soql).await["Account"], Value::Null);
    let all = rows(&client, "/queryAll", soql).await;
    assert_eq!(
        (&all[0]["Account"]["Name"], &all[0]["Account"]["IsDeleted"]),
        (&json!("Acme"), &json!(true))
    );
}

#[tokio::test]
async fn columns_are_named_for_the_command_line() {
    let client = client().await;
    let soql = "SELECT Id, Account.Name, Account.Owner.Name FROM Contact";
    let call = client.call(Method::GET, "/query");
    let call = call.query(&[("q", soql), ("columns", "true")]);
    let answer: Value = call.send().await.unwrap().json().await.unwrap();
    let columns = &answer["columnMetadata"];
    assert_eq!(
        (&columns[0]["columnName"], &columns[0]["joinColumns"]),
        (&json!("Id"), &json!([]))
    );
    let account = &columns[1];
    assert_eq!(
        (
            &account["columnName"],
            &account["joinColumns"][0]["columnName"]
        ),
        (&json!("Account"), &json!("Name"))
    );
    let owner = &account["joinColumns"][1];
    assert_eq!(
        (&owner["columnName"], &owner["joinColumns"][0]["columnName"]),
        (&json!("Owner"), &json!("Name"))
    );
}
