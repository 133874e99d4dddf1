//! Queries: what an org holds, as record batches.

mod table;

use std::sync::Arc;
use std::time::Duration;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::compute::concat_batches;
use arrow_salesforce::arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_salesforce::bulk::{BulkError, Client, Credentials, QueryOptions, Types};
use arrow_salesforce::options::Waits;
use arrow_salesforce::{Error, ErrorKind, Loader, Operation, OrgOptions};
use futures::TryStreamExt;
use salesforce_sim::SimOptions;
use serde_json::json;
use testkit::KEY;
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

async fn client(sim: &TestSim) -> Client {
    let mut waits = Waits::default();
    waits.wait_permille = 20;
    client_with(sim, waits).await
}

async fn client_with(sim: &TestSim, waits: Waits) -> Client {
    let url = sim.url().parse().unwrap();
    let login = Credentials::refresh_token(url, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN);
    let client = Client::builder(login).waits(waits);
    client.connect().await.unwrap()
}

/// All rows of a query as one batch.
async fn ask(client: &Client, soql: &str, options: QueryOptions) -> Result<RecordBatch, BulkError> {
    let query = client.query(soql, options).await?;
    let schema = Arc::clone(query.schema());
    let batches: Vec<RecordBatch> = query.stream().try_collect().await?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// The columns with their types, and each row as text.
fn shown(batch: &RecordBatch) -> String {
    let options = FormatOptions::default().with_null("-");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let mut lines: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let values = (0..batch.num_rows()).map(|row| columns[index].value(row).to_string());
            let values: Vec<String> = values.collect();
            format!(
                "{} {}: {}",
                field.name(),
                field.data_type(),
                values.join(" | ")
            )
        })
        .collect();
    lines.push(String::new());
    lines.join("\n")
}

const EVERYTHING: &str = "Ext_Id__c,Text__c,Multi__c,Flag__c,Int__c,Long__c,Double__c,\
    Currency__c,Percent__c,Date__c,Date_Time__c,Time__c\n\
    E-1,\"a \"\"b\"\",\nc\",A;C,true,912260031,9007199254740991,912260031,250,-12.5,2024-02-29,\
    2024-02-29T23:59:59.999Z,23:59:59.999Z\n\
    E-2,,,,,,,,,,,\n";

const SELECT_EVERYTHING: &str = "SELECT ext_id__c, Text__c, Multi__c, Flag__c, Int__c, Long__c, \
    Double__c, Currency__c, Percent__c, Date__c, Date_Time__c, Time__c \
    FROM everything__c ORDER BY Ext_Id__c";

