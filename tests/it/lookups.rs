//! Lookups by external ID, and record types by name: what a load makes of their columns.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::load::{Event, LoadReport, Loader, Org};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::OrgOptions;
use arrow_salesforce::{Error, ErrorKind};
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use crate::library::org;

/// A table of texts; an empty one is null.
fn table<const N: usize>(columns: [&str; N], rows: &[[&str; N]]) -> RecordBatch {
    let columns = columns.iter().enumerate().map(|(index, name)| {
        let values = rows
            .iter()
            .map(|row| Some(row[index]).filter(|text| !text.is_empty()));
        let values: ArrayRef = Arc::new(values.collect::<StringArray>());
        (*name, values, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

async fn loader(
    org: &Org,
    object: &str,
    operation: Operation,
    rows: &RecordBatch,
) -> Result<Loader, Error> {
    Loader::builder(org)
        .object(object)
        .operation(operation)
        .schema(rows.schema())
        .build()
        .await
}

/// Loads a table; returns the report, and of each rejected record its stage, code and message.
async fn load(
    org: &Org,
    object: &str,
    operation: Operation,
    rows: RecordBatch,
) -> (LoadReport, Vec<String>) {
    let loader = loader(org, object, operation, &rows).await.unwrap();
    let (mut feed, mut events) = loader.start();
    feed.send(rows).await.unwrap();
    feed.finish().await.unwrap();
    let mut rejected = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Event::Rejected(batch) => {
                let text = |name: &str, row: usize| {
                    let column = batch.column_by_name(name).unwrap();
                    column.as_string::<i32>().value(row).to_owned()
                };
                let columns = ["_reject_stage", "_reject_code", "_reject_message"];
                let reason = |row: usize| columns.map(|name| text(name, row)).join(" ");
                rejected.extend((0..batch.num_rows()).map(reason));
            }
            Event::Finished(report) => return (*report, rejected),
            _ => {}
        }
    }
    panic!("the load ended without a report");
}

async fn insert(org: &Org, object: &str, rows: RecordBatch) -> Vec<String> {
    load(org, object, Operation::Insert, rows).await.1
}

/// Why a load of these columns is not built; no job was made for it.
async fn refused(sim: &TestSim, object: &str, operation: Operation, columns: &[&str]) -> String {
    let org = org(sim, OrgOptions::default()).await;
    let value = |name: &&str| {
        (
            name.to_string(),
            Arc::new(StringArray::from(vec!["x"])) as _,
        )
    };
    let rows = RecordBatch::try_from_iter(columns.iter().map(value)).unwrap();
    let error = loader(&org, object, operation, &rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(sim.jobs().await.is_empty());
    error.to_string()
}

/// The record whose field has a value.
async fn record(sim: &TestSim, object: &str, field: &str, value: &str) -> Value {
    let rows = sim.rows(object).await;
    let found = rows.iter().find(|row| row[field] == value);
    found
        .unwrap_or_else(|| panic!("no {object} with {field} {value}"))
        .clone()
}

#[tokio::test]
async fn parents_are_found_by_external_ids() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let accounts = table(["Name", KEY], &[["Acme", "A-1"], ["Bolt", "A-2"]]);
    assert!(insert(&org, "Account", accounts).await.is_empty());
    let contacts = table(
        ["LastName", "ACCOUNT.ext_id__c", "user:owner.USERNAME"],
        &[
            ["Linked", "A-2", "seller@sim.example"],
            ["Lost", "A-3", "seller@sim.example"],
            ["Alone", "", ""],
        ],
    );

    let rejected = insert(&org, "Contact", contacts).await;

    assert_eq!(
        rejected,
        [
            "salesforce INVALID_FIELD Foreign key external ID: A-3 not found for field Ext_Id__c in entity Account"
        ]
    );
    let linked = record(&sim, "Contact", "LastName", "Linked").await;
    let bolt = record(&sim, "Account", "Name", "Bolt").await;
    let seller = record(&sim, "User", "Username", "seller@sim.example").await;
    assert_eq!(
        (&linked["AccountId"], &linked["OwnerId"]),
        (&bolt["Id"], &seller["Id"])
    );
    let alone = record(&sim, "Contact", "LastName", "Alone").await;
    assert_eq!(alone["AccountId"], Value::Null);
}

#[tokio::test]
async fn a_custom_lookup_of_the_object_itself() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let first = table(["Name", "Number_Key__c"], &[["First", "1e3"]]);
    assert!(insert(&org, "Everything__c", first).await.is_empty());
    let second = table(["Name", "twin__r.number_key__c"], &[["Second", "1000.0"]]);

    assert!(insert(&org, "Everything__c", second).await.is_empty());

    let first = record(&sim, "Everything__c", "Name", "First").await;
    let second = record(&sim, "Everything__c", "Name", "Second").await;
    assert_eq!(second["Twin__c"], first["Id"]);
}

#[tokio::test]
async fn the_type_is_given_or_filled_in() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let leads = table(
        ["LastName", "Company", "Email"],
        &[["Lee", "Acme", "lee@x.org"]],
    );
    assert!(insert(&org, "Lead", leads).await.is_empty());
    let accounts = table(["Name", "Legacy_Id__c"], &[["Acme", "L-1"]]);
    assert!(insert(&org, "Account", accounts).await.is_empty());
    let tasks = table(
        [
            "Subject",
            "lead:who.email",
            "What.legacy_id__C",
            "Owner.Email",
        ],
        &[["Call", "lee@x.org", "L-1", "agent@sim.example"]],
    );

    assert!(insert(&org, "Task", tasks).await.is_empty());

    let task = record(&sim, "Task", "Subject", "Call").await;
    for (lookup, object, field, value) in [
        ("WhoId", "Lead", "Email", "lee@x.org"),
        ("WhatId", "Account", "Legacy_Id__c", "L-1"),
        ("OwnerId", "User", "Email", "agent@sim.example"),
    ] {
        let parent = record(&sim, object, field, value).await;
        assert_eq!(task[lookup], parent["Id"], "{lookup}");
    }
}

#[tokio::test]
async fn record_types_by_developer_name() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let accounts = table(
        ["Name", "recordtype.developername"],
        &[
            ["One", "PARTNER"],
            ["Two", "Confidential"],
            ["Three", ""],
            ["Four", "Other_Team"],
        ],
    );

    let rejected = insert(&org, "Account", accounts).await;

    assert_snapshot!(rejected.join("\n"), @"
    coerce INVALID_VALUE RecordTypeId: not the developer name of a record type (known: Customer, Partner, Master)
    salesforce INVALID_CROSS_REFERENCE_KEY Record Type ID: this ID value isn't valid for the user: 0125g0000000003AAA
    ");
    let by_name = table(["Name", "RecordType.Name"], &[["Five", "partner account"]]);
    assert!(insert(&org, "Account", by_name).await.is_empty());
    let one = record(&sim, "Account", "Name", "One").await;
    let five = record(&sim, "Account", "Name", "Five").await;
    assert!(one["RecordTypeId"].as_str().unwrap().starts_with("012"));
    assert_eq!(one["RecordTypeId"], five["RecordTypeId"]);
    assert_eq!(sim.rows("Account").await.len(), 3);
}

#[tokio::test]
async fn wrong_columns_name_the_right_form() {
    let sim = TestSim::start().await;
    let columns = [
        "Subject",
        "Who.Email",
        "Nobody:What.Legacy_Id__c",
        "OwnerId.Username",
        "Boss.Email",
    ];
    assert_snapshot!(refused(&sim, "Task", Operation::Insert, &columns).await, @"object Task: column Who.Email: WhoId points to several objects that have Email; write Contact:Who.Email or Lead:Who.Email; column Nobody:What.Legacy_Id__c: WhatId points to Account, Opportunity, Case and Everything__c, not to Nobody; write Account:What.Legacy_Id__c; column OwnerId.Username: OwnerId is not the name of the relationship, Owner is; write User:Owner.Username; column Boss.Email: Task has no relationship Boss; use one of its relationships: Who, Owner or What");
    let columns = ["AccountId", "Account.Ext_Id__c", "ReportsTo.LastName"];
    assert_snapshot!(refused(&sim, "Contact", Operation::Insert, &columns).await, @"object Contact: column Account.Ext_Id__c: column AccountId feeds the same field AccountId; keep one of them; column ReportsTo.LastName: ReportsToId points to Contact, whose LastName is neither an external ID nor a lookup field; write ReportsTo.Id, ReportsTo.Email or ReportsTo.Ext_Id__c");
}