#[tokio::test]
async fn each_type_of_field() {
    let sim = TestSim::start().await;
    sim.insert("Everything__c", EVERYTHING).await;
    let client = client(&sim).await;
    let described = ask(&client, SELECT_EVERYTHING, QueryOptions::default()).await;
    insta::assert_snapshot!(shown(&described.unwrap()), @r#"
Ext_Id__c Utf8: E-1 | E-2
Text__c Utf8: a "b",
c | -
Multi__c List(Utf8): [A, C] | -
Flag__c Boolean: true | false
Int__c Int32: 912260031 | -
Long__c Int64: 9007199254740991 | -
Double__c Decimal128(18, 4): 912260031.0000 | -
Currency__c Decimal128(18, 2): 250.00 | -
Percent__c Decimal128(18, 2): -12.50 | -
Date__c Date32: 2024-02-29 | -
Date_Time__c Timestamp(ms, "UTC"): 2024-02-29T23:59:59.999Z | -
Time__c Time32(ms): 23:59:59.999 | -
"#);
    let texts = QueryOptions::default().with_types(Types::Text);
    let texts = ask(&client, SELECT_EVERYTHING, texts).await;
    insta::assert_snapshot!(shown(&texts.unwrap()), @r#"
    Ext_Id__c Utf8: E-1 | E-2
    Text__c Utf8: a "b",
    c | -
    Multi__c Utf8: A;C | -
    Flag__c Utf8: true | false
    Int__c Utf8: 912260031 | -
    Long__c Utf8: 9007199254740991 | -
    Double__c Utf8: 9.12260031E8 | -
    Currency__c Utf8: 250.0 | -
    Percent__c Utf8: -12.5 | -
    Date__c Utf8: 2024-02-29 | -
    Date_Time__c Utf8: 2024-02-29T23:59:59.999Z | -
    Time__c Utf8: 23:59:59.999Z | -
    "#);
}

/// Contacts `0..count`.
async fn contacts(sim: &TestSim, count: usize) {
    let lines: Vec<String> = (0..count).map(|n| format!("C-{n:06},Ng {n}\n")).collect();
    let csv = format!("{KEY},LastName\n{}", lines.concat());
    sim.insert("Contact", &csv).await;
}

/// The keys that a query gives, in their order.
fn keys(batch: &RecordBatch) -> Vec<String> {
    let keys = batch.column_by_name(KEY).unwrap().as_string::<i32>();
    keys.iter().map(|key| key.unwrap().to_owned()).collect()
}

fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("C-{n:06}")).collect()
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

/// Query jobs of the org, by their states.
async fn states(sim: &TestSim) -> Vec<String> {
    let state = sim.state().await;
    let jobs = state["query_jobs"].as_array().unwrap();
    jobs.iter()
        .map(|job| job["state"].as_str().unwrap().to_owned())
        .collect()
}

async fn requests(sim: &TestSim, kind: &str) -> u64 {
    sim.state().await["requests"][kind].as_u64().unwrap_or(0)
}

const KEYS: &str = "SELECT Ext_Id__c FROM Contact";
const KEYS_IN_ORDER: &str = "SELECT Ext_Id__c FROM Contact ORDER BY Ext_Id__c";

#[tokio::test]
async fn pages_one_after_the_other() {
    let sim = TestSim::start().await;
    contacts(&sim, 25).await;
    let client = client(&sim).await;
    let options = QueryOptions::default().with_page_rows(10);
    let found = ask(&client, KEYS_IN_ORDER, options).await.unwrap();
    assert_eq!(keys(&found), expected(0..25));
    assert_eq!(requests(&sim, "query_results").await, 3);
    assert!(states(&sim).await.is_empty(), "the job is deleted");
}

#[tokio::test]
async fn nothing_found() {
    let sim = TestSim::start().await;
    let client = client(&sim).await;
    for body in [None, Some(""), Some("\n"), Some("\"Ext_Id__c\",\"Id\"\n")] {
        if let Some(body) = body {
            let fault = json!({"calls": ["query_results"],
                "do": {"status": {"code": 200, "body": body}}});
            sim.fault(&fault).await;
        }
        let found = ask(&client, KEYS, QueryOptions::default()).await.unwrap();
        assert_eq!(found.num_rows(), 0);
        assert_eq!(found.schema().field(0).name(), "Ext_Id__c");
    }
}

#[tokio::test]
async fn all_fields_of_an_object() {
    let sim = TestSim::start().await;
    sim.insert("Everything__c", EVERYTHING).await;
    let client = client(&sim).await;
    let all = "SELECT FIELDS(ALL), Id FROM Everything__c";
    let all = ask(&client, all, QueryOptions::default()).await.unwrap();
    let names: Vec<String> = all
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(all.num_rows(), 2);
    assert!(names.contains(&"Id".to_owned()) && names.contains(&"Time__c".to_owned()));
    assert!(
        !names.contains(&"Data__c".to_owned()),
        "no base64: {names:?}"
    );
    let parts = |group: &str| {
        let soql = format!("SELECT FIELDS({group}) FROM Everything__c");
        let client = client.clone();
        async move {
            let found = ask(&client, &soql, QueryOptions::default()).await;
            found.unwrap().num_columns()
        }
    };
    assert_eq!(parts("STANDARD").await + parts("CUSTOM").await, names.len());
}

#[tokio::test]
async fn deleted_records_too() {
    let sim = TestSim::start().await;
    contacts(&sim, 3).await;
    let client = client(&sim).await;
    let ids = ask(&client, "SELECT Id FROM Contact", QueryOptions::default()).await;
    let id = ids
        .unwrap()
        .column(0)
        .as_string::<i32>()
        .value(0)
        .to_owned();
    let rows =
        RecordBatch::try_from_iter([("Id", Arc::new(StringArray::from(vec![id])) as ArrayRef)]);
    let org = super::library::org(&sim, OrgOptions::default()).await;
    let rows = rows.unwrap();
    let loader = Loader::builder(&org)
        .object("Contact")
        .operation(Operation::Delete)
        .schema(rows.schema());
    let loader = loader.build().await.unwrap();
    let rows = futures::stream::iter([Ok::<_, Error>(rows)]);
    assert_eq!(loader.load(rows).await.unwrap().report.accepted, 1);
    for (deleted, count) in [(false, 2), (true, 3)] {
        let options = QueryOptions::default().with_deleted(deleted);
        let found = ask(&client, KEYS, options).await.unwrap();
        assert_eq!(found.num_rows(), count);
    }
}

#[tokio::test]
async fn salesforces_words_about_a_wrong_query() {
    let sim = TestSim::start().await;
    let client = client(&sim).await;
    let mut errors = Vec::new();
    for soql in [
        "SELECT Nmae FROM Contact",
        "SELECT Id FROM Kontakt",
        "SELECT Id FROM Contact WHERE Name LIKE",
        "SELECT MailingAddress FROM Contact",
        "SELECT COUNT() FROM Contact",
    ] {
        let error = ask(&client, soql, QueryOptions::default())
            .await
            .unwrap_err();
        errors.push(format!("{:?}: {error}", error.kind()));
    }
    insta::assert_snapshot!(errors.join("\n"), @"
    Config: creating a query job for Contact: Salesforce refused it (HTTP 400 API_ERROR: 
    SELECT Nmae, Id FROM Contact
           ^
    ERROR at Row:1:Column:8
    No such column 'Nmae' on entity 'Contact'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.); correct the query, or give the user access to what it selects
    Config: object Kontakt does not exist or the user may not see it; check the API name, or grant the object permission in a profile or permission set of the integration user
    Config: creating a query job for Contact: Salesforce refused it (HTTP 400 API_ERROR: 
    SELECT Id FROM Contact WHERE Name LIKE
                                          ^
    ERROR at Row:1:Column:39
    unexpected token: '<EOF>'); correct the query, or give the user access to what it selects
    Config: the query has MailingAddress, a compound field, which the Bulk API does not answer; select the fields that are its parts: MailingStreet, MailingCity, MailingState, MailingPostalCode, MailingCountry
    Config: the query has COUNT(), which the Bulk API does not answer; ask for it by the REST API
    ");
    assert!(states(&sim).await.is_empty());
}

#[tokio::test]
async fn a_value_that_its_field_does_not_allow() {
    let sim = TestSim::start().await;
    sim.insert("Everything__c", EVERYTHING).await;
    let client = client(&sim).await;
    let soql = "SELECT Ext_Id__c, Currency__c FROM Everything__c";
    let body = "\"Ext_Id__c\",\"Currency__c\",\"Id\"\n\"E-1\",\"1.23456\",\"a00000000000001AAA\"\n";
    let fault = json!({"calls": ["query_results"], "times": 0,
        "do": {"status": {"code": 200, "body": body}}});
    sim.fault(&fault).await;
    let error = ask(&client, soql, QueryOptions::default())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(|c: char| c.is_ascii_digit(), "9"), @"field Currency__c of record a99999999999999AAA: a value such as 9.99999 is no Decimal999(99, 9); ask the query for texts instead");
}

#[tokio::test]
async fn a_query_in_parts_by_ranges_of_ids() {
    let sim = TestSim::start().await;
    contacts(&sim, 1_000).await;
    let client = client(&sim).await;
    let options = QueryOptions::default().with_split(6).with_keep_jobs(true);
    let query = client.query(KEYS, options.clone()).await.unwrap();
    let (schema, handle) = (Arc::clone(query.schema()), query.handle());
    let batches: Vec<RecordBatch> = query.stream().try_collect().await.unwrap();
    let found = concat_batches(&schema, &batches).unwrap();
    assert_eq!(sorted(keys(&found)), expected(0..1_000));
    let progress = handle.progress();
    assert_eq!(
        (progress.jobs, progress.waiting, progress.read),
        (6, 0, 1_000)
    );
    assert_eq!(states(&sim).await.len(), 6);

    let again = client.query_again(KEYS, options, &handle.jobs(), 700).await;
    let rest: Vec<RecordBatch> = again.unwrap().stream().try_collect().await.unwrap();
    let rest = concat_batches(&schema, &rest).unwrap();
    assert_eq!(keys(&rest), keys(&found)[700..]);
    handle.delete().await.unwrap();
    assert!(states(&sim).await.is_empty());
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_split() {
    let sim = TestSim::start().await;
    contacts(&sim, 500).await;
    let message = "QUERY_TIMEOUT: Your query request was running for too long.";
    let fault = json!({"name": "slow", "calls": ["query_create"], "times": 2, "do": {"end_job": {"message": message}}});
    sim.fault(&fault).await;
    let client = client(&sim).await;
    let found = ask(&client, KEYS, QueryOptions::default()).await.unwrap();
    assert_eq!(sorted(keys(&found)), expected(0..500));
    assert_eq!(sim.fault_hits().await, [("slow".to_owned(), 2)]);

    sim.fault(&fault).await;
    let error = ask(&client, KEYS_IN_ORDER, QueryOptions::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("leave ORDER BY and LIMIT out"), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_dropped_aborts_its_job() {
    let sim = TestSim::start().await;
    let client = client(&sim).await;
    sim.hold().await;
    for keep in [false, true] {
        let options = QueryOptions::default().with_keep_jobs(keep);
        let query = client.query(KEYS, options).await.unwrap();
        let mut stream = query.stream();
        let waited = tokio::time::timeout(Duration::from_millis(300), stream.try_next());
        assert!(waited.await.is_err());
    }
    sim.wait_for("the abort", |state| {
        let jobs = state["query_jobs"].as_array().unwrap();
        jobs[0]["state"] == "Aborted" && jobs[1]["state"] == "InProgress"
    })
    .await;
    sim.release().await;
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_aborted() {
    let sim = TestSim::start().await;
    contacts(&sim, 3).await;
    let client = client(&sim).await;
    sim.hold().await;
    sim.fault(&json!({"calls": ["query_create"], "do": {"lose": {}}}))
        .await;
    let query = client.query(KEYS, QueryOptions::default()).await.unwrap();
    assert_eq!(sorted(states(&sim).await)[0], "Aborted");
    sim.release().await;
    let batches: Vec<RecordBatch> = query.stream().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test]
async fn the_query_jobs_of_a_day_are_used_up() {
    let sim = TestSim::with_options(SimOptions {
        max_query_jobs: 1,
        ..TestSim::options(Duration::ZERO)
    })
    .await;
    let client = client(&sim).await;
    ask(&client, KEYS, QueryOptions::default()).await.unwrap();
    let error = ask(&client, KEYS, QueryOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    let error = error.to_string();
    assert!(
        error.contains("query jobs of 24 hours (DailyBulkV2QueryJobs) are used up"),
        "{error}"
    );
}