#[tokio::test]
async fn keys_that_no_operation_takes() {
    let sim = TestSim::start().await;
    let upsert = |key: &str| Operation::Upsert {
        external_id: key.into(),
    };
    assert_snapshot!(refused(&sim, "Account", upsert("Name"), &["Name"]).await, @"object Account: key Name: it is not an external ID of Account; use Legacy_Id__c, Ext_Id__c or Id");
    assert_snapshot!(refused(&sim, "Account", upsert("EXT_ID__C"), &["Name"]).await, @"object Account: no column feeds Ext_Id__c, by which upsert finds the records of Account; map a column to it");
    assert_snapshot!(refused(&sim, "Account", Operation::Update, &["Name"]).await, @"object Account: no column feeds Id, by which update finds the records of Account; map a column to it");
    assert_snapshot!(refused(&sim, "Account", Operation::Delete, &["Nowhere"]).await, @"object Account: no column feeds Id, by which delete finds the records of Account; map a column to it");
    assert_snapshot!(refused(&sim, "User", Operation::HardDelete, &["Id"]).await, @"object User: the user may not hardDelete its records; grant Delete on it and Bulk API Hard Delete in a profile or permission set of the integration user");
}

#[tokio::test]
async fn a_related_object_that_the_user_may_not_see() {
    let mut refusals = Vec::new();
    for (status, code) in [(403, "INSUFFICIENT_ACCESS"), (404, "NOT_FOUND")] {
        let sim = TestSim::start().await;
        let body = json!([{"errorCode": code, "message": "no"}]).to_string();
        let hide = json!({"path": "*/sobjects/Account/describe", "times": 0,
            "do": {"status": {"code": status, "body": body}}});
        sim.fault(&hide).await;
        let columns = ["LastName", "Account.Ext_Id__c"];
        refusals.push(refused(&sim, "Contact", Operation::Insert, &columns).await);
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_snapshot!(refusals[0], @"object Contact: column Account.Ext_Id__c: AccountId points to Account, which the user may not see; map the Id of the related record to AccountId, or grant the user Read on Account");
}

#[tokio::test]
async fn related_objects_are_asked_for_until_the_org_answers() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let busy = json!({"path": "*/sobjects/Account/describe", "do": {"status": {"code": 503}}});
    sim.fault(&busy).await;
    let contacts = table(["LastName", "Account.Ext_Id__c"], &[["Ng", ""]]);
    assert!(insert(&org, "Contact", contacts).await.is_empty());
}

#[tokio::test]
async fn a_key_is_written_as_the_describe_has_it() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let accounts = table(
        ["Name", "ext_id__c", "Parent.ext_id__c"],
        &[["Acme", "A-1", ""]],
    );
    let upsert = Operation::Upsert {
        external_id: "EXT_ID__C".into(),
    };
    let operation = loader(&org, "Account", upsert.clone(), &accounts)
        .await
        .unwrap()
        .coercion()
        .header()
        .operation
        .clone();
    assert_eq!(operation.key_field(), Some(KEY));

    let (report, rejected) = load(&org, "Account", upsert, accounts).await;

    assert!(rejected.is_empty(), "{rejected:?}");
    assert_eq!(report.accepted, 1);
    assert_eq!(sim.column("Account", KEY).await, ["A-1"]);
}

#[tokio::test]
async fn a_deletion_leaves_other_columns_out() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let accounts = table(["Name"], &[["Acme"], ["Bolt"]]);
    assert!(insert(&org, "Account", accounts).await.is_empty());
    let acme = record(&sim, "Account", "Name", "Acme").await;
    let id = acme["Id"].as_str().unwrap();
    let gone = table(["Nowhere", "id", "Account.Name"], &[["x", id, "y"]]);

    let (report, rejected) = load(&org, "Account", Operation::Delete, gone).await;

    assert!(rejected.is_empty(), "{rejected:?}");
    assert_eq!(report.accepted, 1);
    assert_eq!(sim.column("Account", "Name").await, ["Bolt"]);
}
